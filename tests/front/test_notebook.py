"""``result.explore()``: a map in a notebook, linked with what lies under the cursor."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import panel as pn
import pytest
from bokeh.document import Document

from clustem import samples, segment
from clustem.app import notebook
from clustem.core import InputError
from clustem.recipes.joint import Joint
from clustem.recipes.study import Study
from clustem.report.figures.example import example


@pytest.fixture
def raw():
    counts = np.random.default_rng(0).poisson(5.0, size=(4, 6, 32))
    signal = hs.signals.Signal1D(counts)
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.units = 5.0, "nm"
    return signal


@pytest.fixture
def result(raw):
    return replace(example(), source=raw)


def figures(view):
    found = {}
    for pane in view.select(pn.pane.Bokeh):
        found[pane.object.name] = pane.object
    return found


def point(view, x, y, n=1):
    """Move the mouse, as the page's script does."""
    pointer = figures(view)["map"].select_one({"name": "pointer"})
    pointer.data = {"x": [x], "y": [y], "n": [n]}


def test_the_spectrum_under_the_cursor_is_drawn_with_its_center(result, raw):
    view = result.explore().layout()
    view.select(pn.widgets.Select)[1].value = "linear"
    point(view, 5.0 * 4, 5.0 * 1)  # row 1, column 4
    lines = [r for r in figures(view)["spectrum"].renderers if hasattr(r, "data_source")]
    drawn = {tuple(line.data_source.data["y"]) for line in lines if "y" in line.data_source.data}
    assert tuple(raw.data[1, 4]) in drawn
    assert tuple(result.centers.data[1]) in drawn
    said = figures(view)["caption"].text
    assert said == "row 1, column 4: <b>cluster 1</b>, membership 0.80"


def test_patterns_and_their_centers_are_drawn(result):
    patterns = hs.signals.Signal2D(np.arange(4 * 6 * 5 * 7.0).reshape(4, 6, 5, 7))
    centers = hs.signals.Signal2D(np.ones((2, 5, 7)))
    given = replace(result, source=patterns, centers=centers, standard_error=centers, mean=None)
    view = given.explore().layout()
    point(view, 0.0, 5.0 * 3)
    sources = {name: figures(view)[name].renderers[0].data_source for name in ("here", "center")}
    assert sources["here"].data["image"][0].shape == (5, 7)
    assert sources["center"].data["image"][0].shape == (5, 7)


@pytest.mark.parametrize("case", ["line", "patches", "texture"])
def test_every_kind_of_map_is_shown(case, result, raw):
    if case == "line":
        labels = hs.signals.Signal1D(result.labels.data[1])
        stack = hs.signals.Signal1D(result.memberships.data[:, 1])
        found = replace(
            result, labels=labels, memberships=stack, mask=result.mask[1],
            source=hs.signals.Signal1D(raw.data[1]), points=result.points[:6],
        )  # fmt: skip
    elif case == "patches":
        sample = samples.domains(shape=(160, 200))
        found = segment(sample.signal, "domains", n_clusters=2)
    else:
        image = hs.signals.BaseSignal(np.arange(24.0).reshape(4, 6)).transpose(navigation_axes=2)
        found = replace(result, source=image, centers=hs.signals.BaseSignal(np.ones(2)))
    view = found.explore().layout()
    images = shown_images(view)
    assert images[0][0].ndim == 2  # what lies below
    if case == "patches":
        marks = next(r for r in figures(view)["map"].renderers if hasattr(r.glyph, "marker"))
        assert len(marks.data_source.data["x"]) == len(found.labels.data)
    else:
        assert len(images[1]) == 1  # the clusters


def drawn(view):
    """Which figures beside the map are not hidden."""
    rows = [row for row in view.select(pn.Row) if row.visible]
    panes = [pane for row in rows for pane in row if isinstance(pane, pn.pane.Bokeh)]
    return {pane.object.name for pane in panes} - {"caption"}


def shown_images(view):
    """What the map shows: the picture, then the clusters."""
    renderers = figures(view)["map"].renderers
    return [r.data_source.data["image"] for r in renderers if hasattr(r.glyph, "image")]


def test_a_study_has_a_menu_of_its_maps(result, raw):
    wide = hs.signals.Signal1D(np.tile(raw.data, (1, 2, 1)))
    other = replace(
        result, source=wide, mask=np.tile(result.mask, (1, 2)), memberships=None,
        labels=hs.signals.Signal2D(np.tile(result.labels.data, (1, 2))), points=None,
    )  # fmt: skip
    study = Study((result, result, other), ("a", "a", "b"))
    view = study.explore().layout()
    menu = view.select(pn.widgets.Select)[0]
    assert menu.options == ["1: a", "2: a", "3: b"]
    point(view, 0.0, 0.0)
    menu.value = "2: a"
    assert figures(view)["caption"].text.startswith("row 0, column 0: ")  # where it was
    menu.value = "3: b"
    assert shown_images(view)[1][0].shape == (4, 12)
    assert figures(view)["caption"].text.startswith("row 2, column 6: ")  # the middle


def test_a_joint_result_has_a_menu_of_its_signals(result, raw):
    patterns = hs.signals.Signal2D(np.ones((4, 6, 5, 7)))
    for axis in patterns.axes_manager.navigation_axes:
        axis.scale, axis.units = 5.0, "nm"
    centers = hs.signals.Signal2D(np.ones((2, 5, 7)))
    seen = replace(result, source=patterns, centers=centers, standard_error=centers, mean=None)
    image = replace(result, centers=hs.signals.BaseSignal(np.ones(2)), source=None)
    found = Joint({"eds": result, "patterns": seen, "haadf": image})  # which has nothing to show
    view = found.explore().layout()
    place = figures(view)["caption"].text
    assert drawn(view) == {"spectrum"}
    view.select(pn.widgets.Select)[0].value = "patterns"
    assert drawn(view) == {"here", "center"}
    assert figures(view)["here"].renderers[0].data_source.data["image"][0].shape == (5, 7)
    assert figures(view)["caption"].text == place
    without = Joint({name: replace(one, source=None) for name, one in found.items()})
    assert without.explore(sources={"patterns": patterns, "eds": raw}).layout() is not None
    with pytest.raises(InputError, match="none for patterns"):
        without.explore(sources={"eds": raw})
    with pytest.raises(InputError, match="1 signals, 2 maps"):
        Study((result, result), ("a", "b")).explore(sources=[raw])


def test_what_a_mouse_moves_is_sent_to_the_notebook(result, monkeypatch):
    """The way of a message from the browser, with Panel's own line and no browser."""
    view = result.explore().layout()
    sent = []
    monkeypatch.setattr(pn.io.notebook, "send", lambda comm, message: sent.append(message))
    document, line = Document(), SimpleNamespace(id="line", _comm=True)
    model = view._render_model(document, line)
    pn.io.model.add_to_doc(model, document, True)
    pointer = model.select_one({"name": "pointer"})
    document.hold()  # as Panel does with what the browser sends
    pointer.data = {"x": [0.0], "y": [0.0], "n": [7]}
    document.unhold()
    content = json.dumps([json.loads(message.content_json) for message in sent])
    for what in ('"attr": "tags"', "row 0, column 0", '"attr": "location"'):
        assert what in content
    assert not document.callbacks._held_events


def test_names_are_escaped(result):
    view = replace(result, names={0: "<script>alert(1)</script>"}).explore().layout()
    point(view, 0.0, 0.0)
    for name in ("caption", "key"):
        assert "&lt;script&gt;" in figures(view)[name].text
        assert "<script" not in figures(view)[name].text


def test_no_server_is_started_and_a_terminal_reads_one_line(result):
    view = result.explore()
    assert not hasattr(view, "show")
    assert not hasattr(view, "servable")
    assert view._repr_mimebundle_() == {"text/plain": repr(view)}
    assert "clustem serve" in repr(view)


def test_a_result_from_disk_needs_its_signal(result, raw):
    with pytest.raises(InputError, match="raw signal"):
        replace(result, source=None).explore()
    assert replace(result, source=None).explore(source=raw).layout() is not None


def test_three_axes_are_refused(result):
    stack = np.stack([result.labels.data] * 2)
    movie = replace(result, labels=hs.signals.Signal2D(stack), mask=stack < -1)
    with pytest.raises(InputError, match="one or two axes"):
        notebook.explore(movie)


def test_without_panel_one_line_says_what_to_install():
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'panel' else real(n, *a)\n"
        "from clustem.report.figures.example import example\n"
        "try: example().explore()\n"
        "except Exception as error: print(error)\n"
        "print('panel' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    said, loaded = answer.stdout.splitlines()
    assert said.startswith("The explorer needs the extra packages of clustem[app]; got no panel")
    assert said.endswith("pip install 'clustem[app]'.")
    assert loaded == "False"


@pytest.mark.parametrize(
    ("event", "taken"),
    [
        ({"kind": "ModelChanged", "model": {"id": "p"}, "attr": "data"}, True),
        ({"kind": "ModelChanged", "model": {"id": "w"}, "attr": "value"}, True),
        ({"kind": "MessageSent", "msg_type": "bokeh_event"}, True),
        ({"kind": "ModelChanged", "model": {"id": "s"}, "attr": "data"}, False),  # sent back
        ({"kind": "ModelChanged", "model": {"id": "l"}, "attr": "line_color"}, False),
    ],
)
def test_only_what_a_user_did_is_taken_from_the_notebook(event, taken, result, monkeypatch):
    assert notebook._is_a_users(event, "p") is taken
    took = []
    monkeypatch.setattr(pn.Row, "_on_msg", lambda *given: took.append(given[-1]))
    row = notebook._layout(SimpleNamespace(id="p"))()
    row._on_msg("ref", None, {"content": {"events": [event]}})
    assert took == [{"content": {"events": [event] if taken else []}}]
