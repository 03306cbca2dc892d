"""Label maps as images, their scale bars and color keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.judge.alike import alike
from clustem.report.layout.extent import Frame, axes_of, frame_of, percent, sizes
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import FAINT, INK, MUTED, Sheet, fitted, width_of
from clustem.report.layout.units import length_text, round_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage

Color = str | tuple[float, float, float, float]
Image = tuple[str, NDArray[Any], Frame]
"""Title, values and pixel size of an image."""

UNASSIGNED, STRIPE, EXCLUDED, NOVEL = "#e4e4e4", "#9a9a9a", "#ffffff", "#111111"
BAR = 5.5
"""Height of a scale bar and its text [mm]."""

ROW = 4.6
"""Height of a line of the key [mm]."""

CMAP = "cividis"
"""Color map of memberships: even steps for color-blind readers, and monotonous in grey."""

_SHORT_SIDE = 600
_SAME = ": same shape as "


def painted(segmentation: Segmentation) -> NDArray[np.uint8]:
    """Color the label map: image (rows, columns, 3), enlarged so that hatching can be seen."""
    shades = np.rint(palette(segmentation)[:, :3] * 255).astype(np.uint8)
    lookup = np.vstack([shades, *map(_rgb, (UNASSIGNED, EXCLUDED, STRIPE, NOVEL))])
    k = segmentation.n_clusters
    index = segmentation.labels.data.astype(np.intp)
    index = np.where(segmentation.mask, k + 1, np.where(index < 0, k, index))
    if segmentation.novel is not None:
        index = np.where(segmentation.novel, k + 3, index)
    index = np.atleast_2d(index)
    factor = max(1, round(_SHORT_SIDE / max(min(index.shape), _SHORT_SIDE / 12)))
    index = index.repeat(factor, axis=0).repeat(factor, axis=1)
    if factor > 1:  # diagonal stripes tell unassigned pixels from a grey cluster, in print too
        rows, columns = np.ogrid[: index.shape[0], : index.shape[1]]
        index[(index == k) & ((rows + columns) % 6 < 2)] = k + 2
        index[(index == k + 3) & ((rows - columns) % 6 < 1)] = k + 1
    image: NDArray[np.uint8] = lookup[index]
    return image


def draw_map(ax: Axes, image: NDArray[Any], frame: Frame, **given: Any) -> AxesImage:
    """Draw an image in the sample's proportions, without ticks, in a thin frame."""
    drawn = ax.imshow(image, extent=frame.extent, aspect="auto", **given)
    bare(ax)
    return drawn


def bare(ax: Axes, color: str | NDArray[np.float64] = FAINT, width: float = 0.5) -> None:
    """Take the ticks off and color the frame."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(color=color, linewidth=width)


def scale_bar(sheet: Sheet, left: float, top: float, width: float, frame: Frame) -> None:
    """Draw a scale bar below a map that is ``width`` mm wide and begins at ``left``."""
    length = bar_length(frame, 0.34 if width > 40 else 0.5)
    drawn = length / (frame.shape[1] * frame.width) * width
    sheet.box(left, top + 1.6, drawn, 0.9, facecolor=INK, edgecolor="none")
    sheet.text(left + drawn + 1.5, top + 2.0, length_text(length, frame.units))


def bar_length(frame: Frame, share: float) -> float:
    """Round length of a scale bar that takes at most a share of the map's width."""
    length = round_length(share * frame.shape[1] * frame.width)
    return max(length, 1.0) if frame.units == "px" else length


def color_bar(
    sheet: Sheet,
    drawn: AxesImage,
    box: tuple[float, float, float],
    *,
    label: str = "Membership",
    clipped: bool = False,
) -> Colorbar:
    """Draw a vertical color bar at left, top, of a height [mm]; an arrow says what lies above."""
    left, top, height = box
    cax = sheet.axes(left, top, 2.5, height)
    bar = sheet.figure.colorbar(drawn, cax=cax, extend="max" if clipped else "neither")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(length=2, pad=1.5)
    bar.set_label(label, labelpad=2)
    return bar


def key_entries(segmentation: Segmentation) -> list[tuple[Color, str, str, str]]:
    """List color, hatch, name and share of all that the map shows."""
    shades = palette(segmentation).tolist()
    same = {
        i: f"{_SAME}{segmentation.name_of(j)}, {factor:.2g}×"
        for i, j, factor in alike(segmentation)[::-1]
    }
    rows: list[tuple[Color, str, str, str]] = [
        (
            tuple(shades[size.number]),
            "",
            size.name + same.get(size.number, ""),
            percent(size.fraction),
        )
        for size in sizes(segmentation)
    ]
    if segmentation.unassigned.any():
        rows.append((UNASSIGNED, "/////", "unassigned", percent(segmentation.unassigned_fraction)))
    if segmentation.novel is not None and segmentation.novel.any():
        share = float(segmentation.novel[~segmentation.mask].mean())
        rows.append((NOVEL, "\\\\\\", "of these unexplained", percent(share)))
    if segmentation.mask.any():
        rows.append((EXCLUDED, "", "excluded", ""))
    return rows


def names_key(
    segmentation: Segmentation, width: float
) -> tuple[Callable[[Sheet, float, float], None], int]:
    """Lay out names and colors of the clusters; return what draws them, and how many lines."""
    shades = palette(segmentation).tolist()
    names = [segmentation.name_of(i) for i in range(segmentation.n_clusters)]
    step = min(max(map(width_of, names)) + 11, width)
    columns = max(1, int(width // step))

    def draw(sheet: Sheet, left: float, top: float) -> None:
        for i, name in enumerate(names):
            x, y = left + i % columns * step, top + i // columns * ROW + ROW / 2
            sheet.box(x, y - 1.4, 4.2, 2.8, facecolor=tuple(shades[i]), edgecolor="none")
            sheet.text(x + 5.6, y, fitted(name, step - 7))

    return draw, -(-len(names) // columns)


def key_columns(segmentation: Segmentation, width: float) -> int:
    """How many columns of the color key stand side by side in a width [mm]."""
    entries = key_entries(segmentation)
    widest = max(width_of(name) for _, _, name, _ in entries) + 18
    longest = 60 if len(entries) <= 8 else 40  # of many entries long names are cut
    return max(1, min(int((width + 4) // (min(widest, longest) + 4)), len(entries)))


def color_key(
    sheet: Sheet,
    segmentation: Segmentation,
    *,
    left: float,
    top: float,
    width: float,
    columns: int = 1,
) -> None:
    """Write the color key with names and shares into a box [mm]."""
    entries = key_entries(segmentation)
    lines = -(-len(entries) // columns)
    step = (width + 4) / columns
    for i, (color, hatch, name, share) in enumerate(entries):
        x, y = left + (i // lines) * step, top + (i % lines) * ROW + ROW / 2
        right = x + step - 4
        edge = STRIPE if hatch or isinstance(color, str) else "none"
        sheet.box(x, y - 1.4, 4.2, 2.8, facecolor=color, edgecolor=edge, hatch=hatch, linewidth=0.4)
        room = right - width_of("00.0 %") - 1.5 - x - 5.6
        whole = name if width_of(name) <= room else name.partition(_SAME)[0]  # no half of the words
        sheet.text(x + 5.6, y, fitted(whole, room))
        sheet.text(right, y, share, ha="right", color=MUTED)


def context_images(segmentation: Segmentation, *, limit: int = 2) -> list[Image]:
    """Other images of the same file: title, array, frame; only what can be shown as an image."""
    found = []
    for signal in segmentation.context:
        data = np.asarray(signal.data)
        if data.ndim == 2 and data.dtype.kind in "biuf" and min(data.shape) > 1:
            title = str(signal.metadata.get_item("General.title", default="")) or "image"
            found.append((title, data, frame_of(axes_of(signal))))
    return found[:limit]


def grey_limits(image: NDArray[Any]) -> tuple[float, float]:
    """Black and white points that leave out the outermost 0.5 % on either side."""
    low, high = np.nanpercentile(image, (0.5, 99.5))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1)


def _rgb(code: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(code[1:]), dtype=np.uint8)[None]
