"""Laws that every reduction keeps."""

import inspect
import json
from functools import partial
from importlib.util import find_spec

import dask.array as da
import numpy as np
import pytest

from clustem.core import Features, InputError, ParameterError, collecting, recording, registry
from clustem.passes.rows import Rows
from clustem.reduce import nmf, pca, smooth

STEPS = registry("reduce")

MASK = np.zeros((9, 14), dtype=bool)
MASK[2, 3] = MASK[8, 13] = True


def data():
    rng = np.random.default_rng(4)
    parts = rng.gamma(1.0, 5.0, (3, 20))
    return rng.poisson(rng.dirichlet(np.full(3, 0.3), MASK.shape) @ parts).astype(np.uint16)


def features(values=None, **rows):
    values = data() if values is None else values
    return Features.of_scan(Rows(values, mask=MASK, **rows), None, MASK)


NEEDS_TORCH = pytest.mark.skipif(
    find_spec("torch") is None, reason="needs PyTorch: pip install 'clustem[torch]'"
)
every_step = pytest.mark.parametrize(
    "step",
    [
        pytest.param(partial(entry.step, max_steps=30), marks=NEEDS_TORCH, id="vae")
        if entry.name == "vae"
        else pytest.param(entry.step, id=entry.name)
        for entry in STEPS.values()
    ],
)


@every_step
def test_one_finite_row_per_position(step):
    found = step(features())
    assert found.rows.shape[0] == (~MASK).sum()
    assert np.isfinite(np.asarray(found.rows)).all()
    assert len(found.names) in {0, found.rows.shape[1]}
    np.testing.assert_array_equal(found.mask, MASK)


@every_step
def test_repeats_are_identical_and_the_input_stays(step):
    given = features()
    before = np.asarray(given.rows).copy()
    one, two = step(given), step(given)
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(np.asarray(given.rows), before)


@every_step
def test_block_size_and_storage_do_not_matter(step):
    found = np.asarray(step(features()).rows)
    for other in (
        features(block_bytes=400),
        features(da.from_array(data(), chunks=(4, 5, 7))),
        features(np.asfortranarray(data())),
    ):
        np.testing.assert_allclose(step(other).rows, found, atol=2e-3 * np.abs(found).max())


@every_step
def test_excluded_positions_do_not_matter(step):
    spoiled = data()
    spoiled[MASK] = 60_000
    np.testing.assert_allclose(step(features(spoiled)).rows, step(features()).rows, rtol=1e-6)


@every_step
def test_not_a_number_is_refused(step):
    values = data().astype(np.float32)
    values[4, 5, 6] = np.nan
    with pytest.raises(InputError):
        step(features(values))


@every_step
def test_what_it_found_is_plain(step):
    with recording() as said:
        step(features())
    assert json.loads(json.dumps(said.found, allow_nan=False)) == said.found


@pytest.mark.parametrize("step", [pca, nmf])
def test_plain_arrays_do(step):
    rows = data().reshape(-1, 20)
    found = step(rows, n_components=2)
    assert isinstance(found, Features)
    assert found.scans == ()
    whole = Features.of_scan(rows, None, np.zeros(MASK.shape, dtype=bool))
    np.testing.assert_array_equal(found.rows, step(whole, n_components=2).rows)


def test_smoothing_needs_positions():
    with pytest.raises(ParameterError, match="features must be Features; got ndarray"):
        smooth(np.zeros((4, 2)))
    with pytest.raises(InputError, match="know their places on one scan; got rows of 0 scans"):
        smooth(Features(np.zeros((4, 2))))


@pytest.mark.parametrize("step", [pca, nmf])
def test_seeds_are_taken_as_in_scikit_learn(step):
    given = features()
    for seed in (None, np.random.RandomState(3), np.random.default_rng(3)):
        assert step(given, n_components=2, random_state=seed).rows.shape == (len(given.rows), 2)
    one, two = (
        step(given, n_components=2, random_state=np.random.RandomState(3)).rows for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    with pytest.raises(ParameterError, match="random_state must be"):
        step(given, random_state=-1)


@pytest.mark.parametrize("name", ["pca", "nmf"])
def test_more_components_than_rows_are_refused(name):
    with pytest.raises(ParameterError, match=r"at most the number of rows and channels \(2\)"):
        STEPS[name].step(Features(np.ones((2, 5))), n_components=3)


def test_factors_that_still_change_are_said():
    with collecting() as said:
        nmf(features(), n_components=2, max_iter=1)
    assert said == ["NMF did not converge in 1 iterations. Raise max_iter."]


def test_the_registry_is_not_empty():
    assert {"pca", "nmf", "smooth", "vae"} <= set(STEPS)
    assert all(inspect.isfunction(entry.step) for entry in STEPS.values())
