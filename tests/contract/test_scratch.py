"""Lazy chains are computed once, where there is room."""

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from scipy.sparse import csr_array

from clustem.core import InputError
from clustem.io._events import Events
from clustem.passes import scratch as module
from clustem.passes.scratch import computed_once, scratch
from clustem.recipes.segment import segment
from clustem.samples import eels


@pytest.fixture
def chain():
    calls = []

    def doubled(block):
        calls.append(block.shape)
        return 2 * block

    source = da.from_array(np.arange(84.0).reshape(7, 3, 4), chunks=(2, 3, 4))
    return source.map_blocks(doubled, dtype=float, meta=np.empty((0, 0, 0))), calls


def test_each_chunk_is_computed_once(chain):
    lazy, calls = chain
    found = computed_once(lazy)
    assert len(calls) == 4
    np.testing.assert_array_equal(found, 2 * np.arange(84.0).reshape(7, 3, 4))


def test_what_only_reads_stays_lazy():
    lazy = da.from_array(np.arange(84.0).reshape(7, 3, 4), chunks=(2, 3, 4))
    listed = Events(csr_array(np.eye(6)), (2, 3, 6))
    events = da.from_array(listed, chunks=(1, 3, 6), name="events-1", asarray=False)
    for same in (
        lazy,
        events,
        events[..., 2:],
        lazy[..., 1:3],
        lazy.rechunk((3, 3, 4)),
        np.arange(3),
    ):
        assert computed_once(same) is same


def test_large_arrays_lie_in_a_file_or_stay_lazy_without_room(chain, monkeypatch):
    lazy, calls = chain
    monkeypatch.setattr(module, "_IN_MEMORY", 100)
    assert isinstance(computed_once(lazy), np.memmap)
    assert isinstance(scratch((30,), np.int64), np.memmap)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert computed_once(lazy) is lazy
    assert len(calls) == 4
    with pytest.raises(InputError, match=r"2.4e-07 GB must fit .*; got 1e-06 GB of room.*TMPDIR"):
        scratch((30,), np.int64)


def test_a_lazy_run_is_that_of_memory():
    signal = eels(kind="core", shape=(12, 15)).signal
    expected = segment(signal, "eels-shape", n_clusters=2)
    found = segment(signal.as_lazy(), "eels-shape", n_clusters=2)
    np.testing.assert_array_equal(found.labels.data, expected.labels.data)
