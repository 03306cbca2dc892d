"""Laws of reading rows: the same numbers from any storage, each row once, in bounded memory."""

import os
from functools import partial
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from clustem.core import InputError
from clustem.passes.block_sums import BlockSums
from clustem.passes.chunks import OnDisk
from clustem.passes.direct import read_directly
from clustem.passes.joined_rows import joined
from clustem.passes.picked_rows import picked
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse
from clustem.passes.sparse_rows import SparseRows
from clustem.passes.storage import Stored, release

SHAPE = (7, 5, 6, 4)
STORAGES = [
    "memory",
    "fortran",
    "strided",
    "swapped",
    "mapped",
    "hdf5",
    "hdf5 whole",
    "zarr",
    "dask",
]


@pytest.fixture(scope="module")
def scan():
    return np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)


def in_memory(scan, storage):
    if storage == "fortran":
        return np.asfortranarray(scan)
    if storage == "strided":
        return np.concatenate([scan, scan], axis=2)[:, :, ::2]
    if storage == "swapped":
        return scan.astype(">u2")
    if storage == "dask":
        return da.from_array(scan, chunks=(3, 2, 5, 2))
    return scan


def stored(scan, storage, folder):
    if storage == "mapped":
        np.save(folder / "scan.npy", scan)
        return np.load(folder / "scan.npy", mmap_mode="r")
    if storage.startswith("hdf5"):
        file = h5py.File(folder / "scan.h5", "w")
        chunks = None if storage.endswith("whole") else (3, 2, 4, 4)
        return file.create_dataset("scan", data=scan, chunks=chunks)
    if storage == "zarr":
        path, chunks = str(folder / "scan.zarr"), (2, 5, 3, 4)
        array = zarr.open(path, mode="w", shape=SHAPE, chunks=chunks, dtype="u2")
        array[:] = scan
        return array
    return in_memory(scan, storage)


def expected(scan, storage):
    if storage == "strided":
        return np.concatenate([scan, scan], axis=2)[:, :, ::2].reshape(35, 24)
    return scan.reshape(35, 24)


@pytest.fixture(params=STORAGES)
def storage(request):
    return request.param


@pytest.fixture
def opened(scan, storage, tmp_path):
    return stored(scan, storage, tmp_path), expected(scan, storage)


@pytest.mark.parametrize("block_bytes", [1, 24 * 4 * 4, 2**24])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_row_comes_once_and_as_it_is(opened, block_bytes, threads):
    data, truth = opened
    rows = Rows(data, row_ndim=2, block_bytes=block_bytes)
    assert rows.shape == truth.shape
    assert rows.dtype.itemsize == 2
    seen = np.zeros(35, int)
    for where, block in rows.map(lambda block, _: block.copy(), threads=threads):
        assert_array_equal(block, truth[where])
        seen[where] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("masked", [False, True])
def test_some_rows_are_the_same_rows(opened, masked):
    data, truth = opened
    mask = np.random.default_rng(1).random(SHAPE[:2]) < 0.4
    rows = Rows(data, row_ndim=2, mask=mask if masked else None, block_bytes=24 * 4 * 3)
    if masked:
        truth = truth[~mask.ravel()]
    assert_array_equal(np.asarray(rows), truth)
    numbers = np.array([3, 0, len(rows) - 1, 3, 8])
    assert_array_equal(rows.take(numbers), truth[numbers])
    subset = np.array([0, 1, 4, 11, len(rows) - 2])
    seen = []
    for where, block in rows.map(lambda block, _: block.copy(), subset=subset):
        assert_array_equal(block, truth[where])
        seen.extend(where)
    assert sorted(seen) == subset.tolist()
    assert rows.take(np.array([], int)).shape == (0, 24)
    assert list(rows.map(lambda block, _: 0, subset=np.array([], int))) == []


def test_sparse_rows_are_the_rows_that_they_hold():
    truth = np.random.default_rng(0).poisson(0.2, (9, 11)).astype(np.uint16)
    rows = SparseRows(csr_array(truth))
    assert_array_equal(np.asarray(rows), truth)
    assert_array_equal(rows.take(np.array([7, 2, 2])), truth[[7, 2, 2]])
    both = joined([rows, rows])
    assert_array_equal(sparse(both).toarray(), np.concatenate([truth, truth]))
    assert_array_equal(sparse(picked(both, np.array([3, 12]))).toarray(), truth[[3, 3]])


def test_blocks_come_in_the_same_order_whatever_the_threads(scan):
    rows = Rows(scan, row_ndim=2, block_bytes=24 * 4 * 2)
    one = [where.tolist() for where, _ in rows.map(lambda *_: None, threads=1)]
    assert one == [where.tolist() for where, _ in rows.map(lambda *_: None, threads=4)]
    assert one == sorted(one)


def test_a_fault_in_a_block_reaches_the_caller(scan):
    def fault(block, where):
        raise ZeroDivisionError(where[0])

    with pytest.raises(ZeroDivisionError):
        list(Rows(scan, row_ndim=2, block_bytes=1).map(fault))


def test_progress_ends_at_one(scan):
    shares = []
    list(Rows(scan, block_bytes=1).map(lambda *_: None, progress=shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("data", "settings", "words"),
    [
        (np.ones(5), {}, "at least 2 axes"),
        (np.ones((5, 4)), {"row_ndim": 2}, "at least 3 axes"),
        (np.ones((0, 4)), {}, "At least one row"),
        (np.ones((4, 0)), {}, "At least one row"),
        (np.ones((4, 2), complex), {}, "real numbers"),
        (np.array([["a", "b"]]), {}, "real numbers"),
        (np.ones((4, 2)), {"mask": np.ones(4, bool)}, "At least one row"),
        (np.ones((4, 2)), {"mask": np.ones(3, bool)}, r"shape \(4,\)"),
        (np.ones((4, 2)), {"mask": np.ones(4)}, "must be boolean"),
    ],
)
def test_what_is_no_rows_is_refused(data, settings, words):
    with pytest.raises(InputError, match=words) as refusal:
        Rows(data, **settings)
    assert refusal.value.cure


def mapped_bytes():
    """Resident bytes of mapped files in this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) * 1024
    return None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts mapped pages")
def test_a_pass_over_a_mapped_file_leaves_nothing_of_it_in_memory(tmp_path):
    np.save(tmp_path / "scan.npy", np.ones((96, 2**20), np.uint8))
    data = np.load(tmp_path / "scan.npy", mmap_mode="r")
    before = mapped_bytes()
    assert sum(total for _, total in Rows(data).map(lambda block, _: int(block.sum()))) == data.size
    assert mapped_bytes() - before < 32 * 2**20
    assert int(np.asarray(data).sum()) == data.size  # the control: read without Rows it stays
    assert mapped_bytes() - before > 64 * 2**20


def test_changes_to_a_private_map_survive_a_pass(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((64, 4096), np.uint8))
    data = np.load(tmp_path / "scan.npy", mmap_mode="c")
    data[5] = 7
    for _ in range(2):
        assert (
            sum(total for _, total in Rows(data).map(lambda block, _: int(block.sum()))) == 7 * 4096
        )
    release(data)
    assert data[5, 0] == 7


def test_rows_of_a_writable_map_stay_written(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((64, 4096), np.uint8))
    data = np.load(tmp_path / "scan.npy", mmap_mode="r+")
    data[5] = 7
    list(Rows(data).map(lambda block, _: int(block.sum())))
    assert data[5, 0] == 7
    del data
    os.sync()
    assert np.load(tmp_path / "scan.npy")[5, 0] == 7


@pytest.mark.parametrize("chunks", [(1, 1, 6, 4), (2, 5, 3, 4), (7, 2, 2, 2)])
def test_what_is_stored_together_is_read_once(scan, chunks, tmp_path, monkeypatch):
    reads = []
    piece_of = Stored.__getitem__
    monkeypatch.setattr(
        Stored, "__getitem__", lambda self, index: reads.append(index) or piece_of(self, index)
    )
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("data", data=scan, chunks=chunks)
        rows = Rows(da.from_array(data, chunks=(1, 1, 6, 4)), row_ndim=2, block_bytes=4 * 24 * 2)
        assert_array_equal(np.asarray(rows), scan.reshape(len(rows), -1))
    starts = [(i.start, j.start) for i, j, *_ in reads]
    assert len(set(starts)) == len(starts) >= 2
    for i, j, *_ in reads:  # between chunks, so that none is decompressed twice
        assert i.start % chunks[0] == j.start % chunks[1] == 0


def test_rows_know_whether_they_read_the_same(scan):
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[2, 3] = True
    lazy = da.from_array(scan)
    assert Rows(scan, row_ndim=2).same_as(Rows(scan, row_ndim=2))
    assert Rows(lazy, row_ndim=2, mask=mask).same_as(Rows(lazy, row_ndim=2, mask=mask.copy()))
    for other in (
        Rows(scan.copy(), row_ndim=2),
        Rows(scan, row_ndim=1),
        Rows(scan, row_ndim=2, mask=mask),
        Rows(scan[::-1], row_ndim=2),
        Rows(lazy, row_ndim=2),
    ):
        assert not Rows(scan, row_ndim=2).same_as(other)


def test_sums_of_blocks_are_joined_in_an_order_that_only_the_data_give():
    rng = np.random.default_rng(8)
    data, labels = rng.normal(size=(9000, 4000)).astype("f4"), rng.integers(0, 3, 9000)

    def work(block, where):
        found = np.unique(labels[where])
        sums = [block[labels[where] == label].sum(axis=0, dtype=float) for label in found]
        return BlockSums(found, np.stack(sums), rows=[where * 2])

    results = []
    for threads in (1, 2, 4):
        parts = [*Rows(data, block_bytes=2**18).map(work, threads=threads)]
        assert len(parts) == 5, "of 32 MB, not of one block"
        total = np.zeros((3, 4000))
        for where, part in parts:
            part.add_to(total)
            np.testing.assert_array_equal(part.rows[0], where * 2)
        results.append(total)
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()
    for label in range(3):
        expected = data[labels == label].sum(axis=0, dtype=float)
        np.testing.assert_allclose(results[0][label], expected, rtol=1e-9, atol=1e-6)


def test_sums_come_once_with_the_last_rows(monkeypatch):
    monkeypatch.setattr("clustem.passes.rows._SPAN_BYTES", (96, 96))
    data = np.random.default_rng(1).random((60, 6))

    def work(block, where):
        return BlockSums(np.unique(where % 3), np.ones((len(set(where % 3)), 2)), rows=[where])

    found = list(Rows(data, block_bytes=48).map(work))
    assert len(found) > 3
    for where, part in found:
        assert_array_equal(part.rows[0], where)
        total = np.zeros((3, 2))
        part.add_to(total)
        assert total.any() == (where[-1] == 59)
    assert total.sum() == 2 * 60


def of_a_map(array):
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_larger_than_memory_is_read_directly(masked, lazily, tmp_path, monkeypatch):
    for module in ("direct", "rows"):
        monkeypatch.setattr(f"clustem.passes.{module}.free_memory", lambda: 0.0)
    data = np.random.default_rng(2).integers(0, 200, (50, 40, 101)).astype(np.uint8)
    np.save(tmp_path / "scan.npy", data)
    mask = np.zeros((50, 40), dtype=bool)
    mask[7, 3:9] = masked
    opened = OnDisk(partial(np.load, tmp_path / "scan.npy", mmap_mode="r"))
    scan = opened.lazily("scan", inner=1) if lazily else opened[:]
    rows = Rows(scan, mask=mask, block_bytes=2**16)
    seen = [block for _, block in rows.map(lambda block, _: block)]  # all are held at once
    assert_array_equal(np.concatenate(seen), data[~mask])
    assert_array_equal(rows.take([5, 1990]), data[~mask][[5, 1990]])
    if not masked and not of_a_map(read_directly(np.asarray(opened[:1]))):  # where the disk can
        assert not any(of_a_map(block) for block in seen)


def test_a_buffer_is_used_again_once_nobody_has_a_part_of_it(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(40000).reshape(8, 5000))
    data = np.load(tmp_path / "rows.npy", mmap_mode="r")
    first = read_directly(data[:2])
    second = read_directly(data[2:4])
    assert_array_equal(first, data[:2])
    del second
    third = read_directly(data[4:6])
    assert_array_equal(third, data[4:6])
    assert_array_equal(read_directly(data[::2]), data[::2])
    assert_array_equal(read_directly(data[6:]), data[6:])  # to the end of the file


def test_few_rows_are_read_from_their_own_chunks(tmp_path):
    """A file of many small chunks: as many are unpacked as hold what is asked for."""
    data = np.random.default_rng(0).integers(0, 99, (40, 30, 6, 4)).astype(np.uint8)
    array = zarr.open(
        str(tmp_path / "s.zarr"), mode="w", shape=data.shape, chunks=(1, 5, 6, 4), dtype="u1"
    )
    array[:] = data
    rows = Rows(array, row_ndim=2)
    numbers = np.array([3, 4, 200, 777, 1199])
    pieces = list(rows._blocks(numbers))
    assert_array_equal(rows.take(numbers), data.reshape(1200, 24)[numbers])
    assert len(pieces) == 4  # two of them lie in one chunk
    assert max(np.asarray(piece.data.read()).nbytes for piece in pieces) == 5 * 24
