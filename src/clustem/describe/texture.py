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
from clustem.core.image import PlainImage
from clustem.core.masks import fitting_mask
from clustem.describe._levels import separation
from clustem.describe._surface import uneven_support
from clustem.passes.scratch import scratch

F64 = NDArray[np.float64]
_CLEAR = (3.6, 4.2, 4.2)
"""Distance of 2, 3 and 4 levels from which on brightness falls in levels [scatter within them]."""

_LEAST = 4
"""Pixels along a side from which noise and brightness can be told apart."""


_SMOOTH = 2.0
"""Width over which texture is averaged [scales]."""

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
    support = uneven_support(plain.data.astype(np.float64)) if flatten == "auto" else None
    if support is not None:
        colors = colors - support[..., None]
        record("the support's uneven brightness was subtracted")
    levels = np.stack([_denoised(c, denoise) for c in np.moveaxis(colors, -1, 0)], axis=-1)
    clear = features == "intensity" or (features == "auto" and _in_levels(levels))
    names = ("intensity",) if levels.shape[-1] == 1 else ("red", "green", "blue")
    scales = [] if clear else _doublings(sigma_min, sigma_max)
    columns = scratch((*plain.data.shape, len(names) + 3 * len(scales)), np.float32)
    columns[..., : len(names)] = levels if clear else levels / max(levels.std(), 1e-30)
    del levels
    if scales:
        names = (*names, *_fill_scales(colors.mean(axis=-1), scales, columns[..., len(names) :]))
    record("brightness alone" if clear else f"brightness and {len(names) - 1} more of texture")
    source = _as_scan(signal, plain)
    rows = columns[~excluded] if excluded.any() else columns.reshape(-1, len(names))
    about = TextureInfo(envelope=_width(scales))
    return Features.of_scan(rows, source, excluded, names=names, about=about)


def _colors(signal: Any, plain: PlainImage) -> F64:
    """Channels of the image (rows, columns, 1 or 3)."""
    data = signal.data.compute() if hasattr(signal.data, "compute") else signal.data
    if data.dtype.names:
        data = np.stack([data[name] for name in data.dtype.names[:3]], axis=-1)
    if data.ndim == 3 and data.shape[-1] in (3, 4) and data.shape[:2] == plain.data.shape:
        data = data[..., :3].astype(np.float64)
        if not (data == data[..., :1]).all():
            return np.asarray(data)
    return plain.data.astype(np.float64)[..., None]


def _denoised(image: F64, weight: float | str) -> F64:
    """Free an image of small variations; its values are in units of the noise."""
    from skimage.filters import threshold_otsu
    from skimage.restoration import denoise_tv_chambolle

    scaled: F64 = np.asarray(image / max(_noise(image), 1e-3 * float(image.std()), 1e-30))
    if weight == 0:
        return scaled
    if not isinstance(weight, str):
        return np.asarray(denoise_tv_chambolle(scaled, weight=weight))
    found = np.asarray(denoise_tv_chambolle(scaled, weight=_MOST))
    if np.ptp(found) == 0:
        return found
    upper = found > threshold_otsu(found)
    contrast = float(scaled[upper].mean() - scaled[~upper].mean())
    lower = float(np.clip(4 * _MOST / contrast, 1, _MOST))
    return found if lower == _MOST else np.asarray(denoise_tv_chambolle(scaled, weight=lower))


def _noise(image: F64) -> float:
    """Return the standard deviation of the noise, from second differences along both axes."""
    twice = np.diff(np.diff(image, 2, axis=0), 2, axis=1)
    return float(np.median(np.abs(twice)) / 0.6745 / 6)


def _in_levels(colors: F64) -> bool:
    """Whether the brightness, along the main color, falls in two to four levels."""
    flat = colors.reshape(-1, colors.shape[-1])
    flat = flat - flat.mean(axis=0)
    values = flat @ np.linalg.eigh(flat.T @ flat)[1][:, -1]
    return any(separation(values, n) > bar for n, bar in enumerate(_CLEAR, start=2))


def _doublings(first: float, last: float) -> list[float]:
    return [first * 2.0**i for i in range(int(np.log2(last / first) + 1e-9) + 1)]


def _width(scales: list[float]) -> float:
    """Return the geometric mean of the filters' standard deviations; 0 if there are none."""
    return float(np.exp(np.log(scales).mean()) * np.hypot(1, _SMOOTH)) if scales else 0.0


def _fill_scales(image: F64, scales: list[float], out: NDArray[np.float32]) -> Iterator[str]:
    """Fill gradient and Hessian over the scales, (rows, columns, number), and yield their names."""
    from scipy.ndimage import gaussian_filter
    from skimage.feature import multiscale_basic_features

    for i, scale in enumerate(scales):
        given = {"sigma_min": scale, "sigma_max": scale, "num_sigma": 1, "workers": 1}
        parts = multiscale_basic_features(image, intensity=False, **given)
        for j, title in enumerate(("gradient", "Hessian 1", "Hessian 2")):
            part = parts[..., j].astype(np.float64)
            even = gaussian_filter(np.sign(part) * np.sqrt(np.abs(part)), _SMOOTH * scale)
            out[..., 3 * i + j] = even / max(even.std(), 1e-30)
            yield f"{title}, {scale:g} px"


def _as_scan(signal: Any, plain: PlainImage) -> Any:
    """Wrap the image as a scan of single values."""
    import hyperspy.api as hs

    sizes = zip(plain.axes, plain.data.shape, strict=True)
    axes = [{**axis, "size": size, "navigate": True} for axis, size in sizes]
    title = signal.metadata.get_item("General.title", "")
    metadata = {"General": {"title": title}, "Signal": {"quantity": "Intensity"}}
    return hs.signals.BaseSignal(plain.data, axes=axes, metadata=metadata)
