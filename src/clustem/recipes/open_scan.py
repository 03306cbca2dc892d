"""Opening what a recipe takes."""

from __future__ import annotations

from typing import Any

from clustem.core import InputError, Scan, Signal
from clustem.io.reading import read
from clustem.recipes.recipe import Recipe


def open_scan(
    recipe: Recipe,
    source: Any,
    *,
    lazy: bool | None = None,
    stack: bool = False,
    reader: str | None = None,
    plain: bool = False,
) -> Scan:
    """Open what a recipe takes.

    Parameters
    ----------
    recipe
        The recipe.
    source
        Path of a file, a HyperSpy signal, or a scan.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    stack
        Whether a stack of images is meant, not one image.
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open.
    plain
        Whether signals need not be HyperSpy's: see ``io.reading.read``.

    Raises
    ------
    InputError
        If it cannot be read, or is a stack where one image is meant.
    """
    axes = {"spectra": 1, "patterns": 2, "image": 2}.get(recipe.data)
    scan = read(source, kind=recipe.signal, lazy=lazy, signal_axes=axes, reader=reader, plain=plain)
    if recipe.data != "image":
        return scan
    n = n_frames(scan.signal)
    if n == 1 and not stack:
        return Scan.of(scan.signal.inav[0], context=scan.context, path=scan.path)
    if n > 1 and not stack:
        movie = ("describe", "gabor") in recipe.steps
        raise InputError(
            f"The recipe {recipe.name} takes one image",
            got=f"a stack of {n}",
            cure="Segment all of them: clustem run FILE, or clustem.segment_movie(...)."
            if movie
            else "Save one of them to a file of its own: signal.inav[0].save(...).",
        )
    return scan


def n_frames(signal: Signal) -> int:
    """Count the images of a stack; 0 if it is none. Colors of one image are no stack."""
    data, manager = signal.data, signal.axes_manager
    colors = data.ndim == 3 and data.shape[-1] in (3, 4) and min(data.shape[:2]) > 4
    if colors or manager.navigation_dimension != 1 or manager.signal_dimension != 2:
        return 0
    return int(manager.navigation_size)
