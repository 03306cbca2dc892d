"""Spectrum image of a mineral assemblage on a FIB-cut face, in the scanning electron microscope."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import checked
from clustem.samples._sample import Sample
from clustem.samples._xray_spectrum import spectrum

_CONTAMINATION = {"C": 0.012, "Ga": 0.006, "Pt": 0.012}  # of the cutting, in no list of elements
_PHASES = {
    "chlorite": {"O": 0.47, "Mg": 0.16, "Al": 0.10, "Si": 0.135, "Fe": 0.135},
    "Fe-rich silicate": {"O": 0.36, "Mg": 0.025, "Al": 0.09, "Si": 0.17, "Mn": 0.045, "Fe": 0.31},
    "titanite": {"O": 0.41, "Al": 0.012, "Si": 0.143, "Ca": 0.20, "Ti": 0.235},
    "rutile": {"O": 0.40, "Ti": 0.60},
}
_TITANITE, _RUTILE = 2, 3
_ELEMENTS = ["Al", "Ca", "Fe", "Mg", "Mn", "O", "Si", "Ti"]
_BEAM_ENERGY, _RESOLUTION, _TAKE_OFF = 10.0, 130.0, 35.0  # [keV], [eV], [°]
_SCALE, _OFFSET = 0.01, -0.0955  # [keV]
_PIXEL = (21.81125057, 17.1875)  # rows are foreshortened by a tilt of 52° [nm]
_FINE = 4  # points per pixel and axis on which grains are drawn
_BLUR = 0.7  # standard deviation of the excited volume [pixels]
_PURE = 0.75  # share from which on a pixel counts as one phase
_PHOTONS = 500_000  # drawn at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class EDSSample(Sample):
    """A simulated EDS map and the truth about it.

    Parameters
    ----------
    spectra
        Expected counts of each phase in a pixel of average dose, (phases, channels).
    dose
        Relative dose, from the shadow of the trench, (rows, columns).
    scale, offset
        Width of a channel and energy of channel 0 [keV].
    """

    spectra: NDArray[np.float64]
    dose: NDArray[np.float64]
    scale: float = _SCALE
    offset: float = _OFFSET


@checked
def eds(
    *,
    shape: tuple[Annotated[int, Ge(4)], Annotated[int, Ge(4)]] = (152, 156),
    channels: Annotated[int, Ge(64)] = 1024,
    counts: Annotated[float, Gt(0)] = 300.0,
    random_state: Annotated[int, Ge(0)] = 0,
) -> EDSSample:
    """Simulate an EDS map of rutile laths with titanite rims between two silicates.

    Parameters
    ----------
    shape
        Rows and columns of the scan.
    channels
        Number of channels of 10 eV, the first at -95.5 eV.
    counts
        Mean number of counts per pixel.
    random_state
        Seed of the grains' shapes and of the counting noise.

    Returns
    -------
    :
        Sample of an ``EDS_SEM`` signal (rows, columns | channels), uint16.

    Notes
    -----
    Line energies, weights and absorption coefficients are eXSpy's. Pixels near interfaces excite
    both sides; about one in twenty belongs to no phase by three quarters and is labelled -1.
    There are weak peaks of C, Ga and Pt, which the metadata do not list.

    Examples
    --------
    >>> sample = eds(shape=(20, 24), channels=800)
    >>> sample.signal.data.shape, sample.names[0], sample.labels.shape
    ((20, 24, 800), 'chlorite', (20, 24))
    """
    rng = np.random.default_rng(random_state)
    abundance = _blurred(_grains(shape, rng))
    dose = _shadow(shape)
    energy = _OFFSET + _SCALE * np.arange(channels, dtype=np.float64)
    spectra = _spectra(energy)
    total = np.einsum("rc,rcp,p->", dose, abundance, spectra.sum(axis=1)) / dose.size
    spectra *= counts / total
    data = _recorded(abundance * dose[..., np.newaxis], spectra, rng)
    labels = np.where(abundance.max(axis=-1) >= _PURE, abundance.argmax(axis=-1), -1)
    return EDSSample(
        signal=_signal(data, counts),
        labels=labels.astype(np.int16),
        names=tuple(_PHASES),
        abundance=abundance.astype(np.float32),
        spectra=spectra,
        dose=dose,
    )


def _spectra(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    rest = 1 - sum(_CONTAMINATION.values())
    return np.array(
        [
            spectrum(
                {**{e: share * rest for e, share in phase.items()}, **_CONTAMINATION},
                energy,
                beam_energy=_BEAM_ENERGY,
                take_off_angle=_TAKE_OFF,
                resolution=_RESOLUTION,
            )
            for phase in _PHASES.values()
        ]
    )


def _grains(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw the phase at each point of a grid four times as fine as the scan."""
    rows, columns = (size * _FINE for size in shape)
    down = ((np.arange(rows, dtype=np.float32) + 0.5) / rows)[:, np.newaxis]
    right = (np.arange(columns, dtype=np.float32) + 0.5) / columns
    seeds = rng.random((24, 2))
    host = np.where(seeds[:, 1] + 0.35 * seeds[:, 0] + rng.normal(0, 0.05, 24) < 0.8, 0, 1)
    nearest = np.full((rows, columns), np.inf, dtype=np.float32)
    phase = np.zeros((rows, columns), dtype=np.int8)
    for (row, column), kind in zip(seeds.astype(np.float32), host, strict=True):
        distance = (down - row) ** 2 + (right - column) ** 2
        closer = distance < nearest
        phase[closer], nearest[closer] = kind, distance[closer]
    angle = radians(33 + rng.normal(0, 3))
    along = right * cos(angle) + down * sin(angle)
    across = down * cos(angle) - right * sin(angle)
    # first point, last point, position across, half width, and how much thicker the rim is
    laths = (
        (0.12, 0.72, 0.12, 0.055, 0.06),
        (0.5, 1.2, -0.27, 0.035, 0.07),
        (0.35, 1, 0.5, 0.045, 0.05),
    )
    for start, stop, center, half, rim in laths:
        middle, length = (start + stop) / 2, (stop - start) / 2
        wave = rng.normal(0, 0.012) * np.sin(9 * along + rng.uniform(0, 6))
        taper = np.sqrt(np.maximum(1 - ((along - middle) / length) ** 4, 0))
        aside = np.abs(across - center - wave)
        skin = rim * (1 + 0.4 * np.sin(14 * along + rng.uniform(0, 6)))
        outside = np.sqrt(np.maximum(1 - ((along - middle) / (length + 0.05)) ** 4, 0))
        phase[(aside < (half + skin) * outside) & (phase != _RUTILE)] = _TITANITE
        phase[aside < half * taper] = _RUTILE
    return phase


def _blurred(phase: NDArray[np.int8]) -> NDArray[np.float64]:
    """Average over the excited volume: share of each phase per pixel (rows, columns, phases)."""
    share = np.eye(len(_PHASES), dtype=np.float32)[phase]
    from scipy.ndimage import gaussian_filter

    rows, columns = (size // _FINE for size in phase.shape)
    share = share.reshape(rows, _FINE, columns, _FINE, -1).mean(axis=(1, 3))
    blurred = gaussian_filter(
        share.astype(np.float64), _BLUR, radius=3, mode="nearest", axes=(0, 1)
    )
    out: NDArray[np.float64] = blurred / blurred.sum(axis=-1, keepdims=True)
    return out


def _shadow(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Fewer X-rays reach the detector from deep in the trench."""
    down, right = (np.linspace(0, 1, size) for size in shape)
    dose = 1 - 0.2 * down[:, np.newaxis] ** 2 + 0.05 * right
    out: NDArray[np.float64] = dose / dose.mean()
    return out


def _recorded(
    shares: NDArray[np.float64], spectra: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Draw Poisson counts photon by photon: most channels of a pixel hold none.

    The number of photons of each phase in each pixel is a Poisson variable, and each photon's
    channel follows the phase's spectrum: the counts are independent Poisson variables again.
    """
    rows, columns, phases = shares.shape
    channels = spectra.shape[1]
    totals = spectra.sum(axis=1)
    out = np.empty((rows, columns, channels), dtype=np.uint16)
    step = max(1, int(_PHOTONS / (columns * totals.max())))
    for first in range(0, rows, step):
        photons = rng.poisson(shares[first : first + step] * totals).reshape(-1, phases)
        pixel = np.arange(len(photons)) * channels
        hits = []
        for number, mean, total in zip(photons.T, spectra, totals, strict=True):
            channel = np.repeat(np.arange(channels), rng.multinomial(number.sum(), mean / total))
            rng.shuffle(channel)
            hits.append(np.repeat(pixel, number) + channel)
        counts = np.bincount(np.concatenate(hits), minlength=len(photons) * channels)
        out[first : first + step] = counts.reshape(-1, columns, channels)
    return out


def _signal(data: NDArray[np.uint16], counts: float) -> Any:
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(data)
    signal.set_signal_type("EDS_SEM")
    for axis, name, scale in zip(
        signal.axes_manager.navigation_axes, "xy", _PIXEL[::-1], strict=True
    ):
        axis.name, axis.scale, axis.units = name, scale, "nm"
    axis = signal.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.scale, axis.offset = "Energy", "keV", _SCALE, _OFFSET
    signal.metadata.General.title = "Simulated mineral assemblage"
    signal.set_microscope_parameters(
        beam_energy=_BEAM_ENERGY,
        energy_resolution_MnKa=_RESOLUTION,
        elevation_angle=_TAKE_OFF,
        azimuth_angle=0.0,
        tilt_stage=0.0,
        live_time=counts * 1e-4 * data[..., 0].size,
    )
    signal.set_elements(_ELEMENTS)
    signal.set_lines([f"{element}_Ka" for element in _ELEMENTS])
    signal.metadata.Signal.quantity = "X-rays (Counts)"
    return signal
