"""What is drawn on the picture, as parameters of the recipe's steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clustem.app.session.opened import Opened, plane_of
from clustem.app.session.state import Explorer
from clustem.core import Axis, InputError
from clustem.prepare.crop import crop as cut

_DIGITS = 7


def crop(explorer: Explorer, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Crop to a rectangle; it becomes the first step of the recipe.

    Parameters
    ----------
    explorer
        The session.
    xs, ys
        Corners, in the units of the picture.
    """
    if explorer.opened is None or explorer.recipe is None:
        return
    frame = explorer.opened.frame
    columns, rows = frame.span(min(xs), max(xs), 1), frame.span(min(ys), max(ys), 0)
    if columns is None or rows is None:
        return
    params = {"columns": f"{columns[0]}:{columns[1]}"}
    if frame.shape[0] > 1:
        params["rows"] = f"{rows[0]}:{rows[1]}"
    kept = {key: value for key, value in explorer.recipe.steps.items() if key != _CROP}
    before = dict(explorer.recipe.steps.get(_CROP, {}))
    before.pop("units", None)  # these are pixels
    explorer.take(replace(explorer.recipe, steps={_CROP: {**before, **params}, **kept}))


def crop_box(explorer: Explorer) -> tuple[float, float, float, float] | None:
    """Left, right, upper and lower edge of the recipe's crop, None if there is none."""
    recipe = explorer.recipe
    if recipe is None or explorer.opened is None or _CROP not in recipe.steps:
        return None
    signal, frame = explorer.opened.signal, explorer.opened.frame
    try:
        params = {k: v for k, v in recipe.steps[_CROP].items() if k != "channels"}
        cropped = cut(signal, **params)
    except InputError:
        return None  # running will say so
    ends = []
    for axis, old in zip(plane_of(cropped), plane_of(signal), strict=True):
        first = round((axis.offset - old.offset) / old.scale) if old.is_uniform else 0
        ends.append((first, first + axis.size))
    if len(ends) == 1:
        ends.insert(0, (0, 1))
    (top, bottom), (left, right) = ends
    (x0, y0), (x1, y1) = (
        frame.middle(top - 0.5, left - 0.5),
        frame.middle(bottom - 0.5, right - 0.5),
    )
    return x0, x1, y0, y1


def exclude(explorer: Explorer, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Exclude what lies in an outline: one more in the recipe's step for them.

    Parameters
    ----------
    explorer
        The session.
    xs, ys
        Corners of the outline, in the units of the picture.
    """
    if explorer.opened is None or explorer.recipe is None or len(xs) < 3:
        return
    outline = [list(_to_axes(explorer.opened, x, y)) for x, y in _thinned(xs, ys)]
    before = [list(one) for one in explorer.recipe.steps.get(_OUTLINES, {}).get("polygons", ())]
    first = {_OUTLINES: {"polygons": [*before, outline]}}  # before what may stumble over it
    steps = {**first, **explorer.recipe.steps, **first}
    explorer.take(replace(explorer.recipe, steps=steps).with_settings({}))


def outlines(explorer: Explorer) -> Iterator[tuple[list[float], list[float]]]:
    """List the excluded outlines: x and y of their corners, in the units of the picture."""
    recipe = explorer.recipe
    if recipe is None or explorer.opened is None:
        return
    for polygon in recipe.steps.get(_OUTLINES, {}).get("polygons", ()):
        corners = [_to_picture(explorer.opened, row, column) for row, column in polygon]
        yield [x for x, _ in corners], [y for _, y in corners]


def beam(explorer: Explorer, center: tuple[float, float], radius: float) -> None:
    """Mask a disc of the detector.

    Parameters
    ----------
    explorer
        The session.
    center
        Row and column [px].
    radius
        Of the disc [px].
    """
    explorer.change(
        {
            "prepare.beam_mask.center": [round(at, 2) for at in center],
            "prepare.beam_mask.radius": round(radius, 2),
            "prepare.beam_mask.units": "px",
        }
    )


_CROP, _OUTLINES = ("prepare", "crop"), ("prepare", "outlines")


def _scan_axes(opened: Opened) -> tuple[Axis | None, Axis]:
    axes = plane_of(opened.signal)
    return (axes[0], axes[1]) if len(axes) == 2 else (None, axes[0])


def _to_axes(opened: Opened, x: float, y: float) -> tuple[float, float]:
    """Position along the row and column axis of a position on the picture."""
    frame = opened.frame
    rows, columns = _scan_axes(opened)
    row = (y - frame.corner[0]) / frame.step[0] - 0.5
    column = (x - frame.corner[1]) / frame.step[1] - 0.5
    down = row if rows is None else rows.offset + row * rows.scale
    return _short(down), _short(columns.offset + column * columns.scale)


def _short(value: float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")


def _to_picture(opened: Opened, down: float, right: float) -> tuple[float, float]:
    frame = opened.frame
    rows, columns = _scan_axes(opened)
    row = down if rows is None else (down - rows.offset) / rows.scale
    return frame.middle(row, (right - columns.offset) / columns.scale)


def _thinned(xs: Sequence[float], ys: Sequence[float], most: int = 60) -> list[tuple[float, float]]:
    """Keep at most so many corners of an outline that was drawn by hand."""
    step = max(len(xs) // most, 1)
    return list(zip(xs[::step], ys[::step], strict=True))
