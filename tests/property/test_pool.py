"""Laws of pooling that hold for any scan."""

import hyperspy.api as hs
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clustem.core import Masks
from clustem.prepare.pool import pool

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 8), st.integers(1, 3))
RADIUS = st.sampled_from([0.5, 1, 1.5, 2, 2.5, 3, 6])
WEIGHTS = st.sampled_from(["uniform", "gaussian"])
COUNTS = SHAPES.flatmap(lambda shape: arrays(np.uint16, shape))
FLOATS = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-1e6, 1e6)))


def pooled(data, **parameters):
    return pool(hs.signals.Signal1D(data), **parameters).data


@settings(max_examples=60, deadline=None)
@given(st.one_of(COUNTS, FLOATS), RADIUS, WEIGHTS)
def test_means_lie_between_the_extremes(data, radius, weights):
    found = pooled(data, radius=radius, weights=weights)
    slack = 1e-6 * (1 + np.abs(data.astype(float)).max())
    assert np.all(found >= data.min() - slack)
    assert np.all(found <= data.max() + slack)


@settings(max_examples=60, deadline=None)
@given(FLOATS, RADIUS, WEIGHTS)
def test_turning_the_scan_turns_the_result(data, radius, weights):
    found = pooled(data, radius=radius, weights=weights)
    scale = 1e-12 * (1 + np.abs(data).max())
    turned = pooled(np.ascontiguousarray(data.swapaxes(0, 1)), radius=radius, weights=weights)
    np.testing.assert_allclose(turned.swapaxes(0, 1), found, rtol=1e-12, atol=scale)
    flipped = pooled(data[::-1, ::-1], radius=radius, weights=weights)
    np.testing.assert_allclose(flipped[::-1, ::-1], found, rtol=1e-12, atol=scale)


@settings(max_examples=60, deadline=None)
@given(COUNTS, RADIUS, WEIGHTS)
def test_counts_and_floats_agree(data, radius, weights):
    as_counts = pooled(data, radius=radius, weights=weights)
    as_floats = pooled(data.astype(np.float64), radius=radius, weights=weights)
    np.testing.assert_allclose(as_counts, as_floats, rtol=3e-7)


@settings(max_examples=30, deadline=None)
@given(FLOATS, st.sampled_from([8, 1e9, 1e99, 1e300]))
def test_a_window_beyond_the_scan_is_the_scan(data, radius):
    mean = np.broadcast_to(data.mean(axis=(0, 1)), data.shape)
    atol = 1e-12 * (1 + np.abs(data).max())
    np.testing.assert_allclose(pooled(data, radius=radius), mean, rtol=1e-12, atol=atol)
    if radius > 8:
        found = pooled(data, radius=radius, weights="gaussian")
        np.testing.assert_allclose(found, mean, rtol=1e-12, atol=atol)


@settings(max_examples=60, deadline=None)
@given(st.one_of(COUNTS, FLOATS), RADIUS, WEIGHTS, st.randoms(use_true_random=False))
def test_excluded_pixels_do_not_matter(data, radius, weights, random):
    mask = np.array([random.random() < 0.4 for _ in range(data[..., 0].size)])
    mask = mask.reshape(data.shape[:2])
    assume(not mask.all())
    other = data.copy()
    other[mask] = 77
    found = [
        pooled(x, radius=radius, weights=weights, masks=Masks(scan=mask)) for x in (data, other)
    ]
    np.testing.assert_array_equal(*found)


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.sampled_from([0.1, 0.5, 0.99]), WEIGHTS)
def test_a_radius_below_one_changes_nothing(data, radius, weights):
    np.testing.assert_array_equal(
        pooled(data, radius=radius, weights=weights), data.astype(np.float32)
    )
