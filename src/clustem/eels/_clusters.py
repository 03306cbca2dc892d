"""The spectra that stand for each cluster, and which stand in for clusters that are too small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal
from clustem.eels._regions import Regions, find_regions, per_cluster
from clustem.eels._spectra import aligned_width, energy_of, sample

F64 = NDArray[np.float64]
_CORE = 2.0
"""The peak's core reaches so many full widths, where no loss begins before."""


@dataclass(frozen=True)
class ClusterSpectra:
    """The spectra that stand for one cluster.

    Attributes
    ----------
    spectra
        Intensities (n, D).
    median
        Their median (D,).
    height
        Sum over the core of the zero-loss peak of each, over that of the median, (n,).
    regions
        E_I and E_II.
    """

    spectra: F64
    median: F64
    height: F64
    regions: Regions


def read_clusters(
    signal: Signal, spectra: Mapping[int, F64], k: int, params: Mapping[str, Any]
) -> tuple[list[ClusterSpectra], float]:
    """Find the regions of each cluster, and the height of each spectrum's peak.

    Parameters
    ----------
    signal
        Where they are from.
    spectra
        Intensities (n, D) by number of the cluster.
    k
        Number of clusters, those without spectra included.
    params
        ``onset``, ``cutoff`` and ``one_count``.

    Returns
    -------
    clusters, reach
        Spectra without any peak are left out. The core is ``|E| <= reach`` [eV], of all alike.
    """
    energy = energy_of(signal)
    onsets = per_cluster(params["onset"], k, "onset")
    cutoffs = per_cluster(params["cutoff"], k, "cutoff")
    medians = [np.median(rows, axis=0) for rows in spectra.values()]
    regions = [
        find_regions(
            energy,
            median,
            width=aligned_width(signal, median, f"cluster {i}"),
            onset=onsets[i],
            cutoff=cutoffs[i],
            one_count=params["one_count"],
            name=f"cluster {i}",
        )
        for i, median in zip(spectra, medians, strict=True)
    ]
    width = float(np.median([found.fwhm for found in regions]))
    reach = min(_CORE * width, *(found.blend_start for found in regions))
    core = np.abs(energy) <= reach
    clusters = []
    for rows, median, found in zip(spectra.values(), medians, regions, strict=True):
        height = rows[:, core].sum(axis=1) / median[core].sum()
        clusters.append(ClusterSpectra(rows[height > 0], median, height[height > 0], found))
    return clusters, reach


def stand_ins(
    signal: Signal,
    labels: NDArray[np.intp],
    counts: NDArray[np.int64],
    *,
    large: NDArray[np.intp],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose the cluster whose spectra stand for each.

    Returns
    -------
    :
        Numbers (k,): a large cluster stands for itself, the one with the most similar peak
        intensity for a small one, none (-1) for an empty one.
    """
    source = np.full(len(counts), -1)
    source[large] = large
    peaks = {int(k): _log_peak(signal, labels, rng, int(k)) for k in np.flatnonzero(counts)}
    for k in np.flatnonzero((source < 0) & (counts > 0)):
        source[k] = min(large, key=lambda other: abs(peaks[int(other)] - peaks[int(k)]))
    return source


def _log_peak(signal: Signal, labels: NDArray[np.intp], rng: np.random.Generator, k: int) -> float:
    mean = sample(signal, labels, rng, cluster=k).mean(axis=0)
    return float(np.log(max(mean.max(), np.finfo(float).tiny)))
