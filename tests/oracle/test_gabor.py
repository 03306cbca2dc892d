"""Gabor features against convolution with the kernel itself; refusals; fringes."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import FilterBank, InputError, Masks, ParameterError, recording
from clustem.describe import _gabor_bank, gabor


def image_of(seed=3, shape=(41, 53)):
    rng = np.random.default_rng(seed)
    row, column = np.indices(shape)
    image = np.sin(2 * np.pi * (0.8 * row + 0.6 * column) / 5.3) * (column > 20)
    return image + rng.normal(size=shape) * 0.3 + 7


def convolved(image, wavelength, angle, envelope):
    """Magnitude of the convolution with the kernel, borders mirrored, float64, pixel by pixel."""
    sigma = envelope * wavelength
    half = int(np.ceil(6 * sigma))
    row, column = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    turned = np.radians(angle)
    along = column * np.cos(turned) + row * np.sin(turned)
    kernel = np.exp(-(row**2 + column**2) / (2 * sigma**2)) * np.exp(
        2j * np.pi * along / wavelength
    )
    kernel /= 2 * np.pi * sigma**2
    padded = np.pad(image - image.mean(), half, mode="symmetric")
    out = np.empty(image.shape)
    for i, j in np.ndindex(image.shape):
        window = padded[i : i + 2 * half + 1, j : j + 2 * half + 1]
        out[i, j] = abs((window * kernel[::-1, ::-1]).sum())
    return out


def test_magnitudes_are_those_of_the_kernel():
    image = image_of()
    features = gabor(
        hs.signals.Signal2D(image),
        orientations=5,
        wavelengths=[4.0, 5.3],
        envelope=0.8,
        smooth=0,
        normalize=False,
    )
    found = np.asarray(features.rows).reshape(*image.shape, 2, 5)
    for i, wavelength in enumerate((4.0, 5.3)):
        for j in range(5):
            expected = convolved(image, wavelength, 36 * j, 0.8)
            # three standard deviations of mirrored border are kept, so borders differ a little
            np.testing.assert_allclose(found[..., i, j], expected, atol=0.004)
            np.testing.assert_allclose(found[9:-9, 9:-9, i, j], expected[9:-9, 9:-9], atol=2e-4)


def test_a_fringe_of_amplitude_one_gives_one_half_where_it_is():
    row = np.indices((80, 96))[0]
    image = np.sin(2 * np.pi * row / 6.0)
    features = gabor(
        hs.signals.Signal2D(image), orientations=4, wavelengths=[6.0], smooth=0, normalize=False
    )
    middle = np.asarray(features.rows).reshape(80, 96, 4)[40, 48]
    np.testing.assert_allclose(middle, [0, 0, 0.5, 0], atol=1e-3)


def test_bands_of_rows_give_what_the_whole_image_gives(monkeypatch):
    image = hs.signals.Signal2D(image_of(shape=(211, 47)))
    settings = {"orientations": 6, "wavelengths": [3.0], "envelope": 0.6, "smooth": 0.5}
    whole = np.asarray(gabor(image, **settings).rows)
    monkeypatch.setattr(_gabor_bank, "_BAND", 4096)
    parts = np.asarray(gabor(image, **settings).rows)
    assert np.ptp(whole) > 0.5
    np.testing.assert_allclose(parts, whole, atol=2e-3)


def test_long_waves_on_a_coarse_grid_give_what_the_pixels_give(monkeypatch):
    row, column = np.indices((150, 171))
    image = np.where(column < 80, np.sin(row / 2.1), np.sin((0.6 * row + 0.8 * column) / 2.1))
    image += np.random.default_rng(0).normal(size=image.shape) * 0.3
    signal = hs.signals.Signal2D(image)
    settings = {"orientations": 6, "wavelengths": [13.2]}
    coarse = np.asarray(gabor(signal, **settings).rows)
    monkeypatch.setattr(_gabor_bank, "_FINE", 14.0)
    fine = np.asarray(gabor(signal, **settings).rows)
    assert np.ptp(fine) > 0.5
    np.testing.assert_allclose(coarse, fine, atol=0.05)  # a root steepens what is near 0
    assert np.abs(coarse - fine).mean() < 3e-3


def test_fringes_are_found_with_their_spacing_in_nm():
    signal = hs.signals.Signal2D(image_of(shape=(140, 120)))
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.05, "nm"
    with recording() as said:
        features = gabor(signal, orientations=6)
    np.testing.assert_allclose(features.find(FilterBank).wavelengths, [5.3], rtol=0.02)
    assert "nm" in said.note
    assert said.found["wavelengths"] == features.find(FilterBank).wavelengths.tolist()
    assert features.source.data.shape == (140, 120, 1, 6)


def test_masked_pixels_have_no_rows_and_do_not_change_others():
    image = image_of()
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :7] = True
    settings = {"orientations": 4, "wavelengths": [5.3]}
    all_rows = np.asarray(gabor(hs.signals.Signal2D(image), **settings).rows)
    some = gabor(hs.signals.Signal2D(image), masks=Masks(scan=mask), **settings)
    np.testing.assert_array_equal(np.asarray(some.rows), all_rows[~mask.ravel()])


@pytest.mark.parametrize("seed", range(3))
def test_noise_shows_no_fringes(seed):
    noise = np.random.default_rng(seed).poisson(30, (150, 130))
    with pytest.raises(InputError, match="lattice fringes"):
        gabor(hs.signals.Signal2D(noise))


def test_refusals():
    image = image_of()
    with pytest.raises(InputError, match="One image"):
        gabor(hs.signals.Signal2D(np.stack([image] * 5)))
    with pytest.raises(InputError, match="contrast"):
        gabor(hs.signals.Signal2D(np.full((30, 40), 3)))
    with pytest.raises(ParameterError, match="2 px"):
        gabor(hs.signals.Signal2D(image), wavelengths=[1.5])
    with pytest.raises(InputError, match="finite"):
        gabor(hs.signals.Signal2D(np.where(image > 8, np.nan, image)))


def test_colors_are_joined_with_a_note():
    image = np.rint((image_of() - 4) * 30).clip(0, 255).astype(np.uint8)
    signal = hs.signals.Signal1D(np.stack([image] * 3, axis=-1))
    settings = {"orientations": 4, "wavelengths": [5.3]}
    with recording() as said:
        features = gabor(signal, **settings)
    grey = gabor(hs.signals.Signal2D(image), **settings)
    np.testing.assert_allclose(np.asarray(features.rows), np.asarray(grey.rows), atol=1e-4)
    assert "equal color channels taken as one" in said.note
