"""Figures of merit against scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_samples
from sklearn.mixture import GaussianMixture as TheirMixture

from clustem.cluster import FuzzyCMeans, GaussianMixture, KMeans
from clustem.core import Clustering, Features, InputError
from clustem.judge import scores


def made(seed=0, n=230):
    """Rows of three clusters of other sizes, far from the origin."""
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0, 0, 0], [4, 1, 0, 0], [0, 5, 0, 2]]) + 100
    rows = rng.normal(size=(n, 4)) + means[rng.choice(3, n, p=[0.6, 0.3, 0.1])]
    return Features.of_scan(rows, None, np.zeros(n, dtype=bool))


def judged(features, estimator, **options):
    clustering = Clustering.from_estimator(estimator.fit(features.rows), features)
    return scores(features, clustering, **options), clustering


def test_figures_of_crisp_clusters():
    features = made()
    found, clustering = judged(features, KMeans(3))
    rows, labels = features.rows, clustering.labels
    assert found["Calinski-Harabasz"] == pytest.approx(calinski_harabasz_score(rows, labels))
    assert found["Davies-Bouldin"] == pytest.approx(davies_bouldin_score(rows, labels))
    each = silhouette_samples(rows, labels)
    assert found["silhouette"] == pytest.approx(each.mean())
    np.testing.assert_allclose(found.silhouettes, [each[labels == i].mean() for i in range(3)])
    assert "silhouette" not in found.errors  # all rows were used
    means = np.array([rows[labels == i].mean(axis=0) for i in range(3)])
    apart = np.linalg.norm(rows[:, None] - means, axis=2)
    own, other = np.sort(apart, axis=1)[:, 0], np.sort(apart, axis=1)[:, 1]
    assert found["inertia"] == pytest.approx((own**2).sum())
    assert found["simplified silhouette"] == pytest.approx(((other - own) / other).mean())
    widest = max(2 * own[labels == i].mean() for i in range(3))
    nearest = min(np.linalg.norm(means[i] - means[j]) for i in range(3) for j in range(i))
    assert found["Dunn"] == pytest.approx(nearest / widest)


def test_silhouette_of_a_sample_has_an_error_bar():
    features = made(n=3000)
    exact = judged(features, KMeans(3), sample=3000)[0]
    found = judged(features, KMeans(3), sample=500)[0]
    assert 0.005 < found.errors["silhouette"] < 0.02
    off = abs(found["silhouette"] - exact["silhouette"])
    assert off < 3 * found.errors["silhouette"]
    assert "±" in str(found)


def test_figures_of_fuzzy_clusters():
    features = made()
    found, clustering = judged(features, FuzzyCMeans(3))
    u = clustering.memberships.astype(float)
    assert found["partition coefficient"] == pytest.approx((u**2).sum() / len(u))
    assert found["partition entropy"] == pytest.approx(-(u * np.log(u)).sum() / len(u))
    means = np.array([(w**2) @ features.rows / (w**2).sum() for w in u.T])
    squares = ((features.rows[:, None] - means) ** 2).sum(axis=2)
    least = min(((means[i] - means[j]) ** 2).sum() for i in range(3) for j in range(i))
    assert found["Xie-Beni"] == pytest.approx((u**2 * squares).sum() / (len(u) * least))


def test_figures_of_mixtures():
    features = made(n=600)
    found, clustering = judged(features, GaussianMixture(3))
    theirs = TheirMixture(3, n_init=5, random_state=0, tol=1e-6).fit(features.rows)
    assert found["BIC"] == pytest.approx(theirs.bic(features.rows), rel=5e-3)
    assert found["AIC"] == pytest.approx(theirs.aic(features.rows), rel=5e-3)
    u = clustering.memberships.astype(float)
    unsure = -(u * np.log(np.maximum(u, 1e-300))).sum()
    assert found["ICL"] == pytest.approx(found["BIC"] + 2 * unsure)


def test_one_cluster_has_few_figures():
    features = made()
    found = judged(features, KMeans(1))[0]
    assert found["inertia"] == pytest.approx(features.rows.var(axis=0).sum() * len(features.rows))
    assert np.isnan([found["silhouette"], found["Dunn"], found["Davies-Bouldin"]]).all()


def test_an_array_needs_no_scan():
    features = made()
    expected, clustering = judged(features, KMeans(3))
    found = scores(features.rows, clustering)
    assert dict(found) == dict(expected)
    of_labels = scores(features.rows, clustering.labels)
    assert dict(of_labels) == dict(expected)
    np.testing.assert_array_equal(of_labels.silhouettes, expected.silhouettes)


def test_refusals():
    rows = made().rows
    with pytest.raises(InputError, match=r"of the same rows; got 230 rows and 3 labels"):
        scores(rows, np.array([0, 1, 0]))
    with pytest.raises(InputError, match=r"belong to a cluster; got negative labels of 230 rows"):
        scores(rows, np.full(len(rows), -1))
    with pytest.raises(InputError, match=r"Labels must hold integers"):
        scores(rows, np.full(len(rows), 0.5))
