"""The explorer's pictures and figures, without a browser."""

import asyncio
from dataclasses import replace
from threading import Thread

import hyperspy.api as hs
import numpy as np
import pytest
from _session import EDS, finished, opened
from bokeh.document import Document
from bokeh.models import ColorBar, ImportedStyleSheet, LabelSet, ScaleBar
from bokeh.plotting import figure
from bokeh.server.callbacks import NextTickCallback
from panel.io.state import set_curdoc

from clustem.app.forms.clusters import Clusters, recolored
from clustem.app.forms.detector import DetectorPlot
from clustem.app.forms.map_tools import Tools
from clustem.app.forms.side_by_side import SideBySide
from clustem.app.forms.standing import Standing
from clustem.app.plots import paint
from clustem.app.plots.center_plot import GridPlot, SpectraPlot, grid_of
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.plots import Theme
from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.session import exports, pictures
from clustem.app.session.clouds import Selection
from clustem.app.session.frames import Frame
from clustem.app.session.lasting_colors import colors_of_both, lasting_colors
from clustem.app.session.live import Live
from clustem.app.session.opened import Opened
from clustem.app.session.outcome import outcome_of
from clustem.app.web.page import Page
from clustem.app.web.server import Settings
from clustem.app.web.transfers import Transfers
from clustem.core import Scan
from clustem.judge.verdict import Verdict


class TestPictures:
    def test_sums(self, signals):
        scan = signals["eds"]
        found = pictures.total(scan)
        np.testing.assert_allclose(found.values, scan.data.sum(axis=2), rtol=1e-6)
        assert found.frame.shape == scan.data.shape[:2]
        assert "counts" in found.title

    def test_a_window(self, signals):
        scan = signals["eds"]
        axis = scan.axes_manager[-1].axis
        found = pictures.window(scan, axis[30], axis[9])
        np.testing.assert_allclose(found.values, scan.data[..., 9:31].sum(axis=2), rtol=1e-6)
        with pytest.raises(ValueError, match="window must hold a channel"):
            pictures.window(scan, -9e9, -8e9)

    def test_a_ring_of_the_detector(self, signals):
        scan = signals["diffraction"]
        detector = pictures.Detector(scan)
        row, column = np.indices(scan.data.shape[2:])
        for center, inner, outer in (((30.5, 33.0), 3, 9), ((20.0, 40.0), 0, 5)):
            ring = np.floor(np.hypot(row - center[0], column - center[1]) + 0.5)
            chosen = (ring >= inner) & (ring < outer)
            found = detector.picture(inner, outer, center).values
            np.testing.assert_allclose(found, scan.data[..., chosen].sum(axis=-1), rtol=1e-6)

    def test_the_beam_is_found(self, signals):
        detector = pictures.Detector(signals["diffraction"])
        assert detector.center == pytest.approx((30.4, 33.1), abs=2)
        assert 1 < detector.radius < 12

    def test_grey_levels_of_a_flat_picture(self):
        flat = pictures.Picture(np.full((3, 4), 5, dtype=np.float32), Frame((3, 4)), "")
        assert flat.limits == (4.5, 5.5)


class TestSideBySide:
    def sides(self, session):
        return SideBySide(session, Live(session), Theme())

    def test_colors_are_those_of_the_map(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        k = session.outcome.result.n_clusters
        session.edit(lambda result: recolored(result, [1], 9))
        main = session.outcome
        fewer, more = (_run(session, _of_k(session, n)) for n in (k - 1, k + 1))
        same = _run(session, _of_k(session, k))
        for left, right in ((same, more), (more, same), (fewer, same)):
            color_index = colors_of_both(main, left, right)
            for outcome, found in zip((left, right), color_index, strict=True):
                assert len(set(found)) == outcome.result.n_clusters
                if outcome is same:
                    assert found == main.result.color_index
        assert colors_of_both(None, same, more)[0] == same.result.color_index

    def test_colors_are_handed_on_where_clusters_lie(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        main = session.outcome
        other = _run(
            session,
            session.recipe.with_settings(
                {"prepare.crop.rows": "5:18", "prepare.crop.columns": ":9"}
            ),
        )
        color_index = lasting_colors(other, main, main.result.color_index)
        whole, part = main.result.labels.data[5:18, :9], other.result.labels.data
        both = (whole >= 0) & (part >= 0)
        colors = np.array(main.result.color_index)
        assert (colors[whole[both]] == np.array(color_index)[part[both]]).mean() > 0.6

    def test_another_file_clears_both(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        sides = self.sides(session)
        sides.run()
        finished(session)
        for made, parts in zip(sides.figures, sides._parts, strict=True):
            assert "k = " in made.title.text
            assert len(parts["grey"].data["image"]) == 1
            assert any(isinstance(part, ScaleBar) for part in made.center)
        session.open_path("eds.hspy")
        finished(session)
        for made, parts in zip(sides.figures, sides._parts, strict=True):
            assert made.title.text == " "
            assert not any(parts[name].data["image"] for name in ("grey", "over"))
            assert not any(isinstance(part, ScaleBar) for part in made.center)


class TestCursor:
    def plots(self, session):
        selection, theme = Selection(session), Theme()
        spectrum = SpectrumPlot(session, selection, theme)
        return spectrum, Tools(session, selection, MapPlot(session, selection, theme))

    def test_one_place_however_the_scan_is_cropped_and_binned(self, session, signals):
        crop = {"prepare.crop.rows": "3:15", "prepare.crop.columns": "4:20"}
        opened(session, signals, "eds", settings={**EDS, **crop})
        spectrum, tools = self.plots(session)
        session.look(*session.opened.frame.middle(11, 13))
        assert spectrum.caption[0][0] == "row 11, column 13"
        assert tools.place().startswith("row 11, column 13 (")

    def test_what_is_excluded_is_called_so(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        spectrum, _ = self.plots(session)
        out = np.zeros(session.outcome.result.mask.shape, dtype=bool)
        out[2, 5] = True
        session.edit(lambda result: result.exclude(out))
        session.look(*session.opened.frame.middle(2, 5))
        assert spectrum.caption[1][0] == "excluded"
        session.look(*session.opened.frame.middle(2, 6))
        assert spectrum.caption[1][0] != "excluded"

    def test_a_line_has_one_coordinate(self, session, signals):
        signals["eds"].inav[:, 3].save(session.root / "line.hspy")
        session.open_path("line.hspy")
        finished(session)
        frame = session.opened.frame
        x, y = frame.middle(0, 7)
        session.look(x, y)
        spectrum, tools = self.plots(session)
        assert spectrum.caption[0][0] == "column 7"
        assert tools.place() == f"column 7 ({x:.4g}\u00a0{frame.units})"


class TestLines:
    def test_the_spectrum_under_the_cursor_has_its_lines_side_by_side(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        plot = SpectrumPlot(session, Selection(session), Theme())
        plot._renew()
        plot._mark()
        names, at = plot._marks._names.data["text"], np.array(plot._marks._names.data["x"])
        assert {"Fe Kα", "Si Kα", "O Kα"} <= set(names)
        ends = plot.figure.x_range
        assert np.diff(at).min() >= 0.999 * 12 / 420 * (ends.end - ends.start)
        session.toggle_element("Fe")
        assert not any(name.startswith("Fe") for name in plot._marks._names.data["text"])
        assert "√" in plot.figure.yaxis[0].axis_label

    def test_an_element_that_is_marked_has_a_map_and_is_exported(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        scan = session.opened.signal
        _, tools = TestCursor.plots(self, session)
        assert ("element/Ca", "Element: Ca") in tools.sources()
        tools.handle("source", "element/Ca")
        finished(session)
        energy = scan.axes_manager[-1].axis
        near = np.abs(energy - 3.6917) <= 0.5 * 0.112
        expected = scan.data[..., near].sum(axis=-1)
        assert np.corrcoef(session.picture.values.ravel(), expected.ravel())[0, 1] > 0.99
        session.toggle_element("Ca")
        assert "Ca" not in exports.ready(session).centers.metadata.Sample.elements
        assert "Ca" in session.outcome.result.centers.metadata.Sample.elements
        with pytest.raises(ValueError, match="element"):
            session.toggle_element("Xx")


class TestStanding:
    def test_doubts_stand_above_the_map(self, session, signals):
        opened(session, signals, "eds", settings={**EDS, "cluster.n_clusters": 2})
        strip, seen = Standing(session), []
        for outcome in (session.outcome, replace(session.outcome)):
            outcome.__dict__["verdict"] = Verdict(
                structure=not seen, doubts=("No structure.",) if seen else (), alike=()
            )
            session.show(outcome)
            session.sum_up(outcome)
            (line,) = strip.fields()
            seen.append((line["style"], session.message.kind))
        assert seen == [("fine", "done"), ("doubt", "warning")]
        assert "No structure." in line["text"]
        assert line["role"] == "alert"

    def test_the_list_of_clusters_names_what_is_left_out(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        form = Clusters(session, Selection(session))
        assert "excluded" not in str(form.fields())
        k = session.outcome.result.n_clusters
        form.ticked = [1]
        form.handle("drop", True)
        keys = [row["key"] for row in form.fields()[1]["fields"]]
        assert "cluster/excluded" in keys
        assert "cluster/1" not in keys  # what was dropped is gone
        assert len([key for key in keys if key[8:].isdigit()]) == k - 1


def test_a_map_whose_clusters_were_all_taken_out_is_drawn(session, signals):
    plots = [GridPlot(session, Theme(), "memberships"), SpectraPlot(session, Theme())]
    opened(session, signals, "eds", settings={**EDS, "mapping.threshold": 0.999999})
    assert session.outcome.result.unassigned.any()
    assert all(_labels_of(made.figure)[0].source.data["name"] for made in plots)
    for i in range(session.outcome.result.n_clusters):
        session.edit(lambda result, i=i: result.exclude(result.labels.data == i))
    assert not session.outcome.there
    assert session.outcome.verdict.doubts == ("No position belongs to a cluster.",)
    assert not any(
        labels.source.data["name"] for made in plots for labels in _labels_of(made.figure)
    )


def test_a_line_scan_has_its_profile(session, signals):
    signals["eds"].inav[:, 3].save(session.root / "line.hspy")
    session.open_path("line.hspy")
    plot = MapPlot(session, Selection(session), Theme())
    plot._picture()
    finished(session)
    plot._picture()
    profile, frame = plot._profile.data, session.opened.frame
    assert len(profile["x"]) == frame.shape[1]
    assert max(profile["y"]) < frame.corner[0]  # above the band
    highest = int(np.argmin(profile["y"]))
    assert highest == int(signals["eds"].inav[:, 3].data.sum(axis=1).argmax())


class TestGrid:
    @pytest.mark.parametrize("size", [(50.0, 6.0), (1.0, 12.0), (3.0, 4.0)])
    @pytest.mark.parametrize("k", [1, 2, 7, 30])
    def test_no_title_covers_another(self, size, k):
        names = [f"cluster {i}" for i in range(k - 1)] + ["a very long name of a cluster"]
        found = grid_of(size, names)
        assert found.step[0] > size[0]
        assert found.step[1] > size[1]
        shown = found.columns * found.step[1]
        assert found.columns <= k
        widest = max(len(name) for name in found.names)
        assert widest * 6 * found.columns <= 440  # all side by side in a small page
        assert found.names[0].startswith("cluster" if k > 1 else "a very")
        assert shown >= found.columns * size[1]

    def test_narrow_scans_lie_apart_by_their_titles(self):
        found = grid_of((49.0, 6.0), ["cluster 0", "cluster 1"])
        scale = 270 / (found.step[0])  # pixels per unit where the height is the limit
        assert found.columns == 2
        assert found.step[1] * scale > 9 * 6

    def test_patterns_have_units(self, session, signals):
        opened(session, signals, "domains", settings={"describe.size": 12})
        plot = PatternPlot(session, Selection(session), Theme())
        plot._renew()
        assert plot.center.xaxis[0].axis_label.endswith(("px)", "nm)"))

    def test_angles_and_wavelengths_fill_the_figure(self, session):
        signal = hs.signals.Signal2D(np.ones((3, 4, 2, 36)))
        for axis, units in zip(signal.axes_manager.signal_axes, ("°", "nm"), strict=True):
            axis.units = units
        session.opened = Opened(Scan.of(signal), "responses")
        plot = PatternPlot(session, Selection(session), Theme())
        plot._renew()
        x, y = plot.here.x_range, plot.here.y_range
        assert (x.start, x.end, y.end, y.start) == (-0.5, 35.5, -0.5, 1.5)
        assert not plot.here.tags  # nothing makes their units equal

    def test_memberships_have_a_scale_bar(self, session, signals):
        plot = GridPlot(session, Theme(), "memberships")
        opened(session, signals, "eds", settings=EDS)
        bar = next(part for part in plot.figure.center if isinstance(part, ScaleBar))
        assert bar.unit == session.opened.frame.units


@pytest.mark.parametrize(
    ("kind", "quantity", "said"),
    [("uint16", "", "counts"), ("float32", "", "a.u."), ("float32", "Counts", "counts")],
)
def test_the_bar_of_the_detector_says_what_it_is_in(kind, quantity, said, session, signals):
    signal = signals["diffraction"].deepcopy()
    signal.change_dtype(kind)
    signal.metadata.set_item("Signal.quantity", quantity)
    plot = DetectorPlot(session, Theme())
    file = Opened(Scan.of(signal), "patterns")
    session.opened, session.mean = file, pictures.mean_of(file)
    bar = next(part for part in plot.figure.right if isinstance(part, ColorBar))
    assert bar.title.splitlines()[0] == said


def test_the_mean_leaves_out_what_is_not_finite(signals):
    signal = signals["eds"].deepcopy()
    signal.change_dtype("float32")
    expected = signal.data.reshape(-1, signal.data.shape[-1])[1:].mean(axis=0, dtype=float)
    signal.data[0, 0] = np.nan
    found = pictures.mean_of(Opened(Scan.of(signal), "map"))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def _labels_of(made):
    every = made.select({"type": LabelSet})
    return [one for one in every if "name" in one.source.data]


def _run(session, recipe):
    return outcome_of(session.runner, recipe, session.root)


def _of_k(session, k):
    return session.recipe.with_settings({"cluster.n_clusters": k})


class TestPaint:
    def test_labels(self):
        labels, mask = np.array([[0, 1], [-1, 0]]), np.array([[False, False], [False, True]])
        found = paint.label_map(labels, mask, ["#ff0000", "#00ff80"]).view(np.uint8)
        found = found.reshape(2, 2, 4).tolist()
        assert found[0] == [[255, 0, 0, 255], [0, 255, 128, 255]]
        assert found[1] == [[154, 154, 154, 255], [0, 0, 0, 0]]

    def test_points_against_a_plain_loop(self):
        rng = np.random.default_rng(8)
        points, labels = rng.normal(size=(300, 2)), rng.integers(-1, 2, 300)
        shades = ["#ff0000", "#0000ff"]
        image = paint.cloud(points, labels, shades, (-1.0, 1.5, -2.0, 2.0), (7, 9))
        found = image.view(np.uint8).reshape(7, 9, 4)
        table = [(255, 0, 0), (0, 0, 255), (154, 154, 154)]
        for row in range(7):
            for column in range(9):
                here = [
                    table[label]
                    for (x, y), label in zip(points, labels, strict=True)
                    if int(np.floor((x + 1) / 2.5 * 9)) == column
                    and int(np.floor((y + 2) / 4 * 7)) == row
                ]
                if here:
                    assert (
                        found[row, column, :3].tolist() == np.rint(np.mean(here, axis=0)).tolist()
                    )
                assert bool(found[row, column, 3]) == bool(here)


def test_a_page_arrives_with_its_map_and_makes_other_figures_later(tmp_path):
    document = Document()

    def names():
        return {made.name for made in document.select({"type": figure})}

    def posted():
        every = document.session_callbacks
        return [one for one in every if isinstance(one, NextTickCallback)]

    async def visit():
        with set_curdoc(document):
            page = Page(Settings(tmp_path), Transfers())
            page.template.server_doc(document)
        assert names() == {"map"}
        styles = [one.url for one in document.select({"type": ImportedStyleSheet})]
        assert styles
        assert all(url.startswith("static/") for url in styles)  # none from outside
        before, shown = posted(), []
        thread = Thread(target=page.explorer.post, args=(lambda: shown.append(True),))
        thread.start()  # as threads do that have opened a file
        thread.join()
        assert posted() == before  # what a thread adds to a document can be lost
        await asyncio.sleep(0.01)
        with set_curdoc(document):
            for one in posted():
                one.callback()
        assert shown
        assert names() == {"map", "spectrum", "here", "center", "cloud"}
        page.close()

    asyncio.run(visit())
