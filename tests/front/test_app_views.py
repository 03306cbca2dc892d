"""Views of doubts and of learned descriptors: residuals, what is new, calibration, decoder."""

from dataclasses import replace

import numpy as np
import pytest
from _session import EDS, at_once, finished

from clustem import samples, segment
from clustem.app.forms.captions import CloudForm
from clustem.app.forms.clusters import Clusters
from clustem.app.forms.misses import Misses
from clustem.app.plots import paint
from clustem.app.plots.cloud_plot import CloudPlot
from clustem.app.plots.decoder_plot import DecoderPlot
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.plots import Theme
from clustem.app.session import files, opening
from clustem.app.session.clouds import Selection, cloud_of
from clustem.app.session.layers import layer, layers_of
from clustem.app.session.opened import Opened
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import first_picture
from clustem.app.session.state import Explorer
from clustem.core import Scan
from clustem.judge import calibration, residuals
from clustem.report.figures.example import example_learned


def showing(session, signal, **given):
    opened = Opened(Scan.of(signal), "sample: eds", **given)
    opening.show(session, opened, first_picture(opened))
    return finished(session)


@pytest.fixture(scope="module")
def sample():
    return samples.eds(shape=(18, 22))


def test_what_the_map_misses(session, sample):
    signal = sample.signal.deepcopy()
    signal.data[3:9, 4:11, 300:310] += 4  # lines of no cluster
    showing(session, signal)
    session.choose("eds")
    session.change({"cluster.n_clusters": 2, **EDS})
    session.run()
    finished(session)
    selection, theme = Selection(session), Theme()
    plot, form = MapPlot(session, selection, theme), Misses(session, selection, theme)
    assert "missed" not in dict(plot.layers())
    form.handle("look", True)
    assert session.jobs.wait(300)
    expected = residuals(session.outcome.result)
    assert expected.candidates
    np.testing.assert_array_equal(session.missed.deviance, expected.deviance)
    assert session.message.kind == "warning"
    regions = [f for f in form.fields() if f.get("key", "").startswith("region/")]
    assert len(regions) == len(expected.candidates)
    assert f"{expected.candidates[0].size} px" in regions[0]["label"]
    form.handle("region/0", True)
    np.testing.assert_array_equal(selection.chosen, expected.candidates[0].mask.ravel())
    np.testing.assert_allclose(form._line.data["y"], 100 * expected.candidates[0].excess)
    plot.layer = "missed"
    shown = plot._values.data["image"][0]
    np.testing.assert_allclose(shown, expected.deviance, rtol=1e-5)
    assert plot._bar.title == "Standard deviations"
    session.edit(lambda result: result.relabel({0: "glass"}))
    assert session.missed is not None  # a name changes no position
    session.edit(lambda result: result.merge([0, 1]))
    assert session.missed is None
    assert plot.layer == "clusters"


def test_clusters_of_grey_values_have_no_axis(session):
    """Centers of the recipe texture are numbers; the form of another file may be there."""
    showing(session, samples.domains(shape=(96, 128)).signal)
    form = Misses(session, Selection(session), Theme())
    session.choose("texture")
    session.run()
    assert finished(session).outcome.result.centers.axes_manager.signal_axes == ()
    assert form.fields() == []  # a single value has no shape
    form.handle("look", True)
    assert session.jobs.wait(100)
    assert session.message.text.startswith("Residuals need a spectrum or pattern at each position")


def test_another_map_of_fewer_positions_while_some_are_chosen(session, sample):
    showing(session, sample.signal)
    selection, theme = Selection(session), Theme()
    _, cloud = MapPlot(session, selection, theme), CloudPlot(session, selection, theme)
    session.choose("eds")
    session.change({"cluster.n_clusters": 2, **EDS})
    session.run()
    selection.choose(finished(session).outcome.result.labels.data.ravel() == 0)
    session.change({"prepare.crop.rows": "0:6"})
    session.run()
    assert finished(session).outcome.result.mask.shape == (6, 22)
    assert selection.chosen is None
    assert len(cloud._dots.data["x"]) == 6 * 22


def test_positions_that_an_applied_result_does_not_explain(session, sample):
    result = segment(sample.signal, "eds", n_clusters=4)
    other = samples.eds(shape=(18, 22), random_state=1).signal
    other.data[3:9, 4:12, 300:340] += 1
    showing(session, other)
    found = result.apply(other)
    assert found.novel.any()
    selection, theme = Selection(session), Theme()
    plot, form = MapPlot(session, selection, theme), Misses(session, selection, theme)
    session.show(Outcome(found, other, result.recipe), result.recipe)
    finished(session)
    image = plot._over.data["image"][0]
    assert set(image[found.novel]) == {paint.packed(paint.NOVEL)}
    assert paint.packed(paint.NOVEL) not in set(image[~found.novel])
    rows = str(Clusters(session, selection).fields())
    assert "unexplained" in rows
    form.handle("novel", True)
    np.testing.assert_array_equal(selection.chosen, found.novel.ravel())


def test_memberships_are_held_against_the_truth_of_a_sample(session, sample):
    showing(session, sample.signal, truth=sample.truth_for)
    form = Misses(session, Selection(session), Theme())
    session.choose("eds")
    session.change({"cluster.n_clusters": 4, **EDS})
    session.run()
    result = finished(session).outcome.result
    expected = calibration(result, sample.truth_for(result))
    assert form.is_calibrated
    np.testing.assert_allclose(form._dots.data["y"], expected.right)
    assert f"{expected.error:.3f}" in str(form.fields())
    session.open_path("nothing.hspy")


@pytest.fixture
def learned(session, sample):
    """A latent space on a map, shown as the result of a session."""
    found = example_learned()
    mask = found.mask.copy()
    mask[0, 0] = True
    points = np.random.default_rng(1).normal(size=(int((~mask).sum()), 2)).astype(np.float32)
    found = replace(found, mask=mask, points=points)
    session.opened = Opened(Scan.of(sample.signal), "sample: eds")
    return found


def test_angles_and_widths_are_layers(learned):
    names = layers_of(learned, None)
    assert names["angle"] == "Angle of the motif"
    assert names["width/1"] == "Width: VAE 2"
    found = layer(learned, None, "angle")
    assert found.is_angle
    assert found.limits == (0.0, 120.0)  # three turns in a circle
    angle = np.linspace(0, 350, 24).reshape(4, 6)
    expected = np.where(learned.mask, np.nan, angle % 120)
    np.testing.assert_allclose(found.values, expected, atol=1e-3)
    width = layer(learned, None, "width/0")
    assert width.limits[1] == pytest.approx(0.2)
    assert np.isnan(width.values[0, 0])


def test_the_decoder_draws_beneath_the_points_and_beside_rows(session, learned):
    selection, theme = Selection(session), Theme()
    decoder = DecoderPlot(session, theme)
    assert decoder.known is None
    session.show(Outcome(learned, session.opened.signal, None))
    finished(session)
    cloud = CloudPlot(session, selection, theme)  # no second thread draws, unlike on a page
    cloud.draw()
    assert decoder.has_angles
    assert [source.data["text"][0] for source in decoder._quarters] == ["0°", "30°", "60°", "90°"]
    given, drawn = learned.about.examples
    grey, rest = (source.data["image"] for source in decoder._images)
    assert (len(grey), len(rest)) == (2 * len(given), len(given))
    np.testing.assert_allclose(rest[1], (given - drawn)[1].reshape(5, 5))
    mosaic = cloud._under.data["image"][0]
    assert mosaic.shape == (15, 15)
    known = learned.about
    np.testing.assert_array_equal(mosaic[:5][::-1, 5:10], known.manifold[2, 1].reshape(5, 5))
    left, width = cloud._under.data["x"][0], cloud._under.data["dw"][0]
    assert (left, left + width) == (-1.5, 1.5)  # lines at -1, 0 and 1 each have a cell
    form = CloudForm(cloud)
    assert any(field.get("key") == "decoded" for field in form.fields())
    form.handle("decoded", False)
    assert not cloud._under.data["image"]


def test_spectra_of_a_decoder_are_curves(session, learned):
    about = replace(learned.about, shape=np.array([25]), full=np.array([25]), angle=None, fold=None)
    decoder, selection = DecoderPlot(session, Theme()), Selection(session)
    session.show(Outcome(replace(learned, about=about), session.opened.signal, None))
    finished(session)
    cloud = CloudPlot(session, selection, Theme())
    cloud.draw()
    assert not decoder.has_angles
    assert len(decoder._lines.data["xs"]) == 3 * about.examples.shape[1]
    assert len(cloud._curves.data["xs"]) == 9
    middle = cloud._curves.data["ys"][4]
    assert abs(np.mean([middle.min(), middle.max()])) < 0.5


def test_a_result_of_several_signals_is_opened_with_each_of_its_spectra(tmp_path):
    scene = samples.joint(shape=(16, 20))
    for name, signal in scene.signals.items():
        signal.save(tmp_path / f"{name}.hspy")
    paths = {name: tmp_path / f"{name}.hspy" for name in scene.signals}
    found = segment(paths, "joint", n_clusters=3)
    found.save(tmp_path / "result")
    session = Explorer(tmp_path, at_once)
    try:
        session.open_path("result")
        finished(session)
        assert [file.opened.label for file in session.files] == ["eels.hspy", "eds.hspy"]
        for number, name in enumerate(("eels", "eds")):
            files.show(session, number)
            assert session.outcome.result.centers.data.shape == found[name].centers.data.shape
            np.testing.assert_array_equal(session.outcome.result.labels.data, found.labels.data)
            assert cloud_of(session.outcome).points.std(axis=0).min() > 0
            session.look(*session.opened.frame.middle(3, 5))
            np.testing.assert_array_equal(session.reading.values, scene.signals[name].data[3, 5])
        assert session.recipe.name != "joint"  # which would need all signals
        _edits_are_of_the_map(session)
    finally:
        session.close()


def _edits_are_of_the_map(session):
    """What is done to the map of the second of two signals is done to that of the first."""
    raw = session.outcome.result.centers.data.shape[1:]
    session.edit(lambda result: result.merge([0, 1]))
    session.edit(lambda result: result.relabel({1: "rim"}))
    gone = np.zeros(session.outcome.result.mask.shape, dtype=bool)
    gone[:2] = True
    session.edit(lambda result: result.exclude(gone))
    edited = session.outcome.result
    assert edited.centers.data.shape == (2, *raw)
    files.show(session, 0)
    other = session.outcome.result
    assert other.names == {1: "rim"}
    np.testing.assert_array_equal(other.labels.data, edited.labels.data)
    np.testing.assert_array_equal(other.mask, gone)
    assert other.centers.data.shape[1:] != raw
    for _ in range(3):
        session.undo()
    files.show(session, 1)
    assert session.outcome.result.n_clusters == 3
    assert not session.can_undo
