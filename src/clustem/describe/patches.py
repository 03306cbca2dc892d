"""Square pieces of an image, on a grid or around atom columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    Features,
    InputError,
    Masks,
    PatchGrid,
    Signal,
    descriptor,
    record,
)
from clustem.core.image import PlainImage
from clustem.core.masks import fitting_mask
from clustem.describe._columns import find_columns
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.scratch import scratch
from clustem.passes.transform import RowTransform

F64 = NDArray[np.float64]
_AT_ONCE = 256
"""Patches that are interpolated at a time."""


@dataclass(frozen=True)
class _Cut:
    """Patches, where they lie, and the axes of the scan that they make."""

    data: NDArray[Any]
    positions: F64
    axes: list[dict[str, Any]]


@descriptor
def patches(
    signal: Signal,
    *,
    size: Annotated[int, Ge(2)] = 40,
    at: Literal["grid", "columns", "heavy columns"] | NDArray[np.float64] = "grid",
    step: Annotated[int, Ge(1)] = 4,
    normalize: Literal["l2", "l1", "max", "zscore"] | None = None,
    spacing: Annotated[float, Gt(2)] | None = None,
    contrast: Literal["bright", "dark"] = "bright",
    masks: Masks = NO_MASKS,
) -> Features:
    """Cut an image into square patches: what each place looks like, pixel by pixel.

    Parameters
    ----------
    signal
        One image, grey or in colors.
    size
        Rows and columns of a patch [px].
    at
        ``"grid"``: every ``step`` pixels; ``"columns"``: around each atom column that is found,
        ``"heavy columns"``: only around the stronger ones of two kinds; or centers (n, 2), row
        and column [px, 0 is the middle of the first pixel].
    step
        Distance of patches on the grid [px].
    normalize
        What each patch is divided by: ``"l2"`` its Euclidean norm, ``"l1"`` the sum and ``"max"``
        the largest of its magnitudes; ``"zscore"`` subtracts its mean and divides by its standard
        deviation. None leaves the values as they are.
    spacing, contrast
        For columns: distance of neighbours [px], looked for if None, and whether columns
        are brighter or darker than what is between them.
    masks
        Of the scan: boolean, shape of the image, True = excluded: patches that touch such a pixel
        are left out.

    Returns
    -------
    :
        Features with one row per patch that lies wholly inside the image. Their source is a scan of
        patches: rows and columns of the grid, or a line of positions. They know their
        :class:`PatchGrid`.

    Raises
    ------
    InputError
        If it is no single image, has no contrast, no patch fits in it, or no column is found.

    Notes
    -----
    On a grid, patches of a lattice also differ by where in the unit cell they begin: take columns
    unless features are larger than the lattice. Patches on the grid are views of the image: each
    pass copies one block of them at a time. Those at positions are moved by cubic splines so that
    the position is their very middle, and take n size² numbers.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> image = hs.signals.Signal2D(np.arange(70.0).reshape(7, 10))
    >>> features = patches(image, size=4, step=2)
    >>> features.shape, features.rows.shape, features.find(PatchGrid).positions[:2].tolist()
    ((2, 4), (8, 16), [[1.5, 1.5], [1.5, 3.5]])
    """
    image = PlainImage.of(signal)
    record(image.note)
    if size > min(image.data.shape):
        raise InputError(
            f"Patches must fit in the image of {' × '.join(map(str, image.data.shape))} pixels",
            got=f"size={size}",
            cure="Use a smaller size.",
        )
    excluded = fitting_mask(masks.scan, image.data.shape, "image")
    if isinstance(at, str) and at == "grid":
        cut = _on_grid(image, size, step)
        windows = sliding_window_view(excluded, (size, size))[_grid(image, size, step)]
        out = np.asarray(windows.any(axis=(-2, -1)))
    else:
        found = _centers(image, at, spacing=spacing, contrast=contrast)
        cut = _around(image, found, size)
        out = _touching(excluded, cut.positions, size)
    if out.all():
        raise InputError(
            "At least one patch must be left in",
            got=f"all {out.size} touch excluded pixels",
            cure="Loosen the mask, or use smaller patches.",
        )
    rows = Rows(cut.data, row_ndim=2, mask=out if out.any() else None)
    if normalize is not None:
        rows = ScaledRows(rows, RowTransform(rows.shape[1], normalize=normalize))
    scan = _scan(signal, image, cut, size)
    return Features.of_scan(rows, scan, out, about=_grid_info(image, cut, size))


def _grid(image: PlainImage, size: int, step: int) -> tuple[slice, slice]:
    """First pixels of the patches; what is left over lies on both sides."""
    left = [(length - size) % step // 2 for length in image.data.shape]
    return slice(left[0], None, step), slice(left[1], None, step)


def _on_grid(image: PlainImage, size: int, step: int) -> _Cut:
    where = _grid(image, size, step)
    data = sliding_window_view(image.data, (size, size))[where]
    axes = []
    for axis, begin, length in zip(image.axes, where, data.shape[:2], strict=True):
        middle = begin.start + (size - 1) / 2
        offset = axis["offset"] + middle * axis["scale"]
        axes.append({**axis, "scale": step * axis["scale"], "offset": offset, "size": length})
    centers = [where[i].start + (size - 1) / 2 + step * np.arange(data.shape[i]) for i in (0, 1)]
    positions = np.stack(np.meshgrid(*centers, indexing="ij"), axis=-1).reshape(-1, 2)
    return _Cut(data, positions, axes)


def _around(image: PlainImage, centers: F64, size: int) -> _Cut:
    from scipy.ndimage import map_coordinates, spline_filter

    half = (size - 1) / 2
    last = np.array(image.data.shape) - 1 - half
    inside = ((centers >= half - 1e-9) & (centers <= last + 1e-9)).all(axis=1)
    if not inside.any():
        raise InputError(
            "At least one patch must lie wholly inside the image",
            got=f"{len(centers)} positions, none {half:g} pixels from the edges",
            cure="Use a smaller size.",
        )
    centers = centers[inside]
    offsets = np.mgrid[:size, :size] - half
    smooth = spline_filter(image.data.astype(np.float64), mode="mirror")
    data = scratch((len(centers), size, size), np.float32)
    for first in range(0, len(centers), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        place = [
            offset + center[:, None, None]
            for offset, center in zip(offsets, centers[some].T, strict=True)
        ]
        data[some] = map_coordinates(smooth, place, prefilter=False, mode="mirror")
    axes = [{"name": "position", "scale": 1.0, "offset": 0.0, "units": "", "size": len(data)}]
    return _Cut(data, centers, axes)


def _centers(
    image: PlainImage,
    at: str | NDArray[np.float64],
    *,
    spacing: float | None,
    contrast: Literal["bright", "dark"],
) -> F64:
    if isinstance(at, str):
        found, distance = find_columns(
            image.data, spacing=spacing, contrast=contrast, heavy=at == "heavy columns"
        )
        note = f"{len(found)} columns, {distance:.1f} px apart"
        record(note, n_columns=len(found), spacing=float(distance))
        return found
    found = np.asarray(at, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found) or not np.isfinite(found).all():
        raise InputError(
            "Positions must be finite numbers (n, 2): row and column [px]",
            got=f"shape {found.shape}",
            cure="Or say at='grid' or at='columns'.",
        )
    return found


def _touching(excluded: NDArray[np.bool_], centers: F64, size: int) -> NDArray[np.bool_]:
    """Which patches touch an excluded pixel: by sums over rectangles."""
    total = np.zeros(np.add(excluded.shape, 1), dtype=np.int64)
    total[1:, 1:] = excluded.cumsum(axis=0).cumsum(axis=1)
    first = np.floor(centers - (size - 1) / 2).astype(np.intp).clip(0)
    last = np.ceil(centers + (size - 1) / 2).astype(np.intp) + 1
    last = np.minimum(last, excluded.shape)
    (r0, c0), (r1, c1) = first.T, last.T
    touched: NDArray[np.bool_] = total[r1, c1] - total[r0, c1] - total[r1, c0] + total[r0, c0] > 0
    return touched


def _scan(signal: Any, image: PlainImage, cut: _Cut, size: int) -> Any:
    """Wrap the patches as a HyperSpy signal (scan | patch) that shares their memory."""
    import hyperspy.api as hs

    inner = [
        {**axis, "offset": -(size - 1) / 2 * axis["scale"], "size": size, "navigate": False}
        for axis in image.axes
    ]
    axes = [{**axis, "navigate": True} for axis in cut.axes] + inner
    title = signal.metadata.get_item("General.title", "")
    return hs.signals.Signal2D(cut.data, axes=axes, metadata={"General": {"title": title}})


def _grid_info(image: PlainImage, cut: _Cut, size: int) -> PatchGrid:
    return PatchGrid(
        positions=cut.positions,
        image=image.data,
        image_scale=np.array([axis["scale"] for axis in image.axes]),
        image_units=str(image.axes[1]["units"]),
        patch_size=size,
    )
