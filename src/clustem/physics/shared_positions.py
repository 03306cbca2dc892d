"""Whether two signals show the same area, and how one lies on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_laplace
from scipy.stats import gumbel_r, pearson3, skew

F64 = NDArray[np.float64]
_EDGES = (1.5, 3.0, 6.0, 12.0)
"""Widths of the filters that bring out borders [px]: fine ones, and those that noise hides."""
_WIDEST = 1 / 5
"""Width of a filter, as a share of the shorter side, that is still of use."""
_TAPER = 0.25
"""Share of an image over which it fades out towards its sides."""
_SURROGATES = 199
"""Images of random phases that chance is judged from."""
_CHANCE = 1e-3
"""Probability up to which an agreement is no chance."""
_MOST = 128
"""Side of the images that shifts are judged on; larger ones are binned [px]."""
_REACH = 0.25
"""Largest shift that is looked for, as a share of the side."""
_NEAR = 0.15
"""Largest shift, as a share of the side, that may replace positions that agree already."""
_PARTS, _SURE, _HALF = 4, 2.5, 0.4
"""Parts of an area along each side that are asked whether a shift is better, by how many standard
errors it must be, and as which share of it the same positions are worse without doubt."""
_MUCH = 1.05
"""How many times as far borders must agree when they are turned and stretched."""
_STRUCTURE = 4.0
"""Correlation of neighbours in standard errors from which on an image shows something."""


@dataclass(frozen=True, eq=False)
class Placement:
    """How the positions of one signal lie on those of another.

    Attributes
    ----------
    matrix
        What turns (row, column, 1) of the one into (row, column) of the other, (2, 3).
    kind
        Whether positions are the same, shifted, or turned and stretched.
    chance
        Probability that images which have nothing to do with each other agree as well; None where
        one of them shows nothing.
    """

    matrix: F64
    kind: Literal["same", "shift", "affine"]
    chance: float | None

    @property
    def shift(self) -> tuple[float, float]:
        """Shift in rows and columns [px]."""
        return float(self.matrix[0, 2]), float(self.matrix[1, 2])


def shared_positions(
    one: F64, other: F64, *, affine: bool = False, seed: int = 0
) -> Placement | None:
    """Find how images of one signal lie on images of another.

    Parameters
    ----------
    one, other
        Images (a, rows, columns) and (b, rows, columns) of the same pixel size: totals, components.
    affine
        Whether they may also be turned and stretched.
    seed
        Seed of the images that chance is judged from.

    Returns
    -------
    :
        The placement; None if both show something, and it does not agree at any shift.

    Notes
    -----
    Correlation of the images' borders at all shifts by FFT, squared and summed over all pairs of
    images, so that detectors of opposite contrast agree, too. Chance: the same of images that have
    the spectra of the others and random phases (J. Theiler et al., Physica D 58 (1992) 77).
    Positions of equal number are taken as the same if they agree better than by chance, and no
    small shift is better beyond it.
    """
    shape = one.shape[1:]
    step = max(1, int(np.ceil(max(shape) / _MOST)))
    a, b = (_showing(_binned(images, step)) for images in (one, other))
    if not len(a) or not len(b):
        return Placement(_moved(0, 0), "same", None)
    rng = np.random.default_rng(seed)
    reach = [max(1, int(_REACH * side)) for side in a.shape[1:]]
    scales = _scales(a, b, reach, rng)
    found = np.sum([each.found for each in scales], axis=0)
    chance = np.sum([each.chance for each in scales], axis=0)
    here = (reach[0], reach[1])
    of_same = _above(chance[:, here[0], here[1]], float(found[here]), largest=False)
    best = np.unravel_index(int(found.argmax()), found.shape)
    of_shift = _above(chance.max(axis=(1, 2)), float(found[best]), largest=True)
    shift = np.array([int(best[0]) - reach[0], int(best[1]) - reach[1]])
    near = bool((np.abs(shift) <= np.maximum(_NEAR * np.array(a.shape[1:]), 1)).all())
    known: Placement | None = None
    worse = float(found[here]) < _HALF * float(found[best])
    if of_same <= _CHANCE and not (near and shift.any() and (worse or _better(scales, shift))):
        known = Placement(_moved(0, 0), "same", of_same)
    elif of_shift <= _CHANCE:
        fine = _refined(one, other, shift * step, step)
        known = Placement(_moved(*fine), "shift" if any(fine) else "same", of_shift)
    return _turned(one, other, known) if affine and known is not None else known


@dataclass(frozen=True, eq=False)
class _Scale:
    """Borders of one width in two sets of images, and how far they agree.

    Parameters
    ----------
    one, other
        The borders, (a, rows, columns) and (b, rows, columns).
    found
        Agreement at each shift beyond chance, in standard deviations of chance.
    chance
        The same of images of random phases, (surrogates, ...).
    spread
        That standard deviation.
    """

    one: F64
    other: F64
    found: F64
    chance: F64
    spread: float

    def across(self, shift: NDArray[np.int_]) -> F64:
        """Return what each place adds to the agreement at a shift, (rows, columns)."""
        moved = np.roll(self.other, tuple(-shift), axis=(1, 2))
        total = np.einsum("aij,bij->ab", self.one, moved)
        found: F64 = np.einsum("ab,aij,bij->ij", total, self.one, moved) / self.spread
        return found


def _scales(a: F64, b: F64, reach: list[int], rng: np.random.Generator) -> list[_Scale]:
    """Compare the borders of images at all widths of the filter that are of use."""
    shape = a.shape[1:]
    phases = [_phases(shape, rng) for _ in range(_SURROGATES)]
    scales = []
    for width in _EDGES:
        if width > _EDGES[0] and width > _WIDEST * min(shape):
            break
        one, other = _borders(a, width), _borders(b, width)
        here = _agreement(one, other, reach)
        random = np.stack([_agreement(one, _turned_phases(other, p), reach) for p in phases])
        mean, spread = float(random.mean()), max(float(random.std()), 1e-300)
        scales.append(_Scale(one, other, (here - mean) / spread, (random - mean) / spread, spread))
    return scales


def _better(scales: list[_Scale], shift: NDArray[np.int_]) -> bool:
    """Whether most parts of the area agree better at a shift than without."""
    gain = sum(each.across(shift) - each.across(np.zeros(2, dtype=int)) for each in scales)
    rows = np.array_split(gain, _PARTS, axis=0)
    parts = np.array([part.sum() for row in rows for part in np.array_split(row, _PARTS, axis=1)])
    error = float(parts.std(ddof=1)) / np.sqrt(len(parts))
    return bool(parts.mean() > _SURE * error)


def _moved(rows: float, columns: float) -> F64:
    return np.array([[1.0, 0.0, rows], [0.0, 1.0, columns]])


def _binned(images: F64, step: int) -> F64:
    rows, columns = images.shape[1] // step, images.shape[2] // step
    from skimage.transform import downscale_local_mean

    cut = images[:, : rows * step, : columns * step]
    return np.asarray(downscale_local_mean(cut, (1, step, step)))


def _showing(images: F64) -> F64:
    """Return the images that show something."""
    found = [image for image in images if _shows(image)]
    return np.array(found).reshape(len(found), *images.shape[1:])


def _borders(images: F64, width: float) -> F64:
    """Bring out borders, in images of variance 1 that fade out towards their sides."""
    from scipy.signal.windows import tukey

    found = np.array([gaussian_laplace(image - image.mean(), width) for image in images])
    found -= found.mean(axis=(1, 2), keepdims=True)
    found *= np.outer(*(tukey(n, _TAPER) for n in images.shape[1:]))
    return np.asarray(found / np.sqrt((found**2).sum(axis=(1, 2), keepdims=True)))


def _shows(image: F64) -> bool:
    """Whether neighbouring positions of an image are more alike than by chance."""
    centered = image - image.mean()
    variance = float((centered**2).mean())
    if variance <= 0:
        return False
    pairs = [centered[1:] * centered[:-1], centered[:, 1:] * centered[:, :-1]]
    mean = np.mean([float(p.mean()) for p in pairs if p.size]) / variance
    return bool(mean * np.sqrt(2 * image.size) > _STRUCTURE)


def _agreement(a: F64, b: F64, reach: list[int]) -> F64:
    """Squared correlation summed over all pairs, at shifts up to a reach, (2 r + 1, 2 c + 1)."""
    one, other = np.fft.rfft2(a), np.fft.rfft2(b)
    shape = a.shape[1:]
    total = np.zeros(shape)
    for each in one:
        total += (np.fft.irfft2(np.conj(each) * other, s=shape) ** 2).sum(axis=0)
    rows, columns = (np.arange(-r, r + 1) for r in reach)
    return total[np.ix_(rows, columns)]


def _phases(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.complex128]:
    """Draw the phases of an image of noise."""
    found = np.fft.rfft2(rng.normal(size=shape))
    return np.asarray(found / np.maximum(np.abs(found), 1e-300))


def _turned_phases(images: F64, phases: NDArray[np.complex128]) -> F64:
    """Return images with the same spectra and relations to each other, lying elsewhere."""
    found: F64 = np.fft.irfft2(np.fft.rfft2(images) * phases, s=images.shape[1:])
    return found


def _above(chance: F64, found: float, *, largest: bool) -> float:
    """Return the probability of so much by chance: Gumbel's, or of one a Pearson III."""
    mean, spread = float(chance.mean()), max(float(chance.std()), 1e-300)
    if largest:
        width = spread * np.sqrt(6) / np.pi
        return float(gumbel_r.sf(found, mean - np.euler_gamma * width, width))
    return float(pearson3.sf(found, max(float(skew(chance)), 1e-3), mean, spread))


def _refined(one: F64, other: F64, shift: NDArray[np.int_], step: int) -> tuple[int, int]:
    """Find the best shift near one that was found on binned images."""
    if step == 1:
        return int(shift[0]), int(shift[1])
    a, b = (_borders(_showing(images), _EDGES[0] * step) for images in (one, other))
    reach = [int(abs(s)) + step for s in shift]
    found = _agreement(a, b, reach)
    rows, columns = (
        slice(r + int(s) - step, r + int(s) + step + 1) for r, s in zip(reach, shift, strict=True)
    )
    near = found[rows, columns]
    best = np.unravel_index(int(near.argmax()), near.shape)
    return int(shift[0] - step + best[0]), int(shift[1] - step + best[1])


def _turned(one: F64, other: F64, known: Placement) -> Placement:
    """Turn and stretch until borders agree best, from the shift that was found."""
    from scipy.optimize import minimize

    middle = (np.array(one.shape[1:]) - 1) / 2

    def matrix_of(given: F64) -> F64:
        inner = np.eye(2) + given[:4].reshape(2, 2) / max(middle)
        offset = np.array(known.shift) + given[4:]
        return np.column_stack([inner, middle + offset - inner @ middle])

    edges = [[_borders(_showing(images), width) for images in (one, other)] for width in _EDGES[:3]]

    def cost(given: F64) -> float:
        matrix, total = matrix_of(given), 0.0
        for a, b in edges:
            for image in b:
                moved = affine_transform(image, matrix[:, :2], matrix[:, 2], order=1)
                length = max(float((moved**2).sum()), 1e-300)
                total -= float((np.einsum("aij,ij->a", a, moved) ** 2).sum()) / length
        return total

    start = np.zeros(6)
    for size in (3.0, 1.0):  # pixels at the border, or of shift
        corners = start + size * np.vstack([np.zeros(6), np.eye(6)])
        given = {"xatol": 0.02, "fatol": 1e-5, "maxfev": 1500, "initial_simplex": corners}
        found = minimize(cost, start, method="Nelder-Mead", options=given)
        start = np.asarray(found.x)
    if found.fun > _MUCH * cost(np.zeros(6)):
        return known
    return Placement(matrix_of(start), "affine", known.chance)
