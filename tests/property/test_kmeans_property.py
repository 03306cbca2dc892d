"""What k-means holds for any rows at all."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from clustem.cluster import KMeans
from clustem.cluster.kmeans import _sketch as kmeans_sketch
from clustem.cluster.kmeans._sketch import Sketch
from clustem.cluster.kmeans._solve import solve
from clustem.passes.transform import RowTransform

small = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    st.tuples(st.integers(3, 40), st.integers(1, 9)),
    elements=st.integers(0, 200),
)
no_deadline = settings(deadline=None, max_examples=60)


def assert_fixed_point(x, labels, centers, inertia, weights):
    distances = ((x[:, None] - centers) ** 2).sum(axis=2)
    own = distances[np.arange(len(x)), labels]
    scale = (x**2).sum(axis=1).max() + 1e-300
    assert (own <= distances.min(axis=1) + 1e-11 * scale).all()
    assert inertia == pytest.approx(weights @ own, rel=1e-6, abs=1e-11 * scale * len(x))
    for j in set(labels[weights > 0]):
        mine = labels == j
        mean = np.average(x[mine], axis=0, weights=weights[mine])
        assert np.abs(mean - centers[j]).max() <= 1e-9 * np.sqrt(scale)


@given(
    rows=small,
    k=st.integers(1, 6),
    normalize=st.sampled_from([None, "l2", "l1", "max", "zscore"]),
    seed=st.integers(0, 3),
)
@no_deadline
def test_any_rows_end_in_a_fixed_point(rows, k, normalize, seed):
    k = min(k, len(rows))
    weights = np.random.default_rng(seed).integers(0, 3, len(rows)).astype(float)
    weights[seed % len(rows)] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, n_init=2, normalize=normalize, random_state=seed)
        found.fit(rows, sample_weight=weights)
    x = RowTransform(rows.shape[1], normalize=normalize).apply(rows)
    assert found.certified_
    assert_fixed_point(x, found.labels_, found.cluster_centers_, found.inertia_, weights)


@given(
    width=st.integers(140, 400),
    contrast=st.floats(0, 1),
    offset=st.sampled_from([0.0, 50.0, 1e5]),
    k=st.integers(1, 5),
    seed=st.integers(0, 50),
)
@settings(deadline=None, max_examples=25)
def test_a_sketch_that_holds_little_still_leads_to_a_fixed_point(width, contrast, offset, k, seed):
    """With small matrices sketched like large ones, and a sample that misses most of them."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(4, width)) * contrast
    x = means[random.integers(0, 4, 300)] + random.normal(size=(300, width)) + offset
    limits = kmeans_sketch.SMALL_SIZE, kmeans_sketch.SAMPLE
    kmeans_sketch.SMALL_SIZE, kmeans_sketch.SAMPLE = 0, 20
    try:
        sketch = Sketch(x)
        found = solve(sketch, k, n_init=2, random_state=seed)
    finally:
        kmeans_sketch.SMALL_SIZE, kmeans_sketch.SAMPLE = limits
    assert sketch.basis is not None
    assert found.certified
    assert_fixed_point(
        x - offset, found.labels, found.centers - offset, found.inertia, np.ones(300)
    )


@given(rows=small, factor=st.sampled_from([2.0**-40, 0.25, 2.0**30]))
@no_deadline
def test_the_unit_does_not_matter(rows, factor):
    rows = rows.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one, other = KMeans(2, n_init=2).fit(rows), KMeans(2, n_init=2).fit(rows * factor)
    assert_array_equal(one.labels_, other.labels_)
    assert_array_equal(one.cluster_centers_ * factor, other.cluster_centers_)
    assert other.inertia_ == pytest.approx(one.inertia_ * factor**2, rel=1e-12)


@given(rows=small, scale=st.integers(1, 5))
@no_deadline
def test_brightness_does_not_matter_to_normalised_rows(rows, scale):
    brighter = rows.astype(np.float64) * np.random.default_rng(scale).integers(1, 9, (len(rows), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = KMeans(2, n_init=2, normalize="l1").fit(rows.astype(np.float64))
        other = KMeans(2, n_init=2, normalize="l1").fit(brighter)
    assert other.inertia_ == pytest.approx(one.inertia_, rel=1e-9, abs=1e-12)
