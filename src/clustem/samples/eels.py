"""EELS spectrum images: a wedge with its zero-loss peak, or a film by its core losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, overload

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import Signal, checked, quiet
from clustem.samples import _core_loss, _low_loss
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
_LOW, _CORE = (0.1, -10.0), (0.5, 400.0)  # width of a channel and energy of the first [eV]
_CHANNELS = {"low": 1200, "core": 960}
_COUNTS = {"low": 1e6, "core": 4e5}
_DRIFT = 0.25  # of the zero-loss peak from the first to the last row [eV]
_LOST = 0.6  # what falls outside the aperture per mean free path
_PURE = 0.75  # share from which on a position counts as one phase
_PIXEL = (2.5, 2.0)  # step of the scan along rows and columns [nm]


@dataclass(frozen=True, eq=False, kw_only=True)
class LowLossSample(Sample):
    """Simulated low losses and the truth about them, without noise and shifted like the spectra.

    Parameters
    ----------
    zlp, inelastic
        Zero-loss peak and losses, which add up to what was expected [counts],
        (rows, columns, channels).
    thickness
        Thickness t/λ, (rows, columns).
    shift
        Energy by which each spectrum is shifted [eV], (rows, columns).
    gap, exciton
        Energies of the band gap and of the exciton [eV].
    """

    zlp: F32
    inelastic: F32
    thickness: F64
    shift: F64
    gap: float = _low_loss.GAP
    exciton: float = _low_loss.EXCITON


@dataclass(frozen=True, eq=False, kw_only=True)
class CoreLossSample(Sample):
    """Simulated core losses and the truth about them, without noise and shifted like the spectra.

    Parameters
    ----------
    background, edges
        What lies under the edges, and the edges [counts], (rows, columns, channels).
    shift
        Energy by which each spectrum is shifted [eV], (rows, columns).
    """

    background: F32
    edges: F32
    shift: F64


@overload
def eels(
    *,
    kind: Literal["low"] = "low",
    shape: tuple[int, int] = ...,
    channels: int | None = None,
    counts: float | None = None,
    read_noise: float = ...,
    jitter: float = ...,
    random_state: int = ...,
) -> LowLossSample: ...


@overload
def eels(
    *,
    kind: Literal["core"],
    shape: tuple[int, int] = ...,
    channels: int | None = None,
    counts: float | None = None,
    read_noise: float = ...,
    jitter: float = ...,
    random_state: int = ...,
) -> CoreLossSample: ...


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
) -> LowLossSample | CoreLossSample:
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
        little, read noise makes values negative.

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
    >>> sample.signal.data.shape, sample.zlp.shape, sample.n_clusters
    ((6, 9, 1200), (6, 9, 1200), 5)
    """
    rng = np.random.default_rng(random_state)
    size = channels or _CHANNELS[kind]
    electrons = counts or _COUNTS[kind]
    scale, offset = _LOW if kind == "low" else _CORE
    energy = offset + scale * np.arange(size, dtype=np.float64)
    shift = jitter * rng.standard_normal(shape)

    def recorded(expected: F64) -> Signal:
        data = rng.poisson(expected).astype(np.float32)
        data += read_noise * rng.standard_normal(data.shape, dtype=np.float32)
        signal: Signal = _signal(data, scale, offset, f"Simulated {kind} losses")
        return signal

    if kind == "low":
        return _wedge(shape, energy, electrons, shift, recorded)
    return _film(shape, energy, electrons, shift, recorded)


def _wedge(
    shape: tuple[int, int],
    energy: F64,
    electrons: float,
    shift: F64,
    recorded: Callable[[F64], Signal],
) -> LowLossSample:
    labels, thickness = _low_loss.terraces(shape)
    shift = shift + np.linspace(-_DRIFT / 2, _DRIFT / 2, shape[0])[:, np.newaxis]
    spectra = _low_loss.Scattering(energy)
    dose = electrons * np.exp(-_LOST * thickness)[..., np.newaxis]
    zlp, inelastic = (np.empty((*shape, len(energy))) for _ in range(2))
    for row, tau in enumerate(thickness):
        zlp[row] = np.exp(-tau)[:, np.newaxis] * spectra.zero_loss(shift[row])
        inelastic[row] = spectra.inelastic(tau, shift[row])
    zlp *= dose
    inelastic *= dose
    return LowLossSample(
        signal=recorded(zlp + inelastic),
        labels=labels.astype(np.int16),
        names=tuple(f"terrace {i + 1}" for i in range(len(_low_loss.TERRACES))),
        zlp=zlp.astype(np.float32),
        inelastic=inelastic.astype(np.float32),
        thickness=thickness,
        shift=shift,
    )


def _film(
    shape: tuple[int, int],
    energy: F64,
    electrons: float,
    shift: F64,
    recorded: Callable[[F64], Signal],
) -> CoreLossSample:
    share = _core_loss.film(shape)
    down, right = (np.linspace(-0.5, 0.5, size) for size in shape)
    dose = 1 + 0.35 * right - 0.15 * down[:, np.newaxis]
    spectra = _core_loss.backgrounds(energy), _core_loss.edges(energy)
    unit = electrons / (spectra[0][0] + spectra[1][0]).sum()
    moved = energy - shift[..., np.newaxis]
    parts = []
    for found in spectra:
        each = [np.interp(moved, energy, spectrum) for spectrum in found]
        mixed = np.einsum("rcp,prcd->rcd", share, np.stack(each))
        parts.append(unit * dose[..., np.newaxis] * mixed)
    background, edges = parts
    labels = np.where(share.max(axis=-1) >= _PURE, share.argmax(axis=-1), -1)
    return CoreLossSample(
        signal=recorded(background + edges),
        labels=labels.astype(np.int16),
        names=_core_loss.PHASES,
        abundance=share.astype(np.float32),
        background=background.astype(np.float32),
        edges=edges.astype(np.float32),
        shift=shift,
    )


def _signal(data: NDArray[np.float32], scale: float, offset: float, title: str) -> Any:
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(data)
    with quiet():  # the first import of eXSpy warns about HyperSpy
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
