"""How small images with titles are laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ROOM = 270.0, 440.0
"""Height and width that a page on a small screen leaves for all of them [px]."""
_LETTER, _LINE = 6.5, 18.0
"""Width of a letter of a title, and height of its line [px]."""
_LETTERS, _AIR = 18, 8.0
"""A title of so many letters has its full width; air between two images [px]."""


@dataclass(frozen=True)
class Grid:
    """Columns of images.

    Parameters
    ----------
    columns
        How many images are side by side.
    step
        From one image to that below it and to that beside it, in the units of the images.
    names
        Titles, shortened to the width that is there.
    """

    columns: int
    step: tuple[float, float]
    names: tuple[str, ...]


def grid_of(size: tuple[float, float], names: Sequence[str]) -> Grid:
    """Lay images so that they are as large as they can be and each title has its own room.

    Parameters
    ----------
    size
        Height and width of each image, in any units.
    names
        Titles, one per image.

    Notes
    -----
    Titles do not grow with the page, images do: in a larger room than the one that is reckoned
    with they only lie farther apart.

    Examples
    --------
    >>> grid_of((50.0, 6.0), ["cluster 0", "cluster 1"]).columns
    2
    """
    height, width = size
    letters = min(max(len(name) for name in names), _LETTERS)
    title = letters * _LETTER + _AIR

    def unit(columns: int) -> float:
        """Pixels of the page per unit of the images."""
        rows = -(-len(names) // columns)
        tall = max(_ROOM[0] / rows - _LINE, 1.0) / height
        return min(tall, (_ROOM[1] / columns - _AIR) / width)

    fitting = [n for n in range(1, len(names) + 1) if n * title <= _ROOM[1]]
    columns = max(fitting, key=unit)
    scale = unit(columns)
    step = height + _LINE / scale, max(width + _AIR / scale, title / scale)
    most = max(int((step[1] * scale - _AIR) / _LETTER), 1)
    return Grid(columns, step, tuple(_shortened(name, most) for name in names))


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
