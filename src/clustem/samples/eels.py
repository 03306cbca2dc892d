"""EELS spectrum images: a wedge with its zero-loss peak, or a film by its core losses."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.model import checked
from clustem.samples import _core_loss, _low_loss
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]
_Truth = tuple[dict[str, F64], dict[str, Any], dict[str, Any]]
"""Parts of the spectra, then fields of the sample and more of its details."""
_LOW, _CORE = (0.1, -10.0), (0.5, 400.0)  # width of a channel and energy of the first [eV]
_CHANNELS = {"low": 1200, "core": 960}
_COUNTS = {"low": 1e6, "core": 4e5}
_DRIFT = 0.25  # of the zero-loss peak from the first to the last row [eV]
_LOST = 0.6  # what falls outside the aperture per mean free path
_PURE = 0.75  # share from which on a position counts as one phase
_PIXEL = (2.5, 2.0)  # step of the scan along rows and columns [nm]


@checked
def eels(
    *,
    kind: Literal["low", "core"] = "low",
    shape: tuple[Annotated[int, Ge(4)], Annotated[int, Ge(4)]] = (40, 56),
    channels: Annotated[int, Ge(256)] | None = None,
    counts: Annotated[float, Gt(0)] | None = None,
    read_noise: Annotated[float, Ge(0)] = 1.0,
    jitter: Annotated[float, Ge(0)] = 0.06,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Sample:
    """Simulate an EELS spectrum image of low losses or of core losses.

    Parameters
    ----------
    kind
        ``"low"``: a wedge of a layered semiconductor, in five terraces. ``"core"``: a film of
        LaMnO3 in SrTiO3, beside a hole.
    shape
        Rows and columns of the scan.
    channels
        Number of channels: 1200 of 0.1 eV from -10 eV if None, or 960 of 0.5 eV from 400 eV.
    counts
        Mean number of electrons per position, before any is lost: 10^6 if None, or 4·10^5.
    read_noise
        Standard deviation of the detector's own noise [counts].
    jitter
        Standard deviation of the energy shift from one position to the next [eV]; low losses
        also drift by 0.25 eV from the first row to the last.
    random_state
        Seed of shifts and noise.

    Returns
    -------
    :
        Sample of an ``EELS`` signal (rows, columns | channels), float32: where there is
        little, read noise makes values negative. What its details hold has no noise and is
        shifted like the spectra. Low losses: ``zlp`` and ``inelastic``, float32 (rows, columns,
        channels), which add up to what was expected [counts]; ``thickness`` t/λ and
        ``shift`` [eV], (rows, columns); ``gap`` and ``exciton`` [eV]. Core losses:
        ``background`` and ``edges``, float32 (rows, columns, channels); ``shift``.

    Notes
    -----
    Low losses: the zero-loss peak is asymmetric, some 0.35 eV wide, with tails that reach beyond
    the exciton at 2.0 eV and the gap at 2.25 eV. Losses are those of a plasmon at 19 eV,
    transitions above the gap and the exciton, once or several times: their number is a Poisson
    variable of mean t/λ. Thicker terraces scatter more electrons out of the aperture,
    so labels 0 ... 4 go from thin and bright to thick and dark. Core losses: a power law, Ti L,
    O K, Mn L and La M edges with white lines, thickness varying by half. Noise is Poisson's and
    the detector's.

    Examples
    --------
    >>> sample = eels(shape=(6, 9))
    >>> sample.signal.data.shape, sample.details["zlp"].shape, sample.n_clusters
    ((6, 9, 1200), (6, 9, 1200), 5)
    """
    rng = np.random.default_rng(random_state)
    size = channels or _CHANNELS[kind]
    electrons = counts or _COUNTS[kind]
    scale, offset = _LOW if kind == "low" else _CORE
    energy = offset + scale * np.arange(size)
    shift = jitter * rng.standard_normal(shape)
    simulate = _wedge if kind == "low" else _film
    parts, known, details = simulate(shape, energy, electrons, shift)
    data = rng.poisson(sum(parts.values())).astype(np.float32)
    data += read_noise * rng.standard_normal(data.shape, dtype=np.float32)
    signal = _signal(data, scale, offset, f"Simulated {kind} losses")
    truth = {name: part.astype(np.float32) for name, part in parts.items()}
    return Sample(signal, **known, details={**truth, "shift": shift, **details})


def _wedge(shape: tuple[int, int], energy: F64, electrons: float, shift: F64) -> _Truth:
    labels, thickness = _low_loss.terraces(shape)
    shift += np.linspace(-_DRIFT / 2, _DRIFT / 2, shape[0])[:, np.newaxis]
    spectra = _low_loss.Scattering(energy)
    dose = electrons * np.exp(-_LOST * thickness)[..., np.newaxis]
    zlp, inelastic = (np.empty((*shape, len(energy))) for _ in range(2))
    for row, tau in enumerate(thickness):
        zlp[row] = np.exp(-tau)[:, np.newaxis] * spectra.zero_loss(shift[row])
        inelastic[row] = spectra.inelastic(tau, shift[row])
    names = tuple(f"terrace {i + 1}" for i in range(len(_low_loss.TERRACES)))
    details = {"thickness": thickness, "gap": _low_loss.GAP, "exciton": _low_loss.EXCITON}
    parts = {"zlp": dose * zlp, "inelastic": dose * inelastic}
    return parts, {"labels": labels.astype(np.int16), "names": names}, details


def _film(shape: tuple[int, int], energy: F64, electrons: float, shift: F64) -> _Truth:
    share = _core_loss.film(shape)
    down, right = (np.linspace(-0.5, 0.5, size) for size in shape)
    dose = 1 + 0.35 * right - 0.15 * down[:, np.newaxis]
    spectra = _core_loss.backgrounds(energy), _core_loss.edges(energy)
    unit = electrons / (spectra[0][0] + spectra[1][0]).sum()
    moved = energy - shift[..., np.newaxis]
    parts = {}
    for name, found in zip(("background", "edges"), spectra, strict=True):
        each = [np.interp(moved, energy, spectrum) for spectrum in found]
        mixed = np.einsum("rcp,prcd->rcd", share, np.stack(each))
        parts[name] = unit * dose[..., np.newaxis] * mixed
    labels = np.where(share.max(axis=-1) >= _PURE, share.argmax(axis=-1), -1)
    known = {"labels": labels.astype(np.int16), "names": _core_loss.PHASES}
    return parts, {**known, "abundance": share.astype(np.float32)}, {}


def _signal(data: NDArray[np.float32], scale: float, offset: float, title: str) -> Any:
    import hyperspy.api as hs  # noqa: PLC0415  # seconds

    signal = hs.signals.Signal1D(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first import of eXSpy warns about HyperSpy
        signal.set_signal_type("EELS")
    for axis, name, step in zip(
        signal.axes_manager.navigation_axes, "xy", _PIXEL[::-1], strict=True
    ):
        axis.name, axis.scale, axis.units = name, step, "nm"
    axis = signal.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", scale, offset
    signal.metadata.General.title = title
    signal.set_microscope_parameters(
        beam_energy=200.0, convergence_angle=10.0, collection_angle=20.0
    )
    signal.metadata.Signal.quantity = "Electrons (Counts)"
    return signal
