"""Every entry of every catalogue is documented, typed and refuses wrong parameters."""

import inspect
from importlib import import_module

import pytest

from clustem import prepare, reduce
from clustem.model import Catalogue, ParameterError, UnknownNameError, check_parameters

ROOMS = ("prepare", "describe", "reduce", "cluster", "judge", "reproject", "samples")
ENTRIES = [e for room in ROOMS for e in import_module(f"clustem.{room}").catalogue.values()]
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
def test_other_data_than_the_rooms_are_refused(entry):
    if inspect.isclass(entry.step) or entry.room == "samples":
        return
    needed = {name: 2 for name, p in entry.parameters.items() if p.required}
    first = next(iter(inspect.signature(entry.step).parameters))
    if first in {"signal", "table", "partition", "projection"} and not needed:
        with pytest.raises(ParameterError, match=f"{first} must be a .*; got list") as refusal:
            entry.step(*([[1, 2]] * _inputs(entry)))
        assert refusal.value.cure


def _inputs(entry):
    """Number of arguments that must be given."""
    parameters = inspect.signature(entry.step).parameters.values()
    return sum(p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_parameters_are_finite(value):
    with pytest.raises(ParameterError, match="d must be a number greater than 0; got"):
        check_parameters(prepare.pool, {"d": value})


def test_an_unknown_step_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'pca'"):
        reduce.catalogue["pac"]


def test_bounds_are_in_the_message():
    with pytest.raises(ParameterError, match=r"n_components must be .*at least 1.*; got 0\."):
        reduce.pca(None, n_components=0)


def test_an_algorithm_is_added_by_adding_one_file(tmp_path, monkeypatch):
    (tmp_path / "newroom").mkdir()
    (tmp_path / "newroom" / "__init__.py").write_text("")
    (tmp_path / "newroom" / "soft_cut.py").write_text('class SoftCut:\n    """Cut softly."""\n')
    (tmp_path / "newroom" / "_private.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue("newroom", [str(tmp_path / "newroom")])
    assert list(catalogue) == ["SoftCut"]
    assert catalogue["SoftCut"].summary == "Cut softly."
