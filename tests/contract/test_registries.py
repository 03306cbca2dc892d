"""Every entry of every registry is documented, typed and refuses wrong parameters."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from clustem import describe, prepare, reduce
from clustem.core import ParameterError, Registry, UnknownNameError, check_parameters, registry

STAGES = ("prepare", "describe", "reduce", "cluster", "mapping", "eels", "edits")
ENTRIES = [entry for stage in (*STAGES, "judge", "samples") for entry in registry(stage).values()]
FACES = Path(__file__).parents[2] / "tools" / "faces.py"
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)


@every_entry
def test_entry_is_documented(entry):
    doc = inspect.getdoc(entry.step)
    assert entry.summary.endswith(".")
    assert ">>> " in doc, "one doctest that runs"
    for name in entry.parameters:
        assert f"\n{name}\n" in doc or f"{name}," in doc or f", {name}\n" in doc, name


@every_entry
def test_parameters_have_hints_and_defaults_that_fit(entry):
    for parameter in entry.parameters.values():
        assert parameter.description != "any value", parameter.name
        if not parameter.required and parameter.default is not None:
            parameter.check(parameter.default)


@every_entry
def test_few_positional_arguments(entry):
    target = entry.step.__init__ if inspect.isclass(entry.step) else entry.step
    kinds = [p.kind for p in inspect.signature(target).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 3


@every_entry
def test_an_unknown_parameter_is_refused_with_the_nearest(entry):
    for name in entry.parameters:
        with pytest.raises(UnknownNameError, match=f"Did you mean '{name}'"):
            check_parameters(entry.step, {f"{name}_": 1}, where=entry.label)


@every_entry
def test_other_data_than_the_stages_are_refused(entry):
    if inspect.isclass(entry.step) or entry.stage == "samples":
        return
    needed = {name: 2 for name, p in entry.parameters.items() if p.required}
    first = next(iter(inspect.signature(entry.step).parameters))
    if entry.declaration is not None and not needed:
        with pytest.raises(ParameterError, match=f"{first} must be .*; got tuple") as refusal:
            entry.step(*([(1, 2)] * _inputs(entry)))
        assert refusal.value.cure


def _inputs(entry):
    """Number of arguments that must be given."""
    parameters = inspect.signature(entry.step).parameters.values()
    return sum(p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_parameters_are_finite(value):
    with pytest.raises(ParameterError, match="radius must be a number greater than 0; got"):
        check_parameters(prepare.pool, {"radius": value})


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (describe.spectra, {"pool": 1e99}),
        (describe.spectra, {"pool": 2**63}),
        (prepare.rebin, {"scan": [2, 2**64]}),
    ],
)
def test_integers_are_those_of_numpy(step, given):
    with pytest.raises(ParameterError, match=r"must be .*integer.*; got"):
        check_parameters(step, given)


def test_an_unknown_step_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'pca'"):
        registry("reduce")["pac"]


def test_bounds_are_in_the_message():
    with pytest.raises(ParameterError, match=r"n_components must be .*at least 1.*; got 0\."):
        reduce.pca(None, n_components=0)


def test_an_algorithm_is_added_by_adding_one_file(tmp_path, monkeypatch):
    (tmp_path / "newstage" / "soft").mkdir(parents=True)
    (tmp_path / "newstage" / "__init__.py").write_text("")
    (tmp_path / "newstage" / "soft" / "__init__.py").write_text("")
    source = 'class SoftCut:\n    """Cut softly."""\n'
    (tmp_path / "newstage" / "soft" / "soft_cut.py").write_text(source)
    (tmp_path / "newstage" / "_private.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    entries = Registry("newstage")
    assert list(entries) == ["SoftCut"]
    assert entries["SoftCut"].summary == "Cut softly."


def test_helpers_of_a_stage_are_no_steps():
    assert "Estimator" not in registry("cluster")
    assert "subtract" not in registry("eels")


def test_a_function_keeps_its_name_when_its_module_is_imported():
    import clustem.judge.compare
    import clustem.prepare.crop

    assert inspect.isfunction(clustem.prepare.crop)
    assert inspect.isfunction(clustem.judge.compare)


def test_faces_are_those_of_the_registries():
    found = subprocess.run(
        [sys.executable, FACES, "--check"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_a_stale_face_is_seen():
    spec = importlib.util.spec_from_file_location("faces", FACES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    face = Path(prepare.__file__).with_name("__init__.pyi").read_text()
    assert module.face("prepare") == face
    assert module.face("prepare") != face.replace("crop", "cut")
