"""Several files open in one session, and one set of phases for all of them."""

import numpy as np
import pytest
from _session import at_once, finished

import clustem
from clustem.app.forms.clusters import Clusters, recolored
from clustem.app.forms.map_tools import Tools
from clustem.app.forms.opening import Opening, listed
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.plots import Theme
from clustem.app.plots.study_plot import StudyPlot, laid_out
from clustem.app.session import exports, files
from clustem.app.session.clouds import Selection
from clustem.app.session.state import Explorer
from clustem.core import registry

SETTINGS = {"cluster.n_clusters": 3, "cluster.n_init": 1, "cluster.coupling": 1.0}
SHAPES = {"one.hspy": (14, 18), "two.hspy": (12, 16)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for i, (name, shape) in enumerate(SHAPES.items()):
        registry("samples")["eds"].step(shape=shape, random_state=i).signal.save(root / name)
    return root


@pytest.fixture(scope="module")
def session(folder):
    found = Explorer(folder, at_once)
    yield found
    found.close()


@pytest.fixture
def study(session):
    """Both files open and run as one study: once for all tests, which change only the last map."""
    if session.study is None:
        session.open_path("one.hspy")
        finished(session)
        session.open_path("two.hspy", beside=True)
        finished(session)
        session.choose("eds")
        session.change(SETTINGS)
        session.run()
        finished(session)
    return session.study


def test_all_files_have_one_set_of_clusters(session, study):
    assert session.together
    assert [file.opened.label for file in session.files] == list(SHAPES) == list(study.titles)
    assert session.opened.label == "two.hspy"
    assert session.outcome.result is study[1]
    assert session.files[0].outcome.result is study[0]
    assert study[0].color_index == study[1].color_index
    files.show(session, 0)
    assert session.opened.label == "one.hspy"
    assert session.outcome.result is study[0]
    assert session.places.frame.shape == SHAPES["one.hspy"]
    files.show(session, 1)
    assert session.outcome.result is study[1]


def test_a_click_on_one_of_all_maps_shows_what_lies_there(session, study):
    plot = StudyPlot(session, Theme())
    plot.draw()
    assert [image.shape for image in plot._maps.data["image"]] == list(SHAPES.values())
    x, y, frame = plot._places[0]

    class Event:
        pass

    Event.x, Event.y = x + 4.5 * frame.step[1], y + 3.5 * frame.step[0]
    plot._tapped(Event)
    assert session.opened.label == "one.hspy"
    np.testing.assert_array_equal(session.reading.values, session.opened.signal.data[3, 4])
    assert session.reading.label == study[0].labels.data[3, 4]
    assert plot._edges.data["left"] == [x]
    files.show(session, 1)


def test_maps_lie_apart_at_one_scale():
    corners, (left, right, top, bottom) = laid_out([(2.0, 3.0), (1.0, 1.0), (4.0, 1.0)])
    assert len(corners) == 3
    boxes = [(x, y, x + w, y + h) for (x, y), (h, w) in zip(
        corners, [(2.0, 3.0), (1.0, 1.0), (4.0, 1.0)], strict=True)]  # fmt: skip
    for i, a in enumerate(boxes):
        assert left <= a[0] < a[2] <= right
        assert top < a[1] < a[3] <= bottom
        for b in boxes[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_names_colors_and_merges_are_those_of_all_maps(session, study):
    session.edit(lambda result: result.relabel({0: "matrix"}), shared=True)
    session.edit(lambda result: recolored(result, [1], 9), shared=True)
    assert [one.names[0] for one in session.study] == ["matrix", "matrix"]
    assert {one.color_index for one in session.study} == {session.outcome.result.color_index}
    session.undo()
    session.undo()
    assert [dict(one.names) for one in session.study] == [{}, {}]
    clusters = Clusters(session, Selection(session))
    clusters.ticked = [0, 1]
    clusters.handle("merge", True)
    assert [one.n_clusters for one in session.study] == [2, 2]
    assert "numbered anew" in session.message.text
    clusters.ticked = [0]
    with pytest.raises(ValueError, match="the same in all maps"):
        clusters.handle("split", True)
    session.undo()
    assert [one.n_clusters for one in session.study] == [3, 3]
    np.testing.assert_array_equal(session.study[0].labels.data, study[0].labels.data)


def test_ctrl_z_takes_back_what_was_done_before_another_file_was_looked_at(session, study):
    session.edit(lambda result: result.relabel({0: "matrix"}))
    files.show(session, 0)
    files.show(session, 1)
    session.take_back()
    assert session.outcome.result.names == {}


def test_another_k_of_one_file_ends_the_study(folder):
    """Its clusters are its own: names and merges no longer reach the other maps."""
    own = Explorer(folder, at_once)
    try:
        for name, beside in (("one.hspy", False), ("two.hspy", True)):
            own.open_path(name, beside=beside)
            finished(own)
        own.choose("eds")
        own.change(SETTINGS)
        own.run()
        finished(own)
        own.sweep([2, 4])
        finished(own)
        own.show_k(4)
        assert own.study is None
        own.edit(lambda result: result.relabel({3: "rest"}), shared=True)
        assert own.message.kind != "error"
        assert own.outcome.result.names == {3: "rest"}
        assert own.files[0].outcome.result.n_clusters == 3
    finally:
        own.close()


def test_a_file_that_comes_back_shows_its_own_picture(session, study):
    tools = Tools(session, Selection(session), MapPlot(session, Selection(session), Theme()))
    session.elements = ["Fe"]
    tools.handle("source", "element/Fe")
    finished(session)
    assert session.picture.frame.shape == SHAPES["two.hspy"]
    files.show(session, 0)
    files.show(session, 1)
    assert tools.source == "sum"
    np.testing.assert_array_equal(session.picture.values, session.opened.signal.data.sum(axis=2))
    tools.handle("source", "element/Fe")
    finished(session)
    session.toggle_element("Fe")
    finished(session)
    assert tools.source == "sum"
    np.testing.assert_array_equal(session.picture.values, session.opened.signal.data.sum(axis=2))


def test_a_study_is_written_and_opened_again(session, study, folder):
    saved = exports.save(session, "result", lambda *_: None)
    assert isinstance(clustem.load(folder / saved), clustem.Study)
    assert ("result", "result   result") in listed(folder, "")
    other = Explorer(folder, at_once)
    try:
        Opening(other, "", 1).handle("enter", "result")
        finished(other)
        assert [file.opened.label for file in other.files] == list(SHAPES)
        assert other.opened.label == "one.hspy"
        np.testing.assert_array_equal(other.study[1].labels.data, study[1].labels.data)
        other.look(*other.opened.frame.middle(2, 3))
        np.testing.assert_array_equal(other.reading.values, other.opened.signal.data[2, 3])
    finally:
        other.close()


def test_a_result_whose_data_are_not_there_says_so(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "result", tmp_path / "moved")
    other = Explorer(tmp_path, at_once)
    try:
        other.open_path("moved")
        assert other.jobs.wait(60)
        assert "must be in the shared folder; got no one.hspy" in other.message.text
        assert other.opened is None
    finally:
        other.close()


def test_a_region_by_its_rows_and_columns(session, study):
    selection, theme = Selection(session), Theme()
    plot = MapPlot(session, selection, theme)
    tools = Tools(session, selection, plot)
    assert not any(field.get("key") == "drawn" for field in tools.fields())
    plot.mode = "choose"
    tools.handle("region", "rows 2:5, columns 3:9")
    chosen = selection.chosen.reshape(SHAPES["two.hspy"])
    assert chosen[2:5, 3:9].all()
    assert chosen.sum() == 18
    for wrong in ("3", "5:2, 1:4"):
        with pytest.raises(ValueError, match="first and last row"):
            tools.handle("region", wrong)
    for wrong in ("rows -2:5, columns 3:9", "rows 2:5, columns 10:200"):
        with pytest.raises(ValueError, match="lie in the 12 rows and 16 columns"):
            tools.handle("region", wrong)
    plot.mode = "crop"
    before = session.recipe
    tools.handle("region", "rows 2:5, columns 3:9")
    assert session.recipe.steps["prepare", "crop"]["rows"] == "2:5"
    session.take_back()  # Ctrl+Z
    assert session.recipe == before


def test_files_are_closed_one_by_one(session, study):
    files.close(session, 1)
    assert session.opened.label == "one.hspy"
    assert session.study is None
    assert session.outcome.result is not None
    files.close(session, 0)  # the last stays
    assert len(session.files) == 1
    session.open_path("two.hspy")
    finished(session)
    assert [file.opened.label for file in session.files] == ["two.hspy"]
