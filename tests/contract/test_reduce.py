"""Laws that every reduction keeps."""

import inspect

import dask.array as da
import numpy as np
import pytest

from clustem import reduce
from clustem.compute import Rows
from clustem.model import InputError, Table

MASK = np.zeros((9, 14), dtype=bool)
MASK[2, 3] = MASK[8, 13] = True


def data():
    rng = np.random.default_rng(4)
    parts = rng.gamma(1.0, 5.0, (3, 20))
    return rng.poisson(rng.dirichlet(np.full(3, 0.3), MASK.shape) @ parts).astype(np.uint16)


def table(values=None, **rows):
    values = data() if values is None else values
    return Table(Rows(values, mask=MASK, **rows), None, MASK)


every_step = pytest.mark.parametrize("step", [entry.step for entry in reduce.catalogue.values()])


@every_step
def test_one_finite_row_per_position(step):
    found = step(table())
    assert found.rows.shape[0] == (~MASK).sum()
    assert np.isfinite(np.asarray(found.rows)).all()
    assert len(found.features) in {0, found.rows.shape[1]}
    np.testing.assert_array_equal(found.mask, MASK)


@every_step
def test_repeats_are_identical_and_the_input_stays(step):
    given = table()
    before = np.asarray(given.rows).copy()
    one, two = step(given), step(given)
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(np.asarray(given.rows), before)


@every_step
def test_block_size_and_storage_do_not_matter(step):
    found = np.asarray(step(table()).rows)
    for other in (
        table(block_bytes=400),
        table(da.from_array(data(), chunks=(4, 5, 7))),
        table(np.asfortranarray(data())),
    ):
        np.testing.assert_allclose(step(other).rows, found, atol=2e-3 * np.abs(found).max())


@every_step
def test_excluded_positions_do_not_matter(step):
    spoiled = data()
    spoiled[MASK] = 60_000
    np.testing.assert_allclose(step(table(spoiled)).rows, step(table()).rows, rtol=1e-6)


@every_step
def test_not_a_number_is_refused(step):
    values = data().astype(np.float32)
    values[4, 5, 6] = np.nan
    with pytest.raises(InputError):
        step(table(values))


def test_the_catalogue_is_not_empty():
    assert {"pca", "nmf", "smooth"} <= set(reduce.catalogue)
    assert all(inspect.isfunction(entry.step) for entry in reduce.catalogue.values())
