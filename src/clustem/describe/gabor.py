"""Lattice fringes around each pixel of an image."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    Features,
    FilterBank,
    Masks,
    ParameterError,
    Signal,
    descriptor,
    record,
)
from clustem.core.image import PlainImage
from clustem.core.masks import fitting_mask
from clustem.describe._fringes import fringe_wavelengths
from clustem.describe._gabor_bank import Bank
from clustem.describe._gabor_tiles import automatic_step, features_at
from clustem.passes.rows import Rows
from clustem.passes.scratch import scratch


@descriptor
def gabor(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    orientations: Annotated[int, Ge(2)] = 36,
    wavelengths: Annotated[list[float], MinLen(1)] | None = None,
    n_wavelengths: Annotated[int, Ge(1)] = 3,
    envelope: Annotated[float, Gt(0)] = 1.3,
    smooth: Annotated[float, Ge(0)] = 0.7,
    normalize: bool = True,
    step: Annotated[int, Ge(1)] | Literal["auto"] = "auto",
    threads: Annotated[int, Ge(1)] | None = None,
) -> Features:
    """Take the strength of lattice fringes around each pixel, by direction and spacing.

    Parameters
    ----------
    signal
        Image (row, column): grey, or red, green and blue, which are joined to grey.
    masks
        Of the scan: boolean, shape of the image, True = excluded from the features. The image is
        filtered whole.
    orientations
        Number of directions, evenly spaced over 180°.
    wavelengths
        Fringe spacings [px]; None finds them in the power spectrum.
    n_wavelengths
        How many spacings are looked for at most, where they are not given.
    envelope
        Standard deviation of each filter's Gaussian envelope [wavelengths].
    smooth
        Standard deviation over which squared responses are averaged [wavelengths]; 0 for none.
    normalize
        Whether what all directions share (noise, film) is subtracted, and the rest divided by
        the strength of the surroundings, so that thin and thick parts, dark and bright ones count
        alike. If not, responses are the plain magnitudes.
    step
        Every so many rows and columns a pixel is described. ``"auto"`` is 1 up to 2^20 pixels, and
        beyond as many as leave a million of them, at most 2.5 of the shortest spacing.
    threads
        Number of threads; one per usable core if None.

    Returns
    -------
    :
        Features with one row per described pixel and one column per filter, spacing by spacing,
        float32. Its source is the signal of responses (image | wavelength, orientation). They
        know their :class:`FilterBank`; its orientations are those of the wave vector, counted from
        the columns' axis toward the rows'.

    Raises
    ------
    InputError
        If the signal is no single image, is constant, shows no fringes, or the mask does not fit.
    ParameterError
        If a wavelength is below 2 px or too long for the image.

    Notes
    -----
    ``g = exp(-(x² + y²) / (2 s²)) exp(2 pi i x' / wavelength)`` with ``s`` of ``envelope``
    wavelengths, applied as its analytic transform: one Fourier transform of the image, whose
    borders are mirrored, and one back per filter. Features beyond 1 GiB lie in a temporary file
    that goes with the features, and are made in bands of rows, with the same result. With a step,
    tiles of the image are transformed, and back only what lies around each filter's frequency;
    ``mapping.facets`` draws the map of all pixels.

    The bank of the paper is ``orientations=36, wavelengths=[4, 4.5, 5, 5.5, 6, 6.5, 7],
    smooth=0, normalize=False``.

    References
    ----------
    G. Bárcena-González et al., Small Methods 7 (2023) 2201175.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> image = np.sin(2 * np.pi * np.arange(64) / 5) * np.ones((48, 1))
    >>> features = gabor(hs.signals.Signal2D(image), orientations=4, wavelengths=[5.0])
    >>> features.rows.shape, [round(w) for w in features.find(FilterBank).wavelengths]
    ((3072, 4), [5])
    """
    plain = PlainImage.of(signal)
    image = np.ascontiguousarray(plain.data, dtype=np.float32)
    excluded = fitting_mask(masks.scan, image.shape, "scan")
    found = wavelengths or fringe_wavelengths(image, most=n_wavelengths)
    _check(found, image.shape)
    apart = step if isinstance(step, int) else automatic_step(image.shape, min(found))
    angles = np.arange(orientations) * 180 / orientations
    bank = Bank(tuple(found), tuple(angles.tolist()), envelope, smooth, normalize)
    shape = tuple(-(-size // apart) for size in image.shape)
    responses = scratch((*shape, len(found), orientations), np.float32)
    if apart == 1:
        bank.features(image, responses, threads=threads)
    else:
        features_at(bank, image, responses, step=apart, threads=threads)
        record(f"every {apart}th row and column described")
    pixel, units = _pixel(plain)
    spacings = ", ".join(
        f"{w:.2f} px" + (f" = {w * pixel:.4g} {units}" if units else "") for w in found
    )
    record(plain.note)
    record(f"fringes of {spacings}", wavelengths=[float(w) for w in found])
    about = FilterBank(
        wavelengths=np.array(found),
        orientations=angles,
        pixel_size=pixel,
        pixel_units=units,
        envelope=float(max(found) * np.hypot(envelope, smooth)),
        image=image,
        normalized=normalize,
        step=apart,
        mask=excluded if apart > 1 else None,
    )
    described = np.ascontiguousarray(excluded[::apart, ::apart])
    rows = Rows(responses, row_ndim=2, mask=described if described.any() else None)
    names = tuple(f"{w:.2f} px, {a:g}°" for w in found for a in angles)
    source = _responses(responses, signal, plain, about)
    return Features.of_scan(rows, source, described, names=names, about=about)


def _check(wavelengths: list[float], shape: tuple[int, ...]) -> None:
    for wavelength in wavelengths:
        if not 2 <= wavelength <= min(shape) / 2:
            raise ParameterError(
                f"wavelengths must be 2 px to half the image, {min(shape) / 2:g} px",
                got=f"{wavelength:g}",
                cure="Nothing faster than 2 px is in an image; leave them out to have them found.",
            )


def _pixel(image: PlainImage) -> tuple[float, str]:
    """Pixel size and its units, 1 and "" where they are unknown or unlike."""
    rows, columns = image.axes
    units = str(columns["units"])
    alike = rows["units"] == units and abs(rows["scale"] / columns["scale"] - 1) < 1e-3
    known = units not in ("", "px", "<undefined>")
    return (abs(columns["scale"]), units) if alike and known else (1.0, "")


def _responses(
    responses: NDArray[np.float32], signal: Any, image: PlainImage, bank: FilterBank
) -> Any:
    """Wrap the responses as a signal that has the image as its scan."""
    import hyperspy.api as hs

    sizes = zip(image.axes, responses.shape[:2], strict=True)
    axes = [
        {**axis, "scale": axis["scale"] * bank.step, "size": size, "navigate": True}
        for axis, size in sizes
    ]
    angles = bank.orientations
    step = float(angles[1] - angles[0])
    lengths = bank.wavelengths * bank.pixel_size
    even = len(lengths) == 1 or np.allclose(np.diff(lengths), lengths[1] - lengths[0])
    first = {"name": "wavelength", "units": bank.pixel_units or "px", "navigate": False}
    if even:
        gap = float(lengths[1] - lengths[0]) if len(lengths) > 1 else 1.0
        first |= {"size": len(lengths), "offset": float(lengths[0]), "scale": gap}
    else:
        first |= {"axis": lengths}
    second = {"name": "orientation", "size": len(angles), "scale": step, "units": "°"}
    title = signal.metadata.get_item("General.title", "")
    return hs.signals.Signal2D(
        responses,
        axes=[*axes, first, {**second, "navigate": False}],
        metadata={"General": {"title": title}, "Signal": {"quantity": "Fringe strength"}},
    )
