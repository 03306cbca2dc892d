"""The map of the clusters with pyplot: a figure of its own, or in given axes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clustem.core import Segmentation
from clustem.report.figures.image_map import draw_image_map
from clustem.report.figures.phase_map import draw_line, draw_phase_map
from clustem.report.layout.extent import Frame, frame_of, scan_axes
from clustem.report.layout.maps import (
    EXCLUDED,
    STRIPE,
    bar_length,
    context_images,
    draw_map,
    key_entries,
    painted,
)
from clustem.report.layout.placed import draw_placed, image_frame, is_placed, patches_of
from clustem.report.layout.sheet import INK, styled
from clustem.report.layout.units import length_text

_MM = 25.4
"""Millimetres in an inch."""
_DPI = 180
"""Resolution of the figure on a screen [dots per inch]; files are saved as pyplot is set up."""


def plot_map(result: Segmentation, ax: Axes | None = None) -> Figure:
    """Draw the map of the clusters with its color key and scale bar.

    Parameters
    ----------
    result
        The clusters on their scan of one or two axes; patches are drawn on their image.
    ax
        Axes to draw into, with the user's fonts; the key stands at their right, the scale bar below
        them. None makes a pyplot figure as in the report, which ``plt.show()`` shows.

    Returns
    -------
    :
        The figure. A notebook shows pyplot's figures by itself: end the line with a semicolon to
        see it once.

    Raises
    ------
    InputError
        If the scan has more than two axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from clustem.report.figures.example import example
    >>> figure = plot_map(example())
    >>> figure is plt.gcf()
    True
    >>> plt.close(figure)
    """
    axes = scan_axes(result)
    if ax is None:
        return _of_its_own(result)
    if is_placed(result):
        frame = image_frame(patches_of(result))
        width = ax.get_window_extent().width / ax.figure.dpi * _MM
        draw_placed(ax, result, frame, width=width)
        ax.set_aspect("equal")
        _scale_bar(ax, frame)
    elif len(axes) == 1:
        draw_line(ax, result)
    else:
        frame = frame_of(axes)
        draw_map(ax, painted(result), frame)
        ax.set_aspect("equal")
        _scale_bar(ax, frame)
    _key(ax, result)
    return ax.figure.figure  # of a subfigure, too


def _of_its_own(result: Segmentation) -> Figure:
    import matplotlib.pyplot as plt

    # A notebook's backend sets itself up with the first figure, which must be outside the style.
    return _drawn(result, plt.figure(dpi=_DPI, facecolor="white", layout="none"))


@styled
def _drawn(result: Segmentation, figure: Figure) -> Figure:
    if is_placed(result):
        return draw_image_map(result, figure)
    return draw_phase_map(result, context_images(result), figure)


def _scale_bar(ax: Axes, frame: Frame) -> None:
    """Draw a scale bar below the lower left corner of a map."""
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length = bar_length(frame, 0.34)
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        length_text(length, frame.units),
        "upper left",
        size_vertical=0.015 * frame.shape[0] * frame.height,
        color=INK,
        frameon=False,
        pad=0.3,
        borderpad=0,
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes,
    )
    ax.add_artist(bar)


def _key(ax: Axes, result: Segmentation) -> None:
    """Write names and shares at the right of a map."""
    from matplotlib.patches import Patch

    handles = []
    for color, hatch, name, share in key_entries(result):
        edge = STRIPE if hatch or color == EXCLUDED else "none"
        label = f"{name}  {share}".rstrip().replace("$", r"\$")
        handles.append(Patch(facecolor=color, edgecolor=edge, hatch=hatch, label=label))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
