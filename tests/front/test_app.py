"""The explorer without a browser: what is behind its page."""

import json
import threading
import time
import zipfile

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from bokeh.models import ScaleBar

from clustem import Segmentation, samples, segment
from clustem.app import compiling, drawing, exports, paint, pictures
from clustem.app.center_plot import GridPlot
from clustem.app.clouds import Selection, cloud_of
from clustem.app.clusters import Clusters
from clustem.app.frames import Frame, inside
from clustem.app.grids import grid_of
from clustem.app.header import Header
from clustem.app.hues import hues_of_both, lasting_hues
from clustem.app.jobs import Jobs, Status
from clustem.app.live import FULL, REDUCED, Live
from clustem.app.map_plot import MapPlot
from clustem.app.opened import Opened
from clustem.app.plots import Looks
from clustem.app.runs import Runs
from clustem.app.side_by_side import SideBySide
from clustem.app.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.state import Explorer
from clustem.app.strips import Tools
from clustem.compute import Rows
from clustem.compute.kmeans_sketch import SMALL_SIZE
from clustem.recipes import Recipe, Scan

EDS = {"cluster.n_init": 2}
SMALL = {"eds": (18, 21), "diffraction": (10, 12), "domains": (160, 200)}


def at_once(call):
    call()


def settled(explorer):
    for jobs in (explorer.jobs, explorer.looks):
        assert jobs.wait(60)
    assert explorer.message.kind != "error", explorer.message.text
    return explorer


@pytest.fixture(scope="module")
def signals():
    return {name: samples.catalogue[name].step(shape=shape).signal for name, shape in SMALL.items()}


@pytest.fixture
def session(tmp_path):
    root = tmp_path / "shared"
    root.mkdir()
    found = Explorer(root, at_once)
    yield found
    found.close()


def opened(session, signals, name, **settings):
    """Open a sample as a file, and run its recipe."""
    signals[name].save(session.root / f"{name}.hspy", overwrite=True)
    session.open_path(f"{name}.hspy")
    settled(session)
    session.choose(name)
    session.change(settings)
    session.run()
    return settled(session)


class TestFrame:
    def axes(self, *given):
        return [
            hs.signals.BaseSignal(
                np.zeros(size),
                axes=[{"size": size, "scale": scale, "offset": offset, "units": units}],
            ).axes_manager[0]
            for size, scale, offset, units in given
        ]

    def test_pixels_and_their_middles(self):
        frame = Frame.of(self.axes((5, 2.0, 10.0, "nm"), (7, 0.5, -1.0, "nm")))
        assert (frame.shape, frame.step, frame.units) == ((5, 7), (2.0, 0.5), "nm")
        for row, column in ((0, 0), (4, 6), (2, 5)):
            assert frame.pixel(*frame.middle(row, column)) == (row, column)
        assert frame.pixel(-1.3, 10.0) is None
        points = frame.middles().reshape(5, 7, 2)
        np.testing.assert_allclose(points[3, 4], frame.middle(3, 4))

    def test_rows_in_other_units_than_columns(self):
        frame = Frame.of(self.axes((4, 0.002, 0.0, "µm"), (6, 1.0, 0.0, "nm")))
        assert frame.step == pytest.approx((2.0, 1.0))
        assert frame.units == "nm"

    def test_without_units_pixels_are_counted(self):
        frame = Frame.of(self.axes((4, 1.0, 2.0, ""), (6, 1.0, 3.0, "")))  # of a crop
        assert (frame.units, frame.corner) == ("px", (1.5, 2.5))
        assert Frame((9, 9)).holds(frame)
        assert not frame.holds(Frame((9, 9)))
        assert Frame.of(self.axes((4, 1.0, 0.0, "nm"), (6, 1.0, 0.0, "eV"))).units == "px"

    def test_a_line_is_a_strip(self):
        frame = Frame.of(self.axes((48, 2.0, 0.0, "nm")))
        assert frame.shape == (1, 48)
        assert frame.size == pytest.approx((8.0, 96.0))
        assert frame.pixel(*frame.middle(0, 40)) == (0, 40)

    def test_spans(self):
        frame = Frame.of(self.axes((5, 2.0, 0.0, "nm"), (7, 1.0, 0.0, "nm")))
        assert frame.span(4.9, 1.1, 1) == (2, 5)
        assert frame.span(-50, 50, 0) == (0, 5)
        assert frame.span(2.6, 2.9, 1) is None

    def test_what_lies_in_an_outline(self):
        points = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 3.0], [9.0, 9.0]])
        corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.2]])
        assert inside(points, corners).tolist() == [True, True, True, False]
        assert not inside(points, corners[:2]).any()


class TestJobs:
    def test_what_the_work_returns_arrives(self):
        jobs, found, seen = Jobs(at_once), [], []
        jobs.param.watch(lambda event: seen.append(event.new), "status")

        def work(report):
            report("half", 0.5)
            return 7

        jobs.start("seven", work, found.append, found.append)
        assert jobs.wait(10)
        assert found == [7]
        assert Status("seven", "half", 0.5) in seen
        assert seen[-1] == Status()
        jobs.close()

    def test_a_pass_over_rows_can_be_cancelled(self):
        jobs, found, begun = Jobs(at_once), [], threading.Event()
        rows = Rows(np.ones((4000, 8), dtype=np.uint8), block_bytes=64)

        def work(report):
            for _ in rows.map(lambda block, _: time.sleep(0.002), threads=1):
                begun.set()

        jobs.start("pass", work, found.append, found.append)
        assert begun.wait(10)
        jobs.cancel()
        assert jobs.wait(5)  # the pass would take 8 s
        assert found == []
        assert jobs.status == Status()
        jobs.close()

    def test_an_error_is_handed_over_and_the_next_job_runs(self):
        jobs, found = Jobs(at_once), []
        jobs.start("bad", lambda _: 1 / 0, found.append, found.append)
        jobs.start("good", lambda _: 1, found.append, found.append)
        assert jobs.wait(10)
        assert isinstance(found[0], ZeroDivisionError)
        assert found[1] == 1
        jobs.close()

    def test_only_the_last_word_counts(self):
        jobs, found, gate = Jobs(at_once), [], threading.Event()
        jobs.start("gate", lambda _: gate.wait(10), lambda _: None, found.append)
        for i in range(5):
            jobs.start("look", lambda _, i=i: i, found.append, found.append, latest=True)
        gate.set()
        assert jobs.wait(10)
        assert found == [4]
        jobs.close()

    def test_after_the_end_nothing_starts(self):
        jobs, found = Jobs(at_once), []
        jobs.close()
        jobs.start("late", lambda _: 1, found.append, found.append)
        assert jobs.wait(1)
        assert found == []


class TestRuns:
    def test_what_is_in_common_runs_once(self, signals):
        runs, recipe = Runs(Scan(signals["eds"])), Recipe.named("eds").with_settings(EDS)
        runs.run(recipe)
        first = runs.done
        assert first == len(recipe.steps)
        runs.run(recipe)
        assert runs.done == first
        runs.run(recipe.with_settings({"reproject.threshold": 0.6}))
        assert runs.done == first + 1
        runs.run(recipe.with_settings({"reduce.pca.n_components": 3}))
        assert runs.done == first + 1 + len(recipe.steps) - 1  # all but the descriptor

    def test_the_result_is_that_of_segment(self, signals):
        runs = Runs(Scan(signals["eds"]))
        for k in (4, 3, 4):
            recipe = Recipe.named("eds").with_settings({**EDS, "cluster.n_clusters": k})
            expected = segment(signals["eds"], recipe)
            found = runs.run(recipe).result
            np.testing.assert_array_equal(found.labels.data, expected.labels.data)
            np.testing.assert_array_equal(found.centers.data, expected.centers.data)
            assert [step.name for step in found.history] == [s.name for s in expected.history]
            assert found.recipe == expected.recipe

    def test_progress_rises_to_the_end(self, signals):
        runs, heard = Runs(Scan(signals["eds"])), []
        recipe = Recipe.named("eds").with_settings(EDS)
        runs.sweep(recipe, [2, 3], lambda _, share: heard.append(share))
        assert heard == sorted(heard)
        assert 0 <= heard[0] < 0.2
        assert 0.5 < heard[-1] < 1


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


class TestSession:
    @pytest.mark.parametrize("name", list(SMALL))
    def test_open_run_and_look(self, session, signals, name):
        opened(session, signals, name)
        outcome, places = session.outcome, session.places
        assert outcome.result.n_clusters == session.recipe.steps[_cluster(session)]["n_clusters"]
        assert not session.stale
        number = len(places.points) // 3
        session.look(*(float(value) for value in places.points[number]))
        source = outcome.result.source
        rows = source.data.reshape(-1, *source.data.shape[outcome.result.mask.ndim :])
        np.testing.assert_array_equal(session.reading.values, rows[number])
        assert session.reading.label == outcome.result.labels.data.flat[number]

    def test_what_is_shown_before_a_result(self, session, signals):
        signals["domains"].save(session.root / "image.hspy")
        session.open_path("image.hspy")
        settled(session)
        assert {"domains", "particles"} <= set(session.offers())
        session.look(*session.opened.frame.middle(2, 190))
        np.testing.assert_array_equal(
            session.reading.values, signals["domains"].data[:48, -48:].astype(np.float32)
        )

    def test_facts(self, session, signals):
        signals["eds"].save(session.root / "map.hspy")
        session.open_path("map.hspy")
        facts = dict(settled(session).opened.facts)
        assert facts["Shape"].startswith("18 × 21 × 1024")
        assert "spectra" in facts["Kind"]
        assert "in memory" in facts["Memory"]

    def test_npy_is_mapped_and_gets_a_recipe_that_the_command_line_takes_too(self, session):
        rng = np.random.default_rng(3)
        data = rng.poisson(3, (9, 11, 20)).astype(np.uint16)
        data[:, 6:, 4:9] += 9
        np.save(session.root / "plain.npy", data)
        session.open_path("plain.npy")
        settled(session)
        assert session.opened.on_disk
        assert session.opened.kind == "spectra"
        session.choose("eds")
        session.change({"cluster.n_clusters": 2, **EDS})
        session.run()
        settled(session)
        again = segment(session.root / "plain.npy", Recipe.from_toml(session.recipe.to_toml()))
        np.testing.assert_array_equal(again.labels.data, session.outcome.result.labels.data)

    def test_edits_and_their_end(self, session, signals):
        opened(session, signals, "eds", **EDS)
        before = session.outcome
        session.edit("rename", 1, "quartz")
        session.edit("recolor", [1], 9)
        session.edit("merge", [0, 2])
        assert session.outcome.result.n_clusters == before.result.n_clusters - 1
        assert "quartz" in session.outcome.result.names.values()
        for _ in range(3):
            assert session.can_undo
            session.undo()
        assert session.outcome.result is before.result
        assert not session.can_undo
        session.edit("merge", [0])
        assert session.message.kind == "error"
        assert session.outcome.result is before.result

    def test_colors_are_swapped(self, session, signals):
        opened(session, signals, "eds", **EDS)
        first = paint.hex_colors(session.outcome.result.projection)
        session.edit("recolor", [0], 2)
        after = paint.hex_colors(session.outcome.result.projection)
        assert (after[0], after[2]) == (first[2], first[0])
        assert after[1] == first[1]

    def test_a_sweep_and_a_k_of_it(self, session, signals):
        opened(session, signals, "eds", **EDS)
        session.sweep([2, 5])
        settled(session)
        session.show_k(5)
        assert session.outcome.result.n_clusters == 5
        assert session.recipe.steps[_cluster(session)]["n_clusters"] == 5
        assert not session.stale

    def test_broken_and_unknown_files(self, session, tmp_path):
        (session.root / "broken.hspy").write_bytes(b"\x89HDF\r\n\x1a\n no more")
        (session.root / "notes.txt").write_text("no scan")
        for name in ("broken.hspy", "notes.txt", "absent.hspy", "../x.hspy"):
            session.open_path(name)
            session.jobs.wait(30)
            assert session.message.kind == "error"
            assert str(tmp_path) not in session.message.text
        assert session.opened is None

    @pytest.mark.parametrize("name", ["empty.npy", "short.npy", "archive.npy", "torn.hspy"])
    def test_what_is_wrong_with_a_broken_upload_is_told(self, session, tmp_path, name):
        path = tmp_path / name
        path.touch()
        if name == "short.npy":
            np.save(path, np.ones((3, 4, 5)))
            path.write_bytes(path.read_bytes()[:-3])
        elif name == "archive.npy":
            with path.open("wb") as file:
                np.savez(file, a=np.ones((3, 4, 5)))
        elif name == "torn.hspy":
            hs.signals.Signal1D(np.random.default_rng(0).random((6, 7, 50))).save(
                path, overwrite=True
            )
            with h5py.File(path) as file:
                where = file["Experiments/__unnamed__/data"].id.get_chunk_info(0).byte_offset
            with path.open("r+b") as file:
                file.seek(where)
                file.write(b"0" * 200)
        session.open_upload(path, name)
        session.jobs.wait(30)
        assert session.message.kind == "error"
        assert "Something went wrong" not in session.message.text
        assert "; got " in session.message.text
        assert str(tmp_path) not in session.message.text

    @pytest.mark.parametrize("several", [False, True])
    def test_seeds_stay_as_they_were_typed(self, session, signals, several):
        regions = np.zeros((18, 21), dtype=int)
        regions[:3, :3], regions[-3:, -3:] = 1, 2
        np.save(session.root / "regions.npy", regions)
        np.save(session.root / "one.npy", regions == 1)
        np.save(session.root / "two.npy", regions == 2)
        typed = ["one.npy", "two.npy"] if several else "regions.npy"
        opened(session, signals, "eds", **EDS)
        step, k = f"cluster.{_cluster(session)[1]}", {"cluster.n_clusters": 2}
        assert session.change({**k, f"{step}.seeds": typed})
        assert session.recipe.steps[_cluster(session)]["seeds"] == typed
        session.outcome = None
        before = exports.recipe(session).read_text()
        session.run()
        result = settled(session).outcome.result
        assert not session.stale
        assert session.recipe.steps[_cluster(session)]["seeds"] == typed
        for text in (before, exports.recipe(session).read_text()):
            assert str(session.root) not in text
            again = segment(session.root / "eds.hspy", Recipe.from_toml(text))
            np.testing.assert_array_equal(again.labels.data, result.labels.data)

    def test_a_wrong_value_is_refused_and_changes_nothing(self, session, signals):
        opened(session, signals, "eds", **EDS)
        before = session.recipe
        assert not session.change({"cluster.n_clusters": 0})
        assert session.message.kind == "error"
        assert session.recipe is before

    def test_what_an_earlier_file_gives_late_is_forgotten(self, session, signals):
        opened(session, signals, "eds", **EDS)
        signals["diffraction"].save(session.root / "other.hspy")
        session.open_path("other.hspy")
        session.run()  # the old file's still
        session.sweep([2, 3])
        settled(session)
        assert session.opened.label == "other.hspy"
        assert session.outcome is None
        assert session.swept == {}
        session.run()
        assert settled(session).outcome.recipe.name == "diffraction"

    def test_each_change_runs_where_that_is_wanted(self, session, signals):
        header = Header(session)
        opened(session, signals, "eds", **EDS)
        header.heard("auto", True)
        for k in (5, 2):
            header.heard("k", k)
            assert settled(session).outcome.result.n_clusters == k

    def test_messages_are_about_what_is_there(self, session, signals):
        opened(session, signals, "eds", **EDS)
        k = session.outcome.result.n_clusters
        session.edit("merge", [0, 1])
        assert session.message.text.startswith(f"{k - 1} clusters, ")
        session.undo()
        assert session.message.text.startswith(f"{k} clusters, ")
        assert not session.change({"cluster.n_clusters": -3})
        assert session.change({"cluster.n_clusters": 3})
        assert session.message.text == ""

    def test_merge_pressed_twice_and_a_name_that_is_taken_back(self, session, signals):
        opened(session, signals, "eds", **EDS)
        before, clusters = session.outcome.result, Clusters(session, Selection(session))
        clusters.heard("name/0", "glass")
        clusters.heard("name/0", " ")
        assert session.outcome.result.names.get(0) is None
        clusters.heard("tick/0", True)
        clusters.heard("tick/1", True)
        for _ in range(2):
            clusters.heard("merge", True)
        assert settled(session).outcome.result.n_clusters == before.n_clusters - 1

    def test_closing_forgets_and_deletes(self, session, signals):
        opened(session, signals, "eds", **EDS)
        session.close()
        assert session.opened is session.outcome is session.picture is session.runs is None
        assert not session.temporary.exists()
        session.run()  # nobody is there any more


class TestDrawing:
    def test_a_crop_is_the_first_step(self, session, signals):
        opened(session, signals, "eds", **EDS, **{"prepare.rebin.channels": 2})
        frame = session.opened.frame
        (x0, y0), (x1, y1) = frame.middle(3, 4), frame.middle(12, 17)
        drawing.crop(session, [x0 - 1, x1 - 1], [y0 - 1, y1 - 1])
        assert list(session.recipe.steps)[:2] == [("prepare", "crop"), ("prepare", "rebin")]
        crop = session.recipe.steps["prepare", "crop"]
        assert (crop["rows"], crop["columns"]) == ("3:12", "4:17")
        box = drawing.crop_box(session)
        expected = (*frame.middle(2.5, 3.5), *frame.middle(11.5, 16.5))
        assert box == pytest.approx([expected[i] for i in (0, 2, 1, 3)])
        session.run()
        settled(session)
        assert session.outcome.result.labels.data.shape == (9, 13)
        assert frame.holds(session.places.frame)  # the map lies where it was cut out
        assert session.places.frame.pixel(*frame.middle(3, 4)) == (0, 0)

    @pytest.mark.parametrize("name", ["eds", "domains"])
    def test_what_is_encircled_is_excluded(self, session, signals, name):
        opened(session, signals, name, **(EDS if name == "eds" else {"describe.size": 12}))
        frame = session.opened.frame
        rows, columns = frame.shape
        (x0, y0), (x1, y1) = frame.middle(0, 0), frame.middle(rows // 3, columns // 2)
        drawing.exclude(session, [x0, x1, x1, x0], [y0 - 1, y0 - 1, y1, y1])
        xs, ys = next(drawing.outlines(session))
        assert (max(xs), max(ys)) == pytest.approx((x1, y1))
        session.run()
        result = settled(session).outcome.result
        left_out = inside(session.places.points, np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
        assert result.mask.ravel()[left_out].mean() > 0.9
        assert not result.mask.ravel()[session.places.points[:, 0] > x1 * 1.4].any()
        text = result.recipe
        again = segment(session.root / f"{name}.hspy", Recipe.from_toml(text))
        np.testing.assert_array_equal(again.labels.data, result.labels.data)

    def test_the_beam(self, session, signals):
        opened(session, signals, "diffraction")
        drawing.beam(session, (30.25, 33.5), 7.0)
        step = session.recipe.steps["prepare", "beam_mask"]
        assert (tuple(step["center"]), step["radius"]) == ((30.25, 33.5), 7.0)


class TestSelection:
    def test_the_map_and_the_points_choose_alike(self, session, signals):
        selection = Selection(session)
        opened(session, signals, "eds", **EDS)
        cloud = selection.cloud
        assert len(cloud.points) == 18 * 21
        cluster = np.flatnonzero(cloud.labels == 0)
        low, high = cloud.points[:, :2].min() - 1, cloud.points[:, :2].max() + 1
        selection.in_cloud([low, high, high, low], [low, low, high, high], (0, 1))
        assert selection.count == 18 * 21
        points = session.places.points[cloud.entries[cluster[:1]]][0]
        step = session.places.frame.step[1] * 0.6
        xs = [points[0] - step, points[0] + step, points[0] + step, points[0] - step]
        ys = [points[1] - step, points[1] - step, points[1] + step, points[1] + step]
        selection.on_map(xs, ys)
        settled(session)
        assert selection.count == 1
        assert selection.chosen[cloud.entries[cluster[0]]]
        np.testing.assert_allclose(
            selection.mean,
            session.outcome.result.source.data.reshape(-1, 1024)[cloud.entries[cluster[0]]],
        )
        selection.choose(None)
        assert selection.mean is None

    def test_raw_patterns_lie_in_the_plane_of_their_centers(self, session, signals):
        opened(session, signals, "diffraction", **{"cluster.n_clusters": 3})
        cloud = cloud_of(session.outcome)
        assert cloud.points.shape == (120, 2)
        found = [cloud.points[cloud.labels == i].mean(axis=0) for i in range(3)]
        spread = max(cloud.points[cloud.labels == i].std() for i in range(3))
        assert min(np.linalg.norm(a - b) for a, b in _pairs(found)) > spread

    def test_a_merge_of_a_sample_forgets_what_was_chosen(self, session, signals):
        selection = Selection(session)
        opened(session, signals, "eds", **EDS)
        selection.choose(session.outcome.result.labels.data.ravel() == 0)
        session.edit("merge", [0, 1])
        assert selection.chosen is None


def test_two_clusterings_of_one_image(session, signals):
    live = Live(session)
    opened(session, signals, "domains", **{"describe.size": 12})
    live.run(
        {"describe.size": 10},
        [
            {"space": FULL, "cluster.covariance_type": "spherical", "cluster.n_clusters": 3},
            {"space": REDUCED, "cluster.n_clusters": 4},
        ],
    )
    settled(session)
    left, right = live.outcomes
    widths = [outcome.result.projection.table.rows.shape[1] for outcome in (left, right)]
    assert widths[0] == 100 > widths[1]
    assert (left.result.n_clusters, right.result.n_clusters) == (3, 4)
    assert session.recipe.steps["describe", "patches"]["size"] == 12  # the session's own stays


class TestSideBySide:
    def sides(self, session):
        return SideBySide(session, Live(session), Looks())

    def test_colors_are_those_of_the_map(self, session, signals):
        opened(session, signals, "eds", **EDS)
        k = session.outcome.result.n_clusters
        session.edit("recolor", [1], 9)
        main = session.outcome
        fewer, more = (session.runs.run(_of_k(session, n)) for n in (k - 1, k + 1))
        same = session.runs.run(_of_k(session, k))
        for left, right in ((same, more), (more, same), (fewer, same)):
            hues = hues_of_both(main, left, right)
            for outcome, found in zip((left, right), hues, strict=True):
                assert len(set(found)) == outcome.result.n_clusters
                if outcome is same:
                    assert found == main.result.projection.hues
        assert hues_of_both(None, same, more)[0] == same.result.projection.hues

    def test_colors_are_handed_on_where_clusters_lie(self, session, signals):
        opened(session, signals, "eds", **EDS)
        main = session.outcome
        other = session.runs.run(
            session.recipe.with_settings(
                {"prepare.crop.rows": "5:18", "prepare.crop.columns": ":9"}
            )
        )
        hues = lasting_hues(other, main, main.result.projection.hues)
        whole, part = main.result.labels.data[5:18, :9], other.result.labels.data
        both = (whole >= 0) & (part >= 0)
        colors = np.array(main.result.projection.hues)
        assert (colors[whole[both]] == np.array(hues)[part[both]]).mean() > 0.6

    def test_another_file_clears_both(self, session, signals):
        opened(session, signals, "eds", **EDS)
        sides = self.sides(session)
        sides.run()
        settled(session)
        for made, parts in zip(sides.figures, sides._parts, strict=True):
            assert "k = " in made.title.text
            assert len(parts["grey"].data["image"]) == 1
            assert any(isinstance(part, ScaleBar) for part in made.center)
        session.open_path("eds.hspy")
        settled(session)
        for made, parts in zip(sides.figures, sides._parts, strict=True):
            assert made.title.text == " "
            assert not any(parts[name].data["image"] for name in ("grey", "over"))
            assert not any(isinstance(part, ScaleBar) for part in made.center)


class TestCursor:
    def plots(self, session):
        selection, looks = Selection(session), Looks()
        spectrum = SpectrumPlot(session, selection, looks)
        return spectrum, Tools(session, selection, MapPlot(session, selection, looks))

    def test_one_place_however_the_scan_is_cropped_and_binned(self, session, signals):
        crop = {"prepare.crop.rows": "3:15", "prepare.crop.columns": "4:20"}
        opened(session, signals, "eds", **EDS, **crop)
        spectrum, tools = self.plots(session)
        session.look(*session.opened.frame.middle(11, 13))
        assert spectrum.caption[0][0] == "row 11, column 13"
        assert tools.place().startswith("row 11, column 13 (")

    def test_what_is_excluded_is_called_so(self, session, signals):
        opened(session, signals, "eds", **EDS)
        spectrum, _ = self.plots(session)
        out = np.zeros(session.outcome.result.mask.shape, dtype=bool)
        out[2, 5] = True
        session.edit("exclude", out)
        session.look(*session.opened.frame.middle(2, 5))
        assert spectrum.caption[1][0] == "excluded"
        session.look(*session.opened.frame.middle(2, 6))
        assert spectrum.caption[1][0] != "excluded"

    def test_a_line_has_one_coordinate(self, session, signals):
        signals["eds"].inav[:, 3].save(session.root / "line.hspy")
        session.open_path("line.hspy")
        settled(session)
        frame = session.opened.frame
        x, y = frame.middle(0, 7)
        session.look(x, y)
        spectrum, tools = self.plots(session)
        assert spectrum.caption[0][0] == "column 7"
        assert tools.place() == f"column 7 ({x:.4g}\u00a0{frame.units})"


class TestGrid:
    @pytest.mark.parametrize("size", [(50.0, 6.0), (1.0, 12.0), (3.0, 4.0)])
    @pytest.mark.parametrize("k", [1, 2, 7, 30])
    def test_each_title_has_its_own_room(self, size, k):
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
        opened(session, signals, "domains", **{"describe.size": 12})
        plot = PatternPlot(session, Selection(session), Looks())
        plot._renew()
        assert plot.center.xaxis[0].axis_label.endswith(("px)", "nm)"))

    def test_memberships_have_a_scale_bar(self, session, signals):
        plot = GridPlot(session, Looks(), "memberships")
        opened(session, signals, "eds", **EDS)
        bar = next(part for part in plot.figure.center if isinstance(part, ScaleBar))
        assert bar.unit == session.opened.frame.units


def test_the_mean_leaves_out_what_is_not_finite(signals):
    signal = signals["eds"].deepcopy()
    signal.change_dtype("float32")
    expected = signal.data.reshape(-1, signal.data.shape[-1])[1:].mean(axis=0, dtype=float)
    signal.data[0, 0] = np.nan
    np.testing.assert_allclose(pictures.mean_of(signal), expected, rtol=1e-6)


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


class TestExport:
    def test_the_folder_in_the_zip_is_that_of_the_command_line(self, session, signals, tmp_path):
        opened(session, signals, "eds", **EDS)
        target = exports.packed(session, lambda *_: None)
        with zipfile.ZipFile(target) as file:
            file.extractall(tmp_path / "got")
        folder = tmp_path / "got" / target.stem
        found = Segmentation.load(folder)
        np.testing.assert_array_equal(found.labels.data, session.outcome.result.labels.data)
        written = (folder / "provenance.json").read_text() + (folder / "report.html").read_text()
        assert str(tmp_path) not in written
        assert json.loads((folder / "provenance.json").read_text())["input"]["path"] == "eds.hspy"
        again = segment(session.root / "eds.hspy", folder / "recipe.toml")
        np.testing.assert_array_equal(again.labels.data, found.labels.data)

    def test_saving_stays_in_the_root(self, session, signals, tmp_path):
        opened(session, signals, "eds", **EDS)
        (session.root / "out").symlink_to(tmp_path)
        for name in ("../x", "/tmp/x", "", "out/x", "a/../../x"):
            with pytest.raises(ValueError, match="must be"):
                exports.save(session, name, lambda *_: None)
        assert exports.save(session, "deep/first", lambda *_: None) == "deep/first"
        assert (session.root / "deep" / "first" / "report.html").is_file()
        with pytest.raises(ValueError, match="must not exist"):
            exports.save(session, "deep/first", lambda *_: None)

    def test_figures(self, session, signals):
        opened(session, signals, "diffraction", **{"cluster.n_clusters": 2})
        with zipfile.ZipFile(exports.figures(session, "svg", lambda *_: None)) as file:
            assert "phase_map.svg" in file.namelist()
            assert all(b"<svg" in file.read(name) for name in file.namelist())

    def test_without_a_result(self, session):
        with pytest.raises(ValueError, match="result is needed"):
            exports.ready(session)


def _cluster(session):
    return next(key for key in session.recipe.steps if key[0] == "cluster")


def _pairs(values):
    return [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]


def test_a_truth_is_compared_only_where_it_fits():
    sample = Opened.sample("domains")
    assert sample.truth is not None
    assert sample.label == "sample: domains"


def test_what_is_compiled_ahead_serves_large_scans_too(monkeypatch):
    seen = {}
    monkeypatch.setattr(compiling.os, "nice", lambda _: None, raising=False)
    monkeypatch.setattr(
        compiling,
        "segment",
        lambda signal, name: seen.update({(name, signal.data.dtype.name): signal}),
    )
    compiling.main()
    assert set(seen) == set(compiling.FIRST)
    assert all(s.data.size > SMALL_SIZE for (name, _), s in seen.items() if name == "diffraction")
