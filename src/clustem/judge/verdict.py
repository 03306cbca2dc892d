"""Whether the data support a map: one sentence to be said before its colors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import PatchGrid, PCAInfo, Segmentation, checked
from clustem.judge._intensity import intensity_of
from clustem.judge.alike import alike
from clustem.labelmaps.regions import connected

_CLEAR = 2.0
"""Standard errors by which clusters must explain held-out counts better than one shape."""
_RARE = 0.005
"""Share of the positions up to which a cluster must have compact regions to be believed."""
_COMPACT = 4
"""Positions of a compact region."""
_TOGETHER = 0.1
"""How far the neighbours of a cluster's positions must exceed chance; 1 is always the same."""
_ENOUGH = 25
"""Positions of a cluster from which on its neighbours are counted."""
_VARIES = 0.05
"""Relative spread of the intensity that is worth a word."""
_MOST = 0.5
"""Share of the positions in no cluster that is worth a word."""
_PURE = 0.99
"""Share of a cluster that its largest group must take not to be worth a word."""
_SAMPLE = 4096
"""Positions from which the spread of the intensity is estimated."""

_PART = 2**20
"""Positions whose neighbours are looked at together."""


@dataclass(frozen=True)
class Verdict:
    """What the data say of a map.

    Attributes
    ----------
    structure
        Whether they support any clusters at all, as far as this was asked.
    doubts
        Sentences to be said first, the gravest first; none if nothing speaks against the map.
    alike
        Clusters ``(i, j, factor)`` whose spectra or patterns have the same shape within their
        errors; that of i is the factor times that of j.
    warranted
        Whether the number of clusters is warranted, one sentence; empty where it was not asked:
        clusters that started from markers or were edited, a sweep, a movie; and where there is no
        structure, but groups of another dose or thickness.
    """

    structure: bool
    doubts: tuple[str, ...]
    alike: tuple[tuple[int, int, float], ...]
    warranted: str = ""

    @property
    def text(self) -> str:
        """All doubts in one line; empty if there are none."""
        return " ".join(self.doubts)

    def __str__(self) -> str:
        """Doubts; where there is structure also whether the number of clusters is warranted."""
        asked = self.structure and self.warranted not in self.doubts
        said = (*self.doubts, self.warranted if asked else "")
        return " ".join(filter(None, said)) or "Nothing speaks against this map."


@checked
def verdict(segmentation: Segmentation) -> Verdict:
    """Ask whether the data support the clusters of a map.

    Parameters
    ----------
    segmentation
        Any result; one that was loaded knows less.

    Returns
    -------
    :
        Doubts in words: most positions belong to no cluster; clusters explain counts that were held
        out no better than one shape; the data show another number of clusters, or do not tell;
        clusters found on another scan do not explain all positions; a cluster holds several groups;
        components lie below the noise floor; all clusters have one shape and differ by their
        intensity; a cluster is rare and scattered, or lies on the scan as by chance.

    Notes
    -----
    Which shapes differ: see :func:`alike`. A cluster of share p whose positions
    have a neighbour of their own cluster in a share q of the cases lies on the scan as by chance
    if ``(q - p) / (1 - p)`` is below 0.1.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> verdict(example()).structure
    True
    """
    same = alike(segmentation)
    if not segmentation.counts.any():
        return Verdict(structure=False, doubts=("No position belongs to a cluster.",), alike=same)
    none = _no_structure(segmentation, same)
    warranted, doubted = _warranted(segmentation)
    if none:  # groups of another dose or thickness are no reason for several clusters
        one = _evidence(segmentation).get("k") == 1
        return Verdict(
            structure=False, doubts=(none,), alike=same, warranted=warranted if one else ""
        )
    doubts = _outside(segmentation) + [warranted] * doubted + _unknown(segmentation)
    doubts += _mixed(segmentation) + _doubts(segmentation)
    several = _evidence(segmentation).get("k") != 1
    return Verdict(structure=several, doubts=tuple(doubts), alike=same, warranted=warranted)


def _warranted(segmentation: Segmentation) -> tuple[str, bool]:
    """Return what was said of the number of clusters, and whether another one is likelier."""
    evidence = _evidence(segmentation)
    doubted = evidence.get("k") != segmentation.n_clusters or evidence.get("confidence") == "low"
    return str(evidence.get("sentence", "")), bool(evidence) and doubted


def _evidence(segmentation: Segmentation) -> Mapping[str, Any]:
    """Return what the clustering found of the number of clusters; nothing if that changed since."""
    found = [step.found for step in segmentation.history if step.stage == "cluster"]
    if not found or found[-1].get("n_clusters") != segmentation.n_clusters:
        return {}
    evidence: Mapping[str, Any] = found[-1].get("warranted", {})
    return evidence


def _no_structure(segmentation: Segmentation, same: tuple[tuple[int, int, float], ...]) -> str:
    k, scores = segmentation.n_clusters, segmentation.scores
    spread = _spread(segmentation)
    if k == 1:
        return _of_one(segmentation, spread)
    gain, error = scores.get("held-out gain"), scores.get("held-out gain, error", 0.0)
    evidence = _evidence(segmentation)
    told = evidence.get("k", 1) > 1 and evidence.get("confidence") != "low"
    if gain is not None and gain < _CLEAR * error and not told:
        varies = spread > _VARIES
        return (
            f"No structure at this dose{', thickness or dose only' if varies else ''}: the {k} "
            "clusters explain held-out counts no better than one shape does"
            + (f", and the intensity varies by {100 * spread:.0f} %." if varies else ".")
        )
    floor = segmentation.find(PCAInfo)
    if floor is not None:
        weighted = any(
            step.name == "pca" and step.parameters.get("weights") == "poisson"
            for step in segmentation.history
        )
        above = int((floor.explained_variance_ratio > floor.noise_floor).sum())
        if above <= weighted:  # weighted components are not centered: the first is the mean
            return (
                "No structure at this dose: all principal components but the mean lie below the "
                "noise floor."
            )
    if len(same) == k * (k - 1) // 2 and same:
        return f"Thickness or dose only: the {k} clusters have one shape and differ by intensity."
    return ""


def _of_one(segmentation: Segmentation, spread: float) -> str:
    """Say why all positions are one cluster."""
    evidence = _evidence(segmentation)
    if evidence.get("trend"):
        reason = str(evidence.get("reason", ""))
        return f"{reason[:1].upper()}{reason[1:]}."
    if spread > _VARIES:
        varies = f"only the intensity varies, by {100 * spread:.0f} %: thickness or dose"
        return f"Thickness or dose only: of one cluster {varies}."
    return "No structure was found at this dose: all positions are one cluster."


def _unknown(segmentation: Segmentation) -> list[str]:
    """Say how much of a scan the clusters of another one do not explain."""
    if segmentation.novel is None or not segmentation.novel.any():
        return []
    share = 100 * float(segmentation.novel[~segmentation.mask].mean())
    return [f"No cluster explains {share:.2g} % of the positions: something new may be there."]


def _outside(segmentation: Segmentation) -> list[str]:
    """Say that most positions are in no cluster, unless it was asked whether they are explained."""
    share = segmentation.unassigned_fraction
    if segmentation.novel is not None or share <= _MOST:
        return []
    return [f"{100 * share:.0f} % of the positions belong to no cluster."]


def _mixed(segmentation: Segmentation) -> list[str]:
    """Name clusters that hold several groups; none once clusters were edited."""
    if any(step.stage == "edits" for step in segmentation.history):
        return []
    steps = [step.found for step in segmentation.history if step.stage == "mapping"]
    shares = steps[-1].get("purity", []) if steps else []
    return [
        f"{name[:1].upper()}{name[1:]} holds several groups, of which the largest takes "
        f"{100 * share:.0f} %: a larger number of clusters may tell them apart."
        for name, share in zip(map(segmentation.name_of, range(len(shares))), shares, strict=True)
        if share < _PURE
    ]


def _doubts(segmentation: Segmentation) -> list[str]:
    labels = segmentation.labels.data
    if labels.ndim != 2 or segmentation.find(PatchGrid) is not None:
        return []
    found = []
    left = max(int((~segmentation.mask).sum()), 1)
    together = _together(labels, segmentation.n_clusters)
    for i in range(segmentation.n_clusters):
        inside = labels == i
        count, name = int(inside.sum()), segmentation.name_of(i)
        if not count:
            continue
        share = f"{100 * count / left:.2g} %"
        if count < _RARE * left:
            sizes = np.bincount(connected(labels)[inside])
            if not (sizes >= _COMPACT).any():
                found.append(
                    f"{name[:1].upper()}{name[1:]} holds {share} of the positions, one here and "
                    "one there: it may be noise."
                )
        elif count >= _ENOUGH and together[i] < _TOGETHER:
            found.append(
                f"{name[:1].upper()}{name[1:]} ({share}) lies on the scan as by chance: "
                "its positions have no more neighbours of their own than any others."
            )
    return found


def _together(labels: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """How far positions have neighbours of their own cluster, beyond chance, (k,)."""
    same, every = np.zeros(k), np.zeros(k)
    rows = max(_PART // max(labels.shape[1], 1), 1)
    for first in range(0, len(labels), rows):
        here, below = labels[first : first + rows], labels[first + 1 : first + rows + 1]
        for one, other in ((here[:, :-1], here[:, 1:]), (here[: len(below)], below)):
            both = (one >= 0) & (other >= 0)
            for a, b in ((one[both], other[both]), (other[both], one[both])):
                every += np.bincount(a, minlength=k)[:k]
                same += np.bincount(a[a == b], minlength=k)[:k]
    share = every / max(every.sum(), 1)
    excess = same / np.maximum(every, 1) - share
    found: NDArray[np.float64] = np.where(every > 0, excess / np.maximum(1 - share, 1e-9), 1.0)
    return found


def _spread(segmentation: Segmentation) -> float:
    """Relative spread of the intensity of counts, counting noise left out; 0 where unknown."""
    source, hidden = segmentation.source, segmentation.signal_mask
    if source is None or source.data.dtype.kind not in "bui":
        return 0.0
    if source.data.ndim == segmentation.mask.ndim:  # brightness of an image
        return 0.0
    left = np.flatnonzero(~segmentation.mask)
    some = left[np.unique(np.linspace(0, len(left) - 1, _SAMPLE).astype(np.intp))]
    if hidden is not None and hidden.shape != source.data.shape[segmentation.mask.ndim :]:
        hidden = None
    return intensity_of(source, some, hidden).spread
