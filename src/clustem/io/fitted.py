"""Fitted estimators in files: arrays and plain values, nothing that runs when it is read."""

from __future__ import annotations

import importlib
import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.io._arrays import read_arrays
from clustem.passes.transform import RowTransform

_TREE = "state"
_ELSEWHERE = {"row_sums_"}  # what belongs to the rows that were read, and can be had again
_OF_ROWS = {"labels_", "memberships_", "nearest_distances_", "fitted_rows_"}
"""What belongs to the rows of the fit, and is not needed for others."""
_TRANSFORM = ("n_features", "normalize", "mask")


def save_fitted(estimator: Any, path: Path, *, rows: bool = True) -> None:
    """Write what an estimator has learned.

    Parameters
    ----------
    estimator
        Fitted; its state consists of arrays, numbers, texts, lists, dictionaries and dataclasses of
        them.
    path
        File to write, ``.npz``; its parameters are not in it.
    rows
        Whether what belongs to the rows of the fit is written, too: labels, memberships.

    Raises
    ------
    TypeError
        If there is something else in its state.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.cluster import KMeans
    >>> rows = np.array([[0.0, 1.0], [0.5, 1.0], [9.0, 9.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_fitted(KMeans(2).fit(rows), Path(folder, "k.npz"))
    ...     again = load_fitted(KMeans(2), Path(folder, "k.npz"))
    >>> again.predict(rows).tolist()
    [0, 0, 1]
    """
    arrays: list[NDArray[Any]] = []
    given = set(estimator.get_params())
    left_out = given | _ELSEWHERE | (set() if rows else _OF_ROWS)
    state = {
        name: _coded(value if rows else _without_rows(value), arrays)
        for name, value in vars(estimator).items()
        if name not in left_out
    }
    named = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez(path, **{_TREE: np.array(json.dumps(state))}, **named)  # type: ignore[arg-type]  # its hint


def load_fitted(estimator: Any, path: Path, *, room: int = 2**34) -> Any:
    """Give an estimator what :func:`save_fitted` wrote.

    Parameters
    ----------
    estimator
        With the parameters that it had.
    path
        The file.
    room
        Largest size of its arrays [bytes].

    Returns
    -------
    :
        The estimator itself, fitted.

    Raises
    ------
    InputError
        If the file is broken, or is of another estimator or version.

    Notes
    -----
    A dataclass is one of the package that the estimator comes from; nothing else is made.
    """
    arrays = read_arrays(path, room=room)
    package = type(estimator).__module__.partition(".")[0]
    try:
        state = json.loads(str(arrays[_TREE]))
        for name, value in state.items():
            setattr(estimator, name, _decoded(value, arrays, package))
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # a tree that someone edited can be wrong anywhere
        raise InputError(
            f"{path.name} must hold the state of {type(estimator).__name__}",
            got=str(error).partition("\n")[0][:120] or type(error).__name__,
            cure="Run the recipe again.",
        ) from None
    for name in _ELSEWHERE:
        setattr(estimator, name, None)
    return estimator


def _without_rows(value: Any) -> Any:
    """Empty the memberships that a fit keeps."""
    if is_dataclass(value) and not isinstance(value, type) and hasattr(value, "memberships"):
        return replace(value, memberships=value.memberships[:0])
    return value


def _coded(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return {type(value).__name__: [_coded(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_coded(k, arrays), _coded(v, arrays)] for k, v in value.items()]}
    return _made(value, arrays)


def _made(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Write an object as its class and what it is made from."""
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop]}
    names = _names(type(value))
    kind = type(value)
    parts = {name: _coded(getattr(value, name), arrays) for name in names}
    return {"made": [kind.__module__, kind.__qualname__, parts]}


def _names(kind: type) -> tuple[str, ...]:
    """Names of what an object is made from."""
    if kind is RowTransform:
        return _TRANSFORM
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is neither an array nor a plain value")
    return tuple(field.name for field in fields(kind) if field.init)


def _decoded(value: Any, arrays: dict[str, NDArray[Any]], package: str) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, inside)] = value.items()
    if kind == "array":
        return arrays[f"a{int(inside)}"]
    if kind == "slice":
        return slice(*map(int, inside))
    if kind in ("list", "tuple"):
        items = [_decoded(item, arrays, package) for item in inside]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        pairs = ([_decoded(part, arrays, package) for part in pair] for pair in inside)
        return {key: item for key, item in pairs}  # noqa: C416  # a pair is a list
    module, name, parts = inside
    if module.partition(".")[0] not in (package, "clustem"):
        raise ValueError(f"{module} is not of {package}")
    made = getattr(importlib.import_module(module), name)
    if set(parts) != set(_names(made)):
        raise ValueError(f"{name} is made of other parts")
    return made(**{key: _decoded(part, arrays, package) for key, part in parts.items()})
