"""Energy-loss spectra of a scan: their axis in eV, their clusters, and a sample of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal
from clustem.physics.energy_loss import electronvolts, find_zero_loss, loss_axis

F64 = NDArray[np.float64]
Labels = Segmentation | Signal | NDArray[np.integer[Any]]
"""A segmentation, or a map of labels."""

_SAMPLE = 2000
"""At most so many spectra of a cluster are read."""


def energy_of(signal: Signal) -> F64:
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
    axis = loss_axis(signal, "A zero-loss model")
    return _in_ev(axis) * np.asarray(axis.axis, dtype=np.float64)


def aligned_width(signal: Signal, spectrum: F64, name: str) -> float:
    """Return the full width of the zero-loss peak at half of its maximum [eV].

    Parameters
    ----------
    signal
        Whose energy axis counts.
    spectrum
        Intensities (D,).
    name
        Of the spectrum, for messages.

    Raises
    ------
    InputError
        If there is no zero-loss peak, or farther than its width from 0 eV.
    """
    axis = loss_axis(signal, "A zero-loss model")
    peak = find_zero_loss(axis, spectrum)
    unit = _in_ev(axis)
    if abs(peak.position) > peak.fwhm:
        raise InputError(
            f"The zero-loss peak of {name} must be at 0 eV",
            got=f"its highest channel at {unit * peak.position:.4g} eV",
            cure="Align them (prepare.align_zero_loss); of aligned spectra, exclude positions "
            "where another peak is higher.",
        )
    return unit * peak.fwhm


def _in_ev(axis: Any) -> float:
    factor = 1.0 if str(axis.units) in ("", "<undefined>") else electronvolts(axis)
    if factor is None:
        raise InputError(
            "The energy axis must be in eV or keV",
            got=repr(axis.units),
            cure="Set signal.axes_manager[-1].units and scale.",
        )
    return factor


def label_map(segmentation: Labels, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the cluster of each scan position.

    Parameters
    ----------
    segmentation
        Segmentation, signal or array of labels; negative ones belong to no cluster.
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


def sample(
    signal: Signal, labels: NDArray[np.intp], rng: np.random.Generator, *, cluster: int
) -> F64:
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
            got=f"NaN or inf in {np.count_nonzero(~known)} of {len(found)} spectra",
            cure="Label such positions -1, or fill them in.",
        )
    return found
