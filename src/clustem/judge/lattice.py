"""Whether an image shows a lattice: peaks of its power spectrum against their noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Lt
from numpy.typing import NDArray

from clustem.core import Signal, checked
from clustem.core.image import PlainImage

F64 = NDArray[np.float64]
Verdict = Literal["columns", "fringes", "none"]

RECIPES = frozenset({"domains", "particles", "texture", "domains-vae", "particles-vae"})
"""Recipes between which the lattice decides."""

_WINDOWS = {512: 5, 256: 8, 128: 12, 64: 16}
"""Most windows along each side of the image, by their edge [px]."""
_PERIODS = 6
"""Periods that a window must hold: what is slower is shape."""
_FASTEST = 2.5
"""Shortest period [px]; faster ones are noise of the detector or of its readout."""
_ROUGH = 2.0
"""How far textures and rings rise above the mean of their surroundings, beyond chance."""
_NEAR, _AROUND = 7, 15
"""Edges of the squares between which the background around a peak is taken [bins]."""
_BESIDE = 3
"""Bins from a peak on at which its ray is background."""
_SHARE = 0.01
"""Share of a window's contrast, without white noise, that a peak must hold."""
_APART = 15.0
"""Angle between peaks from which on they are two directions [°]."""
_GUMBEL = float(np.exp(np.euler_gamma))  # mean of an exponential law over its geometric mean


@dataclass(frozen=True)
class Lattice:
    """What the power spectrum of an image says about a lattice.

    Attributes
    ----------
    verdict
        ``"columns"`` where two directions repeat in one place, ``"fringes"`` where one does,
        ``"none"``.
    spacings
        Periods of the strongest peaks of different directions [px], the strongest first.
    directions
        Directions of their wave vectors [°], from the columns' axis toward the rows'.
    p_value
        Bound on the chance that an image without a lattice shows so strong a peak anywhere.
    pixel_size
        Size of a pixel in ``units``; 1 where it is unknown.
    units
        Units of ``pixel_size``, ``"px"`` where they are unknown.
    """

    verdict: Verdict
    spacings: tuple[float, ...]
    directions: tuple[float, ...]
    p_value: float
    pixel_size: float = 1.0
    units: str = "px"

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes that fit."""
        if self.verdict == "columns":
            return ("domains", "particles")
        return ("particles",) if self.verdict == "fringes" else ("texture",)

    @property
    def summary(self) -> str:
        """Say in one sentence what there is and which recipe fits."""
        fits = " or ".join(self.recipes)
        if self.verdict == "none":
            return f"no lattice, for nothing in the image repeats: {fits}"
        size = f"{self.spacings[0] * self.pixel_size:.3g} {self.units}"
        if self.verdict == "columns":
            return f"columns at {size}: {fits}"
        return f"fringes at {size}, in one direction only: {fits}"


@dataclass(frozen=True)
class _Peak:
    """A peak of the spectrum of one window (edge, first row and column): place [bins], height."""

    row: float
    column: float
    height: float
    window: tuple[int, int, int]

    @property
    def period(self) -> float:
        return float(self.window[0] / np.hypot(self.row, self.column))

    @property
    def angle(self) -> float:
        return float(np.degrees(np.arctan2(self.row, self.column)) % 180)


@checked
def lattice(
    image: Signal | NDArray[Any], *, rate: Annotated[float, Gt(0), Lt(1)] = 0.01
) -> Lattice:
    """Ask whether an image shows atom columns, lattice fringes in one direction, or neither.

    Parameters
    ----------
    image
        Image (rows, columns), grey or in color, as an array or a HyperSpy signal.
    rate
        Chance that an image without a lattice is said to have one.

    Returns
    -------
    :
        Verdict, spacings, directions, and a sentence that names the recipe that fits.

    Raises
    ------
    InputError
        If it is no single image of finite numbers, or has no contrast.

    Notes
    -----
    Periodograms of Hann windows that overlap by half, from 512 to 64 px, so that a lattice counts
    that fills a part of the image only. Without a lattice a value follows an exponential law
    about its background. That is the largest of the mean of its ring, of its surroundings, and of
    the ray through it: the edges of particles make streaks along rays, films and spinodal textures
    make rings. Twice this background is taken, since textures are rougher than their mean, and
    the rate is shared between all values of all windows.

    A window must hold six periods, of 2.5 px at least, and the peak one percent of the
    contrast that is not white noise. What varies from line to line only may be noise of the
    scan: it counts where another direction in the window repeats, too.

    References
    ----------
    P. D. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70.

    Examples
    --------
    >>> row, column = np.indices((96, 128))
    >>> lattice(np.sin(column / 2 + row / 3)).summary
    'fringes at 10.5 px, in one direction only: particles'
    >>> lattice(np.random.default_rng(0).poisson(5, (96, 128))).verdict
    'none'
    """
    plain = PlainImage.of(_signal(image) if isinstance(image, np.ndarray) else image)
    starts = _starts(plain.data.shape)
    tested = {
        size: np.count_nonzero(_tested(size)) * len(rows) * len(columns)
        for size, (rows, columns) in starts.items()
    }
    values = sum(tested.values())
    bar = float(np.log(max(values, 1) / rate))
    peaks: list[_Peak] = []
    verdict, chosen = _judged(peaks)
    for size, (rows, columns) in starts.items():
        if verdict == "columns":
            break  # there is nothing more to find
        for row in rows:
            for column in columns:
                window = (size, int(row), int(column))
                part = plain.data[row : row + size, column : column + size]
                peaks += _peaks(part.astype(np.float64), window)
        verdict, chosen = _judged([peak for peak in peaks if peak.height > bar])
    best = max((peak.height for peak in chosen or peaks), default=0.0)
    pixel, units = _pixel(plain)
    return Lattice(
        verdict,
        tuple(peak.period for peak in chosen),
        tuple(peak.angle for peak in chosen),
        float(min(1.0, values * np.exp(-best if chosen else -min(best, bar)))),
        pixel,
        units,
    )


def _signal(image: NDArray[Any]) -> Any:
    import hyperspy.api as hs

    return hs.signals.Signal2D(image)


def _starts(shape: tuple[int, ...]) -> dict[int, list[NDArray[np.intp]]]:
    """First rows and columns of square windows, by their edge, the largest first."""
    whole = min(shape)
    found: dict[int, list[NDArray[np.intp]]] = {}
    for edge, most in _WINDOWS.items():
        size = min(edge, whole)
        found[size] = [
            np.unique(np.linspace(0, n - size, min(-(-2 * n // size) - 1, most)).astype(np.intp))
            for n in shape
        ]
    return found


def _radius(size: int) -> F64:
    """Distance of each place of a spectrum from its middle [bins]."""
    offset = np.arange(size) - size // 2
    return np.asarray(np.hypot(offset[:, None], offset), dtype=np.float64)


def _tested(size: int) -> NDArray[np.bool_]:
    """Where a lattice may show in the spectrum of a window, one half of it."""
    offset = np.arange(size) - size // 2
    half = (offset > 0) | ((offset == 0) & (offset[:, None] > 0))
    radius = _radius(size)
    return np.asarray(half & (radius >= _PERIODS) & (radius <= size / _FASTEST))


def _peaks(part: F64, window: tuple[int, int, int]) -> list[_Peak]:
    """Find what rises above its background in a window."""
    from scipy.ndimage import maximum_filter

    size = len(part)
    middle = size // 2
    hann = np.hanning(size + 2)[1:-1]
    power = np.abs(np.fft.fft2((part - part.mean()) * hann[:, None] * hann)) ** 2
    power = np.fft.fftshift(power)
    tested = _tested(size)
    if power.max() == 0 or not tested.any():
        return []
    power += 1e-14 * power.max()
    radius = _radius(size)
    background, noise = _background(power, radius)
    ratio = power / (_ROUGH * background)
    contrast = float((power - noise)[radius >= 2].clip(0).sum())
    high = tested & (ratio > 1) & (power == maximum_filter(power, 5, mode="wrap"))
    widest = maximum_filter(power, 3, mode="wrap")
    around = np.arange(-2, 3)
    found = []
    for row, column in np.argwhere(high) - middle:
        place = np.ix_((middle + row + around) % size, (middle + column + around) % size)
        excess = (power[place] - background[place]).clip(0)
        total = float(excess.sum())
        if 2 * total < _SHARE * contrast:
            continue
        beside = power[middle + row, middle + column] / _on_ray(widest, int(row), int(column))
        height = min(float(beside) / _ROUGH, float(ratio[middle + row, middle + column]))
        y, x = (
            row + around @ excess.sum(axis=1) / total,
            column + around @ excess.sum(axis=0) / total,
        )
        found.append(_Peak(float(y), float(x), height, window))
    return found


def _background(power: F64, radius: F64) -> tuple[F64, float]:
    """Mean power to expect in each place, the larger of ring and surroundings; the white noise."""
    from scipy.ndimage import uniform_filter

    level = np.log(power)
    ring = np.rint(radius).astype(np.intp)
    rings = np.bincount(ring.ravel(), level.ravel()) / np.bincount(ring.ravel())
    inner, outer = (uniform_filter(level, edge, mode="wrap") * edge**2 for edge in (_NEAR, _AROUND))
    around = (outer - inner) / (_AROUND**2 - _NEAR**2)
    background: F64 = np.exp(np.maximum(rings[ring], around)) * _GUMBEL
    whole = rings[_PERIODS : len(power) // 2 + 1]
    return background, float(np.exp(whole.min())) * _GUMBEL


def _on_ray(widest: F64, row: int, column: int) -> float:
    """Median power on the ray through a peak, on both sides of it."""
    size = len(widest)
    radius = float(np.hypot(row, column))
    first, last = min(0.6 * radius, radius - 8), max(1.6 * radius, radius + 8)
    inside = np.arange(max(first, 1.5), radius - _BESIDE + 0.1)
    outside = np.arange(radius + _BESIDE, min(last, size / 2 - 1))
    along = np.concatenate([inside, outside]) / radius
    places = np.rint(np.outer(along, [row, column])).astype(np.intp) + size // 2
    return float(np.median(widest[places[:, 0], places[:, 1]]))


def _judged(peaks: list[_Peak]) -> tuple[Verdict, list[_Peak]]:
    """Judge windows one by one; return the best verdict and the peaks that it rests on."""
    best: tuple[Verdict, list[_Peak]] = ("none", [])
    windows: dict[tuple[int, int, int], list[_Peak]] = {}
    for peak in sorted(peaks, key=lambda peak: -peak.height):
        windows.setdefault(peak.window, []).append(peak)
    for here in windows.values():  # the window of the strongest peak first
        sure = [peak for peak in here if abs(peak.column) > 1.5]
        if any(abs(peak.row) <= 1.5 for peak in sure):  # both axes: a lattice along them
            sure = here
        chosen: list[_Peak] = []
        for peak in sure:
            if all(_between(peak, other) > _APART for other in chosen):
                chosen.append(peak)
        if len(chosen) > 1:
            return "columns", chosen[:3]
        if chosen and not best[1]:
            best = "fringes", chosen
    return best


def _between(one: _Peak, other: _Peak) -> float:
    gap = abs(one.angle - other.angle)
    return min(gap, 180 - gap)


def _pixel(image: PlainImage) -> tuple[float, str]:
    """Pixel size and its units; 1 and ``"px"`` where they are unknown or unlike."""
    rows, columns = image.axes
    units = str(columns["units"])
    alike = rows["units"] == units and abs(rows["scale"] / columns["scale"] - 1) < 1e-3
    known = units not in ("", "px", "<undefined>")
    return (abs(columns["scale"]), units) if alike and known else (1.0, "px")
