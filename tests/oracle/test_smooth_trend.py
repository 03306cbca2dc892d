"""Where a verdict says "a trend, no groups", the trend is found, and the report shows it."""

import hyperspy.api as hs
import numpy as np

import clustem
from clustem.judge import smooth_trend, verdict
from clustem.report.page.plan import plan

ROW, COLUMN = np.indices((38, 50))
SHARE = 0.1 + 0.8 * (0.3 * ROW / ROW.max() + 0.7 * (COLUMN / COLUMN.max()) ** 2)


def solution(counts, seed=0):
    """Draw a map of a solid solution of two spectra, its dose uneven by a factor of 3."""
    rng = np.random.default_rng(seed)
    one, two = rng.dirichlet(np.full(64, 1.0), 2)
    mean = (1 - SHARE)[..., None] * one + SHARE[..., None] * two
    dose = counts * (0.5 + (COLUMN.max() - COLUMN) / COLUMN.max())
    signal = hs.signals.Signal1D(rng.poisson(dose[..., None] * mean).astype(np.uint16))
    signal.set_signal_type("EDS_SEM")
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.1, "keV"
    return signal


def test_a_trend_of_counts_is_drawn_instead_of_a_map_of_one_cluster():
    found = clustem.segment(solution(60.0), "eds")
    assert verdict(found).text.startswith("A trend, no groups")
    trend = smooth_trend(found)
    assert abs(np.corrcoef(trend.fitted.ravel(), SHARE.ravel())[0, 1]) > 0.99
    assert abs(np.corrcoef(trend.measured.ravel(), SHARE.ravel())[0, 1]) > 0.7
    names = [figure.name for figure in plan(found)]
    assert names[0] == "trend"
    assert "phase_map" not in names


def test_a_trend_of_coordinates_leaves_excluded_positions_out():
    signal = solution(20_000.0)
    signal.data[:9, :12] = 0
    toml = """[prepare.vacuum]\n[prepare.normalize]\nby = "sum"\n[describe.spectra]
[reduce.pca]\nn_components = 3\n[cluster.GaussianMixture]\nn_clusters = "auto"
[mapping.clusters]\n"""
    found = clustem.segment(signal, clustem.Recipe.from_toml(toml))
    trend = smooth_trend(found)
    assert np.isnan(trend.fitted[found.mask]).all()
    assert found.mask[:8, :11].all()
    left = ~found.mask
    assert abs(np.corrcoef(trend.fitted[left], SHARE[left])[0, 1]) > 0.99


def test_groups_are_no_trend():
    found = clustem.segment(clustem.samples.eds(shape=(28, 32)).signal, "eds")
    assert smooth_trend(found) is None
    assert next(figure.name for figure in plan(found)) == "phase_map"
