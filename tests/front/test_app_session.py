"""The explorer's session: open, run, edit, export."""

import json
import resource
import threading
import zipfile
from dataclasses import replace

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from _session import EDS, SMALL, at_once, finished, opened

from clustem import Segmentation, segment
from clustem.app.forms.clusters import Clusters, recolored
from clustem.app.forms.header import Footer, Header
from clustem.app.plots import paint
from clustem.app.plots.center_plot import GridPlot, SpectraPlot
from clustem.app.plots.plots import Theme
from clustem.app.session import drawing, exports, opening
from clustem.app.session.clouds import Selection
from clustem.app.session.opened import Opened
from clustem.app.session.state import Explorer
from clustem.core import Scan, warn
from clustem.recipes import Recipe
from clustem.report import Print


class TestSession:
    @pytest.mark.parametrize("name", list(SMALL))
    def test_open_run_and_look(self, session, signals, name):
        opened(session, signals, name)
        outcome, places = session.outcome, session.places
        wanted = session.recipe.steps[_cluster(session)]["n_clusters"]
        assert wanted in {"auto", outcome.result.n_clusters}
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
        finished(session)
        assert {"domains", "particles"} <= set(session.offers())
        session.look(*session.opened.frame.middle(2, 190))
        np.testing.assert_array_equal(
            session.reading.values, signals["domains"].data[:48, -48:].astype(np.float32)
        )

    def test_facts(self, session, signals):
        signals["eds"].save(session.root / "map.hspy")
        session.open_path("map.hspy")
        facts = dict(finished(session).opened.facts)
        assert facts["Shape"].startswith("18 × 21 × 1024")
        assert "spectra" in facts["Kind"]
        assert "in memory" in facts["Memory"]

    def test_npy_is_mapped_and_gets_a_recipe_that_the_command_line_takes_too(self, session):
        rng = np.random.default_rng(3)
        data = rng.poisson(3, (9, 11, 20)).astype(np.uint16)
        data[:, 6:, 4:9] += rng.poisson(9, (9, 5, 5)).astype(np.uint16)
        np.save(session.root / "plain.npy", data)
        session.open_path("plain.npy")
        finished(session)
        assert session.opened.on_disk
        assert session.opened.kind == "spectra"
        session.choose("eds")
        session.change({"cluster.n_clusters": 2, **EDS})
        session.run()
        finished(session)
        again = segment(session.root / "plain.npy", Recipe.from_toml(session.recipe.to_toml()))
        np.testing.assert_array_equal(again.labels.data, session.outcome.result.labels.data)

    def test_edits_and_their_end(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        before = session.outcome
        session.edit(lambda result: result.relabel({1: "quartz"}))
        session.edit(lambda result: recolored(result, [1], 9))
        session.edit(lambda result: result.merge([0, 2]))
        assert session.outcome.result.n_clusters == before.result.n_clusters - 1
        assert "quartz" in session.outcome.result.names.values()
        for _ in range(3):
            assert session.can_undo
            session.undo()
        assert session.outcome.result is before.result
        assert not session.can_undo
        session.edit(lambda result: result.merge([0]))
        assert session.message.kind == "error"
        assert session.outcome.result is before.result

    def test_colors_are_swapped(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        first = paint.hex_colors(session.outcome.result)
        session.edit(lambda result: recolored(result, [0], 2))
        after = paint.hex_colors(session.outcome.result)
        assert (after[0], after[2]) == (first[2], first[0])
        assert after[1] == first[1]

    def test_a_sweep_and_a_k_of_it(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.sweep([2, 5])
        finished(session)
        session.show_k(5)
        assert session.outcome.result.n_clusters == 5
        assert session.recipe.steps[_cluster(session)]["n_clusters"] == 5
        assert not session.stale

    def test_what_is_under_the_cursor_is_of_the_map_that_is_shown(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.sweep([2, 5])
        finished(session)
        session.show_k(5)
        labels = session.outcome.result.labels.data
        session.look(*session.opened.frame.middle(*np.argwhere(labels == 4)[0]))
        assert session.reading.label == 4
        seen = []
        session.param.watch(
            lambda *_: seen.append((session.reading.label, session.outcome.result.n_clusters)),
            ["outcome"],
        )
        session.show_k(2)
        assert seen == [(session.reading.label, 2)]
        assert session.reading.label < 2

    def test_an_edit_reaches_what_was_tried(self, session, signals):
        """Another k and back: the same names and colors, in the lineage too; Ctrl+Z goes back."""
        opened(session, signals, "eds", settings=EDS)
        session.sweep([3, 4, 5])
        finished(session)
        session.edit(lambda result: recolored(result, [1], 9))
        session.edit(lambda result: result.relabel({0: "glass"}))
        chosen = session.outcome.result.color_index
        assert chosen[1] == 9
        assert session.lineage.colors[4] == session.swept[4].result.color_index == chosen
        assert 9 in session.lineage.colors[5]
        assert session.lineage.colors[5] == session.swept[5].result.color_index
        named = session.outcome
        session.show_k(5)
        session.show_k(4)
        assert session.outcome is named
        assert session.outcome.result.names == {0: "glass"}
        session.take_back()
        assert session.outcome.result.n_clusters == 5
        session.take_back()
        assert session.outcome is named
        session.take_back()
        assert session.outcome.result.names == {}
        session.edit(lambda result: result.merge([0, 1]))
        assert session.swept[4].result.n_clusters == 3
        assert len(session.lineage.colors[4]) == 4

    def test_what_is_named_is_what_a_sweep_finds_again(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.edit(lambda result: result.relabel({0: "glass"}))
        session.sweep([3, 4])
        finished(session)
        assert session.swept[4].result.names == {0: "glass"}
        assert session.swept[3].result.names == {}

    def test_one_that_was_dropped_is_counted_no_more(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.edit(lambda result: result.exclude(result.labels.data == 2))
        assert session.message.text.startswith("3 clusters, ")
        assert session.outcome.there == [0, 1, 3]
        spectra = SpectraPlot(session, Theme())
        spectra.draw()
        assert spectra._names.data["name"] == ["cluster 0", "cluster 1", "cluster 3"]
        degrees = GridPlot(session, Theme(), "memberships")
        degrees.draw()
        shades = paint.hex_colors(session.outcome.result)
        assert degrees._source.data["color"] == [shades[0], shades[1], shades[3]]

    def test_a_file_that_fails_leaves_the_picture_of_the_one_that_is_open(self, session, signals):
        signals["eds"].save(session.root / "whole.hspy", chunks=(4, 21, 64))
        signals["eds"].inav[:9].save(session.root / "broken.hspy", chunks=(4, 9, 64))
        session.open_path("whole.hspy")
        shown = finished(session).picture
        with h5py.File(session.root / "broken.hspy", "r+") as file:
            (experiment,) = file["Experiments"].values()
            chunk = experiment["data"].id.get_chunk_info_by_coord((16, 0, 0))
        with (session.root / "broken.hspy").open("r+b") as raw:
            raw.seek(chunk.byte_offset)
            raw.write(b"\xff" * chunk.size)
        seen = []
        session.param.watch(lambda event: seen.append(event.new), "picture")
        session.open_path("broken.hspy")
        assert session.jobs.wait(60)
        assert session.message.kind == "error"
        assert session.picture is shown
        assert seen == []

    def test_positions_without_numbers_can_be_excluded(self, session, signals):
        signal = signals["eds"].deepcopy()
        signal.data = signal.data.astype(np.float32)
        signal.data[3:5, 4:9] = np.nan
        signal.save(session.root / "nan.hspy")
        session.open_path("nan.hspy")
        finished(session)
        session.choose("eds")
        session.change({"cluster.n_clusters": 4, **EDS})
        session.run()
        assert session.jobs.wait(60)
        assert "finite" in session.message.text
        frame = session.opened.frame
        (left, top), (right, bottom) = frame.middle(2.5, 3.5), frame.middle(4.5, 8.5)
        drawing.exclude(session, [left, right, right, left], [top, top, bottom, bottom])
        session.run()
        assert finished(session).outcome.result.n_clusters == 4
        assert session.outcome.result.mask[3:5, 4:9].all()

    def test_a_cluster_keeps_its_color_over_runs_and_numbers(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.edit(lambda result: recolored(result, [0], 2))
        first = session.outcome.result
        session.take(replace(session.recipe, edits=()))
        session.run()
        finished(session)
        again = session.outcome.result
        np.testing.assert_array_equal(again.labels.data, first.labels.data)
        assert again.color_index == first.color_index
        session.sweep([2, first.n_clusters, 5])
        finished(session)
        assert session.lineage.colors[5] == session.swept[5].result.color_index
        session.show_k(5)
        session.show_k(first.n_clusters)
        assert session.outcome.result.color_index == first.color_index

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
    def test_markers_stay_as_they_were_typed(self, session, signals, several):
        regions = np.zeros((18, 21), dtype=int)
        regions[:3, :3], regions[-3:, -3:] = 1, 2
        np.save(session.root / "regions.npy", regions)
        np.save(session.root / "one.npy", regions == 1)
        np.save(session.root / "two.npy", regions == 2)
        typed = ["one.npy", "two.npy"] if several else "regions.npy"
        opened(session, signals, "eds", settings=EDS)
        step, k = f"cluster.{_cluster(session)[1]}", {"cluster.n_clusters": 2}
        assert session.change({**k, f"{step}.markers": typed})
        assert session.recipe.steps[_cluster(session)]["markers"] == typed
        session.outcome = None
        before = exports.recipe(session).read_text()
        session.run()
        result = finished(session).outcome.result
        assert not session.stale
        assert session.recipe.steps[_cluster(session)]["markers"] == typed
        for text in (before, exports.recipe(session).read_text()):
            assert str(session.root) not in text
            again = segment(session.root / "eds.hspy", Recipe.from_toml(text))
            np.testing.assert_array_equal(again.labels.data, result.labels.data)

    def test_a_wrong_value_is_refused_and_changes_nothing(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        before = session.recipe
        assert not session.change({"cluster.n_clusters": 0})
        assert session.message.kind == "error"
        assert session.recipe is before

    def test_what_an_earlier_file_gives_late_is_forgotten(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        signals["diffraction"].save(session.root / "other.hspy")
        session.open_path("other.hspy")
        session.run()  # the old file's still
        session.sweep([2, 3])
        finished(session)
        assert session.opened.label == "other.hspy"
        assert session.outcome is None
        assert session.swept == {}
        session.run()
        assert finished(session).outcome.recipe.name == "diffraction"

    def test_each_change_runs_where_that_is_wanted(self, session, signals):
        header = Header(session)
        opened(session, signals, "eds", settings=EDS)
        header.handle("auto", True)
        for k in (5, 2):
            header.handle("k", k)
            assert finished(session).outcome.result.n_clusters == k

    def test_a_recipe_for_lattices_is_refused_where_there_is_none_and_runs_anyway(self, session):
        fringes = 100 + 20 * np.sin(np.indices((96, 110))[1] * 2 * np.pi / 8)
        fringes += np.random.default_rng(0).normal(0, 5, fringes.shape)
        hs.signals.Signal2D(fringes.astype(np.float32)).save(session.root / "fringes.hspy")
        session.open_path("fringes.hspy")
        finished(session).choose("domains")
        session.change({"describe.patches.size": 12})
        footer = Footer(session)
        for ask in (session.run, lambda: session.sweep([2, 3])):
            ask()
            assert session.jobs.wait(60)
            assert session.outcome is None
            assert not session.swept
            assert "shows atom columns; got fringes at 8 px" in session.message.text
            assert session.message.text.endswith("Use particles; Run anyway runs it.")
            assert "anyway" in [field.get("key") for field in footer.fields()]
        session.choose("texture")
        assert "anyway" not in [field.get("key") for field in footer.fields()]
        session.choose("domains")
        session.change({"describe.patches.size": 12, "cluster.n_clusters": 2})
        session.run()
        assert session.jobs.wait(60)
        footer.handle("anyway", True)
        assert finished(session).outcome.result.n_clusters == 2
        session.sweep([3])  # it is not asked again
        assert set(finished(session).swept) == {3}

    def test_messages_are_about_what_is_there(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        k = session.outcome.result.n_clusters
        session.edit(lambda result: result.merge([0, 1]))
        assert session.message.text.startswith(f"{k - 1} clusters, ")
        session.undo()
        assert session.message.text.startswith(f"{k} clusters, ")
        assert not session.change({"cluster.n_clusters": -3})
        assert session.change({"cluster.n_clusters": 3})
        assert session.message.text == ""

    def test_merge_pressed_twice_and_a_name_that_is_taken_back(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        before, clusters = session.outcome.result, Clusters(session, Selection(session))
        clusters.handle("name/0", "glass")
        clusters.handle("name/0", " ")
        assert session.outcome.result.names.get(0) is None
        clusters.handle("tick/0", True)
        clusters.handle("tick/1", True)
        for _ in range(2):
            clusters.handle("merge", True)
        assert finished(session).outcome.result.n_clusters == before.n_clusters - 1

    def test_closing_forgets_and_deletes(self, session, signals):
        opened(session, signals, "eds", settings=EDS)
        session.close()
        assert session.opened is session.outcome is session.picture is session.runner is None
        assert not session.temporary.exists()
        session.run()  # nobody is there any more

    def test_a_file_that_declares_more_than_it_could_hold(self, session):
        path = session.root / "bomb.hspy"
        hs.signals.Signal1D(np.ones((3, 4, 5), dtype=np.uint8)).save(path)
        with h5py.File(path, "r+") as file:
            experiment = file["Experiments/__unnamed__"]
            del experiment["data"]
            shape = (40_000, 40_000, 2048)
            experiment.create_dataset("data", shape, "u1", chunks=(64, 64, 64), compression="gzip")
            for i, size in enumerate(shape):
                experiment[f"axis-{i}"].attrs["size"] = size
        assert path.stat().st_size < 100_000
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        session.open_path("bomb.hspy")
        assert session.jobs.wait(60)
        assert session.message.kind == "error"
        assert "GB declared in" in session.message.text
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


class TestExport:
    def test_the_folder_in_the_zip_is_that_of_the_command_line(self, session, signals, tmp_path):
        opened(session, signals, "eds", settings=EDS)
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
        opened(session, signals, "eds", settings=EDS)
        (session.root / "out").symlink_to(tmp_path)
        for name in ("../x", "/tmp/x", "", "out/x", "a/../../x"):
            with pytest.raises(ValueError, match="must be"):
                exports.save(session, name, lambda *_: None)
        assert exports.save(session, "deep/first", lambda *_: None) == "deep/first"
        assert (session.root / "deep" / "first" / "report.html").is_file()
        with pytest.raises(ValueError, match="must not exist"):
            exports.save(session, "deep/first", lambda *_: None)

    def test_figures(self, session, signals):
        opened(session, signals, "diffraction", settings={"cluster.n_clusters": 2})
        with zipfile.ZipFile(exports.figures(session, Print("svg"), lambda *_: None)) as file:
            assert "phase_map.svg" in file.namelist()
            assert all(b"<svg" in file.read(name) for name in file.namelist())

    def test_without_a_result(self, session):
        with pytest.raises(ValueError, match="result is needed"):
            exports.ready(session)


class TestWarnings:
    def test_each_session_shows_its_own(self, signals, tmp_path):
        """Both runs collect warnings at once; one ends before the other warns again."""
        sessions = [Explorer(tmp_path, at_once) for _ in range(2)]
        both_run, first_ended = threading.Barrier(2, timeout=60), threading.Event()
        try:
            for i, session in enumerate(sessions):
                opening.show(session, Opened(Scan.of(signals["eds"]), "eds"), None)
                result = segment(signals["eds"], session.recipe.with_settings(EDS))
                waits = first_ended if i == 1 else None
                session.runner = _Warns(f"warning {i}", result, both_run, waits)
                session.run()
            assert sessions[0].jobs.wait(60)
            first_ended.set()
            texts = [finished(session).message.text for session in sessions]
        finally:
            for session in sessions:
                session.close()
        for i, text in enumerate(texts):
            assert text.endswith(f" warning {i}")  # once
            assert f"warning {1 - i}" not in text


class _Warns:
    """A runner that warns twice while another one runs."""

    def __init__(self, text, result, both_run, waits):
        self._text, self._result, self._both_run, self._waits = text, result, both_run, waits
        self.scan = None

    def run(self, recipe, **_):
        self._both_run.wait()
        warn(self._text)
        if self._waits is not None:
            assert self._waits.wait(60)
        warn(self._text)
        return self._result

    def raw(self, recipe):
        return None

    def clear(self):
        pass


def _cluster(session):
    return next(key for key in session.recipe.steps if key[0] == "cluster")


def test_a_truth_is_compared_only_where_it_fits():
    sample = Opened.sample("domains")
    assert sample.truth is not None
    assert sample.label == "sample: domains"
