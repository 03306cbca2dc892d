"""The total intensity against plain sums."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import Clustering, InputError, Masks, recording
from clustem.describe.total_intensity import total_intensity
from clustem.samples.eels import eels


def scan_of(data, units="eV"):
    scan = hs.signals.Signal1D(data)
    axis = scan.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = 0.5, -2.0, units
    return scan


@pytest.mark.parametrize("lazy", [False, True])
def test_it_is_the_sum_over_energy(lazy):
    data = np.random.default_rng(1).integers(0, 60000, (4, 7, 30)).astype(np.uint16)
    mask = data[..., 0] > 40000
    scan = scan_of(data)
    if lazy:
        scan = scan._deepcopy_with_new_data(da.from_array(data, chunks=(2, 3, 7))).as_lazy()
    features = total_intensity(scan, masks=Masks(scan=mask))
    expected = np.log(0.5 * data.sum(axis=-1, dtype=np.int64)[~mask])
    np.testing.assert_allclose(features.rows[:, 0], expected, rtol=1e-14)
    assert features.names == ("ln N_tot",)
    assert features.source is scan
    plain = total_intensity(scan, log=False, window=(0.0, 3.0))
    np.testing.assert_allclose(plain.rows[:, 0], 0.5 * data[..., 4:11].sum(axis=-1).ravel())
    assert plain.names == ("N_tot",)


def test_units_are_electronvolts_where_there_are_any():
    data = np.ones((2, 3, 4))
    kilo, none = scan_of(data, "keV"), scan_of(data, "")
    assert total_intensity(kilo, log=False).rows[0, 0] == 2000
    assert total_intensity(none, log=False).rows[0, 0] == 2


def test_the_peak_and_the_bulk():
    sample = eels(shape=(6, 11), jitter=0.0, random_state=2)
    zlp, bulk, total = (
        np.exp(total_intensity(sample.signal, window=window).rows[:, 0])
        for window in ("zlp", "bulk", None)
    )
    peak = 0.1 * sample.zlp.sum(axis=-1, dtype=float).ravel()
    rest = 0.1 * sample.inelastic.sum(axis=-1, dtype=float).ravel()
    np.testing.assert_allclose(zlp, peak, rtol=0.02)
    np.testing.assert_allclose(bulk, rest, rtol=0.05)  # with the far tail of the peak
    np.testing.assert_allclose(total, peak + rest, rtol=0.005)


def test_what_has_no_total_is_excluded_and_counted():
    data = np.ones((3, 4, 5))
    data[0, 1] = 0
    data[2, 2] = -1
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1] = True
    with recording() as said:
        features = total_intensity(scan_of(data), masks=Masks(scan=mask))
    assert np.isfinite(features.rows).all()
    assert np.argwhere(features.mask).tolist() == [[0, 1], [1, 1], [2, 2]]
    assert said.note == "2 of 11 positions without positive total excluded"
    assert mask.sum() == 1
    assert total_intensity(scan_of(data), log=False).rows.shape == (12, 1)


def test_clusters_are_numbered_by_falling_intensity():
    class Fitted:
        labels_ = np.array([0, 0, 0, 1, 2, 2])
        cluster_centers_ = np.zeros((3, 1))

    data = np.array([1.0, 1, 1, 3, 2, 2])[None, :, None]
    features = total_intensity(scan_of(data))
    assert Clustering.from_estimator(Fitted(), features).labels.tolist() == [2, 2, 2, 0, 1, 1]
    other = features.with_rows(features.rows, names=("PC 1",))
    assert Clustering.from_estimator(Fitted(), other).labels.tolist() == [0, 0, 0, 2, 1, 1]


def test_bad_input_is_refused():
    data = np.ones((2, 3, 20))
    with pytest.raises(InputError, match="at least one channel"):
        total_intensity(scan_of(data), window=(50.0, 60.0))
    with pytest.raises(InputError, match="zero-loss peak"):
        total_intensity(scan_of(data), window="bulk")
    with pytest.raises(InputError, match="positive total"):
        total_intensity(scan_of(-data))
    broken = data.copy()
    broken[1, 2, 7] = np.nan
    with pytest.raises(InputError, match="NaN or infinity at 1 of 6"):
        total_intensity(scan_of(broken))
    with pytest.raises(InputError, match="a single spectrum"):
        total_intensity(scan_of(data[0, 0]))
    with pytest.raises(InputError, match="one signal axis"):
        total_intensity(hs.signals.Signal2D(np.ones((2, 2, 3, 3))))
