"""Image of particles on a support at low magnification: no lattice is resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]
_CONTRAST = 0.5  # of the particles, as a share of the support's brightness
_EDGE = 0.8  # standard deviation of the blur [px]
_SCATTER = 0.2  # of the diameters' logarithm
_TRIES = 4000


@dataclass(frozen=True, eq=False, kw_only=True)
class SupportSample(Sample):
    """A simulated image of particles on a support and the truth about it.

    Parameters
    ----------
    particles
        Number of the particle at each pixel, 1 ... n, 0 for the support, int32 (rows, columns).
    diameters
        Diameter of each particle [nm], (n,).
    """

    particles: NDArray[np.int32]
    diameters: F64


@checked
def support(
    *,
    shape: tuple[Annotated[int, Ge(64)], Annotated[int, Ge(64)]] = (384, 512),
    n_particles: Annotated[int, Ge(1)] = 40,
    diameter: Annotated[float, Gt(0)] = 16.0,
    pixel_size: Annotated[float, Gt(0)] = 0.5,
    touching: Annotated[float, Ge(0), Le(1)] = 0.4,
    uneven: Annotated[float, Ge(0)] = 1.0,
    snr: Annotated[float, Gt(0)] = 4.0,
    contrast: Literal["bright", "dark"] = "bright",
    random_state: Annotated[int, Ge(0)] = 0,
) -> SupportSample:
    """Simulate particles on a support of uneven thickness, far below atomic resolution.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    n_particles
        Number of particles.
    diameter
        Median diameter of the particles [nm]; it scatters by a fifth.
    pixel_size
        Size of a pixel [nm].
    touching
        Share of the particles that touch another one.
    uneven
        How much the support's brightness varies, from its darkest to its brightest place
        [contrast of the particles].
    snr
        Contrast of the particles over the standard deviation of the noise on the support.
    contrast
        Whether particles are brighter than the support, or darker, as pores are.
    random_state
        Seed of places, sizes, support and noise.

    Returns
    -------
    :
        Sample of an image of counts, its labels 0 for the support and 1 for particles.

    Raises
    ------
    InputError
        If the particles do not fit into the image.

    Notes
    -----
    Particles are flat ellipses, each of its own brightness within 15 %, on a support that is
    a ramp and a wave; the image is blurred by 0.8 px and its counts follow Poisson's law. Touching
    particles overlap by up to a tenth of their size.

    Examples
    --------
    >>> sample = support(shape=(96, 128), n_particles=5, diameter=8.0)
    >>> sample.signal.data.shape, int(sample.particles.max()), sample.names
    ((96, 128), 5, ('support', 'particles'))
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(random_state)
    sizes = diameter / pixel_size * np.exp(rng.normal(0, _SCATTER, n_particles))
    numbers = np.zeros(shape, dtype=np.int32)
    height = np.zeros(shape)
    for i, (place, axes, turn) in enumerate(_placed(shape, sizes, touching, rng), start=1):
        inside = _ellipse(shape, place, axes, turn) & (numbers == 0)
        numbers[inside] = i
        height[inside] = rng.uniform(0.85, 1.15)
    row, column = (np.linspace(-0.5, 0.5, n) for n in shape)
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    along = np.cos(angle) * row[:, None] + np.sin(angle) * column
    across = np.cos(angle) * column - np.sin(angle) * row[:, None]
    film = along + 0.3 * np.cos(2 * np.pi * across + phase)
    film = (film - film.min()) / np.ptp(film)
    sign = 1 if contrast == "bright" else -1
    bare = 1 + _CONTRAST * uneven * film
    expected = bare + sign * _CONTRAST * gaussian_filter(height, _EDGE)
    counts = rng.poisson(expected.clip(0.05) * bare.mean() * (snr / _CONTRAST) ** 2)
    return SupportSample(
        signal=_signal(counts.astype(np.uint16), pixel_size),
        labels=(numbers > 0).astype(np.int16),
        names=("support", "particles"),
        particles=numbers,
        diameters=2 * pixel_size * np.sqrt(np.bincount(numbers.ravel())[1:] / np.pi),
    )


def _placed(
    shape: tuple[int, int], sizes: F64, touching: float, rng: np.random.Generator
) -> list[tuple[F64, F64, float]]:
    """Find a place, the half axes and the direction of each particle [px, px, rad]."""
    found: list[tuple[F64, F64, float]] = []
    for i, size in enumerate(sizes):
        longer = rng.uniform(1, 1.15)
        axes = size / 2 * np.array([longer, 1 / longer])
        beside = i > 0 and rng.uniform() < touching
        for _ in range(_TRIES):
            if beside:
                other = int(rng.integers(len(found)))
                turn = rng.uniform(0, 2 * np.pi)
                gap = rng.uniform(0.9, 0.97) * (size + sizes[other]) / 2
                place = found[other][0] + gap * np.array([np.sin(turn), np.cos(turn)])
            else:
                other, place = -1, rng.uniform(size, np.maximum(np.array(shape) - size, size))
            apart = [
                np.hypot(*(place - spot)) / (size / 2 + sizes[j] / 2 + 4)
                for j, (spot, _, _) in enumerate(found)
                if j != other
            ]
            within = (place > 0.6 * size).all() and (place < np.array(shape) - 0.6 * size).all()
            if within and min(apart, default=2) > 1.1:
                break
        else:
            raise InputError(
                "The particles must fit into the image",
                got=f"{len(sizes)} of them in {shape[0]} × {shape[1]} pixels",
                cure="Use a larger shape or pixel_size, or fewer or smaller particles.",
            )
        found.append((place, axes, float(rng.uniform(0, np.pi))))
    return found


def _ellipse(shape: tuple[int, int], place: F64, axes: F64, turn: float) -> NDArray[np.bool_]:
    row, column = (np.arange(n) - middle for n, middle in zip(shape, place, strict=True))
    along = np.cos(turn) * row[:, None] + np.sin(turn) * column
    across = np.cos(turn) * column - np.sin(turn) * row[:, None]
    found: NDArray[np.bool_] = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1
    return found


def _signal(counts: NDArray[np.uint16], pixel_size: float) -> Any:
    import hyperspy.api as hs

    axes = [
        {"name": name, "size": size, "scale": pixel_size, "units": "nm"}
        for name, size in zip("yx", counts.shape, strict=True)
    ]
    title = "Simulated particles on a support"
    return hs.signals.Signal2D(counts, axes=axes, metadata={"General": {"title": title}})
