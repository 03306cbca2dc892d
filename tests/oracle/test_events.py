"""Files that list single X-rays stay sparse in memory."""

import dask.array as da
import numpy as np
import pytest
from rsciio.utils._fei_stream_readers import DenseSliceCOO
from scipy.sparse import csr_array

from clustem.io._events import Events, lazily
from clustem.io.reading import read


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.05, (7, 5, 90))


def test_a_list_of_events_is_cut_between_spectra(counts):
    listed = da.from_array(DenseSliceCOO.from_numpy(counts), chunks=(4, 4, 4), asarray=False)
    found = lazily(listed)
    assert found.chunks[-1] == (90,)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.compute(), counts)
    np.testing.assert_array_equal(found[..., 3:60].compute(), counts[..., 3:60])


def test_other_lazy_arrays_stay(counts):
    plain = da.from_array(counts)
    assert lazily(plain) is plain


@pytest.mark.parametrize("index", [2, slice(1, 4), (slice(None), 3), (slice(2, 3), 1, 4), [0, 5]])
def test_a_piece_of_events_is_that_of_the_array(index, counts):
    events = Events(csr_array(counts.reshape(-1, 90)), counts.shape)
    np.testing.assert_array_equal(events[index], counts[index])


def test_a_map_of_few_counts_takes_no_memory(data_dir):
    scan = read(data_dir / "real" / "JEOL_View000.pts")
    assert scan.signal.data.shape == (512, 512, 4096)
    assert scan.signal.data.dtype == np.uint8
    assert scan.signal.data[:16].compute().nbytes == 2**25
    assert scan.signal._lazy
