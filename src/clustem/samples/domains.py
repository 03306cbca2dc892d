"""Atomic-resolution image of a ferroelectric film: four polarisation variants on a substrate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import checked
from clustem.samples._sample import Sample

F64 = NDArray[np.float64]
_PIXEL = 0.025  # nm
_CELL = 16.0  # edge of the unit cell [px]: 0.4 nm
_WIDTH = 2.6  # standard deviation of a column [px]
_SUBSTRATE = 4
_NAMES = ("polarised right", "polarised up", "polarised left", "polarised down", "substrate")
_DIRECTIONS = np.array([(0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)])  # row, column
_SHARE = 0.75  # of a pixel's surroundings that one variant must take to own it
_SHIFTS = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])


@dataclass(frozen=True, eq=False, kw_only=True)
class DomainsSample(Sample):
    """A simulated image of a ferroelectric film and the truth about it.

    Parameters
    ----------
    columns
        Row and column of the heavy columns [px], (n, 2).
    column_labels
        Labels of these, (n,).
    displacements
        Displacement (row, column) of the light column at the lower right of each [px], (n, 2).
    tilt
        Tilt of the crystal at each, (n,).
    """

    columns: F64
    column_labels: NDArray[np.int16]
    displacements: F64
    tilt: F64


@checked
def domains(
    *,
    shape: tuple[Annotated[int, Ge(96)], Annotated[int, Ge(96)]] = (520, 640),
    displacement: Annotated[float, Ge(0)] = 0.03,
    wall: Annotated[float, Gt(0)] = 0.4,
    tilt: Annotated[float, Ge(0)] = 1.0,
    dose: Annotated[float, Gt(0)] = 120.0,
    random_state: Annotated[int, Ge(0)] = 0,
) -> DomainsSample:
    """Simulate a dark-field image of a perovskite film with domains, walls and a substrate.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    displacement
        How far the lighter columns lie off the middle of their cell, along the polarisation [nm].
    wall
        Thickness of the domain walls [nm].
    tilt
        How far the crystal is tilted off its axis at the right edge: 1 elongates columns by a
        quarter and takes a quarter of the lighter columns' contrast; 0 at the left edge.
    dose
        Electrons in the brightest pixel.
    random_state
        Seed of the domains, vibrations and counting noise.

    Returns
    -------
    :
        Sample of a ``Signal2D`` (rows, columns) of counts. Its labels (rows, columns) are the four
        variants 0 ... 3, 4 for the substrate, -1 inside walls.

    Notes
    -----
    Heavy columns stand on the corners of square cells of 0.4 nm, light ones near their middle;
    columns are Gaussian, on a background that thickens downwards. The displacement turns smoothly
    through a wall. Substrate cells are centrosymmetric, with lighter corners.

    Examples
    --------
    >>> sample = domains(shape=(120, 150))
    >>> sample.signal.data.shape, sample.n_clusters, sample.columns.shape[1]
    ((120, 150), 5, 2)
    """
    import hyperspy.api as hs

    rng = np.random.default_rng(random_state)
    variant = _Variants(shape, wall / _PIXEL, rng)
    first = rng.uniform(0.3, 0.7, 2) * _CELL
    corners = np.mgrid[: shape[0] : _CELL, : shape[1] : _CELL]
    heavy = np.moveaxis(corners, 0, -1).reshape(-1, 2) + first
    middle = heavy + _CELL / 2
    shares = variant.shares(middle)
    shift = shares[:, :_SUBSTRATE] @ _DIRECTIONS * (displacement / _PIXEL)
    in_film = 1 - variant.shares(heavy)[:, _SUBSTRATE]
    tilted = np.clip(tilt * heavy[:, 1] / shape[1], 0, 4)
    jitter = rng.normal(0, 0.12, (2, len(heavy), 2))
    image = np.zeros(shape)
    elongated = 1 + 0.25 * tilted
    _draw(image, heavy + jitter[0], 0.72 + 0.28 * in_film, elongated)
    light = 0.42 * (1 - 0.25 * tilted)
    _draw(image, middle + shift + jitter[1], light, elongated)
    row = np.arange(shape[0])[:, None] / shape[0]
    image += 0.12 + 0.06 * row
    counts = rng.poisson(image / image.max() * dose)
    labels = variant.labels(np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 2))
    inside = ((heavy >= 0) & (heavy <= np.array(shape) - 1)).all(axis=1)
    axes: list[dict[str, Any]] = [
        {"name": name, "size": size, "scale": _PIXEL, "units": "nm"}
        for name, size in zip("yx", shape, strict=True)
    ]
    signal = hs.signals.Signal2D(
        counts.astype(np.uint16),
        axes=axes,
        metadata={"General": {"title": "Simulated ferroelectric film"}},
    )
    return DomainsSample(
        signal=signal,
        labels=labels.reshape(shape),
        names=_NAMES,
        columns=heavy[inside],
        column_labels=variant.labels(heavy[inside]),
        displacements=shift[inside],
        tilt=tilted[inside],
    )


class _Variants:
    """Which variant lies where: oblique bands in the film, the substrate below it."""

    def __init__(self, shape: tuple[int, int], wall: float, rng: np.random.Generator) -> None:
        rows, columns = shape
        self.wall, self._floor = wall, 0.8 * rows
        self._slope = rng.uniform(0.35, 0.5)
        self._split = 0.4 * rows + rng.uniform(-0.03, 0.03) * rows
        total = columns + self._slope * rows
        cuts = np.linspace(0, total, 5)[1:-1] + rng.uniform(-0.03, 0.03, 3) * total
        self._cuts = cuts - self._slope * rows / 2
        order = rng.permutation(_SUBSTRATE)
        self._upper, self._lower = order, order[[2, 3, 0, 1]]  # opposite ones meet at the split

    def _at(self, points: F64) -> NDArray[np.intp]:
        row, column = points.T
        bent = self._split + 0.03 * self._floor * np.sin(column / 55)
        band = np.searchsorted(self._cuts, column + self._slope * (row - self._floor / 2))
        found = np.where(row < bent, self._upper[band], self._lower[band])
        return np.where(row >= self._floor, _SUBSTRATE, found)

    def shares(self, points: NDArray[Any]) -> F64:
        """Share of each variant and of the substrate in a wall's reach around points, (n, 5)."""
        out = np.zeros((len(points), _SUBSTRATE + 1))
        for shift in _SHIFTS * self.wall / 2:
            found = self._at(points + shift)
            out += (found[:, None] == np.arange(out.shape[1])) / len(_SHIFTS)
        return out

    def labels(self, points: NDArray[Any]) -> NDArray[np.int16]:
        """Return the number of the variant at points (n,), -1 inside walls."""
        shares = self.shares(points)
        found = np.where(shares.max(axis=1) >= _SHARE, shares.argmax(axis=1), -1)
        return found.astype(np.int16)


def _draw(image: F64, positions: F64, heights: F64, elongated: F64) -> None:
    """Add Gaussian columns, longer along the rows' direction by a factor each."""
    reach = int(4 * _WIDTH * float(elongated.max())) + 1
    offset = np.arange(-reach, reach + 1)
    base = np.rint(positions).astype(np.intp)
    rest = positions - base
    y = np.exp(-0.5 * ((offset - rest[:, :1]) / _WIDTH) ** 2)
    x = np.exp(-0.5 * ((offset - rest[:, 1:]) / (_WIDTH * elongated[:, None])) ** 2)
    spots = (heights / elongated)[:, None, None] * y[:, :, None] * x[:, None, :]
    rows = base[:, 0, None, None] + offset[:, None]
    columns = base[:, 1, None, None] + offset
    rows, columns = np.broadcast_arrays(rows, columns)
    ok = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    np.add.at(image, (rows[ok], columns[ok]), spots[ok])
