"""Figures of the zero-loss model and of the thickness."""

import itertools

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError
from clustem.eels import ZeroLossModel
from clustem.eels.thickness import ThicknessMaps
from clustem.report.figures.thickness_map import thickness_map
from clustem.report.figures.zero_loss_plot import zero_loss_plot
from clustem.report.layout.colors import colors


@pytest.fixture
def model():
    """A model of three clusters whose networks say a straight line; one stands for another."""
    made = ZeroLossModel()
    energy = -4 + 0.05 * np.arange(500)
    peak = 1e4 * np.exp(-0.5 * (energy / 0.2) ** 2) + 400 * np.exp(-np.abs(energy))
    spectra = np.stack([peak + 30 * np.maximum(energy - 1.5, 0), 0.5 * peak + 40, peak])
    made.energy_, made.spectra_ = energy, spectra
    made.source_, made.counts_ = np.array([0, 1, 0]), np.array([40, 60, 3])
    made.fwhm_, made.onset_ = np.full(3, 0.5), np.array([1.5, 0.8, 1.5])
    made.cutoff_ = np.array([6.0, 3.0, 6.0])
    made.scale_ = np.array([0.5, -1.5, 7.2, 9.2, 8.5])
    made.weights_ = np.zeros((3, 311), dtype=np.float32)
    made.weights_[:, -1] = [-0.5, -0.6, -0.7]  # the bias of the output
    return made


def texts_on(figure):
    figure.set_dpi(100)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    drawn = [*figure.texts, *(text for ax in figure.axes for text in ax.texts)]
    drawn += [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label)]
    return [
        (text.get_text(), text.get_window_extent(renderer)) for text in drawn if text.get_text()
    ]


def assert_tidy(figure):
    texts = texts_on(figure)
    assert len(texts) >= 2
    for text, box in texts:
        assert min(box.x0, box.y0) > -1, text
        assert box.x1 < figure.bbox.x1 + 1, text
        assert box.y1 < figure.bbox.y1 + 1, text
    for (text, box), (other, its) in itertools.combinations(texts, 2):
        wide = min(box.x1, its.x1) - max(box.x0, its.x0)
        high = min(box.y1, its.y1) - max(box.y0, its.y0)
        assert min(wide, high) < 2, f"{text!r} on {other!r}"


def test_each_cluster_of_its_own_has_a_logarithmic_panel(model):
    figure = zero_loss_plot(model, names={1: "thick, with a name that is far too long for it"})
    assert_tidy(figure)
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    assert figure.get_figwidth() * 25.4 < 183.5
    for k, ax in enumerate(figure.axes):
        spectrum, line = ax.lines[:2]
        np.testing.assert_allclose(spectrum.get_ydata(), model.spectra_[k])
        assert sum(colors(k + 1)[k][:3]) >= sum(spectrum.get_color()[:3])
        x, y = line.get_data()
        np.testing.assert_allclose(y, model.predict(x).median[k], rtol=1e-6)
        assert [at.get_xdata()[0] for at in ax.lines[2:]] == [model.onset_[k], model.cutoff_[k]]
    label = figure.axes[0].texts[0].get_text()
    assert "1.5" in label
    assert label.endswith("6 eV")
    assert figure.axes[0].get_xlabel() == "Energy loss (eV)"
    assert figure.axes[0].get_ylabel() == "Intensity (counts)"


def test_ten_clusters_fit_on_the_paper(model):
    for name in ("spectra_", "fwhm_", "onset_", "cutoff_"):
        setattr(model, name, np.repeat(getattr(model, name)[:1], 10, axis=0))
    model.counts_, model.source_ = np.full(10, 40), np.arange(10)
    model.scale_ = np.array([0.5, -1.5, 7.2, *np.linspace(8, 9, 10)])
    figure = zero_loss_plot(model)
    assert len(figure.axes) == 10
    assert_tidy(figure)


def test_an_unfitted_model_is_refused():
    with pytest.raises(InputError, match="needs a fitted model; got ZeroLossModel"):
        zero_loss_plot(ZeroLossModel())


def maps(shape):
    t = np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)
    t[..., 0] = np.nan
    kind = hs.signals.Signal2D if len(shape) == 2 else hs.signals.Signal1D
    signals = [kind(part) for part in (t, 0.02 * t, 90 * t, 1.8 * t)]
    for signal in signals:
        for axis, scale in zip(signal.axes_manager.signal_axes, (2.0, 2.5), strict=False):
            axis.name, axis.units, axis.scale = "x", "nm", scale
    return ThicknessMaps(*signals)


@pytest.mark.parametrize("quantity", ["relative", "absolute"])
@pytest.mark.parametrize("shape", [(6, 11), (25, 5), (4, 40)])
def test_thickness_and_its_uncertainty_stand_side_by_side(quantity, shape):
    given = maps(shape)
    figure = thickness_map(given, quantity=quantity)
    assert_tidy(figure)
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    for image, name in zip(shown[:2], (quantity, f"{quantity}_error"), strict=True):
        data = getattr(given, name).data
        np.testing.assert_array_equal(image.mask, np.isnan(data))
        np.testing.assert_allclose(image.compressed(), data[~np.isnan(data)])
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(shape[1] * 2.0 / (shape[0] * 2.5), rel=1e-3)


def test_a_line_scan_is_a_curve_with_its_band():
    figure = thickness_map(maps((9,)))
    assert_tidy(figure)
    assert figure.axes[0].get_xlabel() == "x (nm)"
    assert figure.axes[0].get_ylabel() == "Thickness t/λ"


def test_nanometres_that_are_not_known_are_refused():
    relative = maps((4, 5))
    with pytest.raises(InputError, match="the density"):
        thickness_map(relative._replace(absolute=None), quantity="absolute")
