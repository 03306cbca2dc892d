"""Subtract the power law below an ionisation edge."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    InputError,
    Masks,
    Signal,
    like,
    preparation,
    quiet,
    record,
    scan_shape,
    warn,
)
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows
from clustem.physics.energy_loss import loss_axis, mean_spectrum
from clustem.prepare._signal import NET, require_numbers

_CHATTY = "hyperspy._components.expression"
"""This logger misses an optional package."""

_FEWEST = 4
"""A background is fitted to at least so many channels."""

_MANY = 0.05
"""The user is warned where nothing is left above the window at more than this share."""


@preparation(kind="values")
def remove_background(
    signal: Signal,
    *,
    window: tuple[float, float] | None = None,
    model: Literal["PowerLaw", "Exponential"] = "PowerLaw",
    masks: Masks = NO_MASKS,
) -> Signal:
    """Subtract a background that is fitted below an edge, at each position.

    Parameters
    ----------
    signal
        Core-loss spectrum image or spectrum, lazy or not; it is not changed.
    window
        Where the background is fitted, from and to [units of the energy axis], below the first edge
        of interest. None leaves the background in.
    model
        Function of the energy that is fitted.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: not fitted, set to 0. Vacuum
        belongs there.

    Returns
    -------
    :
        Net signal of the same shape, float32 (float64 for float64). Channels below the window
        are 0. Its metadata say ``Signal.background_removed``.

    Raises
    ------
    InputError
        If the window holds fewer than four channels, no channel lies above it, or nothing could
        be fitted.

    Warns
    -----
    UserWarning
        If at more than 5 % of the positions the rest is negative on the whole: the fit is too high.

    Notes
    -----
    HyperSpy's ``remove_background`` with its fast estimate, from two areas. Net counts have the
    noise of all counts and can be negative: weights for counting statistics do not fit them.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> film = eels(kind="core", shape=(6, 9))
    >>> hole = Masks(scan=film.labels == 2)
    >>> net = remove_background(film.signal, window=(405, 450), masks=hole)
    >>> titanium = (film.labels == 0)[..., None] & (abs(net.axes_manager[-1].axis - 465) < 10)
    >>> round(float(net.data[titanium].sum() / film.edges[titanium].sum()), 1)
    1.0
    """
    axis = loss_axis(signal, "Background removal")
    require_numbers(signal, "Background removal")
    if window is None:
        return like(signal, signal.data)
    energy = np.asarray(axis.axis)
    inside = np.flatnonzero((energy >= window[0]) & (energy <= window[1]))
    if len(inside) < _FEWEST or inside[-1] + 1 >= len(energy):
        raise InputError(
            f"The window must hold at least {_FEWEST} channels, and some lie above it",
            got=f"{window[0]:g} ... {window[1]:g} on an axis from {energy[0]:g} to {energy[-1]:g} "
            f"{axis.units}",
            cure="Give two energies below the first edge, in the units of the energy axis.",
        )
    left_out = fitting_mask(masks.scan, scan_shape(signal), "scan")
    ends = float(energy[inside[0]]), float(energy[inside[-1]])
    kind = np.float64 if signal.data.dtype == np.float64 else np.float32
    net = _net(_filled(signal, left_out), ends, model).astype(kind)
    if left_out.any():
        net = np.where(left_out[..., np.newaxis], kind(0), net)
    net[..., : inside[0]] = 0
    _check(net[..., inside[-1] + 1 :], left_out)
    out = like(signal, net)
    out.metadata.set_item(NET, True)  # noqa: FBT003  # HyperSpy's signature
    return out


def _filled(signal: Any, left_out: NDArray[np.bool_]) -> Any:
    """Return a float64 copy whose excluded spectra can be fitted: they are the mean."""
    data = signal.data.astype(np.float64)
    if left_out.any():
        mean = mean_spectrum(signal, left_out)
        where = np.where if isinstance(data, np.ndarray) else _dask().where
        data = where(left_out[..., np.newaxis], mean, data)
    return like(signal, data)


def _net(signal: Any, window: tuple[float, float], model: str) -> Any:
    """Return what HyperSpy leaves."""
    logging.getLogger(_CHATTY)  # known before its module is: so that it is held back, too
    with quiet(), np.errstate(all="ignore"):  # what cannot be fitted is counted afterwards
        found = signal.remove_background(
            signal_range=window, background_type=model, fast=True, show_progressbar=False
        )
    return found.data


def _check(above: Any, left_out: NDArray[np.bool_]) -> None:
    """Refuse a background that could not be fitted, and warn of one that is too high."""
    rows = Rows(
        above if above.ndim > 1 else above[np.newaxis], mask=left_out if left_out.any() else None
    )
    totals = np.empty(len(rows))
    for where, part in rows.map(lambda block, _: block.sum(axis=1, dtype=np.float64)):
        totals[where] = part
    unknown, negative = np.count_nonzero(~np.isfinite(totals)), np.count_nonzero(totals < 0)
    if unknown:
        raise InputError(
            "A background must be found at each position",
            got=f"none at {unknown} of {len(totals)}",
            cure="Exclude positions with hardly any counts: a larger share in prepare.vacuum.",
        )
    record(negative_share=float(negative / len(totals)))
    if negative > _MANY * len(totals):
        warn(
            f"At {negative} of {len(totals)} positions less than nothing is left above the "
            "background: its window may reach into an edge, or positions are vacuum."
        )


def _dask() -> Any:
    import dask.array as da

    return da
