"""The clusters of patches on the image that they were cut from."""

from __future__ import annotations

from matplotlib.figure import Figure

from clustem.core import Segmentation, checked
from clustem.report.layout.maps import BAR, ROW, color_key, key_columns, key_entries, scale_bar
from clustem.report.layout.placed import draw_placed, image_frame, patches_of
from clustem.report.layout.sheet import DOUBLE, Sheet, styled

_EDGE, _TALLEST = 1.5, 150.0


@checked
@styled
def image_map(segmentation: Segmentation) -> Figure:
    """Draw the image in grey with each patch in the color of its cluster.

    Parameters
    ----------
    segmentation
        Clusters of ``describe.patches``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide: marks on atom columns, or the label map
        of a grid, half transparent.

    Raises
    ------
    InputError
        If the segmentation is not of patches.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> sample = samples.domains(shape=(160, 200))
    >>> figure = image_map(segment(sample.signal, "domains"))
    >>> round(float(figure.get_figwidth()) * 25.4)
    183
    """
    return draw_image_map(segmentation)


def draw_image_map(segmentation: Segmentation, figure: Figure | None = None) -> Figure:
    """Draw the patches on their image, with scale bar and color key; figure as for Sheet."""
    frame = image_frame(patches_of(segmentation))
    inner = DOUBLE - 2 * _EDGE
    width = min(inner, _TALLEST * frame.aspect)
    height = width / frame.aspect
    total = max(width, 60.0)
    columns = key_columns(segmentation, total)
    lines = -(-len(key_entries(segmentation)) // columns)
    top = _EDGE + height + BAR + 1
    sheet = Sheet(total + 2 * _EDGE, top + lines * ROW + _EDGE, figure)
    draw_placed(sheet.axes(_EDGE, _EDGE, width, height), segmentation, frame, width=width)
    scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    color_key(sheet, segmentation, left=_EDGE, top=top, width=total, columns=columns)
    return sheet.figure
