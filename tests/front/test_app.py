"""The explorer without a browser: what its session is made of."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from itertools import combinations

import hyperspy.api as hs
import numpy as np
import pytest
from _session import EDS, at_once, finished, opened
from tornado.websocket import WebSocketClosedError

from clustem import segment
from clustem.app.session import drawing
from clustem.app.session.clouds import Selection, cloud_of
from clustem.app.session.frames import Frame, inside
from clustem.app.session.jobs import Jobs, Status
from clustem.app.session.live import FULL, REDUCED, Live
from clustem.app.web import serve
from clustem.cluster.kmeans._sketch import SMALL_SIZE
from clustem.core import Scan
from clustem.passes.rows import Rows
from clustem.recipes import Recipe
from clustem.recipes.runner import Runner


class TestFrame:
    def axes(self, *given):
        return [
            hs.signals.BaseSignal(
                np.zeros(size),
                axes=[{"size": size, "scale": scale, "offset": offset, "units": units}],
            ).axes_manager[0]
            for size, scale, offset, units in given
        ]

    def test_the_height_of_a_line_means_nothing(self):
        frame = Frame.of(self.axes((7, 0.5, -1.0, "nm")))
        assert frame.is_line
        assert frame.pixel(0.0, 99.0) == (0, 2)
        assert frame.place(0.0, -5.0) == "column 2"
        assert frame.pixel(9.0, 0.0) is None

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
        assert frame.size == pytest.approx((16.0, 96.0))
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

    def test_what_never_ticks_is_left_to_itself(self, monkeypatch):
        monkeypatch.setattr(sys.modules[Jobs.__module__], "_PATIENCE", 0.1)
        jobs, found, gate, begun = Jobs(at_once), [], threading.Event(), threading.Event()

        def deaf(report):
            begun.set()
            gate.wait(60)
            report("late", 1.0)  # ends here

        jobs.start("deaf", deaf, found.append, found.append)
        assert begun.wait(10)
        jobs.cancel()
        assert jobs.wait(10)
        assert jobs.status == Status()
        jobs.start("next", lambda _: 5, found.append, found.append)
        assert jobs.wait(10)
        gate.set()
        jobs.start("last", lambda _: 6, found.append, found.append)
        assert jobs.wait(10)
        assert found == [5, 6]
        jobs.close()

    def test_what_a_job_has_freed_is_given_back_before_the_next(self, monkeypatch):
        done = []
        monkeypatch.setattr(sys.modules[Jobs.__module__], "trim", lambda: done.append("trim"))
        jobs = Jobs(at_once)
        for name in ("first", "second"):
            jobs.start(name, lambda _, name=name: name, done.append, done.append)
        assert jobs.wait(10)
        assert done == ["first", "trim", "second", "trim"]
        jobs.close()

    def test_an_error_is_handed_over_and_the_next_job_runs(self):
        jobs, found = Jobs(at_once), []
        jobs.start("bad", lambda _: 1 / 0, found.append, found.append)
        jobs.start("good", lambda _: 1, found.append, found.append)
        assert jobs.wait(10)
        assert isinstance(found[0], ZeroDivisionError)
        assert found[1] == 1
        jobs.close()

    def test_a_report_that_comes_late_is_not_shown(self):
        jobs, kept = Jobs(at_once), []
        jobs.start("work", kept.append, lambda _: None, kept.append)
        assert jobs.wait(10)
        kept[0]("a thread of it", 1.0)
        assert jobs.status == Status()
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


class TestRunner:
    def test_what_is_in_common_runs_once(self, signals):
        runner, recipe = (
            Runner(Scan.of(signals["eds"]), keep=24),
            Recipe.named("eds-fuzzy").with_settings(EDS),
        )
        runner.run(recipe)
        first = runner.done
        assert first == len(recipe.steps)
        runner.run(recipe)
        assert runner.done == first
        runner.run(recipe.with_settings({"mapping.threshold": 0.6}))
        assert runner.done == first + 1
        runner.run(recipe.with_settings({"reduce.pca.n_components": 3}))
        assert runner.done == first + 1 + len(recipe.steps) - 2  # all but vacuum and descriptor

    def test_the_first_steps_are_forgotten_before_the_last(self, signals):
        runner, recipe = Runner(Scan.of(signals["eds"]), keep=1), Recipe.named("eds-fuzzy")
        first, again = (runner.run(recipe.with_settings(EDS)) for _ in range(2))
        assert runner.done == len(recipe.steps)
        np.testing.assert_array_equal(again.labels.data, first.labels.data)

    def test_the_result_is_that_of_segment(self, signals):
        runner = Runner(Scan.of(signals["eds"]), keep=24)
        for k in (4, 3, 4):
            recipe = Recipe.named("eds").with_settings({**EDS, "cluster.n_clusters": k})
            expected = segment(signals["eds"], recipe)
            found = runner.run(recipe)
            np.testing.assert_array_equal(found.labels.data, expected.labels.data)
            np.testing.assert_array_equal(found.centers.data, expected.centers.data)
            assert [step.name for step in found.history] == [s.name for s in expected.history]
            assert found.recipe_text == expected.recipe_text

    def test_progress_rises_to_the_end(self, signals):
        runner, shares = Runner(Scan.of(signals["eds"]), keep=24), []
        recipe = Recipe.named("eds").with_settings(EDS)
        runner.sweep(recipe, [2, 3], progress=lambda _, share: shares.append(share))
        assert shares == sorted(shares)
        assert 0 <= shares[0] < 0.2
        assert 0.5 < shares[-1] < 1


class TestDrawing:
    def test_a_crop_is_the_first_step(self, session, signals):
        opened(session, signals, "eds", settings={**EDS, "prepare.rebin.channels": 2})
        frame = session.opened.frame
        (x0, y0), (x1, y1) = frame.middle(3, 4), frame.middle(12, 17)
        drawing.crop(session, [x0 - 1, x1 - 1], [y0 - 1, y1 - 1])
        assert next(iter(session.recipe.steps)) == ("prepare", "crop")
        assert ("prepare", "rebin") in session.recipe.steps
        crop = session.recipe.steps["prepare", "crop"]
        assert (crop["rows"], crop["columns"]) == ("3:12", "4:17")
        box = drawing.crop_box(session)
        expected = (*frame.middle(2.5, 3.5), *frame.middle(11.5, 16.5))
        assert box == pytest.approx([expected[i] for i in (0, 2, 1, 3)])
        session.run()
        finished(session)
        assert session.outcome.result.labels.data.shape == (9, 13)
        assert frame.holds(session.places.frame)  # the map lies where it was cut out
        assert session.places.frame.pixel(*frame.middle(3, 4)) == (0, 0)

    @pytest.mark.parametrize("name", ["eds", "domains"])
    def test_what_is_encircled_is_excluded(self, session, signals, name):
        opened(session, signals, name, settings=EDS if name == "eds" else {"describe.size": 12})
        frame = session.opened.frame
        rows, columns = frame.shape
        (x0, y0), (x1, y1) = frame.middle(0, 0), frame.middle(rows // 3, columns // 2)
        drawing.exclude(session, [x0, x1, x1, x0], [y0 - 1, y0 - 1, y1, y1])
        xs, ys = next(drawing.outlines(session))
        assert (max(xs), max(ys)) == pytest.approx((x1, y1))
        session.run()
        result = finished(session).outcome.result
        left_out = inside(session.places.points, np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
        assert result.mask.ravel()[left_out].mean() > 0.9
        assert not result.mask.ravel()[session.places.points[:, 0] > x1 * 1.4].any()
        text = Recipe.from_toml(result.recipe_text)
        again = segment(session.root / f"{name}.hspy", text)
        np.testing.assert_array_equal(again.labels.data, result.labels.data)

    def test_the_beam(self, session, signals):
        opened(session, signals, "diffraction")
        drawing.beam(session, (30.25, 33.5), 7.0)
        step = session.recipe.steps["prepare", "beam_mask"]
        assert (tuple(step["center"]), step["radius"]) == ((30.25, 33.5), 7.0)


class TestSelection:
    def test_the_map_and_the_points_choose_alike(self, session, signals):
        selection = Selection(session)
        opened(session, signals, "eds", settings=EDS)
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
        finished(session)
        assert selection.count == 1
        assert selection.chosen[cloud.entries[cluster[0]]]
        np.testing.assert_allclose(
            selection.mean,
            session.outcome.result.source.data.reshape(-1, 1024)[cloud.entries[cluster[0]]],
        )
        selection.choose(None)
        assert selection.mean is None

    def test_raw_patterns_lie_in_the_plane_of_their_centers(self, session, signals):
        opened(session, signals, "diffraction", settings={"cluster.n_clusters": 3})
        cloud = cloud_of(session.outcome)
        assert cloud.points.shape == (120, 2)
        found = [cloud.points[cloud.labels == i].mean(axis=0) for i in range(3)]
        spread = max(cloud.points[cloud.labels == i].std() for i in range(3))
        assert min(np.linalg.norm(a - b) for a, b in combinations(found, 2)) > spread

    def test_a_merge_of_a_sample_forgets_what_was_chosen(self, session, signals):
        selection = Selection(session)
        opened(session, signals, "eds", settings=EDS)
        selection.choose(session.outcome.result.labels.data.ravel() == 0)
        session.edit(lambda result: result.merge([0, 1]))
        assert selection.chosen is None


def test_two_clusterings_of_one_image(session, signals):
    live = Live(session)
    opened(session, signals, "domains", settings={"describe.size": 12})
    live.run(
        {"describe.size": 10},
        [
            {"space": FULL, "cluster.covariance_type": "spherical", "cluster.n_clusters": 3},
            {"space": REDUCED, "cluster.n_clusters": 4},
        ],
    )
    finished(session)
    left, right = live.outcomes
    widths = [outcome.result.features.rows.shape[1] for outcome in (left, right)]
    assert widths[0] == 100 > widths[1]
    assert (left.result.n_clusters, right.result.n_clusters) == (3, 4)
    assert session.recipe.steps["describe", "patches"]["size"] == 12  # the session's own stays


def test_what_is_compiled_ahead_serves_large_scans_too(monkeypatch):
    seen = {}
    monkeypatch.setattr(serve.os, "nice", lambda _: None, raising=False)
    monkeypatch.setattr(
        sys.modules["clustem.recipes.segment"],
        "segment",
        lambda signal, name: seen.update({(name, signal.data.dtype.name): signal}),
    )
    serve.compile_first()
    assert set(seen) == set(serve.FIRST)
    assert all(s.data.size > SMALL_SIZE for (name, _), s in seen.items() if name == "diffraction")


@pytest.mark.parametrize(("error", "logged"), [(WebSocketClosedError, 0), (OSError, 1)])
def test_a_page_that_is_closed_in_a_message_is_no_news(caplog, error, logged):
    async def fail():
        raise error

    async def unawaited():
        asyncio.get_running_loop().set_exception_handler(serve.unretrieved)
        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(unawaited())
    assert len(caplog.records) == logged


def test_the_first_recipe_is_shown_without_imports():
    """They would hold up the page, while its first image waits."""
    code = """
import sys
import clustem.app.web.page
from clustem.app.forms.steps import Steps
from clustem.app.session.state import Explorer
from clustem.app.session.warm_up import warm_up
warm_up()
explorer = Explorer(None, lambda call: call())
explorer.open_sample("eds")
explorer.jobs.wait()
before = set(sys.modules)
Steps(explorer).fields()
print(*set(sys.modules) - before)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not [name for name in found.stdout.split() if name.startswith("clustem.")]
