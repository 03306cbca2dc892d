"""Rows as an autoencoder sees them: what shape they have, and on what scale they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, InputError, PatchGrid, PatternInfo, is_signal
from clustem.passes.rows import Rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_SIDE = 64
"""Edge of the largest image that is not binned [px]."""
_BASIS = 48
"""Most principal components that the decoder draws with."""
_RARE = 0.05
"""Counts of a channel in a typical row that are added to its expected number."""


@dataclass(frozen=True)
class Layout:
    """How the columns of rows make an image, or a spectrum.

    Parameters
    ----------
    shape
        Rows and columns of the image after binning, or (channels,).
    full
        The same before.
    hidden
        Pixels that the rows lack, boolean, shape ``full``; None where they have all.
    """

    shape: tuple[int, ...]
    full: tuple[int, ...]
    hidden: NDArray[np.bool_] | None = None

    @property
    def is_image(self) -> bool:
        """Whether rows are images."""
        return len(self.shape) == 2


def layout_of(features: Features, *, square: bool = False) -> Layout:
    """Find out whether rows are images.

    Parameters
    ----------
    features
        Any.
    square
        Whether rows of nobody knows what are taken for square images.
    """
    width = int(features.rows.shape[1])
    full, hidden = _known_shape(features, width)
    if full is None and square:
        side = round(width**0.5)
        if side * side != width:
            raise InputError(
                "Rows must be images where these are turned or shifted",
                got=f"rows of {width} values",
                cure="Describe patches or patterns, or pass an array (n, rows, columns).",
            )
        full = (side, side)
    if full is None:
        return Layout((width,), (width,))
    step = -(-max(full) // _SIDE)
    return Layout(tuple(size // step for size in full), full, hidden)


def _known_shape(
    features: Features, width: int
) -> tuple[tuple[int, int] | None, NDArray[np.bool_] | None]:
    grid, pattern = features.find(PatchGrid), features.find(PatternInfo)
    if grid is not None and grid.patch_size**2 == width:
        return (grid.patch_size, grid.patch_size), None
    if pattern is not None and pattern.signal_mask.ndim == 2:
        mask = pattern.signal_mask
        if np.count_nonzero(~mask) == width:
            return (mask.shape[0], mask.shape[1]), mask
        return None, None
    given = getattr(features.rows, "row_shape", ())
    if len(given) != 2 and len(features.scans) == 1 and is_signal(features.source):
        given = features.source.data.shape[features.mask.ndim :]
    sides = [int(size) for size in given]
    if len(sides) == 2 and prod(sides) == width and min(sides) > 1:
        return (sides[0], sides[1]), None
    return None, None


def read(rows: Rows, layout: Layout, where: NDArray[np.intp] | None = None) -> F32:
    """Read rows, or some of them, as the autoencoder sees them.

    Returns
    -------
    :
        Array (n, D) with as many columns as ``layout.shape`` has pixels.

    Raises
    ------
    InputError
        If a value is not finite.
    """
    n = len(rows) if where is None else len(where)
    out = np.empty((n, prod(layout.shape)), dtype=np.float32)
    if where is None:
        for places, block in rows.map(lambda block, _: _seen(block, layout)):
            out[places] = block
    else:
        for first in range(0, n, 4096):
            some = slice(first, first + 4096)
            out[some] = _seen(rows.take(where[some]), layout)
    if not np.isfinite(out).all():
        bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
        raise InputError(
            "An autoencoder needs finite values",
            got=f"NaN or infinity in row {bad[0]} and {len(bad) - 1} more",
            cure="Exclude these positions with a mask.",
        )
    return out


def _seen(block: NDArray[np.generic], layout: Layout) -> F32:
    x = block.reshape(len(block), -1).astype(np.float32)
    if layout.hidden is not None:
        whole = np.zeros((len(x), layout.hidden.size), dtype=np.float32)
        whole[:, ~layout.hidden.ravel()] = x
        x = whole
    if layout.shape == layout.full:
        return x
    step = layout.full[0] // layout.shape[0]
    rows, columns = layout.shape
    image = x.reshape(-1, *layout.full)[:, : rows * step, : columns * step]
    found: F32 = image.reshape(-1, rows, step, columns, step).mean(axis=(2, 4))
    return found.reshape(len(x), -1)


@dataclass(frozen=True)
class Normal:
    """Scale on which noise has variance 1.

    Parameters
    ----------
    mean
        What is subtracted of each column, (D,); of counts, the mean share of each channel.
    scale
        What it is divided by, (D,).
    level
        Counts of a typical row; 0 where rows are no counts.
    """

    mean: F32
    scale: F32
    level: float = 0.0

    def apply(self, x: F32) -> F32:
        """Return rows on the scale (n, D)."""
        if self.level:
            total = x.sum(axis=1, keepdims=True, dtype=np.float64)
            x = np.divide(x, total, out=np.tile(self.mean, (len(x), 1)), where=total > 0)
        return np.asarray((x - self.mean) / self.scale, dtype=np.float32)

    def undo(self, y: F32) -> F32:
        """Return rows as they were; shares of the total for counts."""
        found: F32 = (y * self.scale + self.mean).astype(np.float32, copy=False)
        return found

    def dose(self, x: F32) -> F32:
        """Return the logarithm of each row's counts over the typical, 0 without counts, (n, 1)."""
        if not self.level:
            return np.zeros((len(x), 1), dtype=np.float32)
        total = np.maximum(x.sum(axis=1, keepdims=True, dtype=np.float64), 1.0)
        return np.asarray(np.log(total / self.level), dtype=np.float32)


@dataclass(frozen=True)
class Basis:
    """Principal components of rows on their scale: what decoder and encoder start from.

    Parameters
    ----------
    factors
        Orthonormal, (r, D).
    variances
        Variance along each; that of noise is 1, (r,).
    """

    factors: F32
    variances: F32

    def signal(self, n: int) -> F64:
        """Variance of the signal along each component, freed of what n noisy rows add to it.

        That of a component at ℓ shows as (1 + ℓ)(1 + γ/ℓ), γ = D/n; where less than half of its
        scores is signal, it counts as 0.
        """
        ratio = self.factors.shape[1] / n
        seen = self.variances.astype(np.float64)
        half = seen - 1 - ratio
        found: F64 = np.where(
            seen > _edge(n, self.factors.shape[1]),
            (half + np.sqrt(np.maximum(half**2 - 4 * ratio, 0))) / 2,
            0.0,
        )
        return found

    def above_noise(self, n: int) -> int:
        """Count the components whose scores tell more than they add noise, of n rows: see pca."""
        return int(np.count_nonzero(self.variances > _edge(n, self.factors.shape[1])))


def _edge(n: int, width: int) -> float:
    """Variance, in units of the noise, where scores of a component are half signal, half noise."""
    ratio = width / n
    strength = (1 + np.sqrt(1 + 8 * ratio)) / 2
    return float((1 + strength) * (1 + ratio / strength))


def normal_and_basis(
    x: F32, *, counts: bool, image: bool, seen: NDArray[np.bool_] | None, seed: int
) -> tuple[Normal, Basis]:
    """Estimate the noise and the principal components of rows.

    Parameters
    ----------
    x
        Rows (n, D).
    counts
        Whether they are counts, whose noise is known.
    image
        Whether noise is taken to be the same in each pixel.
    seen
        Pixels that show the noise in full, (D,); all if None.
    seed
        Of the randomized method.

    Raises
    ------
    InputError
        If the rows are all alike.
    """
    normal = _of_counts(x) if counts else _centered(x)
    y = normal.apply(x)
    if not np.abs(y).max() > 1e-6:
        raise InputError(
            "An autoencoder needs rows that differ",
            got="rows that are all alike",
            cure="Check the region of interest and the mask.",
        )
    basis, rest = _components(y, seed)
    if counts:
        return normal, basis
    for _ in range(1 if image else 2):  # noise of a channel is what the components leave of it
        shown = rest if seen is None else rest[seen]
        noise = np.full(len(rest), shown.mean()) if image else rest
        noise = np.sqrt(np.maximum(noise, max(1e-4 * float(rest.mean()), 1e-12)))
        normal = Normal(normal.mean, (normal.scale * noise).astype(np.float32))
        basis, rest = _components((y := normal.apply(x)), seed)
    return normal, basis


def _of_counts(x: F32) -> Normal:
    if x.min() < 0:
        raise InputError(
            "Counts must be 0 or more",
            got=f"{x.min():g}",
            cure="Convert the signal to float if it is no count, or mask these positions.",
        )
    total = x.sum(axis=1, dtype=np.float64)
    if not total.any():
        raise InputError(
            "An autoencoder needs rows with counts",
            got="only zeros",
            cure="Check the region of interest and the mask.",
        )
    level = float(total[total > 0].mean())
    share = x.sum(axis=0, dtype=np.float64) / total.sum()
    scale = np.sqrt((share + _RARE / level) / level)
    return Normal(share.astype(np.float32), scale.astype(np.float32), level)


def _centered(x: F32) -> Normal:
    mean = x.mean(axis=0, dtype=np.float64)
    spread = float(np.sqrt(np.mean((x - mean.astype(np.float32)) ** 2, dtype=np.float64)))
    scale = np.full(len(mean), max(spread, 1e-30), dtype=np.float32)
    if spread <= 1e-6 * float(np.abs(mean).max()):
        scale[:] = 1e30
    return Normal(mean.astype(np.float32), scale)


def _components(y: F32, seed: int) -> tuple[Basis, F64]:
    """Return the largest components, and the variance that they leave in each column."""
    from sklearn.utils.extmath import randomized_svd

    n, width = y.shape
    rank = max(min(_BASIS, n // 4, width - 1), 1)
    _, values, factors = randomized_svd(y, rank, n_iter=8, n_oversamples=20, random_state=seed)
    variances = values.astype(np.float64) ** 2 / n
    left = np.einsum("ij,ij->j", y, y, dtype=np.float64) / n
    few, total = 0, float(left.sum())
    while few < rank and variances[few] > _edge(n, width) * (
        (total - float(variances[:few].sum())) / (width - few)
    ):
        few += 1
    left -= (factors[:few].astype(np.float64) ** 2 * variances[:few, None]).sum(axis=0)
    rest = np.maximum(left, 0.0) * width / (width - few)  # noise in the components is not left
    return Basis(factors.astype(np.float32), variances.astype(np.float32)), rest
