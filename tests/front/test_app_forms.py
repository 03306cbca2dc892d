"""The explorer's forms, files and access, without a browser."""

import asyncio
import json
import random
import zipfile
from importlib import import_module
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.app.forms import fields
from clustem.app.forms.editors import Hint, editable, editor, parse
from clustem.app.forms.export import ExportForm
from clustem.app.forms.form import Form
from clustem.app.forms.opening import Opening, listed
from clustem.app.forms.steps import Steps
from clustem.app.session.state import Explorer
from clustem.app.web.contents import check_content, check_name
from clustem.app.web.security import (
    Attempts,
    below,
    closed,
    is_loopback,
    located,
    public,
    same,
    token_for,
)
from clustem.core import InputError, registry
from clustem.recipes import Recipe
from clustem.recipes.recipe import STAGES

PARAMETERS = [
    pytest.param(parameter, id=f"{entry.label}.{name}")
    for stage in STAGES
    for entry in registry(stage).values()
    for name, parameter in editable(entry).items()
]


def walk(found):
    for field in found:
        yield field
        yield from walk(field.get("fields", []))


@pytest.fixture
def session(tmp_path):
    found = Explorer(tmp_path, lambda call: call())
    yield found
    found.close()


class TestEditors:
    @pytest.mark.parametrize("parameter", PARAMETERS)
    def test_every_parameter_of_every_step_has_a_field_that_gives_its_value_back(self, parameter):
        field = editor(parameter, parameter.default, "key", "about")
        json.dumps(field)
        assert field["name"] == parameter.name
        assert parameter.description in field["tip"]
        if parameter.required:
            return
        back = parameter.check(parse(field["value"], parameter))
        expected = parameter.check(parameter.default)
        if isinstance(expected, float):
            assert back == pytest.approx(expected)
        elif isinstance(expected, tuple | list):
            assert list(back) == list(expected)
        else:
            assert back == expected

    def test_fields_follow_the_hints(self):
        kinds = {
            ("cluster", "KMeans", "n_init"): "number",
            ("cluster", "GaussianMixture", "covariance_type"): "choice",
            ("prepare", "vacuum", "closing"): "check",
            ("prepare", "crop", "rows"): "entry",
            ("mapping", "clusters", "threshold"): "number",
        }
        for (stage, step, name), kind in kinds.items():
            parameter = registry(stage)[step].parameters[name]
            assert editor(parameter, parameter.default, "key")["is"] == kind

    def test_bounds_reach_the_browser(self):
        field = editor(registry("cluster")["KMeans"].parameters["n_init"], 3, "key")
        assert field["min"] == 1
        assert Hint.of(registry("mapping")["clusters"].parameters["threshold"].hint).high == 1

    def test_what_is_typed_is_read_as_on_the_command_line(self):
        rows = registry("prepare")["crop"].parameters["rows"]
        assert parse("2:9", rows) == "2:9"
        assert parse("", rows) is None
        components = registry("reduce")["pca"].parameters["n_components"]
        assert parse("5", components) == 5
        assert parse("auto", components) == "auto"


class TestSteps:
    @pytest.mark.parametrize("name", Recipe.names())
    def test_a_form_of_each_recipe(self, session, name):
        session.recipe = Recipe.named(name)
        found = Steps(session).fields()
        json.dumps(found)
        losses = name.startswith("eels")
        assert [field["key"] for field in found] == [s for s in STAGES if s != "eels" or losses]
        keys = {field.get("key") for field in walk(found)}
        for (stage, step), params in session.recipe.steps.items():
            for parameter in params:
                assert f"set/{stage}/{step}/{parameter}" in keys

    def test_values_steps_and_methods_change_the_recipe(self, session):
        session.recipe = Recipe.named("eds-fuzzy")
        steps = Steps(session)
        steps.handle("set/cluster/GustafsonKessel/n_clusters", 6)
        steps.handle("set/reduce/pca/n_components", "3")
        steps.handle("add/prepare", "vacuum")
        steps.handle("remove/reduce/smooth", True)
        steps.handle("swap/cluster", "KMeans")
        found = session.recipe.steps
        assert found["cluster", "KMeans"]["n_clusters"] == 6
        assert found["reduce", "pca"]["n_components"] == 3
        assert ("prepare", "vacuum") in found
        assert ("reduce", "smooth") not in found

    def test_nonsense_from_a_browser_changes_nothing(self, session):
        session.recipe = before = Recipe.named("eds")
        steps = Steps(session)
        steps.handle("set/secret/x/y", 1)
        steps.handle("add/prepare", "no such step")
        steps.handle("set/cluster/GustafsonKessel/n_clusters", "many")
        assert session.recipe is before
        assert session.message.kind == "error"

    def test_only_what_can_be_a_step_is_offered(self, session):
        session.recipe = Recipe.named("eds")
        found = {field.get("key"): field for field in walk(Steps(session).fields())}
        offered = [value for value, _ in found["add/prepare"]["options"]]
        assert "crop" in offered
        assert "fit_energy_axis" not in offered


class TestOpening:
    def test_a_folder_is_listed_without_what_cannot_be_opened(self, tmp_path):
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True)
        (root / ".hidden").mkdir()
        for name in ("b.hspy", "a.npy", "notes.txt", ".x.npy"):
            (root / name).write_bytes(b"12345")
        (tmp_path / "secret.npy").write_bytes(b"1")
        (root / "way_out.npy").symlink_to(tmp_path / "secret.npy")
        (root / "out").symlink_to(tmp_path)
        assert [path for path, _ in listed(root, "")] == ["sub", "a.npy", "b.hspy"]
        assert listed(root, "sub") == [("..", "../")]
        assert listed(root, "..") == []

    def test_folders_are_entered_and_left(self, session):
        (session.root / "one" / "two").mkdir(parents=True)
        form = Opening(session, "upload", 10**6)
        form.handle("enter", "one")
        form.handle("file", "one/two")
        form.handle("open-file", True)
        assert form.folder == "one/two"
        form.handle("enter", "..")
        assert form.folder == "one"
        form.handle("enter", "..")
        assert form.folder == ""

    def test_all_samples_are_there(self, session):
        keys = {field.get("key") for field in walk(Opening(session, "upload", 10**6).fields())}
        assert {f"sample/{name}" for name in registry("samples")} <= keys

    def test_a_refused_upload_is_told(self, session):
        Opening(session, "upload", 10**6).handle("upload", {"name": "x.npy", "error": "size"})
        assert "1 MB" in session.message.text


class TestAccess:
    @pytest.mark.parametrize(
        "relative",
        ["..", "../x", "/etc/passwd", "a/../../x", "absent", "link", "a\0b", "~", "loop"],
    )
    def test_no_way_out_of_the_root(self, tmp_path, relative):
        root = tmp_path / "root"
        root.mkdir()
        (tmp_path / "x").write_text("secret")
        (root / "link").symlink_to(tmp_path / "x")
        (root / "loop").symlink_to(root / "loop")
        with pytest.raises(InputError, match="in the shared folder") as told:
            below(root, relative)
        assert str(tmp_path) not in str(told.value)

    def test_links_inside_are_fine(self, tmp_path):
        (tmp_path / "x.npy").write_text("1")
        (tmp_path / "y.npy").symlink_to(tmp_path / "x.npy")
        assert below(tmp_path, "y.npy") == (tmp_path / "x.npy").resolve()

    def test_tokens(self):
        for host in ("127.0.0.1", "localhost", "::1"):
            assert len(token_for(host, None)) > 30
            assert token_for(host, None, without=True) == ""
        assert len(token_for("0.0.0.0", None)) > 30
        for host, given in (("0.0.0.0", None), ("127.0.0.1", "x" * 16)):
            with pytest.raises(InputError, match="no other machine can reach"):
                token_for(host, given, without=True)
        assert token_for("example.org", None) != token_for("example.org", None)
        assert token_for("0.0.0.0", "x" * 16) == "x" * 16
        with pytest.raises(InputError, match="16 characters"):
            token_for("0.0.0.0", "short")
        assert same("ä" * 16, "ä" * 16)
        assert not same(None, "x")
        assert not is_loopback("127.evil.example")

    def test_many_wrong_tokens_have_to_wait(self):
        now = [0.0]
        attempts = Attempts(lambda: now[0])
        for _ in range(10):
            assert not attempts.blocked("1.2.3.4")
            attempts.wrong("1.2.3.4")
            now[0] += 1
        assert attempts.blocked("1.2.3.4")
        assert not attempts.blocked("4.3.2.1")
        now[0] += 61
        assert not attempts.blocked("1.2.3.4")

    @pytest.mark.parametrize(
        ("name", "plain"),
        [("a.hspy", "a.hspy"), ("../../etc/x.npy", "x.npy"), ("C:\\data\\ü µ.dm4", "ü µ.dm4"),
         ("a<b>|.tif", "a_b__.tif")],
    )  # fmt: skip
    def test_names_of_uploads(self, name, plain):
        assert check_name(name) == plain

    @pytest.mark.parametrize(
        "name", ["x.pkl", "x.npz", "x.mrcz", "x.py", "hspy", "", ".npy", "x.npy/"]
    )
    def test_formats_that_may_not_come_in(self, name):
        if name == "x.npy/":
            assert check_name(name) == "x.npy"
            return
        with pytest.raises(InputError, match="format"):
            check_name(name)

    def test_no_formula_and_no_pickle(self, tmp_path):
        good, bad = tmp_path / "good.hspy", tmp_path / "bad.hspy"
        hs.signals.Signal1D(np.zeros((2, 3))).save(good)
        check_content(good)
        bad.write_bytes(good.read_bytes())
        with h5py.File(bad, "r+") as file:
            axis = file.visititems(lambda name, item: name if name.endswith("axis-1") else None)
            file[axis].attrs["expression"] = "__import__('os').system('true')"
        with pytest.raises(InputError, match="formula"):
            check_content(bad)
        store = tmp_path / "bad.zspy"
        (store / "data").mkdir(parents=True)
        (store / "data" / ".zarray").write_text(json.dumps({"filters": [{"id": "pickle"}]}))
        with pytest.raises(InputError, match="pickled"):
            check_content(store)

    @pytest.mark.filterwarnings("ignore:Duplicate name")  # zarr writes attributes again and again
    def test_a_store_that_is_one_zip_file_is_looked_into(self, tmp_path):
        plain = hs.signals.Signal1D(np.zeros((2, 3)))
        formula = hs.signals.Signal1D(np.zeros((2, 3)))
        formula.axes_manager[1].convert_to_functional_data_axis("x + 1")
        plain.save(tmp_path / "plain.zspy", store_type="zip")
        formula.save(tmp_path / "formula.zspy", store_type="zip")
        check_content(tmp_path / "plain.zspy")
        with pytest.raises(InputError, match="formula"):
            check_content(tmp_path / "formula.zspy")
        whole = (tmp_path / "plain.zspy").read_bytes()
        for name, text, words in [
            ("Experiments/data/.zarray", '{"filters": [{"id": "pickle"}]}', "pickled"),
            ("Experiments/.zattrs", '{"package": "this", "package_version": ""}', "module"),
            ("Experiments/.zattrs", "[" * 9999, "looked into"),
        ]:
            bad = tmp_path / "bad.zspy"
            bad.write_bytes(whole)
            with zipfile.ZipFile(bad, "a") as file:
                file.writestr(name, text)
            with pytest.raises(InputError, match=words):
                check_content(bad)

    def test_no_link_in_a_store(self, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "0.0").write_bytes(b"secret")
        store = tmp_path / "bad.zspy"
        store.mkdir()
        check_content(store)
        (store / "data").symlink_to(tmp_path / "other")
        with pytest.raises(InputError, match="link"):
            check_content(store)

    @pytest.mark.parametrize("place", ["x", "a/b/x"])
    def test_no_external_link(self, tmp_path, place):
        path = tmp_path / "scan.hspy"
        with h5py.File(path, "w") as file:
            file["a/b/c"] = 1
            file["a/b/round"] = file["a"]  # groups may hold each other
            file["soft"], file["dangling"] = h5py.SoftLink("/a/b"), h5py.SoftLink("/nowhere")
        check_content(path)
        with h5py.File(path, "a") as file:
            file[place] = h5py.ExternalLink("/srv/other.hspy", "/Experiments")
        with pytest.raises(InputError, match="link to another file"):
            check_content(path)

    def test_a_formula_behind_a_soft_link(self, tmp_path):
        path = tmp_path / "scan.hspy"
        with h5py.File(path, "w") as file:
            file.create_group("hidden/axis-0").attrs["_bs_expression"] = "x"
            file["Experiments"] = h5py.SoftLink("/hidden")
        with pytest.raises(InputError, match="formula"):
            check_content(path)

    @pytest.mark.parametrize(
        "markers", ["/srv/x.npy", "../x.npy", ["a.npy", "/srv/x.npy"], "link.npy", "x"]
    )
    def test_markers_are_files_below_the_root(self, tmp_path, markers):
        root = tmp_path / "root"
        root.mkdir()
        np.save(tmp_path / "x.npy", np.ones((2, 3), dtype=int))
        np.save(root / "a.npy", np.ones((2, 3), dtype=int))
        (root / "link.npy").symlink_to(tmp_path / "x.npy")
        recipe = Recipe.named("eds").with_settings({"cluster.markers": markers})
        with pytest.raises(InputError, match="in the shared folder"):
            closed(recipe, root)
        with pytest.raises(InputError, match="in the shared folder"):
            located(recipe, root)

    def test_markers_are_looked_into(self, tmp_path):
        with h5py.File(tmp_path / "markers.hspy", "w") as file:
            file.attrs["expression"] = "x"
        recipe = Recipe.named("eds").with_settings({"cluster.markers": "markers.hspy"})
        closed(recipe, tmp_path)
        with pytest.raises(InputError, match="formula"):
            located(recipe, tmp_path)

    def test_messages_are_in_words_of_the_page(self):
        error = InputError("It must fit", got="9 GB in upload-01ab23cd/x", cure="Open with --lazy.")
        text = public(error)
        assert "--" not in text
        assert "upload-" not in text
        assert "bin it" in text
        kept = InputError("k must be 2 or more", got="-1", cure="Use 2, or leave -1 out.")
        assert public(kept) == str(kept)

    def test_messages_tell_no_path(self, tmp_path):
        home = tmp_path / "home of ada"
        told = public(
            InputError("The input must exist", got=home / "x.hspy", cure="See /etc/motd."), home
        )
        assert told == "The input must exist; got x.hspy. See motd."
        assert "1/nm" in public(InputError("units must be 1/nm"))
        assert "secret" not in public(RuntimeError("secret /home/ada"))


def test_fields_keep_values_that_are_empty_on_purpose():
    assert fields.entry("key", "name", "")["value"] == ""
    assert fields.check("key", "name", value=False)["value"] is False
    assert fields.number("key", "name", 0)["value"] == 0


def test_fields_are_told_in_turn_so_that_late_ones_can_be_left_out():
    form = Form(lambda *_: None)
    turns = []
    form.param.watch(lambda event: turns.append(json.loads(event.new)["turn"]), "spec")
    for text in ("a", "a", "b", "a"):
        form.draw([fields.text(text)])
    assert turns == [1, 2, 3]
    assert json.loads(form.spec)["fields"] == [fields.text("a")]


def test_each_message_is_answered_even_where_nothing_changed_or_it_failed():
    def handle(key, value):
        form.draw([fields.entry("name", "name", value)])
        if value == "bad":
            raise ValueError(value)

    form = Form(handle)
    form._handle_msg({"key": "name", "value": "a", "message": 1})
    form._handle_msg({"key": "name", "value": "a", "message": 2})
    assert json.loads(form.spec)["answered"] == 2
    with pytest.raises(ValueError, match="bad"):
        form._handle_msg({"key": "name", "value": "bad", "message": 3})
    form._handle_msg({"key": "name", "value": "a", "message": "4"})
    form._handle_msg("no message")
    spec = json.loads(form.spec)
    assert spec["answered"] == 3
    assert spec["fields"][0]["value"] == "a"


@pytest.mark.parametrize("text", ["nan", "inf", "wide"])
def test_a_width_that_is_no_number_is_refused(session, text):
    form = ExportForm(session, "")
    form.handle("width", "120")
    with pytest.raises(InputError, match="must be a number of mm"):
        form.handle("width", text)
    assert form.width == 120


def test_forms_at_random(tmp_path, monkeypatch):
    """A few seconds of what tools/forms.py does for ten minutes."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    forms = import_module("forms")
    forms.save_samples(tmp_path, "eds", "domains")
    done = asyncio.run(forms.fill(tmp_path, random.Random(5), 12.0))
    assert done.total() > 5
