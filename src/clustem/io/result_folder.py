"""What a result folder holds beside the report: arrays, recipe and provenance, to be read back."""

from __future__ import annotations

import json
import platform
import struct
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
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
from clustem.io.output_folder import PROVENANCE

FORMAT = 1
"""Number of the layout of a result folder; it grows when old readers could not read new folders."""
_ZERO_LOSS = "zero_loss.npz"
_ARRAYS = ("mask", "points", "counts", "mean", "feature_centers", "distance", "margin")
"""Fields of a result that are written to ``arrays.npz`` under their names."""


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
    known = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(folder / "arrays.npz", **known)
    if result.zero_loss is not None:
        result.zero_loss.save(folder / _ZERO_LOSS)
    (folder / "recipe.toml").write_text(result.recipe_text, encoding="utf-8")
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
    }
    write_provenance(provenance, folder)


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
        return _read(path), (path / "recipe.toml").read_text(encoding="utf-8")
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise InputError(
            f"{path} must be a whole result folder",
            got=str(error).partition("\n")[0],
            cure="Run the recipe in it again.",
        ) from None


def _read(folder: Path) -> Segmentation:
    import hyperspy.api as hs
    import tifffile

    known = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    if known.get("format") != FORMAT:
        raise InputError(
            f"A result folder must have format {FORMAT}",
            got=known.get("format", "none, as those of version 0.1"),
            cure="Run the recipe in it again with this version of Clustem.",
        )
    with np.load(folder / "arrays.npz") as file:
        arrays: dict[str, NDArray[Any]] = dict(file)
    mask = arrays["mask"]
    metadata = {"General": {"title": known["title"]}}
    kind = hs.signals.Signal1D if mask.ndim == 1 else hs.signals.Signal2D
    labels = tifffile.imread(folder / "labels.tif").reshape(mask.shape)
    memberships = None
    if (folder / "memberships.tif").is_file():
        stack = tifffile.imread(folder / "memberships.tif").reshape(-1, *mask.shape)
        axes = [{"name": "cluster", "size": len(stack), "navigate": True}, *known["axes"]]
        memberships = kind(stack, axes=axes, metadata=metadata)
    with quiet():  # signal types of packages that are not installed
        centers, error = (_loaded(folder / f"{n}.hspy") for n in ("centers", "standard_error"))
    zero_loss = None
    if (folder / _ZERO_LOSS).is_file():
        zero_loss = registry("eels").own["ZeroLossModel"].load(folder / _ZERO_LOSS)  # type: ignore[attr-defined]
    maps = {f.name: arrays.get(f"thickness.{f.name}") for f in fields(Thickness)}
    return Segmentation(
        labels=kind(labels, axes=known["axes"], metadata=metadata),
        memberships=memberships,
        centers=centers,
        standard_error=error,
        **{name: arrays.get(name) for name in _ARRAYS},  # type: ignore[arg-type]
        feature_names=tuple(known["feature_names"]),
        names={int(key): name for key, name in known["names"].items()},
        color_index=tuple(known["color_index"]),
        scores=known["scores"],
        about=_infos(known["about"], arrays),
        thickness=None if maps["relative"] is None else Thickness(**maps),  # type: ignore[arg-type]
        zero_loss=zero_loss,
        history=tuple(Step(**step) for step in known["history"]),
        origin=known["input"],
    )


def _loaded(path: Path) -> Signal:
    import hyperspy.api as hs

    found: Signal = hs.load(path)
    return found


def _infos(written: list[dict[str, Any]], arrays: Mapping[str, NDArray[Any]]) -> Info | None:
    found: Info | None = None
    for i, content in reversed([*enumerate(written)]):
        small = dict(content)
        prefix, kind = f"about.{i}.", Info.kinds.get(small.pop("kind"))
        if kind is None:  # of a package that is not installed
            continue
        large = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        found = kind(**{**small, **large}, before=found)
    return found


def _plain(value: Any) -> Any:
    """Numpy's scalars and arrays for JSON."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
