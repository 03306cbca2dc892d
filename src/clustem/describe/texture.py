"""Brightness, edges and texture around each pixel of an image without a lattice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    Features,
    InputError,
    Masks,
    ParameterError,
    Signal,
    TextureInfo,
    descriptor,
    record,
)
from clustem.core.eigh import eigh
from clustem.core.image import PlainImage
from clustem.core.masks import fitting_mask
from clustem.describe._bands import PIXELS, Bands, deviation
from clustem.describe._levels import separation
from clustem.describe._surface import uneven_support
from clustem.passes.scratch import scratch
from clustem.passes.storage import release

F64 = NDArray[np.float64]
_CLEAR = (3.6, 4.2, 4.2)
"""Distance of 2, 3 and 4 levels from which on brightness falls in levels [scatter within them]."""

_LEAST = 4
"""Pixels along a side from which noise and brightness can be told apart."""


_SMOOTH = 2.0
"""Width over which texture is averaged [scales]."""

_REACH = 64
"""Lines around those that are freed of total variation at a time [px]."""

_MOST = 2.0
"""Weight of the total variation at low contrast [standard deviations of the noise]."""


@descriptor
def texture(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    features: Literal["auto", "intensity", "all"] = "auto",
    flatten: Literal["auto", "never"] = "auto",
    denoise: Annotated[float, Ge(0)] | Literal["auto"] = "auto",
    sigma_min: Annotated[float, Gt(0)] = 1.0,
    sigma_max: Annotated[float, Gt(0)] = 8.0,
) -> Features:
    """Take brightness, gradient and curvature around each pixel, over a range of scales.

    Parameters
    ----------
    signal
        Image (row, column): grey, or red, green and blue.
    masks
        Of the scan: boolean, shape of the image, True = excluded from the features. The image is
        filtered whole.
    features
        ``"intensity"``: brightness alone, or that of each color; ``"all"``: with gradient and
        Hessian over the scales; ``"auto"``: brightness alone where it falls in levels.
    flatten
        Whether the slowly varying brightness of a support is looked for and subtracted.
    denoise
        Weight of the total variation that the brightness is freed of [standard deviations of the
        noise]; 0 leaves it as it is. ``"auto"`` is 2 where the contrast is at most four times the
        noise, 1 from eight times on. Features of gradient and Hessian are smooth anyway.
    sigma_min, sigma_max
        Scales of gradient and Hessian, each twice the one before it [px].

    Returns
    -------
    :
        Features with one row per pixel, float32. Their source is the image as a scan of single
        values.

    Raises
    ------
    InputError
        If the signal is no single image, is constant, or the mask does not fit.
    ParameterError
        If the scales have no order.

    Notes
    -----
    The support is a surface of fourth order, fitted together with two levels; it is subtracted
    if it takes away half of the scatter within them, and there are no three or four clear levels
    without it. The brightness is in units of the
    noise, which comes from the image's second differences. Magnitudes of gradient and eigenvalues
    of the Hessian are scikit-image's ``multiscale_basic_features``; their roots are taken, with
    signs, averaged over the scale again, and divided by their scatter.

    References
    ----------
    A. Chambolle, J. Math. Imaging Vis. 20 (2004) 89 (total variation).
    J. Immerkær, Comput. Vis. Image Underst. 64 (1996) 300 (noise).

    Examples
    --------
    >>> from clustem.samples import support
    >>> found = texture(support(shape=(96, 128), n_particles=4, diameter=8.0).signal)
    >>> found.rows.shape, found.names
    ((12288, 1), ('intensity',))
    """
    if sigma_max < sigma_min:
        raise ParameterError(
            "sigma_max must be at least sigma_min", got=sigma_max, cure=f"Use {2 * sigma_min:g}."
        )
    plain = PlainImage.of(signal)
    if min(plain.data.shape) < _LEAST:
        raise InputError(
            f"An image must have at least {_LEAST} × {_LEAST} pixels for texture",
            got=f"{plain.data.shape[0]} × {plain.data.shape[1]}",
            cure="Use a larger image.",
        )
    excluded = fitting_mask(masks.scan, plain.data.shape, "scan")
    colors = _colors(signal, plain)
    support = uneven_support(plain.data) if flatten == "auto" else None
    if support is not None:
        record("the support's uneven brightness was subtracted")
    levels = scratch(colors.shape, np.float32)
    for channel, out in zip(np.moveaxis(colors, -1, 0), np.moveaxis(levels, -1, 0), strict=True):
        _denoise(Bands(channel, support), denoise, out)
    clear = features == "intensity" or (features == "auto" and _in_levels(levels))
    names = ("intensity",) if levels.shape[-1] == 1 else ("red", "green", "blue")
    scales = [] if clear else _doublings(sigma_min, sigma_max)
    columns = levels
    if scales:
        columns = scratch((*plain.data.shape, len(names) + 3 * len(scales)), np.float32)
        even = max(deviation(band.values for band in Bands(levels.reshape(len(levels), -1))), 1e-30)
        np.divide(levels, even, out=columns[..., : len(names)])
        grey = colors[..., 0] if len(names) == 1 else colors.mean(axis=-1)
        names = (*names, *_fill_scales(Bands(grey, support), scales, columns[..., len(names) :]))
    del levels
    record("brightness alone" if clear else f"brightness and {len(names) - 1} more of texture")
    source = _as_scan(signal, plain)
    rows = columns[~excluded] if excluded.any() else columns.reshape(-1, len(names))
    about = TextureInfo(envelope=_width(scales))
    return Features.of_scan(rows, source, excluded, names=names, about=about)


def _colors(signal: Any, plain: PlainImage) -> NDArray[Any]:
    """Channels of the image (rows, columns, 1 or 3)."""
    data = signal.data.compute() if hasattr(signal.data, "compute") else signal.data
    if data.dtype.names:
        data = np.stack([data[name] for name in data.dtype.names[:3]], axis=-1)
    if data.ndim == 3 and data.shape[-1] in (3, 4) and data.shape[:2] == plain.data.shape:
        data = data[..., :3]
        if not (data == data[..., :1]).all():
            return np.asarray(data)
    return plain.data[..., None]


def _denoise(image: Bands, weight: float | str, out: NDArray[np.float32]) -> None:
    """Free an image of small variations; its values are in units of the noise."""
    from skimage.filters import threshold_otsu

    scatter = deviation(band.values for band in image)
    unit = max(_noise(image.some()), 1e-3 * scatter, 1e-30)
    if not isinstance(weight, str):
        _free_of_variation(image, unit, weight, out)
        return
    _free_of_variation(image, unit, _MOST, out)
    if np.ptp(out) == 0:
        return
    bar, sums, counts = threshold_otsu(out), np.zeros(2), np.zeros(2)
    for band in image:
        upper = out[band.lines] > bar
        for side, there in enumerate((~upper, upper)):
            sums[side] += band.values[there].sum() / unit
            counts[side] += np.count_nonzero(there)
    contrast = float(np.diff(sums / counts)[0])
    lower = float(np.clip(4 * _MOST / contrast, 1, _MOST))
    if lower != _MOST:
        _free_of_variation(image, unit, lower, out)


def _free_of_variation(image: Bands, unit: float, weight: float, out: NDArray[np.float32]) -> None:
    """Write an image in given units, freed of total variation, to ``out``."""
    from skimage.restoration import denoise_tv_chambolle

    for band in image.around(_REACH if weight else 0):
        scaled = band.values / unit
        free = denoise_tv_chambolle(scaled, weight=weight) if weight else scaled
        out[band.lines] = free[band.inside]


def _noise(parts: list[F64]) -> float:
    """Return the standard deviation of the noise, from second differences along both axes."""
    twice = [np.abs(np.diff(np.diff(part, 2, axis=0), 2, axis=1)).ravel() for part in parts]
    return float(np.median(np.concatenate(twice)) / 0.6745 / 6)


def _in_levels(colors: NDArray[np.float32]) -> bool:
    """Whether the brightness, along the main color, falls in two to four levels."""
    step = -(-colors.shape[0] * colors.shape[1] // PIXELS)  # of some pixels, where there are many
    flat = colors.reshape(-1, colors.shape[-1])[::step].astype(np.float64)
    flat -= flat.mean(axis=0)
    values = flat @ eigh(flat.T @ flat)[1][:, -1]
    return any(separation(values, n) > bar for n, bar in enumerate(_CLEAR, start=2))


def _doublings(first: float, last: float) -> list[float]:
    return [first * 2.0**i for i in range(int(np.log2(last / first) + 1e-9) + 1)]


def _width(scales: list[float]) -> float:
    """Return the geometric mean of the filters' standard deviations; 0 if there are none."""
    return float(np.exp(np.log(scales).mean()) * np.hypot(1, _SMOOTH)) if scales else 0.0


def _fill_scales(image: Bands, scales: list[float], out: NDArray[np.float32]) -> Iterator[str]:
    """Fill gradient and Hessian over the scales, (rows, columns, number), and yield their names."""
    for i, scale in enumerate(scales):
        places = range(3 * i, 3 * i + 3)
        for band in image.around(int(np.ceil((4 + 4 * _SMOOTH) * scale)) + 2):
            for j, part in zip(places, _textures(band.values, scale), strict=True):
                out[band.lines, :, j] = part[band.inside]
            release(out[band.lines])
        for j, title in zip(places, ("gradient", "Hessian 1", "Hessian 2"), strict=True):
            even = max(deviation(_values(out[..., j])), 1e-30)
            for band in Bands(out[..., j]):
                out[band.lines, :, j] /= even
                release(out[band.lines])
            yield f"{title}, {scale:g} px"


def _values(column: NDArray[np.float32]) -> Iterator[F64]:
    """Yield the values of one feature, some lines at a time."""
    for band in Bands(column):
        yield band.values
        release(column[band.lines])


def _textures(image: F64, scale: float) -> Iterator[F64]:
    """Yield gradient and eigenvalues of the Hessian of a scale, their roots averaged again."""
    from scipy.ndimage import gaussian_filter
    from skimage.feature import multiscale_basic_features

    given = {"sigma_min": scale, "sigma_max": scale, "num_sigma": 1}
    parts = multiscale_basic_features(image, intensity=False, **given)
    for part in np.moveaxis(parts, -1, 0).astype(np.float64):
        yield gaussian_filter(np.sign(part) * np.sqrt(np.abs(part)), _SMOOTH * scale)


def _as_scan(signal: Any, plain: PlainImage) -> Any:
    """Wrap the image as a scan of single values."""
    import hyperspy.api as hs

    sizes = zip(plain.axes, plain.data.shape, strict=True)
    axes = [{**axis, "size": size, "navigate": True} for axis, size in sizes]
    title = signal.metadata.get_item("General.title", "")
    metadata = {"General": {"title": title}, "Signal": {"quantity": "Intensity"}}
    return hs.signals.BaseSignal(plain.data, axes=axes, metadata=metadata)
