"""What a result folder holds beside the report: arrays, recipe and provenance, to be read back."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Fitted,
    Info,
    InputError,
    Segmentation,
    Signal,
    Step,
    Thickness,
    axes_of,
    quiet,
    registry,
    title_of,
    versions,
)
from clustem.core.contents import load_signals
from clustem.io import _schema
from clustem.io._arrays import read_arrays
from clustem.io.fitted import load_fitted, save_fitted
from clustem.io.output_folder import PROVENANCE
from clustem.io.trial import try_out
from clustem.labelmaps.label_maps import read_tiff

FORMAT = _schema.FORMAT
"""Number of the layout of a result folder; it grows when old readers could not read new folders."""
RECIPE = "recipe.toml"
_MOST_TEXT = 2**26  # of provenance and recipe [bytes]
_PLAIN: dict[str, Any] = {"str": str, "int": int, "float": int | float, "bool": bool}
_ZERO_LOSS = "zero_loss.npz"
_FITTED = "fitted.npz"
_ARRAYS = ("mask", "points", "counts", "mean", "feature_centers", "distance", "margin", "novel")
"""Fields of a result that are written to ``arrays.npz`` under their names."""
_OF_FIT = ("spectrum", "typical")
"""Arrays of the fit that are written there, too."""


def write_state(result: Segmentation, folder: Path) -> None:
    """Write what :func:`read_result` needs beside label map, memberships and centers.

    Parameters
    ----------
    result
        Any result.
    folder
        Existing folder.
    """
    result.standard_error.save(folder / "standard_error.hspy")
    arrays = {name: getattr(result, name) for name in _ARRAYS}
    if result.thickness is not None:
        arrays |= {
            f"thickness.{f.name}": getattr(result.thickness, f.name) for f in fields(Thickness)
        }
    infos = []
    for i, info in enumerate(result.about or ()):
        parts = info.parts()
        large = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
        arrays |= {f"about.{i}.{name}": part for name, part in large.items()}
        small = {name: part for name, part in parts.items() if name not in large}
        infos.append({"kind": type(info).__name__, **small})
    fitted = _write_fitted(result.fitted, folder)
    if result.fitted is not None and fitted:
        arrays |= {f"fitted.{name}": getattr(result.fitted, name) for name in _OF_FIT}
    known = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(folder / "arrays.npz", **known)
    if result.zero_loss is not None:
        result.zero_loss.save(folder / _ZERO_LOSS)
    (folder / RECIPE).write_text(result.recipe_text, encoding="utf-8", newline="\n")
    provenance = {
        "format": FORMAT,
        "input": dict(result.origin),
        **made_with(),
        "history": [step.as_dict() for step in result.history],
        "scores": dict(result.scores),
        "unassigned_fraction": result.unassigned_fraction,
        "names": {str(key): name for key, name in result.names.items()},
        "color_index": list(result.color_index),
        "feature_names": list(result.feature_names),
        "about": infos,
        "title": title_of(result.labels),
        "axes": axes_of(result.labels),
        "recipe_digest": _digest(result.recipe_text),
        **fitted,
    }
    write_provenance(provenance, folder)


def _write_fitted(fitted: Fitted | None, folder: Path) -> dict[str, Any]:
    """Write what other scans need; nothing of an estimator whose state is not plain."""
    if fitted is None:
        return {}
    try:
        save_fitted(fitted.estimator, folder / _FITTED, rows=False)
    except TypeError:  # of another package
        (folder / _FITTED).unlink(missing_ok=True)
        return {}
    names = ("number", "purity", "described")
    return {"fitted": {name: getattr(fitted, name) for name in names}}


def read_fitted(result: Segmentation, folder: str | Path, estimator: Any) -> Segmentation:
    """Give a result that was read what other scans need to get its clusters.

    Parameters
    ----------
    result
        What :func:`read_result` returned.
    folder
        The folder.
    estimator
        An estimator with the parameters that the result's had.

    Raises
    ------
    InputError
        If the file is broken.
    """
    path = Path(folder).expanduser() / _FITTED
    if result.fitted is None or not path.is_file():
        return replace(result, fitted=None)
    known = load_fitted(estimator, path)
    return replace(result, fitted=replace(result.fitted, estimator=known))


def made_with() -> dict[str, Any]:
    """Return the versions of packages and machine that a result is made with."""
    return {
        "packages": versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def write_provenance(content: Mapping[str, Any], folder: Path) -> None:
    """Write ``provenance.json``; numpy's scalars and arrays become plain values."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=_plain)
    (folder / PROVENANCE).write_text(text, encoding="utf-8")


def read_result(folder: str | Path) -> tuple[Segmentation, str]:
    """Read a result folder.

    Parameters
    ----------
    folder
        A folder written by ``Segmentation.save``.

    Returns
    -------
    :
        The result without recipe, source, context and features, and the text of its recipe.

    Raises
    ------
    InputError
        If the folder is not a result, or a file in it is missing or broken.
    """
    path = Path(folder).expanduser()
    if not (path / PROVENANCE).is_file():
        raise InputError(
            f"A result folder must hold {PROVENANCE}",
            got=path if path.exists() else f"{path}, which does not exist",
            cure="Name a folder written by clustem run or Segmentation.save.",
        )
    try:
        known = _schema.checked(json.loads(_text(path / PROVENANCE)))
        text = _text(path / RECIPE)
        if known.recipe_digest:
            _check_digest(text, known.recipe_digest)
        return _read(path, known), text
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # readers raise anything on a broken file
        raise InputError(
            f"{path} must be a whole result folder",
            got=str(error).partition("\n")[0][:120] or type(error).__name__,
            cure="Run the recipe in it again.",
        ) from None


def _read(folder: Path, known: _schema.Provenance) -> Segmentation:
    import hyperspy.api as hs

    k, shape = len(known.color_index), tuple(axis.size for axis in known.axes)
    labels = _map(folder / "labels.tif", shape)
    arrays = read_arrays(folder / "arrays.npz", room=32 * labels.size)  # maps are of its shape
    with quiet():  # signal types of packages that are not installed
        centers, error = (_signal(folder / f"{n}.hspy") for n in ("centers", "standard_error"))
    row = centers.data.shape[1:]
    _check("centers.hspy", centers.data, (k, *row))
    _check("standard_error.hspy", error.data, (k, *row))
    _check_arrays(arrays, k, shape, row)
    _check_names(known, arrays["points"].shape[1])
    mask = arrays["mask"]
    if labels.dtype.kind not in "iu" or labels.min() < -1 or labels.max() >= k:
        raise _broken("labels.tif", f"-1 … {k - 1}", f"{labels.min()} … {labels.max()}")
    if (labels[mask] >= 0).any():
        raise _broken("labels.tif", "-1 where the mask excludes", "labels there")
    axes = [axis.model_dump(by_alias=True, exclude_none=True) for axis in known.axes]
    metadata = {"General": {"title": known.title}}
    kind = hs.signals.Signal1D if mask.ndim == 1 else hs.signals.Signal2D
    memberships = None
    if (folder / "memberships.tif").is_file():
        stack = _map(folder / "memberships.tif", (k, *shape))
        _check("memberships.tif", stack, (k, *shape), kinds="f")
        first = {"name": "cluster", "size": k, "navigate": True}
        memberships = kind(stack, axes=[first, *axes], metadata=metadata)
    zero_loss = None
    if (folder / _ZERO_LOSS).is_file():
        read_arrays(folder / _ZERO_LOSS)
        zero_loss = registry("eels").own["ZeroLossModel"].load(folder / _ZERO_LOSS)  # type: ignore[attr-defined]
    maps = {f.name: arrays.get(f"thickness.{f.name}") for f in fields(Thickness)}
    about = _infos(known.about, arrays)
    return Segmentation(
        labels=kind(labels, axes=axes, metadata=metadata),
        memberships=memberships,
        centers=centers,
        standard_error=error,
        **{name: arrays.get(name) for name in _ARRAYS},  # type: ignore[arg-type]
        feature_names=tuple(known.feature_names),
        names={int(key): name for key, name in known.names.items()},
        color_index=tuple(known.color_index),
        scores=known.scores,
        about=about,
        fitted=_fitted(known, arrays, about),
        thickness=None if maps["relative"] is None else Thickness(**maps),  # type: ignore[arg-type]
        zero_loss=zero_loss,
        history=tuple(Step(**step.model_dump()) for step in known.history),
        origin=known.input,
    )


def _fitted(
    known: _schema.Provenance, arrays: Mapping[str, NDArray[Any]], about: Info | None
) -> Fitted | None:
    """Return what is known of the fit, without its estimator."""
    fit, k = known.fitted, len(known.color_index)
    if fit is None:
        return None
    if max(fit.number, default=k) != k - 1 or len(fit.purity) != k:
        raise _broken(PROVENANCE, f"a fit of {k} clusters", f"{len(fit.purity)} shares")
    return Fitted(
        None,
        np.array(fit.number, dtype=np.intp),
        np.array(fit.purity),
        fit.described,
        about,
        **{name: arrays.get(f"fitted.{name}") for name in _OF_FIT},
    )


def _signal(path: Path) -> Signal:
    try_out(path)
    found: list[Signal] = load_signals(path)
    if len(found) != 1:
        raise _broken(path.name, "one signal", f"{len(found)}")
    return found[0]


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read a map or a stack of maps; axes of length 1 may be missing."""
    found = read_tiff(path, most=math.prod(shape))
    if [size for size in found.shape if size > 1] != [size for size in shape if size > 1]:
        raise _broken(path.name, f"shape {shape}", str(found.shape))
    return found.reshape(shape)


def _check_arrays(
    arrays: Mapping[str, NDArray[Any]], k: int, shape: tuple[int, ...], row: tuple[int, ...]
) -> None:
    """Refuse arrays that are missing, unknown, or do not fit k clusters on a scan."""
    for name in ("mask", "points", "counts"):
        if name not in arrays:
            raise _broken("arrays.npz", name, "none")
    _check("mask", arrays["mask"], shape, kinds="b")
    n = int(np.count_nonzero(~arrays["mask"]))
    points = arrays["points"]
    _check("points", points, (n, points.shape[-1] if points.ndim else 0), kinds="f")
    _check("counts", arrays["counts"], (k,), kinds="iu")
    if (arrays["counts"] < 0).any():
        raise _broken("counts", "0 or more", str(arrays["counts"].min()))
    thickness = {f"thickness.{f.name}" for f in fields(Thickness)}
    if "mean" in arrays and arrays["mean"].size == 1 and not row:  # rows are single values
        row = arrays["mean"].shape
    shapes = {"mean": row, "feature_centers": (k,), "distance": shape, "margin": shape}
    shapes |= dict.fromkeys(thickness, shape)
    if "novel" in arrays:
        _check("novel", arrays["novel"], shape, kinds="b")
    for name, array in arrays.items():
        if name in shapes:
            _check(name, array, shapes[name], kinds="f")
        elif name in {f"fitted.{part}" for part in _OF_FIT}:
            _check(name, array, row if name == "fitted.spectrum" else (k, array.shape[-1]))
        elif name not in _ARRAYS and not name.startswith("about."):
            raise _broken("arrays.npz", "what Clustem writes", f"an array {name[:40]!r}")


def _check_names(known: _schema.Provenance, n_features: int) -> None:
    """Refuse names of clusters or features that there are not."""
    k = len(known.color_index)
    if beyond := [name for name in known.names if int(name) >= k]:
        raise _broken(PROVENANCE, f"names of {k} clusters", f"one of cluster {beyond[0]}")
    if known.feature_names and n_features and len(known.feature_names) != n_features:
        got = str(len(known.feature_names))
        raise _broken(PROVENANCE, f"names of {n_features} features, or none", got)


def _check(name: str, array: NDArray[Any], shape: tuple[int, ...], *, kinds: str = "biuf") -> None:
    if array.shape != shape or array.dtype.kind not in kinds:
        raise _broken(name, f"shape {shape}", f"{array.dtype} of shape {array.shape}")


def _broken(name: str, what: str, got: str) -> InputError:
    return InputError(
        f"{name} must hold {what}", got=got, cure="Run the recipe in the folder again."
    )


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_TEXT:
        raise _broken(path.name, "some text", f"{path.stat().st_size / 1e6:.0f} MB")
    return path.read_text(encoding="utf-8")


def _check_digest(text: str, digest: str) -> None:
    if digest != _digest(text):
        raise InputError(
            f"{RECIPE} must be as it was written",
            got="another or a part of it",
            cure="Copy the folder again, or the changed recipe to another place.",
        )


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _infos(written: list[dict[str, Any]], arrays: Mapping[str, NDArray[Any]]) -> Info | None:
    found: Info | None = None
    for i, content in reversed([*enumerate(written)]):
        small = dict(content)
        prefix, kind = f"about.{i}.", Info.kinds.get(str(small.pop("kind", "")))
        if kind is None:  # of a package that is not installed
            continue
        large = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        parts = {**small, **large}
        hints = {f.name: str(f.type) for f in fields(kind) if f.name != "before"}
        for name, value in parts.items():
            if name not in hints or not _fits(value, hints[name]):
                where, got = f"{kind.__name__} in {PROVENANCE}", f"{name}={value!r}"[:60]
                raise _broken(where, "what Clustem writes", got)
        found = kind(**parts, before=found)
    return found


def _fits(value: Any, hint: str) -> bool:
    """Whether a value is of the type that a field is declared with; those of others pass."""
    for kind in hint.split(" | "):
        if kind.startswith("NDArray"):
            fits = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        elif kind == "None":
            fits = value is None
        elif kind in _PLAIN:
            fits = isinstance(value, _PLAIN[kind]) and (kind == "bool") == isinstance(value, bool)
        else:
            fits = True
        if fits:
            return True
    return False


def _plain(value: Any) -> Any:
    """Numpy's scalars and arrays for JSON."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
