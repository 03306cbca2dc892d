"""Mixtures of multinomials: formulas by hand, counts of any form, neighbours, truth at low dose."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.cluster import MultinomialMixture
from clustem.cluster._neighbours import softmax, step
from clustem.cluster.mixture._levels import pair_neighbours
from clustem.core import InputError, Masks, ParameterError
from clustem.describe import spectra
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes.rows import Rows

SHAPES = np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.2, 0.6], [0.2, 0.5, 0.2, 0.1]])


def scene(counts, seed=0, shape=(36, 44)):
    """Three stripes with 5-fold thickness waves, on average some counts per position."""
    rng = np.random.default_rng(seed)
    row, column = np.indices(shape)
    truth = np.minimum(column * 3 // shape[1], 2)
    thickness = 3 + 2 * np.sin(row / 5)
    return truth, rng.poisson(counts * (thickness / 3)[..., None] * SHAPES[truth])


def grid(shape):
    return grid_graph(np.zeros(shape, dtype=bool))


def test_posteriors_are_those_of_bayes_rule():
    _, x = scene(20)
    found = MultinomialMixture(3, prior=1e-6).fit(x.reshape(-1, 4))
    new = np.array([[3, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 0]])
    joint = np.empty((3, 3))
    for i, row in enumerate(new):
        for k in range(3):
            joint[i, k] = np.log(found.weights_[k]) + sum(
                n * np.log(found.shapes_[k, d]) for d, n in enumerate(row)
            )
    expected = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict_proba(new), expected, rtol=1e-6)
    np.testing.assert_allclose(found.predict_proba(new)[2], found.weights_, rtol=1e-9)


def test_shapes_are_weighted_means_with_the_prior():
    _, x = scene(20)
    rows = x.reshape(-1, 4)
    found = MultinomialMixture(3, prior=7.0, tol=1e-12, max_iter=5000).fit(rows)
    mean = rows.sum(axis=0) / rows.sum()
    for k in range(3):
        sums = (found.memberships_[:, k : k + 1] * rows).sum(axis=0) + 7.0 * mean
        np.testing.assert_allclose(found.shapes_[k], sums / sums.sum(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Memberships still changed")  # there are no clusters to find
def test_thickness_drops_out_and_counts_when_it_is_asked_for():
    truth, x = scene(60)
    rows = x.reshape(-1, 4)
    free = MultinomialMixture(3).fit(rows).labels_
    assert adjusted_rand_score(truth.ravel(), free) > 0.9
    bright = np.random.default_rng(1).poisson(
        np.where(truth.ravel() == 0, 20, 80)[:, None] * SHAPES[0]
    )
    shared = MultinomialMixture(2, intensity="shared").fit(bright)
    assert adjusted_rand_score(truth.ravel() == 0, shared.labels_) > 0.95
    alone = MultinomialMixture(2).fit(bright)
    assert adjusted_rand_score(truth.ravel() == 0, alone.labels_) < 0.2


@pytest.mark.parametrize(("counts", "least"), [(20, 0.97), (4, 0.93), (1.5, 0.8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbours_make_few_counts_enough(counts, least, seed):
    truth, x = scene(counts, seed)
    rows = x.reshape(-1, 4)
    alone = MultinomialMixture(3).fit(rows).labels_
    found = MultinomialMixture(3, connectivity=grid(truth.shape)).fit(rows)
    score = adjusted_rand_score(truth.ravel(), found.labels_)
    assert score > least
    assert score > adjusted_rand_score(truth.ravel(), alone) + 0.05
    assert found.coupling_ > 0


def test_coupling_zero_is_no_neighbours():
    truth, x = scene(20)
    rows = x.reshape(-1, 4)
    off = MultinomialMixture(3, connectivity=grid(truth.shape), coupling=0.0).fit(rows)
    np.testing.assert_allclose(off.memberships_, off.predict_proba(rows), atol=0.02)


def test_energy_never_falls():
    truth, x = scene(3)
    rows = x.reshape(-1, 4)
    given = {"connectivity": grid(truth.shape), "coupling": 0.8, "n_init": 2, "tol": 0.0}
    with pytest.warns(UserWarning, match="Raise max_iter"):
        energies = [
            MultinomialMixture(3, max_iter=n, **given).fit(rows).objective_ for n in (1, 4, 12)
        ]
    assert energies[0] < energies[1] * (1 + 1e-5) < energies[2] * (1 + 2e-5)


@pytest.mark.parametrize(
    "form",
    [
        csr_array,
        csr_matrix,
        coo_array,
        Rows,
        np.uint16,
        np.float32,
        lambda x: Rows(da.from_array(x, chunks=(97, 4))),
    ],
    ids=["csr_array", "csr_matrix", "coo", "Rows", "uint16", "float32", "dask"],
)
def test_labels_are_the_same_from_any_form_of_counts(form):
    truth, x = scene(6)
    rows = x.reshape(-1, 4)
    given = {"connectivity": grid(truth.shape), "n_init": 3}
    expected = MultinomialMixture(3, **given).fit(rows)
    found = MultinomialMixture(3, **given).fit(form(rows))
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    np.testing.assert_array_equal(found.shapes_, expected.shapes_)


def test_a_channel_and_a_position_that_were_never_hit():
    truth, x = scene(20)
    rows = np.concatenate([x.reshape(-1, 4), np.zeros((truth.size, 1), dtype=int)], axis=1)
    rows[5] = 0
    found = MultinomialMixture(3, connectivity=grid(truth.shape)).fit(rows)
    assert (found.shapes_[:, 4] == 0).all()
    assert np.isfinite(found.memberships_).all()
    assert found.labels_[5] == found.labels_[6]  # its neighbours say what it is


@pytest.mark.parametrize(
    ("X", "given", "words"),
    [
        ([[0.5, 1.0], [2.0, 3.0]], {}, "whole numbers of at least 0; got 0.5"),
        ([[-1, 1], [2, 3]], {}, "whole numbers of at least 0; got -1"),
        ([[np.nan, 1], [2, 3]], {}, "finite"),
        (csr_array([[np.nan, 1], [2, 3]]), {}, "whole numbers"),
        (np.zeros((4, 3)), {}, "only zeros"),
        (np.ones((4, 3)), {"n_clusters": 5}, "at most the number of rows"),
        (np.ones((4, 3)), {"connectivity": np.ones((3, 3))}, "for 4 rows; got shape"),
        (np.ones((4, 3)), {"connectivity": np.triu(np.ones((4, 4)))}, "symmetric"),
        (np.ones((4, 3)), {"connectivity": -np.ones((4, 4))}, "at least 0"),
        (np.ones((4, 3)), {"coupling": -1.0}, "coupling must be"),
    ],
)
def test_refusals(X, given, words):
    with pytest.raises(InputError, match=words) as refusal:
        MultinomialMixture(**{"n_clusters": 2, **given}).fit(X)
    assert refusal.value.cure


def test_new_rows_have_the_features_of_the_fit():
    found = MultinomialMixture(2).fit(np.random.default_rng(0).poisson(5, (30, 4)))
    with pytest.raises(InputError, match="4 features"):
        found.predict(csr_array(np.ones((2, 3))))


def test_the_grid_of_a_scan_by_hand():
    mask = np.array([[False, False, True], [False, False, False]])
    found = grid_graph(mask).toarray()
    half = 1 / np.sqrt(2)
    expected = np.array(
        [
            [0, 1, 1, half, 0],
            [1, 0, half, 1, half],
            [1, half, 0, 1, 0],
            [half, 1, 1, 0, 1],
            [0, half, 0, 1, 0],
        ]
    )
    np.testing.assert_allclose(found, expected)
    line = grid_graph(np.array([False, False, True, False])).toarray()
    np.testing.assert_allclose(line, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("kernel", [pair_neighbours, pair_neighbours.py_func])
def test_pairs_are_neighbours(kernel):
    graph = grid((5, 7)).tocsr()
    parents, m = kernel(graph.indptr, graph.indices, graph.data)
    assert sorted(set(parents)) == list(range(m))
    for cell in range(m):
        members = np.flatnonzero(parents == cell)
        assert len(members) in (1, 2)
        if len(members) == 2:
            assert graph.toarray()[members[0], members[1]] == 1


def test_a_recipe_gives_the_grid_of_the_scan_and_heeds_masks():
    truth, x = scene(4)
    signal = hs.signals.Signal1D(x)
    signal.set_signal_type("EDS_SEM")
    found = clustem.segment(signal, "eds", n_clusters=3)
    assert adjusted_rand_score(truth.ravel(), found.labels.data.ravel()) > 0.93
    step = next(step for step in found.history if step.name == "MultinomialMixture")
    assert step.found["coupling"] > 0
    mask = np.zeros(truth.shape, dtype=bool)
    mask[:, 20:24] = True
    some = spectra(signal, masks=Masks(scan=mask))
    fitted = MultinomialMixture(3, connectivity=grid_graph(mask)).fit(some.rows)
    assert len(fitted.labels_) == (~mask).sum()


@pytest.mark.parametrize(("share", "least"), [(1.0, 0.94), (0.2, 0.90), (0.05, 0.83), (0.02, 0.70)])
def test_minerals_at_a_fraction_of_the_dose(share, least, data_dir):
    with np.load(data_dir / "simulated" / "eds_minerals.npz") as file:
        data, truth = file["data"], file["labels"]
    thinned = np.random.default_rng(3).binomial(data, share)
    signal = hs.signals.Signal1D(thinned)
    signal.set_signal_type("EDS_SEM")
    found = clustem.segment(signal, "eds", n_clusters=5)
    assert adjusted_rand_score(truth.ravel(), found.labels.data.ravel()) > least


def test_the_sample_of_the_eds_recipe():
    sample = samples.eds(shape=(60, 72))
    found = clustem.segment(sample.signal, "eds", n_clusters=4)
    truth = sample.truth_for(found)
    known = truth >= 0
    assert adjusted_rand_score(truth[known], found.labels.data[known]) > 0.97


@pytest.mark.parametrize("compiled", [True, False])
def test_kernels_are_their_formulas(compiled):
    rng = np.random.default_rng(4)
    graph = grid((4, 5))
    evidence, field = rng.normal(0, 300, (20, 3)), rng.dirichlet(np.ones(3), 20)
    run = (lambda kernel: kernel) if compiled else (lambda kernel: kernel.py_func)
    out = np.empty((20, 3))
    run(softmax)(evidence, out)
    shares = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, shares / shares.sum(axis=1, keepdims=True), rtol=1e-12)
    edges = (graph.indptr, graph.indices, graph.data)
    change = run(step)(evidence, *edges, 0.7, field, out, 0, 20)
    total = evidence + 0.7 * (graph @ field)
    shares = np.exp(total - total.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, shares / shares.sum(axis=1, keepdims=True), rtol=1e-10)
    assert change == pytest.approx(np.abs(out - field).max())


def test_a_coupling_beyond_all_evidence_is_refused():
    with pytest.raises(ParameterError, match="at most 1000"):
        MultinomialMixture(3, coupling=1e99).fit(np.ones((20, 4), dtype=int))
