"""The clusters of patches on the image that they were cut from."""

from __future__ import annotations

from typing import Any

from clustem.model import InputError, Projection, checked
from clustem.report._maps import BAR, ROW, color_key, key_columns, key_entries, scale_bar
from clustem.report._placed import draw_placed, image_frame, is_placed
from clustem.report._sheet import DOUBLE, Sheet, styled

_EDGE, _TALLEST = 1.5, 150.0


@checked
@styled
def image_map(projection: Projection) -> Any:
    """Draw the image in grey with each patch in the color of its cluster.

    Parameters
    ----------
    projection
        Of patches: its details hold their ``positions`` and the ``image``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide: marks on atom columns, or the label map
        of a grid, half transparent.

    Raises
    ------
    InputError
        If the projection is not of patches.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> sample = samples.domains(shape=(160, 200))
    >>> figure = image_map(segment(sample.signal, "domains").projection)
    >>> round(float(figure.get_figwidth()) * 25.4)
    183
    """
    if not is_placed(projection):
        raise InputError(
            "A map on the image needs patches of an image",
            got="rows without positions",
            cure="Use phase_map, or describe.patches.",
        )
    frame = image_frame(projection)
    inner = DOUBLE - 2 * _EDGE
    width = min(inner, _TALLEST * frame.aspect)
    height = width / frame.aspect
    total = max(width, 60.0)
    columns = key_columns(projection, total)
    lines = -(-len(key_entries(projection)) // columns)
    top = _EDGE + height + BAR + 1
    sheet = Sheet(total + 2 * _EDGE, top + lines * ROW + _EDGE)
    draw_placed(sheet.axes(_EDGE, _EDGE, width, height), projection, frame, width=width)
    scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    color_key(sheet, projection, left=_EDGE, top=top, width=total, columns=columns)
    return sheet.figure
