"""PCA against the plain formula in float64."""

import sys

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import Features, InputError, ParameterError, PCAInfo
from clustem.describe import spectra
from clustem.reduce import pca

RNG = np.random.default_rng(5)


def counts(shape=(13, 17), channels=40, parts=3):
    rng = np.random.default_rng(1)
    spectra_ = rng.gamma(1.0, 4.0, (parts, channels))
    share = rng.dirichlet(np.ones(parts) * 0.3, shape)
    data = rng.poisson(share @ spectra_).astype(np.uint16)
    data[..., 7] = 0  # an empty channel
    return data


def weighted(x):
    """Keenan and Kotula's weights, by the book."""
    g, h = x.sum(axis=1, keepdims=True), x.sum(axis=0, keepdims=True)
    expected = g * h / x.sum()
    return np.divide(x, np.sqrt(expected), out=np.zeros(x.shape), where=expected > 0)


def features_of(rows):
    return Features.of_scan(rows, None, np.zeros(len(rows), dtype=bool))


def test_poisson_weights_are_keenan_and_kotulas():
    data = counts()
    y = weighted(data.reshape(-1, data.shape[-1]).astype(float))
    values = np.linalg.svd(y, compute_uv=False) ** 2
    found = pca(spectra(hs.signals.Signal1D(data)), n_components=3)
    ratio = found.find(PCAInfo).explained_variance_ratio
    np.testing.assert_allclose(ratio, values[: len(ratio)] / values.sum(), rtol=1e-5)
    np.testing.assert_allclose((found.rows.astype(float) ** 2).sum(axis=0), values[:3], rtol=1e-4)


def test_loadings_span_hyperspys():
    data = np.delete(counts((9, 14), 30), 7, axis=-1)  # HyperSpy 2.4 divides by an empty channel
    signal = hs.signals.Signal1D(data.astype(np.float64))
    signal.decomposition(
        normalize_poissonian_noise=True, output_dimension=3, print_info=False, centre=None
    )
    theirs = np.linalg.qr(signal.learning_results.loadings)[0]
    found = pca(spectra(hs.signals.Signal1D(data)), n_components=3, scores="loadings")
    ours = np.linalg.qr(found.rows.astype(float))[0]
    np.testing.assert_allclose(np.linalg.svd(theirs.T @ ours)[1], 1, atol=1e-5)
    rebuilt = found.rows @ found.find(PCAInfo).factors
    theirs = signal.get_decomposition_model(3).data.reshape(rebuilt.shape)
    np.testing.assert_allclose(rebuilt, theirs, atol=1e-3 * theirs.max())


def test_without_weights_it_is_the_textbooks_at_any_offset():
    x = RNG.normal(size=(300, 25)) @ RNG.normal(size=(25, 25)) + 3e4
    centered = x - x.mean(axis=0)
    u, s, vt = np.linalg.svd(centered, full_matrices=False)
    found = pca(features_of(x), n_components=4)
    np.testing.assert_allclose(np.abs(found.rows), np.abs(u[:, :4] * s[:4]), atol=2e-2)
    ratio = found.find(PCAInfo).explained_variance_ratio
    np.testing.assert_allclose(ratio, (s**2 / (s**2).sum())[: len(ratio)], rtol=1e-4, atol=1e-7)
    factors = found.find(PCAInfo).factors
    assert (factors[range(4), np.abs(factors).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(np.abs(factors), np.abs(vt[:4]), atol=1e-3)


@pytest.mark.parametrize("weights", ["poisson", "none"])
def test_the_randomized_method_agrees_with_the_exact(monkeypatch, weights):
    rows = counts().reshape(-1, 40)
    exact = pca(features_of(rows), n_components=3, weights=weights)
    monkeypatch.setattr(sys.modules["clustem.reduce.pca"], "_GRAM_CHANNELS", 10)
    fast = pca(features_of(rows), n_components=3, weights=weights)
    np.testing.assert_allclose(fast.rows, exact.rows, atol=2e-3 * np.abs(exact.rows).max())
    np.testing.assert_allclose(
        fast.find(PCAInfo).explained_variance_ratio[:3],
        exact.find(PCAInfo).explained_variance_ratio[:3],
        rtol=1e-4,
    )


def test_lazy_rows_give_the_same():
    data = counts()
    ours = pca(spectra(hs.signals.Signal1D(data)), n_components=3).rows
    lazy = hs.signals.Signal1D(da.from_array(data, chunks=(4, 5, 11))).as_lazy()
    np.testing.assert_allclose(pca(spectra(lazy), n_components=3).rows, ours, atol=1e-3)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_auto_finds_the_number_of_parts(parts):
    rng = np.random.default_rng(parts)
    means = np.eye(parts, 80).repeat(3, axis=1)[:, :80] * 6 + 0.5
    data = rng.poisson(means[rng.integers(0, parts, (40, 50))])
    assert pca(spectra(hs.signals.Signal1D(data))).rows.shape[1] == parts


def test_auto_finds_no_more_than_one_in_white_noise():
    rows = np.random.default_rng(3).normal(size=(2000, 50))
    assert pca(features_of(rows)).rows.shape[1] == 1
    rows[:1000, :5] += 2
    rows[500:1500, 10:12] += 3
    assert pca(features_of(rows)).rows.shape[1] == 2


def test_refusals():
    rows = counts().reshape(-1, 40).astype(float)
    with pytest.raises(ParameterError, match="at most the number of rows and channels"):
        pca(features_of(rows), n_components=41)
    with pytest.raises(InputError, match="counts of 0 or more"):
        pca(features_of(rows - 1), weights="poisson")
    with pytest.raises(InputError, match="only zeros"):
        pca(features_of(rows * 0), weights="poisson")
    rows[5, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinity in row 5"):
        pca(features_of(rows))


def test_constant_rows_give_zeros():
    found = pca(features_of(np.full((30, 4), 7.0)), n_components=2)
    assert np.isfinite(found.rows).all()
    assert np.allclose(found.rows, 0)
