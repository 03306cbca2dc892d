"""What a report says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np

from clustem.core import InputError, PatchGrid, Segmentation, Signal, Step, elements_of, instrument
from clustem.judge.residuals import Residuals, residuals
from clustem.judge.verdict import Verdict
from clustem.mapping import Tracks
from clustem.report.layout.extent import (
    Axis,
    axes_of,
    frame_of,
    percent,
    scan_axes,
    sizes,
)
from clustem.report.layout.intensities import is_intensity

_FEW = 25
"""Positions below which the mean of a cluster is called uncertain."""

_OF_COUNTS = "MultinomialMixture"
"""The clusterer that explains counts, so that it can be asked what it leaves unexplained."""

_AGREE = 0.95
"""Share of positions that another power of the distance must leave in their clusters."""


def summary(segmentation: Segmentation) -> str:
    """Write the one sentence that a reader takes away."""
    there = [size for size in sizes(segmentation) if size.count]
    found = sorted(there, key=lambda size: (-size.fraction, size.number))
    k = len(found)
    text = f"{k} cluster{'s' * (k != 1)} on {_scan_words(segmentation)}"
    if k:
        text += f"; the largest, {found[0].name}, takes {percent(found[0].fraction)}"
    if k > 1:
        text += f", the smallest, {found[-1].name}, {percent(found[-1].fraction)}"
    if segmentation.unassigned.any():
        text += f"; {percent(segmentation.unassigned_fraction)} are unassigned."
    else:
        text += "; every position is assigned."
    note = "; ".join(_mapping_notes(segmentation.history))
    return f"{text} {note[:1].upper()}{note[1:]}." if note else text


def shapes(segmentation: Segmentation, verdict: Verdict) -> str:
    """Say whether clusters differ in shape or only in intensity, where they have spectra."""
    if not verdict.structure or segmentation.n_clusters < 2 or segmentation.lattice is not None:
        return ""
    one_value = segmentation.centers.data.ndim < 2  # of an image
    if one_value or segmentation.find(PatchGrid) is not None or is_intensity(segmentation):
        return ""
    if not verdict.alike:
        return "All clusters differ in shape, not only in intensity."
    same = (
        f"{segmentation.name_of(i)} and {segmentation.name_of(j)} ({factor:.2g} ×)"
        for i, j, factor in verdict.alike
    )
    return f"Of one shape, different only in intensity, are {', '.join(same)}."


def _mapping_notes(history: Sequence[Step]) -> list[str]:
    """Return what the mapping said of its own; the recipe's runner adds the unassigned share."""
    notes = [step.note.split("; ") for step in history if step.stage == "mapping"]
    return [*takewhile(lambda note: not note.endswith("% unassigned"), notes[-1] if notes else [])]


def unexplained(segmentation: Segmentation) -> Residuals | str | None:
    """Find what clusters of counts leave unexplained.

    None for clusters of other values; a sentence where the counts do not fit in memory.
    """
    if segmentation.source is None or segmentation.mask.ndim > 2:
        return None
    if not any(step.name == _OF_COUNTS for step in segmentation.history):
        return None
    try:
        return residuals(segmentation)
    except InputError as error:
        return f"What the clusters leave unexplained was not looked for. {error}"


def warnings_of(segmentation: Segmentation, missed: Residuals | str | None = None) -> list[str]:
    """List what is not certain about the result."""
    found = []
    if isinstance(missed, str):
        found.append(missed)
    elif missed is not None and missed.candidates:
        found.append(f"{missed.summary[:1].upper()}{missed.summary[1:]}.")
    scores = segmentation.scores
    if scores.get("converged") == 0:
        found.append(
            "The clustering did not converge: labels may still change. "
            "Raise max_iter, or tol if the last changes were small."
        )
    if scores.get("certified") == 0:
        found.append("The result is not certified to be the optimum: other starts may be better.")
    found += _of_a_line(scores)
    for size in sizes(segmentation):
        if size.count == 0:
            lower = " or a lower threshold" if _threshold(segmentation) > 0 else ""
            found.append(f"{size.name} is empty. Use fewer clusters{lower}.")
        elif size.count < _FEW:
            positions = f"{size.count} position{'s' * (size.count > 1)}"
            text = f"{size.name} rests on {positions} only: its mean is uncertain"
            if is_intensity(segmentation):  # what a zero-loss model draws its spectra from
                text += ", and it is too small to sample spectra from. Use fewer clusters"
            found.append(f"{text}.")
    if segmentation.unassigned_fraction > 0.25:
        share = f"{100 * segmentation.unassigned_fraction:.0f} %"
        found.append(
            f"{share} of the positions are unassigned: the clusters overlap, or their number does "
            "not fit."
        )
    return found


def _threshold(segmentation: Segmentation) -> float:
    """Return the membership that positions of a cluster must have."""
    steps = [step for step in segmentation.history if step.stage == "mapping"]
    return float(steps[-1].parameters.get("threshold") or 0.0) if steps else 0.0


def _of_a_line(scores: Mapping[str, float]) -> list[str]:
    """List what is not certain about clusters of single numbers."""
    found = []
    gap, same = scores.get("gap to the optimum at most", 0.0), scores.get("agreement with p = 1", 1)
    if gap > 0:
        found.append(f"The cost may exceed that of the optimum, by {100 * gap:.2g} % at most.")
    if same < _AGREE:
        found.append(
            f"With p = 1 {100 * (1 - same):.1f} % of the positions lie in another cluster: the "
            "result hinges on how much outliers weigh."
        )
    return found


def movie_summary(labels: Signal, tracks: Tracks) -> str:
    """Write the one sentence that a reader takes away from a movie."""
    time, *axes = axes_of(labels)
    frame = frame_of(axes)
    n, facets = len(time.values), int((~tracks.background).sum())
    text = f"{facets} lattice{'s' * (facets != 1)} followed through {n} frames"
    if time.units:
        text += f" ({time.values[0]:.4g} … {time.values[-1]:.4g} {time.units})"
    size = " × ".join(str(length) for length in frame.shape)
    if frame.units != "px":
        high, wide = frame.shape[0] * frame.height, frame.shape[1] * frame.width
        size += f" pixels ({high:.4g} × {wide:.4g} {frame.units})"
    else:
        size += " pixels"
    return f"{text} of {size}."


def movie_warnings(tracks: Tracks) -> list[str]:
    """List the lattices that come and go."""
    found = []
    there = tracks.pixels > 0
    for i, name in enumerate(tracks.names):
        frames = np.flatnonzero(there[:, i])
        if len(frames) == len(there):
            continue
        text = f"{name} is there in {len(frames)} of {len(there)} frames"
        found.append(f"{text}, first in frame {frames[0]}, last in frame {frames[-1]}.")
    return found


def provenance_of(segmentation: Segmentation) -> dict[str, str]:
    """Say where the data come from: file, size, calibration, microscope."""
    signal = segmentation.centers if segmentation.source is None else segmentation.source
    known = signal.metadata.get_item
    found = {
        "File": known("General.original_filename"),
        "Title": known("General.title"),
        "Recorded": _joined(known("General.date"), known("General.time")),
        "Signal type": known("Signal.signal_type"),
        "Scan": _axes_words(scan_axes(segmentation)),
        "Signal axes": _axes_words(axes_of(segmentation.centers)[1:]),
        "Excluded positions": f"{int(segmentation.mask.sum()):,}".replace(",", " "),
        "Microscope": instrument(signal, "microscope"),
    }
    beam = instrument(signal, "beam_energy")
    if beam is not None:
        found["Beam energy"] = f"{float(beam):g} keV"
    found["Elements"] = ", ".join(elements_of(signal))
    return {key: str(value) for key, value in found.items() if value not in (None, "")}


def default_title(segmentation: Segmentation) -> str:
    """Title of the data, or their file's name."""
    signal = segmentation.centers if segmentation.source is None else segmentation.source
    known = signal.metadata.get_item
    file = known("General.original_filename")
    return str(file or known("General.title") or "Clusters")


def _scan_words(segmentation: Segmentation) -> str:
    axes = scan_axes(segmentation)
    positions = " × ".join(str(len(axis.values)) for axis in axes)
    if len(axes) == 1:
        length = f" ({len(axes[0].values) * axes[0].scale:.4g} {axes[0].units})"
        return f"a line of {positions} positions{length if axes[0].units else ''}"
    frame = frame_of(axes)
    high, wide = frame.shape[0] * frame.height, frame.shape[1] * frame.width
    size = "" if frame.units == "px" else f" ({high:.4g} × {wide:.4g} {frame.units})"
    return f"a map of {positions} positions{size}"


def _axes_words(axes: list[Axis]) -> str:
    words = []
    for axis in axes:
        text = f"{axis.name or 'axis'}: {len(axis.values)}"
        if axis.units:
            first, last = axis.values[0], axis.values[-1]
            text += f" × {axis.scale:.6g} {axis.units} ({first:.6g} … {last:.6g})"
        words.append(text)
    return "; ".join(words)


def _joined(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part)
