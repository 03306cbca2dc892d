"""Result folders: the report, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.io.output_folder import SWEEP, check_output, check_room, whole_folder
from clustem.io.result_folder import write_state
from clustem.judge.lineage import lineage
from clustem.labelmaps.inheritance import inherited_colors
from clustem.report.figures.k_choice import k_choice
from clustem.report.figures.lineage_plot import lineage_plot
from clustem.report.figures.side_by_side import side_by_side
from clustem.report.page.write_report import write_report
from clustem.report.tables.write_centers import write_centers
from clustem.report.tables.write_labels import write_labels


def save_result(
    result: Segmentation,
    folder: str | Path,
    *,
    force: bool = False,
    beside: Mapping[str, Segmentation] | None = None,
    truth: NDArray[np.integer[Any]] | None = None,
    truth_names: Sequence[str] = (),
) -> Path:
    """Write a result folder; see ``Segmentation.save``."""
    target = check_output(folder, force=force, inputs=_inputs(result))
    others = {
        title: replace(other, color_index=inherited_colors(other, result))
        for title, other in (beside or {}).items()
    }
    with whole_folder(target, force=force) as sibling:
        write_result(result, sibling, beside=others, truth=truth, truth_names=truth_names)
    return target


def save_sweep(results: Mapping[int, Segmentation], folder: str | Path, *, force: bool) -> Path:
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
    inputs = [path for result in results.values() for path in _inputs(result)]
    target = check_output(folder, force=force, inputs=inputs)
    maps = {f"k = {k}": result for k, result in results.items()}
    with whole_folder(target, force=force) as sibling:
        for k, result in results.items():
            (sibling / f"k{k:02d}").mkdir()
            write_result(result, sibling / f"k{k:02d}", residuals=False)
        if all(result.mask.ndim == 2 for result in results.values()):
            side_by_side(maps).savefig(sibling / "maps.png", dpi=200)
        if 1 < len(maps) <= 24:  # what a page has room for
            found = lineage(results)
            lineage_plot(found).savefig(sibling / "lineage.png", dpi=200)
        if (choice := getattr(results, "choice", None)) is not None:
            k_choice(choice).savefig(sibling / "k_choice.png", dpi=200)
            (sibling / "k_choice.csv").write_text(choice.to_csv(), encoding="utf-8")
        names = sorted({name for result in results.values() for name in result.scores})
        agreed: Mapping[str, Any] = getattr(results, "agreement", dict)()
        titles = [f"ARI {name}" for name in agreed]
        lines = [",".join(["k", "unassigned_fraction", "smallest", *names, *titles])]
        for k, result in results.items():
            scores = [result.scores.get(name, "") for name in names]
            row = [k, result.unassigned_fraction, int(min(result.counts)), *scores]
            lines.append(",".join(map(str, [*row, *(one[k].ari for one in agreed.values())])))
        (sibling / SWEEP).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _inputs(result: Segmentation) -> list[str]:
    path = result.origin.get("path", "")
    return [path] if path else []


def write_result(result: Segmentation, folder: Path, **more: Any) -> None:
    """Write report and state of a result into an empty folder."""
    check_room(folder, result.centers.data.nbytes + result.standard_error.data.nbytes)
    origin = {f"input {key}": value for key, value in result.origin.items() if value}
    write_report(result, folder, provenance=origin, **more)
    write_state(result, folder)


def write_maps(result: Segmentation, folder: Path) -> None:
    """Write label map, centers and state of a result into an empty folder, without a report."""
    write_labels(result, folder / "labels.tif")
    write_centers(result, folder)
    write_state(result, folder)
