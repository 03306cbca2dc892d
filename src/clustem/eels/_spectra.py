"""Energy-loss spectra of a scan: their axis in eV, their clusters, and a sample of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError

F64 = NDArray[np.float64]
_EV = {"ev": 1.0, "kev": 1e3, "": 1.0, "<undefined>": 1.0}
_SAMPLE = 2000
"""Spectra of a cluster that are looked at, at most."""


def energy_of(signal: Any) -> F64:
    """Return the energy losses of a signal's channels (D,) [eV].

    Parameters
    ----------
    signal
        Spectra along one evenly spaced axis in eV or keV; an axis without units counts as eV.

    Raises
    ------
    InputError
        If there is another number of signal axes, other units, or no even spacing.
    """
    axes = signal.axes_manager.signal_axes
    if len(axes) != 1:
        raise InputError(
            "Energy-loss spectra have one signal axis",
            got=f"{len(axes)} signal axes",
            cure="Make the energy the only one: signal.transpose(signal_axes=1).",
        )
    axis = axes[0]
    factor = _EV.get(str(axis.units).strip().lower())
    if factor is None or (str(axis.units).strip() == "MeV"):
        raise InputError(
            "The energy axis must be in eV or keV",
            got=repr(axis.units),
            cure="Set signal.axes_manager[-1].units and scale.",
        )
    if not axis.is_uniform:
        raise InputError(
            "The energy axis must be evenly spaced",
            got=type(axis).__name__,
            cure="Interpolate first: signal.interpolate_on_axis(...).",
        )
    return factor * np.asarray(axis.axis, dtype=np.float64)


def require_zero_loss(energy: F64, mean: F64) -> None:
    """Refuse spectra whose highest peak is not the zero-loss peak, aligned at 0 eV.

    Parameters
    ----------
    energy
        Energy losses (D,) [eV].
    mean
        Mean spectrum (D,).
    """
    if not energy[0] < 0 < energy[-1]:
        raise InputError(
            "The energy axis must have the zero-loss peak (0 eV) in it",
            got=f"{energy[0]:g} to {energy[-1]:g} eV",
            cure="Give the low-loss spectra, recorded together with the zero-loss peak.",
        )
    top = int(np.argmax(mean))
    left, right = half_maxima(energy, mean)
    if not left <= 0 <= right:
        raise InputError(
            "The highest peak must be the zero-loss peak, at 0 eV",
            got=f"a peak at {energy[top]:.4g} eV",
            cure="Align the spectra first (prepare.align_zero_loss), or crop off what is higher.",
        )


def half_maxima(energy: F64, spectrum: F64) -> tuple[float, float]:
    """Where a spectrum falls to half of its maximum, left and right of it [eV]."""
    top, half = int(np.argmax(spectrum)), float(spectrum.max()) / 2
    below = np.flatnonzero(spectrum < half)
    left, right = below[below < top][-1:], below[below > top][:1]
    ends = []
    for found, inner, edge in ((left, 1, 0), (right, -1, -1)):
        if found.size == 0:
            ends.append(float(energy[edge]))
            continue
        i = int(found[0])
        share = (half - spectrum[i]) / (spectrum[i + inner] - spectrum[i])
        ends.append(float(energy[i] + share * (energy[i + inner] - energy[i])))
    return ends[0], ends[1]


def label_map(segmentation: Any, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the cluster of each scan position.

    Parameters
    ----------
    segmentation
        Segmentation, projection, signal or array of labels; negative ones belong to no cluster.
    shape
        Shape of the scan in array order.

    Raises
    ------
    InputError
        If the labels are no integers, have another shape, or leave no position in.
    """
    labels = getattr(segmentation, "labels", segmentation)
    found = np.asarray(
        labels if isinstance(labels, np.ndarray) else getattr(labels, "data", labels)
    )
    if found.dtype.kind not in "iu" or found.shape != shape:
        raise InputError(
            f"Labels must be integers on the scan's shape, {shape}",
            got=f"{found.dtype} of shape {found.shape}",
            cure="Give the segmentation of this signal, cropped and binned as the signal is.",
        )
    if not (found >= 0).any():
        raise InputError(
            "At least one scan position must be in a cluster",
            got=f"{found.size} positions, all excluded or unassigned",
            cure="Loosen the mask, or cluster again.",
        )
    return found.astype(np.intp)


def sample(signal: Any, labels: NDArray[np.intp], rng: np.random.Generator, *, cluster: int) -> F64:
    """Read the spectra of a cluster: all of them, or a random sample of 2000.

    Returns
    -------
    :
        Spectra (n, D), float64.

    Raises
    ------
    InputError
        If one of them has values that are not finite numbers.
    """
    members = np.flatnonzero(labels == cluster)
    if len(members) > _SAMPLE:
        members = np.sort(rng.choice(members, _SAMPLE, replace=False))
    rows = signal.data.reshape(labels.size, -1)[members]
    found = np.asarray(rows, dtype=np.float64)
    known = np.isfinite(found).all(axis=1)
    if not known.all():
        raise InputError(
            "All intensities must be finite numbers",
            got=f"NaN or inf in {int((~known).sum())} of {len(known)} spectra",
            cure="Label such positions -1, or fill them in.",
        )
    return found
