"""Where rows are kept, how they are cut and who reads them does not change k-means."""

import tracemalloc
import warnings

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal

from clustem.cluster import KMeans
from clustem.core import ClustemError
from clustem.passes.rows import Rows

SHAPE = (30, 84, 30, 32)


@pytest.fixture(scope="module")
def scan():
    """Patterns of four grains, weak and noisy, in uint8: large enough to be sketched."""
    random = np.random.default_rng(11)
    y, x = np.indices(SHAPE[:2])
    grain = (x // 30 + 2 * (y > 12)) % 4
    patterns = 2 + 0.25 * random.random((4, *SHAPE[2:]))
    patterns[:, 10:20, 12:18] *= 8
    return random.poisson(patterns[grain]).astype(np.uint8)


@pytest.fixture(scope="module")
def reference(scan):
    return KMeans(4, normalize="l2").fit(Rows(scan, row_ndim=2))


def assert_same(found, reference):
    assert_array_equal(found.labels_, reference.labels_)
    assert found.certified_
    assert_allclose(found.cluster_centers_, reference.cluster_centers_, rtol=1e-12, atol=1e-14)
    assert found.inertia_ == pytest.approx(reference.inertia_, rel=1e-12)
    assert found.n_iter_ == reference.n_iter_
    assert found.n_passes_ == reference.n_passes_


def fitted(data, **settings):
    return KMeans(4, normalize="l2", **settings).fit(Rows(data, row_ndim=2))


def test_the_scan_is_hard_enough_to_need_the_full_space(reference):
    assert reference.n_passes_ > 2.4
    assert reference.n_iter_ > 4


def test_mapped_file(scan, reference, tmp_path):
    np.save(tmp_path / "scan.npy", scan)
    assert_same(fitted(np.load(tmp_path / "scan.npy", mmap_mode="r")), reference)


def test_hdf5(scan, reference, tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("scan", data=scan, chunks=(4, 84, 16, 16))
        assert_same(fitted(data), reference)


def test_zarr(scan, reference, tmp_path):
    data = zarr.open(str(tmp_path / "z"), mode="w", shape=SHAPE, chunks=(5, 40, 30, 32), dtype="u1")
    data[:] = scan
    assert_same(fitted(data), reference)


@pytest.mark.parametrize("chunks", [(7, 84, 30, 32), (16, 16, 10, 32), (30, 84, 30, 32)])
def test_dask(scan, reference, chunks):
    assert_same(fitted(da.from_array(scan, chunks=chunks)), reference)


def test_arrays_that_are_flat_already(scan, reference, tmp_path):
    flat = scan.reshape(-1, 960)
    assert_same(KMeans(4, normalize="l2").fit(flat), reference)
    assert_same(KMeans(4, normalize="l2").fit(np.asfortranarray(flat)), reference)
    assert_same(KMeans(4, normalize="l2").fit(da.from_array(flat, chunks=(500, 300))), reference)
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        data = file.create_dataset("scan", data=flat)
        assert_same(KMeans(4, normalize="l2").fit(data), reference)


@pytest.mark.parametrize("dtype", ["u2", ">u2", "i4", "f4", "f8"])
def test_number_type(scan, reference, dtype):
    assert_array_equal(fitted(scan.astype(dtype)).labels_, reference.labels_)


@pytest.mark.parametrize("block_bytes", [1, 37 * 960 * 4, 2**28])
def test_block_size(scan, reference, block_bytes):
    rows = Rows(scan, row_ndim=2, block_bytes=block_bytes)
    assert_same(KMeans(4, normalize="l2").fit(rows), reference)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads(scan, reference, threads):
    found = fitted(scan, threads=threads)
    assert_same(found, reference)
    assert_array_equal(found.cluster_centers_, reference.cluster_centers_)


def test_excluded_positions_are_as_if_they_were_not_there(scan):
    mask = np.random.default_rng(0).random(SHAPE[:2]) < 0.1
    found = KMeans(4, normalize="l2").fit(Rows(scan, row_ndim=2, mask=mask))
    assert_same(found, KMeans(4, normalize="l2").fit(scan[~mask].reshape(-1, 960)))


def test_rows_in_another_order_are_clustered_as_well(scan, reference):
    found = fitted(scan[np.random.default_rng(3).permutation(30)])
    assert found.certified_
    assert found.inertia_ == pytest.approx(reference.inertia_, rel=1e-4)


def test_the_data_is_never_copied_to_float():
    random = np.random.default_rng(0)
    rows = random.integers(0, 9, (30000, 1000), dtype=np.uint8)
    rows[::3, :300] += 3
    KMeans(3, normalize="l2").fit(rows[:3000])
    tracemalloc.start()
    KMeans(3, normalize="l2").fit(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * rows.nbytes  # a float32 copy would be four times as much


def test_workers_of_a_cluster(scan, reference, tmp_path):
    """Two processes: nothing but blocks' results travels, and each opens a file itself."""
    from distributed import Client, LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own start and end
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            Client(cluster),
        ):
            data = da.random.random((1, 1), chunks=1)  # wakes the workers
            data.compute()
            found = fitted(da.from_array(scan, chunks=(6, 84, 30, 32)))
            with h5py.File(tmp_path / "scan.h5", "w") as file:
                file.create_dataset("data", data=scan, chunks=(5, 7, 30, 32))
            with h5py.File(tmp_path / "scan.h5") as file:
                in_file = fitted(da.from_array(file["data"], chunks=(6, 84, 30, 32)))
            cluster.close()
            with pytest.raises(ClustemError, match="workers must stay"):
                fitted(da.from_array(scan, chunks=(6, 84, 30, 32)))
    assert_same(found, reference)
    assert_same(in_file, reference)
