"""The result folder: written whole or not at all, and read back."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from clustem._quiet import quiet
from clustem.model import InputError, OutputError, Projection, Step, versions

_MARK, _SWEEP, _MODEL = "provenance.json", "sweep.csv", "zero_loss"


def check_output(folder: str | Path, *, force: bool) -> Path:
    """Refuse an output folder that cannot be used, before anything is computed.

    Raises
    ------
    OutputError
        If the folder exists without ``force``, is not a result folder, or cannot be made.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists():
        if not force:
            raise OutputError(
                "The output folder must not exist yet",
                got=target,
                cure="Choose another with -o, or replace it with --force.",
            )
        ours = any((target / name).is_file() for name in (_MARK, _SWEEP))
        if not target.is_dir() or (any(target.iterdir()) and not ours):
            raise OutputError(
                "Only a result folder can be replaced",
                got=f"{target}, which is something else",
                cure="Choose another folder with -o.",
            )
    parent = next(p for p in target.parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            "The output folder must be writable",
            got=f"no permission in {parent}",
            cure="Choose another folder with -o.",
        )
    return target


def save_result(
    projection: Projection,
    folder: str | Path,
    *,
    recipe: str,
    origin: Mapping[str, str],
    force: bool,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write a result folder; see ``Segmentation.save``. ``more`` goes to the report."""
    target = check_output(folder, force=force)
    with whole_folder(target) as sibling:
        _write(projection, sibling, recipe, origin, more or {})
    return target


def save_sweep(results: Mapping[int, Any], folder: str | Path, *, force: bool) -> Path:
    """Write one result folder per k, ``sweep.csv``, maps, lineage and the choice of k.

    Parameters
    ----------
    results
        Segmentations by number of clusters.
    folder
        Where to; as for ``Segmentation.save``.
    force
        As for ``Segmentation.save``.
    """
    from clustem.judge import lineage  # noqa: PLC0415  # scikit-learn, 0.5 s
    from clustem.report import side_by_side  # noqa: PLC0415  # matplotlib, 0.5 s
    from clustem.report.k_choice import k_choice  # noqa: PLC0415
    from clustem.report.lineage_plot import lineage_plot  # noqa: PLC0415

    target = check_output(folder, force=force)
    maps = {f"k = {k}": result.projection for k, result in results.items()}
    with whole_folder(target) as sibling:
        for k, result in results.items():
            (sibling / f"k{k:02d}").mkdir()
            _write(result.projection, sibling / f"k{k:02d}", result.recipe, result.origin, {})
        if all(projection.mask.ndim == 2 for projection in maps.values()):
            side_by_side(maps).savefig(sibling / "maps.png", dpi=200)
        if 1 < len(maps) <= 24:  # what a page has room for
            found = lineage({k: result.projection for k, result in results.items()})
            lineage_plot(found).savefig(sibling / "lineage.png", dpi=200)
        if (choice := getattr(results, "choice", None)) is not None:
            k_choice(choice).savefig(sibling / "k_choice.png", dpi=200)
            (sibling / "k_choice.csv").write_text(choice.to_csv(), encoding="utf-8")
        names = sorted({name for result in results.values() for name in result.scores})
        lines = [",".join(["k", "unassigned_fraction", "smallest", *names])]
        for k, result in results.items():
            row = [k, result.unassigned_fraction, int(min(result.counts))]
            lines.append(
                ",".join(str(v) for v in [*row, *(result.scores.get(n, "") for n in names)])
            )
        (sibling / _SWEEP).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def load_result(folder: str | Path) -> tuple[Projection, str, dict[str, str]]:
    """Read a result folder: its projection, recipe and origin; see ``Segmentation.load``."""
    path = Path(folder)
    if not (path / _MARK).is_file():
        raise InputError(
            "A result folder must hold provenance.json",
            got=path,
            cure="Name a folder written by clustem run or Segmentation.save.",
        )
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise InputError(
            f"{path} must be a whole result folder",
            got=str(error).partition("\n")[0],
            cure="Run the recipe in it again.",
        ) from None


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a sibling folder to write to, and rename it to the target at the end."""
    sibling = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sibling = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield sibling
        sibling.chmod(0o755)  # mkdtemp's is for the owner only
        if target.exists():
            old = sibling.with_name(f"{sibling.name}-old")
            target.rename(old)
            sibling.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            sibling.rename(target)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        raise OutputError(
            f"The result must be writable to {target}",
            got="a full disk" if full else error.strerror or str(error),
            cure="Free some space." if full else "Choose another folder with -o.",
        ) from None
    finally:
        if sibling is not None:
            shutil.rmtree(sibling, ignore_errors=True)


def _write(
    old: Projection,
    folder: Path,
    recipe: str,
    origin: Mapping[str, str],
    more: Mapping[str, Any],
) -> None:
    from clustem.report import write_report  # noqa: PLC0415  # matplotlib, 0.5 s

    _check_room(folder, old.centers.data.nbytes + old.spread.data.nbytes)
    known_input = {f"input {key}": value for key, value in origin.items() if value}
    write_report(old, folder, provenance=known_input, **more)
    old.spread.save(folder / "spread.hspy")
    arrays = {key: value for key, value in old.details.items() if isinstance(value, np.ndarray)}
    plain = {k: v for k, v in old.details.items() if isinstance(v, str | int | float)}
    np.savez_compressed(
        folder / "details.npz", mask=old.mask, points=old.points, counts=old.counts, **arrays
    )
    if (model := old.details.get(_MODEL)) is not None:
        model.save(folder / f"{_MODEL}.npz")
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    provenance = {
        "input": dict(origin),
        "packages": versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "history": [step.as_dict() for step in old.history],
        "scores": dict(old.scores),
        "unassigned_fraction": old.unassigned_fraction,
        "names": {str(key): name for key, name in old.names.items()},
        "colors": list(old.hues),
        "features": list(old.features),
        "details": plain,
        "title": old.labels.metadata.get_item("General.title", ""),
        "axes": [axis.get_axis_dictionary() for axis in old.labels.axes_manager._axes],
    }
    text = json.dumps(provenance, indent=2, ensure_ascii=False, default=_plain)
    (folder / _MARK).write_text(text, encoding="utf-8")


def _check_room(folder: Path, n_bytes: int) -> None:
    """Fail here on a full disk: HDF5 would crash the interpreter half way through a file."""
    probe = folder / "room"
    with probe.open("wb", buffering=0) as file:
        for _ in range(0, n_bytes + 2**20, 2**20):
            file.write(bytes(2**20))
    probe.unlink()


def _read(folder: Path) -> tuple[Projection, str, dict[str, str]]:
    import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s
    import tifffile  # noqa: PLC0415

    known = json.loads((folder / _MARK).read_text(encoding="utf-8"))
    with np.load(folder / "details.npz") as file:
        arrays = dict(file)
    mask, points, counts = (arrays.pop(name) for name in ("mask", "points", "counts"))
    metadata = {"General": {"title": known["title"]}}
    kind = hs.signals.Signal1D if mask.ndim == 1 else hs.signals.Signal2D
    labels = tifffile.imread(folder / "labels.tif").reshape(mask.shape)
    memberships = None
    if (folder / "memberships.tif").is_file():
        stack = tifffile.imread(folder / "memberships.tif").reshape(-1, *mask.shape)
        axes = [{"name": "cluster", "size": len(stack), "navigate": True}, *known["axes"]]
        memberships = kind(stack, axes=axes, metadata=metadata)
    with quiet():  # signal types of packages that are not installed
        centers, spread = (hs.load(folder / f"{name}.hspy") for name in ("centers", "spread"))
    details = {**arrays, **known["details"]}
    if (folder / f"{_MODEL}.npz").is_file():
        from clustem.eels import ZeroLossModel  # noqa: PLC0415  # few results have one

        details[_MODEL] = ZeroLossModel.load(folder / f"{_MODEL}.npz")
    projection = Projection(
        labels=kind(labels, axes=known["axes"], metadata=metadata),
        memberships=memberships,
        centers=centers,
        spread=spread,
        counts=counts,
        mask=mask,
        points=points,
        features=tuple(known["features"]),
        names={int(key): name for key, name in known["names"].items()},
        scores=known["scores"],
        details=details,
        history=tuple(Step(**step) for step in known["history"]),
        colors=tuple(known.get("colors", ())),  # folders of version 0.1 have none
    )
    recipe = (folder / "recipe.toml").read_text(encoding="utf-8")
    return projection, recipe, known["input"]


def _plain(value: Any) -> Any:
    """Numpy's scalars and arrays for JSON."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
