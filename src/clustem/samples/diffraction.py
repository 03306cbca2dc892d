"""4D-STEM scan of a few grains, one with a planar defect, at the edge of a foil."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import checked
from clustem.samples._diffraction_pattern import WAVELENGTH, Detector, Reflections, reflections
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]
_PIXEL = 2.5  # step of the scan [nm]
_REACH = 1.0  # largest scattering vector along the detector's shorter half [1/Å]
_DISC = 0.062  # radius of the beam's disc [1/Å]
_TILT = 5e-3  # how far the foil bends away from the middle [rad]
_BLUR = 0.55  # standard deviation of the probe [pixels]
_BLOCK = 2**22  # expected values made at a time
_VACUUM = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class DiffractionSample(Sample):
    """A simulated scan of diffraction patterns and the truth about it.

    Parameters
    ----------
    center, radius
        Row and column of the direct beam, and its radius [px].
    thickness
        Thickness in mean free paths, (rows, columns).
    shift
        Row and column by which each pattern is shifted [px], (rows, columns, 2).
    host
        Label of the grain with the defect.
    """

    center: tuple[float, float]
    radius: float
    thickness: F64
    shift: F64
    host: int


@checked
def diffraction(
    *,
    shape: tuple[Annotated[int, Ge(8)], Annotated[int, Ge(8)]] = (48, 56),
    detector: tuple[Annotated[int, Ge(24)], Annotated[int, Ge(24)]] = (64, 64),
    grains: Annotated[int, Ge(1)] = 4,
    counts: Annotated[float, Gt(0)] = 6000.0,
    descan: Annotated[float, Ge(0)] = 0.0,
    dtype: Literal["uint8", "uint16"] = "uint8",
    random_state: Annotated[int, Ge(0)] = 0,
) -> DiffractionSample:
    """Simulate a 4D-STEM scan of grains in several orientations, a defect and vacuum.

    Parameters
    ----------
    shape
        Rows and columns of the scan.
    detector
        Rows and columns of a pattern.
    grains
        Number of grains.
    counts
        Electrons per pattern in vacuum.
    descan
        How far the patterns wander from one corner of the scan to the other, rows and columns
        each [px].
    dtype
        Of the counts; what is beyond it is cut off, as a saturated detector does.
    random_state
        Seed of the grains, their orientations and the counting noise.

    Returns
    -------
    :
        Sample of an ``electron_diffraction`` signal (rows, columns | detector), its labels 0 for
        vacuum, then the grains, and last the defect.

    Notes
    -----
    A cubic perovskite, a = 3.9 Å, at 200 kV, each grain near one of its low-index zones and
    turned at random. What the direct beam loses where the foil is thicker goes to the spots, to a
    halo and, most of it, to diffuse scattering close to the beam. Spots fade with their distance
    from the Ewald sphere, which the bent foil tilts from left to right. The defect streaks the
    spots of its grain along one direction and adds faint ones half way between. Amorphous layers
    add to the halo, in the vacuum too, where a thin film carries the grains.

    Examples
    --------
    >>> sample = diffraction(shape=(10, 12), detector=(32, 40))
    >>> sample.signal.data.shape, sample.signal.data.dtype.name, sample.n_clusters
    ((10, 12, 32, 40), 'uint8', 6)
    """
    rng = np.random.default_rng(random_state)
    plane = Detector.sized(detector, reach=_REACH, disc=_DISC)
    labels, host = _regions(shape, grains, rng)
    share = _blurred(labels, grains + 2)
    thickness, tilt = _foil(shape, rng)
    thickness = thickness * (1 - share[..., _VACUUM])
    spots = _orientations(grains, host, plane, rng)
    shift = _wander(shape, descan)
    data = np.empty((*shape, *detector), dtype=dtype)
    flat = data.reshape(-1, data[0, 0].size)
    step = max(1, _BLOCK // flat.shape[1])
    for first in range(0, len(flat), step):
        here = slice(first, first + step)
        expected = _expected(
            plane,
            spots,
            share.reshape(len(flat), -1)[here],
            thickness.ravel()[here],
            tilt.reshape(-1, 2)[here],
        )
        if descan:
            expected = plane.shifted(expected, shift.reshape(-1, 2)[here])
        found = rng.poisson(counts * expected)
        flat[here] = np.minimum(found, np.iinfo(flat.dtype).max)
    names = ("vacuum", *(f"grain {i + 1}" for i in range(grains)), f"defect in grain {host}")
    return DiffractionSample(
        signal=_signal(data, plane),
        labels=labels.astype(np.int16),
        names=names,
        abundance=share.astype(np.float32),
        center=plane.center,
        radius=plane.disc / plane.scale,
        thickness=thickness,
        shift=shift,
        host=host,
    )


def _regions(
    shape: tuple[int, int], grains: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], int]:
    """Draw vacuum (0), grains (1 ...) and the defect, a band across the largest grain (last)."""
    rows, columns = shape
    down = ((np.arange(rows) + 0.5) / rows)[:, np.newaxis]
    right = ((np.arange(columns) + 0.5) / columns)[np.newaxis]
    angle = 2 * np.pi * (np.arange(grains) + rng.uniform(-0.2, 0.2, grains)) / grains + 0.6
    seeds = np.stack([0.58 + 0.27 * np.sin(angle), 0.5 + 0.3 * np.cos(angle)])
    distance = (down[..., None] - seeds[0]) ** 2 + (right[..., None] - seeds[1]) ** 2
    grain = 1 + distance.argmin(axis=-1)
    edge = 0.12 + 0.07 * np.sin(5 * right + rng.uniform(0, 6)) + 0.02 * np.sin(17 * right)
    labels = np.where(down < edge, _VACUUM, grain)
    host = int(np.bincount(labels[labels > 0]).argmax())
    inside = np.argwhere(labels == host).mean(axis=0)
    turn = radians(rng.uniform(25, 60))
    across = (np.arange(rows)[:, None] - inside[0]) * cos(turn) - (
        np.arange(columns)[None] - inside[1]
    ) * sin(turn)
    width = 0.055 * np.hypot(rows, columns)
    labels[(labels == host) & (np.abs(across) < width)] = grains + 1
    return labels, host


def _blurred(labels: NDArray[np.intp], kinds: int) -> F64:
    """Average over the probe: share of each kind at each position (rows, columns, kinds)."""
    from scipy.ndimage import gaussian_filter

    share = np.eye(kinds)[labels]
    return np.asarray(gaussian_filter(share, _BLUR, radius=2, mode="nearest", axes=(0, 1)))


def _foil(shape: tuple[int, int], rng: np.random.Generator) -> tuple[F64, F64]:
    """Thickness in mean free paths, ridges across all grains, and tilt (row, column) [rad]."""
    down = np.linspace(0, 1, shape[0])[:, np.newaxis]
    right = np.linspace(0, 1, shape[1])[np.newaxis]
    ridge = np.sin(np.pi * (1.5 * right + 0.5 * down) + rng.uniform(0.6, 1.4))
    thickness = 0.4 + 1.1 * ridge**2
    tilt = np.stack(np.broadcast_arrays(0.4 * (down - 0.5), right - 0.5), axis=-1)
    return thickness, 2 * _TILT * tilt


def _orientations(
    grains: int, host: int, plane: Detector, rng: np.random.Generator
) -> dict[int, Reflections]:
    """Give each grain a zone and an orientation; the defect has those of its host, disturbed."""
    turns = radians(90) * (np.arange(grains) + rng.uniform(0.1, 0.9, grains)) / grains
    found = {}
    for i, turn in enumerate(rng.permutation(turns)):
        found[i + 1] = reflections(plane, zone=i % 3, turn=turn)
        if i + 1 == host:
            found[grains + 1] = reflections(plane, zone=i % 3, turn=turn, defect=True)
    return found


def _wander(shape: tuple[int, int], descan: float) -> F64:
    """Shift of each pattern (row, column) [px]: linear over the scan, rows against columns."""
    down = np.linspace(-0.5, 0.5, shape[0])[:, np.newaxis]
    right = np.linspace(-0.5, 0.5, shape[1])[np.newaxis]
    return descan * np.stack([0.7 * down - 0.3 * right, 0.8 * right + 0.2 * down], axis=-1)


def _expected(
    plane: Detector, spots: dict[int, Reflections], share: F64, thickness: F64, tilt: F64
) -> F64:
    """Return expected patterns (positions, pixels) for one electron each."""
    lost = 1 - np.exp(-thickness)[:, np.newaxis]
    film = 0.04
    out = (1 - film - lost) * plane.beam
    out += (film + 0.3 * lost) * plane.halo + 0.4 * lost * plane.skirt
    for kind, found in spots.items():
        some = np.flatnonzero(share[:, kind] > 1e-3)
        if len(some):
            strength = found.intensities(tilt[some], WAVELENGTH)
            out[some] += (0.3 * lost[some] * share[some, kind, None] * strength) @ found.shapes
    return np.maximum(out, 0)


def _signal(data: NDArray[Any], plane: Detector) -> Any:
    import hyperspy.api as hs

    names = ("y", "x", "ky", "kx")
    axes = [
        {
            "name": name,
            "size": size,
            "units": "nm" if i < 2 else "1/Å",
            "scale": _PIXEL if i < 2 else plane.scale,
            "offset": 0.0 if i < 2 else -plane.scale * plane.center[i - 2],
            "navigate": i < 2,
        }
        for i, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    metadata = {
        "General": {"title": "Simulated grains with a defect"},
        "Signal": {"signal_type": "electron_diffraction", "quantity": "Electrons (Counts)"},
        "Acquisition_instrument": {"TEM": {"beam_energy": 200.0, "acquisition_mode": "STEM"}},
    }
    return hs.signals.Signal2D(data, axes=axes, metadata=metadata)
