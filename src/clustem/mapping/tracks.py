"""Lattices of a movie: the same number in all frames, with their areas and directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, check_parameters
from clustem.mapping._lattices import lattices
from clustem.mapping._turns import turned_by

F64 = NDArray[np.float64]
_SAME_SCALE = 0.02
"""Relative difference of pixel sizes that is none."""


class Tracks:
    """Give the clusters of one frame after the other numbers that stay.

    Parameters
    ----------
    overlap
        A cluster is a known one if at least this share of what both cover is common to them.
    cosine
        Or if its mean response has at least this cosine with the known one's last.

    Attributes
    ----------
    numbers
        Number that stays of each cluster of each frame.
    pixels
        Size of each lattice in each frame, (frames, numbers), 0 where it is not there.
    directions
        Direction of each lattice [°], 0 ... 180, NaN for background or where it is not there.
    turns
        How far it has turned since its first frame [°], NaN as for directions.
    strength
        Length of its mean response, NaN where it is not there.
    background
        Which numbers show no lattice, (numbers,).
    names
        Name of each number: background or lattice, counted, or those that the user gave.
    pixel_area, units
        Area of a pixel and the units of its side.

    Notes
    -----
    The first frame keeps its numbers. Of what comes after, pairs of a new and a known cluster with
    the largest sum of overlap and cosine belong together (Hungarian algorithm), lattices only with
    lattices. What belongs to none gets the next number; what is gone keeps its own and has it again
    when it comes back.

    Directions are counted from a lattice's first frame, as the turn at which its response
    correlates best with that of then, looked for within 20° of the last one: errors do not
    add up, and a lattice may turn by less than 20° from frame to frame.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> tracks = Tracks()
    >>> for angle in (10.0, 13.0):
    ...     image = samples.particles(kind="crystal", shape=(80, 88), diameter=4.0, angle=angle)
    ...     labels = tracks.add(segment(image.signal, "particles", n_clusters=2))
    >>> tracks.names, round(float(np.diff(tracks.directions[:, 1])[0]))
    (('background', 'lattice 1'), -3)
    """

    def __init__(
        self,
        *,
        overlap: Annotated[float, Ge(0), Le(1)] = 0.3,
        cosine: Annotated[float, Ge(0), Le(1)] = 0.8,
    ) -> None:
        given = check_parameters(type(self), {"overlap": overlap, "cosine": cosine})
        self.overlap, self.cosine = given["overlap"], given["cosine"]
        self.pixel_area, self.units = 1.0, "px"
        self.numbers: list[NDArray[np.int64]] = []
        self._names: tuple[str, ...] = ()
        self._background: dict[int, bool] = {}
        self._first: dict[int, tuple[float, F64]] = {}  # direction and response when first seen
        self._last: dict[int, tuple[float, F64]] = {}  # turn since then, response when last seen
        self._labels: NDArray[np.int16] | None = None
        self._rows: list[dict[int, tuple[int, float, float, float]]] = []

    @classmethod
    def of(cls, frames: Sequence[Segmentation]) -> Self:
        """Measure lattices whose numbers stay already: those of a study.

        Parameters
        ----------
        frames
            Maps with the same clusters; one that is not there has no positions.

        Raises
        ------
        InputError
            If shapes, pixel sizes or filters differ.
        """
        found = cls()
        for frame in frames:
            there = np.flatnonzero(np.asarray(frame.counts) > 0)
            found._take(frame, there, there)
            found._labels = np.asarray(frame.labels.data)
        found._names = tuple(frames[0].name_of(i) for i in range(frames[0].n_clusters))
        return found

    def add(self, segmentation: Segmentation) -> NDArray[np.int16]:
        """Take the next frame.

        Parameters
        ----------
        segmentation
            Clusters of an image described by ``describe.gabor``, each frame by the same filters.

        Returns
        -------
        :
            Its label map with the numbers that stay.

        Raises
        ------
        InputError
            If shape, pixel size or filters are not those of the frames before.
        """
        clusters = np.arange(segmentation.n_clusters)
        number = self._take(segmentation, clusters)
        labels: NDArray[np.int16] = np.append(number, -1)[segmentation.labels.data].astype(np.int16)
        self._labels = labels
        return labels

    def _take(
        self,
        segmentation: Segmentation,
        clusters: NDArray[np.int64],
        number: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Measure some clusters of a frame; return the numbers that they have or get."""
        found = lattices(segmentation)
        responses, labels = found.responses, np.asarray(segmentation.labels.data)
        self._check(labels, responses, found.bank.pixel_size)
        if number is None:
            number = self._numbers(labels, responses, found.background)
        sizes = np.bincount(labels[labels >= 0].ravel(), minlength=len(responses))
        row = {}
        for i, own in zip(clusters.tolist(), number.tolist(), strict=True):
            direction = turn = np.nan
            if own not in self._first:
                self._background[own] = bool(found.background[i])
                self._first[own] = (float(found.directions[i]), responses[i])
                self._last[own] = (0.0, responses[i])
            if not self._background[own]:
                start, first = self._first[own]
                turn = turned_by(first, responses[i], near=self._last[own][0])
                direction = (start + turn) % 180
                self._last[own] = turn, responses[i]
            row[own] = int(sizes[i]), direction, turn, float(found.strength[i])
        self._rows.append(row)
        self.numbers.append(number)
        self.pixel_area, self.units = found.bank.pixel_size**2, found.bank.pixel_units or "px"
        return number

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Size of each lattice in each frame, (frames, numbers)."""
        return np.nan_to_num(self._column(0)).astype(np.int64)

    @property
    def directions(self) -> F64:
        """Direction of each lattice in each frame [°], (frames, numbers)."""
        return self._column(1)

    @property
    def turns(self) -> F64:
        """How far each lattice has turned since its first frame [°], (frames, numbers)."""
        return self._column(2)

    @property
    def strength(self) -> F64:
        """Length of each mean response, (frames, numbers)."""
        return self._column(3)

    @property
    def background(self) -> NDArray[np.bool_]:
        """Which numbers show no lattice, (numbers,)."""
        return np.array([self._background.get(i, False) for i in range(self._width)], dtype=bool)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each number: background or lattice, counted, or those that the user gave."""
        if self._names:
            return self._names
        films = np.flatnonzero(self.background).tolist()
        facets = np.flatnonzero(~self.background).tolist()
        out = {i: f"lattice {n}" for n, i in enumerate(facets, start=1)}
        out |= {i: f"background {n}" if n > 1 else "background" for n, i in enumerate(films, 1)}
        return tuple(out[i] for i in sorted(out))

    @property
    def _width(self) -> int:
        return len(self._names) or len(self._first)

    def _column(self, which: int) -> F64:
        out = np.full((len(self._rows), self._width), np.nan)
        for frame, row in enumerate(self._rows):
            for own, values in row.items():
                out[frame, own] = values[which]
        return out

    def _check(self, labels: NDArray[Any], responses: F64, pixel_size: float) -> None:
        if self._labels is None:
            return
        before = (*self._labels.shape, *next(iter(self._first.values()))[1].shape)
        now = (*labels.shape, *responses.shape[1:])
        if now != before:
            raise InputError(
                "All frames must have the same shape and filters",
                got=f"{now} after {before} (rows, columns, wavelengths, orientations)",
                cure="Crop the frames alike, and give wavelengths to describe.gabor.",
            )
        side = np.sqrt(self.pixel_area)
        if abs(pixel_size / side - 1) > _SAME_SCALE:
            raise InputError(
                "All frames must have the same pixel size",
                got=f"{pixel_size:.4g} after {side:.4g} {self.units}",
                cure="Calibrate them alike, or leave out frames of another magnification.",
            )

    def _numbers(
        self, labels: NDArray[Any], responses: F64, background: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Find the number (k,) of each cluster of a frame."""
        from scipy.optimize import linear_sum_assignment

        k, known = len(responses), len(self._first)
        if self._labels is None:
            return np.arange(k)
        common = np.zeros((k + 1, known + 1))
        np.add.at(common, (labels, self._labels), 1)
        common = common[:k, :known]
        each, before = common.sum(axis=1)[:, None], common.sum(axis=0)
        overlap = common / np.maximum(each + before - common, 1)
        now = _unit(responses.reshape(k, -1))
        cosine = now @ _unit(np.stack([self._last[j][1].ravel() for j in range(known)])).T
        fits = background[:, None] == self.background
        fits &= (overlap >= self.overlap) | (cosine >= self.cosine) | self.background
        score = np.where(fits, overlap + np.where(self.background, 0, cosine) + 1e-6, 0)
        number = np.full(k, -1)
        for i, j in zip(*linear_sum_assignment(score, maximize=True), strict=True):
            if fits[i, j]:
                number[i] = j
        new = number < 0
        number[new] = known + np.arange(new.sum())
        return number


def _unit(rows: F64) -> F64:
    out: F64 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return out
