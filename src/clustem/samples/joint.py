"""Diamond in amorphous carbon with tungsten, as three detectors see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import Signal, checked
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]

_PHASES = ("diamond", "amorphous carbon", "amorphous carbon with tungsten")
_EELS = (250.0, 0.5, 300)
"""First energy, width of a channel [eV], and number of channels."""
_EDS = (0.0, 0.01, 1024)
"""The same [keV]."""
_LINES = {
    "C": ((0.277, 1.0),),
    "Cu": ((0.93, 0.4), (8.05, 1.0), (8.90, 0.14)),
    "W": ((1.775, 1.0), (8.40, 0.6), (9.67, 0.35)),
}
"""Energy [keV] and relative height of the lines; copper is that of the grid."""
_SHARES = ({"C": 0.7, "Cu": 0.3}, {"C": 0.7, "Cu": 0.3}, {"C": 0.55, "Cu": 0.25, "W": 0.5})
_BRIGHT = (1.05, 1.0, 1.7)
"""Intensity of each phase in the dark field."""
_GRAIN, _WAVE = 0.09, 0.2
"""Size of grains and of changes of the thickness, as a share of the shorter side."""
_NOISE, _PIXEL = 0.08, 2.0  # of the dark field; of the scan [nm]


@dataclass(frozen=True, eq=False, kw_only=True)
class JointSample(Sample):
    """What several detectors recorded of one scan, and the truth about it.

    Parameters
    ----------
    signals
        Signals by name: ``eels``, ``eds``, ``haadf``; the first is the sample's own.
    thickness
        Relative thickness, (rows, columns).
    """

    signals: Mapping[str, Signal]
    thickness: F64


@checked
def joint(
    *,
    shape: tuple[Annotated[int, Ge(8)], Annotated[int, Ge(8)]] = (64, 72),
    eels: Annotated[float, Gt(0)] = 4000.0,
    eds: Annotated[float, Gt(0)] = 40.0,
    random_state: Annotated[int, Ge(0)] = 0,
) -> JointSample:
    """Simulate a scan whose phases no detector tells apart by itself.

    Parameters
    ----------
    shape
        Rows and columns of the scan.
    eels, eds
        Mean number of counts per position.
    random_state
        Seed of the grains, the thickness and the noise.

    Returns
    -------
    :
        Sample with an ``EELS`` signal of the carbon edge, which tells diamond from amorphous
        carbon; an ``EDS_TEM`` signal, which tells where tungsten is; both of uint16 counts; and a
        dark-field image.

    Examples
    --------
    >>> sample = joint(shape=(20, 24))
    >>> {name: signal.data.shape for name, signal in sample.signals.items()}
    {'eels': (20, 24, 300), 'eds': (20, 24, 1024), 'haadf': (20, 24)}
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(random_state)
    side = min(shape)
    fields = gaussian_filter(rng.normal(size=(3, *shape)), (0, _GRAIN * side, _GRAIN * side))
    labels = fields.argmax(axis=0)
    wave = gaussian_filter(rng.normal(size=shape), _WAVE * side)
    thickness = np.exp(0.35 * wave / wave.std())
    thickness /= thickness.mean()
    losses, rays = _losses(), _rays()
    counts = {
        "eels": rng.poisson(eels * thickness[..., None] * losses[labels]).astype(np.uint16),
        "eds": rng.poisson(eds * thickness[..., None] * rays[labels]).astype(np.uint16),
    }
    image = np.array(_BRIGHT)[labels] * thickness + _NOISE * rng.normal(size=shape)
    signals = {**_signals(counts), "haadf": _image(image.astype(np.float32))}
    return JointSample(
        signal=signals["eels"],
        labels=labels.astype(np.int16),
        names=_PHASES,
        signals=signals,
        thickness=thickness,
    )


def _losses() -> F64:
    """Return the expected spectra around the carbon edge, (phases, channels), each with sum 1."""
    first, width, n = _EELS
    energy = first + width * np.arange(n)
    law = (energy / first) ** -3.0
    rise = 0.5 + np.arctan((energy - 289) / 0.8) / np.pi
    fall = np.maximum(energy / 289, 1) ** -3.0
    graphitic = 0.28 * np.exp(-0.5 * ((energy - 285) / 1.0) ** 2)
    shapes = 0.45 * rise * fall * (1 + 0.35 * np.exp(-0.5 * ((energy - 293) / 2.5) ** 2))
    gap = -0.18 * np.exp(-0.5 * ((energy - 302.5) / 1.5) ** 2)  # the second band gap of diamond
    found = np.stack([law + shapes + gap * (energy > 289), law + shapes + graphitic])
    found = found[[0, 1, 1]]
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _rays() -> F64:
    """Return the expected X-rays, (phases, channels), each with sum 1 but for tungsten's own."""
    first, width, n = _EDS
    energy = first + width * np.arange(n)
    ground = 0.02 * np.exp(-energy / 3) * (energy > 0.1)
    found = np.tile(ground, (len(_PHASES), 1))
    for i, shares in enumerate(_SHARES):
        for element, share in shares.items():
            for line, height in _LINES[element]:
                sigma = np.sqrt(0.03**2 + 0.055**2 * line / 5.9)
                found[i] += share * height * np.exp(-0.5 * ((energy - line) / sigma) ** 2) / sigma
    return np.asarray(found / found[0].sum())


def _signals(counts: Mapping[str, NDArray[np.uint16]]) -> dict[str, Any]:
    import hyperspy.api as hs

    found = {}
    for name, kind, (first, width, _), unit in (
        ("eels", "EELS", _EELS, "eV"),
        ("eds", "EDS_TEM", _EDS, "keV"),
    ):
        signal = hs.signals.Signal1D(counts[name])
        signal.set_signal_type(kind)
        axis = signal.axes_manager.signal_axes[0]
        axis.name, axis.units = "Energy loss" if unit == "eV" else "Energy", unit
        axis.offset, axis.scale = first, width
        for place, letter in zip(signal.axes_manager.navigation_axes, "xy", strict=True):
            place.name, place.units, place.scale = letter, "nm", _PIXEL
        signal.metadata.General.title = f"Simulated {name.upper()} of diamond in carbon"
        found[name] = signal
    found["eds"].set_microscope_parameters(beam_energy=200.0, energy_resolution_MnKa=130.0)
    found["eds"].set_elements(["C", "Cu", "W"])
    found["eels"].set_microscope_parameters(
        beam_energy=200.0, convergence_angle=10.0, collection_angle=20.0
    )
    return found


def _image(values: NDArray[np.float32]) -> Any:
    import hyperspy.api as hs

    image = hs.signals.Signal2D(values)
    for axis, letter in zip(image.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units, axis.scale = letter, "nm", _PIXEL
    image.metadata.General.title = "Simulated dark field"
    return image
