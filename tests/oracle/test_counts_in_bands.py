"""Counts that do not fit in memory at once: fitted to some bands, assigned band by band."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import MultinomialMixture
from clustem.cluster.mixture import _parts
from clustem.core import Clustering, Features, InputError, recording
from clustem.judge import choose_k, purity
from clustem.passes.rows import Rows
from clustem.passes.summed_rows import SummedRows

SHAPE = (72, 40)
MASK = np.zeros(SHAPE, dtype=bool)


@pytest.fixture(scope="module")
def scan():
    """Counts (n, 60) of three phases in oblique stripes, 25 a position, under a thickness wave."""
    rng = np.random.default_rng(3)
    y, x = np.indices(SHAPE)
    truth = ((x + y // 2) // 14 % 3).ravel()
    shapes = rng.dirichlet(np.full(60, 2.0), 3)
    dose = (25 * (1 + 0.5 * np.sin(y / 9))).ravel()
    return rng.poisson(dose[:, None] * shapes[truth]).astype(np.uint8), truth


@pytest.fixture
def small_parts(monkeypatch):
    """Let a part be a quarter of the rows."""
    monkeypatch.setattr(_parts, "_MOST", 2**22)
    monkeypatch.setattr(_parts, "_FEWEST_PIECES", 4)


def test_bands_give_the_map_of_the_whole(scan, monkeypatch):
    X, truth = scan
    mixture = MultinomialMixture(3, connectivity=MASK)
    whole = mixture.fit(X).labels_
    assert mixture.fitted_rows_ is None
    monkeypatch.setattr(_parts, "_MOST", 2**22)
    with recording() as said:
        found = MultinomialMixture(3, connectivity=MASK).fit(X)
    assert said.found["fitted"] == len(found.fitted_rows_) < len(X) / 2
    assert adjusted_rand_score(whole, found.labels_) > 0.97
    assert adjusted_rand_score(truth, found.labels_) > adjusted_rand_score(truth, whole) - 0.01
    np.testing.assert_allclose(found.sizes_.sum(), len(X))
    mean = found.memberships_.T @ X / found.sizes_[:, None]
    np.testing.assert_allclose(found.cluster_centers_, mean)


@pytest.mark.usefixtures("small_parts")
def test_any_form_of_the_rows_gives_the_same(scan, tmp_path):
    X, _ = scan
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    forms = [X, csr_array(X), Rows(X), Rows(mapped, block_bytes=2**14)]
    found = [MultinomialMixture(3, connectivity=MASK).fit(form) for form in forms]
    for other in found[1:]:
        assert (other.memberships_ == found[0].memberships_).all()
        assert (other.fitted_rows_ == found[0].fitted_rows_).all()
    groups = np.arange(60) // 2
    summed = SummedRows(Rows(X), groups)
    again = MultinomialMixture(3, connectivity=MASK).fit(summed)
    plain = MultinomialMixture(3, connectivity=MASK).fit(np.asarray(summed))
    assert (again.memberships_ == plain.memberships_).all()


def test_cuts_leave_no_trace(scan, monkeypatch):
    """Positions are assigned as if there were no bands, those along the cuts too."""
    X, _ = scan
    fitted = MultinomialMixture(3, connectivity=MASK, overdispersion=False).fit(X)
    whole = fitted.assign(X, connectivity=MASK)
    proba = fitted.predict_proba(X)
    monkeypatch.setattr(_parts, "_MOST", 2**21)
    bands = fitted.assign(X, connectivity=MASK)
    assert (whole.argmax(axis=1) != bands.argmax(axis=1)).mean() < 0.005
    assert np.abs(whole - bands).mean() < 0.005
    np.testing.assert_allclose(fitted.predict_proba(X), proba)


@pytest.mark.usefixtures("small_parts")
def test_without_neighbours(scan):
    X, truth = scan
    found = MultinomialMixture(3).fit(4 * X)
    assert len(found.fitted_rows_) < len(X)
    assert adjusted_rand_score(truth, found.labels_) > 0.9


@pytest.mark.usefixtures("small_parts")
def test_marked_rows_are_fitted_wherever_they_lie(scan):
    X, truth = scan
    regions = np.zeros(len(X), dtype=int)
    left_out = np.setdiff1d(
        np.arange(len(X)), MultinomialMixture(3, connectivity=MASK).fit(X).fitted_rows_
    )
    for number, phase in enumerate((2, 0, 1)):
        regions[left_out[truth[left_out] == phase][:20]] = number + 1
    found = MultinomialMixture(3, connectivity=MASK, markers=regions).fit(X)
    assert np.isin(np.flatnonzero(regions), found.fitted_rows_).all()
    assert (found.labels_[regions > 0] == regions[regions > 0] - 1).mean() > 0.9


@pytest.mark.usefixtures("small_parts")
def test_counts_are_looked_at_in_every_band(scan):
    X = scan[0].astype(float)
    X[-1, 3] = -2.0
    X[len(X) // 3, 5] = 0.5
    with pytest.raises(InputError, match="whole numbers"):
        MultinomialMixture(3, connectivity=MASK).fit(X)


def test_k_and_purity_ask_the_rows_that_were_fitted(scan, monkeypatch):
    X, truth = scan
    features = Features.of_scan(X, hs.signals.Signal1D(X.reshape(*SHAPE, -1)), MASK)
    monkeypatch.setattr(_parts, "_MOST", 2**22)
    make = lambda k: MultinomialMixture(k, connectivity=MASK)  # noqa: E731
    found = choose_k(features, make, range(1, 5))
    assert found.k == 3
    two = make(2).fit(X)
    assert two.fitted_rows_ is not None
    clustering = Clustering.from_estimator(two, features)
    inside = [np.bincount(truth[clustering.labels == i], minlength=3) for i in range(2)]
    largest = [held.max() / held.sum() for held in inside]
    found = purity(clustering)
    np.testing.assert_allclose(found, np.where(np.array(largest) > 0.9, 1.0, largest), atol=0.05)
    assert min(found) < 0.75
