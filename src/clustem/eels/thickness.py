"""How thick the specimen is, by the log-ratio of the intensities with and without loss."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import InputError, Signal, checked, instrument, like, quiet, warn
from clustem.eels._fitted import model_and_labels
from clustem.eels._spectra import Labels
from clustem.eels.subtract import subtract
from clustem.eels.zero_loss_model import ZeroLossModel

F64 = NDArray[np.float64]
_ITEMS = {
    "beam_energy": "beam_energy",
    "convergence_angle": "convergence_angle",
    "collection_angle": "Detector.EELS.collection_angle",
}
"""Where the metadata of the microscope hold them."""


class ThicknessMaps(NamedTuple):
    """Signals of the scan's shape and axes, float64; NaN where there is no thickness.

    Attributes
    ----------
    relative, relative_error
        t/λ and half of its 68 % band.
    absolute, absolute_error
        t and half of its 68 % band [nm]; None where the mean free path is not known.
    """

    relative: Signal
    relative_error: Signal
    absolute: Signal | None
    absolute_error: Signal | None


@checked
def thickness(
    signal: Signal,
    model: ZeroLossModel | Labels,
    segmentation: Labels | None = None,
    *,
    density: Annotated[float, Gt(0)] | None = None,
    mean_free_path: Annotated[float, Gt(0)] | None = None,
    beam_energy: Annotated[float, Gt(0)] | None = None,
    convergence_angle: Annotated[float, Gt(0)] | None = None,
    collection_angle: Annotated[float, Gt(0)] | None = None,
) -> ThicknessMaps:
    """Map the thickness, relative to the inelastic mean free path and in nm.

    Parameters
    ----------
    signal
        Low-loss spectrum image with aligned zero-loss peaks, lazy or not.
    model
        A fitted :class:`ZeroLossModel`; or a segmentation or label map, for which one is
        fitted with its defaults (which needs PyTorch).
    segmentation
        Segmentation or label map of this signal, where it is not the one that the model was fitted
        with.
    density
        Of the specimen [g/cm³], for the mean free path and for what the apertures leave out; that
        in the metadata (``Sample.density``) if None.
    mean_free_path
        Inelastic mean free path λ [nm]; after Iakoubovskii from the density if None.
    beam_energy
        Electron energy [keV]; that in the metadata if None.
    convergence_angle, collection_angle
        Semi-angles [mrad]; those in the metadata if None.

    Returns
    -------
    :
        Maps with their errors.

    Raises
    ------
    InputError
        As :func:`subtract`; also if there is a density, but the beam energy or an angle is missing.

    Notes
    -----
    ``t/λ = ln(N_tot / N_ZLP)`` with sums over the measured range: losses beyond its end are missing
    from N_tot. eXSpy does this and the absolute thickness: λ after Iakoubovskii and the correction
    for angles, where a density is known. Errors are those of the zero-loss model and of counting;
    λ is taken for certain, which it is to some 10 to 20 %.

    References
    ----------
    Malis, Cheng, Egerton, J. Electron Microsc. Tech. 8 (1988) 193. Iakoubovskii et al., Microsc.
    Res. Tech. 71 (2008) 626.

    Examples
    --------
    >>> from clustem.eels import ZeroLossModel
    >>> from clustem.samples import eels
    >>> wedge = eels(shape=(8, 30), jitter=0.0)
    >>> model = ZeroLossModel(n_replicas=8, n_epochs=50).fit(wedge.signal, wedge.labels)
    >>> found = thickness(wedge.signal, model, density=4.0)
    >>> bool(abs(found.relative.data / wedge.thickness - 1).max() < 0.05)
    True
    """
    if density is None:
        density = signal.metadata.get_item("Sample.density", default=None)
    given = {
        "beam_energy": beam_energy,
        "convergence_angle": convergence_angle,
        "collection_angle": collection_angle,
    }
    known = _instrument(signal, given, needed=density is not None)
    model, labels = model_and_labels(signal, model, segmentation)
    parts = subtract(signal, model, labels)
    sums = _sums(signal.data, *(part.data for part in parts[:3]))
    bad = ~((sums[0] > 0) & (sums[2] > 0))
    sums[:, bad] = np.nan
    lost = int((bad & (labels >= 0)).sum())
    if lost:
        warn(f"{lost} spectra hold no zero-loss intensity: their thickness is NaN.")
    total, *zero = (_as_spectra(signal, part, known) for part in sums)
    relative, thick, thin = (_estimate(total, part) for part in zero)
    counting = model.gain_ * (1 / sums[1] - 1 / sums[0])  # variance of ln(N_tot/N_ZLP)
    error = np.hypot((thick.data - thin.data) / 2, np.sqrt(np.maximum(counting, 0)))
    found = [relative, _like(relative, error), None, None]
    if density is not None or mean_free_path is not None:
        absolute = _estimate(total, zero[0], density=density, mean_free_path=mean_free_path)
        nm = np.nanmax(absolute.data) / np.nanmax(relative.data)  # one factor for all positions
        found[2:] = absolute, _like(absolute, nm * error)
    return ThicknessMaps(*found)


def _instrument(
    signal: Any, given: dict[str, float | None], *, needed: bool
) -> dict[str, float | None]:
    """Beam energy and angles, from the arguments or else from the metadata."""
    known = {
        name: instrument(signal, _ITEMS[name]) if value is None else value
        for name, value in given.items()
    }
    missing = [name for name, value in known.items() if value is None]
    if needed and missing:
        raise InputError(
            "A thickness from the density needs beam energy and both angles",
            got=f"no {', '.join(missing)}",
            cure="Give them here, or by signal.set_microscope_parameters(...).",
        )
    return known


def _sums(*spectra: Any) -> F64:
    """Sum along the energy: total, zero-loss peak, its lower and upper bound, (4, scan)."""
    sums = [part.sum(axis=-1, dtype=np.float64) for part in spectra]
    if any(hasattr(part, "dask") for part in sums):
        from dask.base import compute

        sums = list(compute(*sums))  # together: each chunk is read once
    return np.stack(sums)


def _as_spectra(signal: Any, sums: F64, known: dict[str, float | None]) -> Any:
    """Return spectra of two channels that hold the sums, with what eXSpy needs to know."""
    import hyperspy.api as hs

    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes[:-1]]
    axes.append({"size": 2, "navigate": False})
    out = hs.signals.Signal1D(np.stack([sums, np.zeros_like(sums)], axis=-1), axes=axes)
    out.metadata.General.title = signal.metadata.General.title
    out.set_signal_type("EELS")
    for name, value in known.items():
        if value is not None:
            out.metadata.set_item(f"Acquisition_instrument.TEM.{_ITEMS[name]}", value)
    return out


def _estimate(total: Any, zero: Any, **by: float | None) -> Any:
    """Have eXSpy take the log-ratio; the result's axes are those of an image."""
    with quiet():  # that there is no density is known, and said in our own words
        return total.estimate_thickness(zlp=zero, **by).transpose(navigation_axes=[])


def _like(signal: Any, data: F64) -> Any:
    out = like(signal, data)
    out.metadata.General.title += " (error)"
    return out
