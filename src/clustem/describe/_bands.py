"""An image some lines at a time, without the brightness of its support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
PIXELS = 2**22
"""Pixels that are worked on at a time."""
_SAMPLES = 16
"""Bands from which a large image's noise and levels are estimated."""


class Band(NamedTuple):
    """Some lines of an image, and those around them that a filter sees."""

    lines: slice
    """Of the image."""
    inside: slice
    """Where these lie in the values."""
    values: F64
    """Array (lines with those around, columns)."""


@dataclass(frozen=True)
class Bands:
    """One channel of an image, read in float64 some lines at a time.

    Parameters
    ----------
    image
        Array (rows, columns) of any real type.
    support
        Factors (rows, m) and (m, columns) of what is subtracted; None for nothing.
    """

    image: NDArray[Any]
    support: tuple[F64, F64] | None = None

    def __iter__(self) -> Iterator[Band]:
        """Go through the image without what lies around the bands."""
        return self.around(0)

    def around(self, reach: int) -> Iterator[Band]:
        """Go through the image; each band comes with so many lines around it [px]."""
        height, width = self.image.shape
        step = max(PIXELS // width, 2 * reach, 1)
        for first in range(0, height, step):
            last = min(first + step, height)
            low, high = max(first - reach, 0), min(last + reach, height)
            lines, inside = slice(first, last), slice(first - low, last - low)
            yield Band(lines, inside, self.lines(low, high))

    def lines(self, first: int, last: int) -> F64:
        """Return some lines."""
        part = self.image[first:last].astype(np.float64)
        if self.support is not None:
            part -= self.support[0][first:last] @ self.support[1]
        return part

    def some(self) -> list[F64]:
        """Return the whole image, or of a large one evenly spaced bands of lines."""
        height, width = self.image.shape
        many = max(PIXELS // (_SAMPLES * width), 4)
        if height * width <= PIXELS or _SAMPLES * many >= height:
            return [self.lines(0, height)]
        starts = np.linspace(0, height - many, _SAMPLES).astype(int)
        return [self.lines(int(start), int(start) + many) for start in starts]


def deviation(parts: Iterator[F64]) -> float:
    """Return the standard deviation of all values in some arrays."""
    n, mean, squares = 0, 0.0, 0.0
    for part in parts:
        own = float(part.mean())
        apart = own - mean
        squares += float(((part - own) ** 2).sum())
        squares += apart**2 * n * part.size / (n + part.size)
        n += part.size
        mean += apart * part.size / n
    return float(np.sqrt(squares / max(n, 1)))
