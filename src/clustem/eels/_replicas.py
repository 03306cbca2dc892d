"""What each replica learns from: one random spectrum of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.eels._clusters import ClusterSpectra
from clustem.eels._network import Points

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_SPREAD, _SPREAD_CORE = 0.05, 0.2
"""Least spread of ln I that counts, in the tail and in the core of the peak: all of the core is
the zero-loss peak's anyway, and must not outweigh the tail."""

_BEYOND = 0.8
"""Spread of ln I in region III."""

_CEILINGS, _GRID = 8, 16
_REACH = 1.2
"""Up to how many times E_II the networks are held below one count."""

_SHARE = 0.03
"""Range of the second input; that of the first is 1. Small: the peak's shape is one instrument's,
so that what one cluster shows of it holds for the others unless they say otherwise."""


@dataclass(frozen=True)
class Scale:
    """How energies and peak heights become inputs.

    Attributes
    ----------
    width
        Full width of the peak [eV]: energies are taken as asinh(E/width), on which both the core
        of the peak and a tail that falls as a power are smooth.
    low, high
        Energies that become -1 and 1 [eV].
    peaks
        ln of the peak intensity of each cluster (k,).
    """

    width: float
    low: float
    high: float
    peaks: F64

    def inputs(self, energy: F64, cluster: int) -> F32:
        """Return inputs of the networks and a 1, (3, n)."""
        low, high = np.arcsinh([self.low / self.width, self.high / self.width])
        bent = np.arcsinh(np.clip(energy, self.low, self.high) / self.width)
        middle, half = (self.peaks.max() + self.peaks.min()) / 2, np.ptp(self.peaks) / 2
        height = _SHARE * (self.peaks[cluster] - middle) / half if half > 0 else 0.0
        rows = [2 * (bent - low) / (high - low) - 1, np.full(len(energy), height)]
        out: F32 = np.stack([*rows, np.ones(len(energy))]).astype(np.float32)
        return out


def scale_of(energy: F64, clusters: list[ClusterSpectra]) -> Scale:
    """Return the scale that holds all clusters' regions I and II."""
    widths = [cluster.regions.fwhm for cluster in clusters]
    first = max(cluster.regions.onset for cluster in clusters)
    last = max(cluster.regions.cutoff for cluster in clusters)
    peaks = [float(cluster.median.max()) for cluster in clusters]
    return Scale(
        float(np.median(widths)), max(-first, float(energy[0])), _REACH * last, np.log(peaks)
    )


def draw(
    energy: F64,
    clusters: list[ClusterSpectra],
    scale: Scale,
    rng: np.random.Generator,
    *,
    n_replicas: int,
    max_channels: int,
    validation: float,
    gain: float,
    one_count: float,
) -> Points:
    """Draw one spectrum of each cluster for each replica, and split its channels.

    Parameters
    ----------
    energy
        Energy losses (D,) [eV].
    clusters, scale
        What to draw from, and how energies become inputs.
    n_replicas
        Number of replicas R.
    max_channels
        Channels of a spectrum that a replica sees, at most; a random choice of them.
    validation
        Share of the points that are held out.
    gain
        Variance of an intensity over its mean.
    one_count
        Intensity of one count.

    Notes
    -----
    Targets are ``ln(I + gain/2)``, whose expectation is ``ln`` of that of I up to second order,
    of spectra brought to the cluster's typical zero-loss height, less the ln of the cluster's peak.
    """
    half = max(gain, 1e-3 * one_count) / 2
    cutoff = max(cluster.regions.cutoff for cluster in clusters)
    beyond = np.geomspace(cutoff, scale.high, _CEILINGS)
    xs, ys, sigmas, ceilings, levels, grids = [], [], [], [], [], []
    for k, cluster in enumerate(clusters):
        channels = np.flatnonzero((energy >= scale.low) & (energy < cluster.regions.onset))
        logs = np.log(np.maximum(cluster.spectra[:, channels], 0) + half)
        spread = np.diff(np.quantile(logs, (0.16, 0.84), axis=0), axis=0)[0] / 2
        which = rng.integers(len(logs), size=n_replicas)
        seen = rng.permuted(np.tile(np.arange(len(channels)), (n_replicas, 1)), axis=1)
        seen = seen[:, :max_channels]
        target = logs[which] - np.log(cluster.height[which])[:, None] - scale.peaks[k]
        xs.append(scale.inputs(energy[channels], k)[:, seen].transpose(1, 0, 2))
        ys.append(np.take_along_axis(target, seen, axis=1))
        tail = energy[channels] >= cluster.regions.blend_start
        sigmas.append(np.maximum(spread, np.where(tail, _SPREAD, _SPREAD_CORE))[seen])
        ceilings.append(scale.inputs(beyond, k))
        levels.append(np.full(_CEILINGS, np.log(one_count) - scale.peaks[k]))
        grids.append(scale.inputs(np.geomspace(cluster.regions.onset, cutoff, _GRID), k))

    def for_all(parts: list[F64] | list[F32]) -> F64:
        joined = np.concatenate(parts, axis=-1)
        return np.broadcast_to(joined, (n_replicas, *joined.shape))

    x = np.concatenate([*xs, for_all(ceilings), for_all(grids)], axis=2)
    y = np.concatenate([*ys, for_all(levels)], axis=1)
    sigma = np.concatenate(
        [*sigmas, np.full((n_replicas, len(clusters) * _CEILINGS), _BEYOND)], axis=1
    )
    held = rng.random(y.shape) < validation

    def weights(chosen: NDArray[np.bool_]) -> F32:
        n = np.maximum(chosen.sum(axis=1, keepdims=True), 1)
        shares: F32 = (chosen / sigma**2 / n).astype(np.float32)
        return shares

    return Points(
        x.astype(np.float32),
        y.astype(np.float32),
        train=weights(~held),
        valid=weights(held),
        n_ceilings=len(clusters) * _CEILINGS,
        n_clusters=len(clusters),
    )
