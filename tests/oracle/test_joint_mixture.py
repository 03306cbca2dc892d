"""Mixtures of several signals, and signals brought to common positions: against truth."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.sparse import csr_array
from scipy.stats import multinomial, multivariate_normal
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.cluster import JointMixture, MultinomialMixture
from clustem.cluster.mixture._counts import counts_of, log_likelihoods, maximize
from clustem.cluster.mixture._search import joined
from clustem.cluster.mixture._signals import Counted, Measured, row_terms
from clustem.core import InputError, ParameterError, UnknownNameError
from clustem.labelmaps.grid_graph import grid_graph
from clustem.physics.shared_positions import shared_positions

RNG = np.random.default_rng(0)
SHAPE = (36, 40)
ROW, COLUMN = np.indices(SHAPE)
TRUTH = (ROW // 9 + COLUMN // 10) % 3
SHAPES = RNG.dirichlet(np.full(30, 0.4), 4)
GRAPH = grid_graph(np.zeros(SHAPE, dtype=bool))
ONE = RNG.poisson(20 * SHAPES[[0, 1, 1]][TRUTH]).reshape(TRUTH.size, -1)
OTHER = RNG.poisson(8 * SHAPES[[2, 2, 3]][TRUTH]).reshape(TRUTH.size, -1)


def score(labels):
    return adjusted_rand_score(TRUTH.ravel(), np.ravel(labels))


def test_log_likelihoods_add_up():
    rng = np.random.default_rng(1)
    counts, values = rng.poisson(3.0, (50, 4)), rng.normal([0.0, 2.0], size=(50, 2))
    values -= values.mean(axis=0)
    rows = np.column_stack([counts, values, np.ones(50)])
    mean = counts.sum(axis=0) / counts.sum()
    signals = (
        Counted(slice(0, 4), mean, 1.0, shared_intensity=False, weight=0.5),
        Measured(slice(4, 7), 3.0),
    )
    cells = counts_of(csr_array(rows), None, signals)
    fit = maximize(rng.dirichlet(np.ones(2), 50), cells)
    found = log_likelihoods(fit, cells) + np.asarray(row_terms(signals, fit, cells))[:, None]
    scatter = np.linalg.inv(fit.precisions[1])
    whole = multivariate_normal([0, 0], values.T @ values / 50, allow_singular=True)
    for k in range(2):
        shape = multinomial(counts.sum(axis=1), fit.shapes[k, :4])
        one = shape.logpmf(counts) - multinomial(counts.sum(axis=1), mean).logpmf(counts)
        other = multivariate_normal(fit.shapes[k, 4:6], scatter).logpdf(values)
        expected = 0.5 * one + other - whole.logpdf(values)
        np.testing.assert_allclose(found[:, k], expected, atol=1e-6)


def test_one_signal_is_the_mixture_of_multinomials():
    given = {"connectivity": GRAPH, "coupling": 0.8, "overdispersion": False}
    one = MultinomialMixture(2, **given).fit(ONE)
    other = JointMixture(2, widths=[30], **given).fit(ONE)
    np.testing.assert_array_equal(one.labels_, other.labels_)
    np.testing.assert_array_equal(one.memberships_, other.assign(ONE, connectivity=GRAPH))
    np.testing.assert_array_equal(one.shapes_, other.shapes_)
    assert not hasattr(JointMixture(2, widths=[20, 10], **given).fit(ONE), "shapes_")


@pytest.mark.parametrize("widths", [None, [30], [20, 10]])
def test_groups_in_the_clusters_of_one_map_are_found(widths):
    recipe = clustem.Recipe.from_toml(
        "[describe.spectra]\n[cluster.JointMixture]\nn_clusters = 1\n[mapping.clusters]\n"
    )
    if widths:
        recipe = recipe.with_settings({"cluster.widths": widths})
    found = clustem.segment(hs.signals.Signal1D(ONE.reshape(*SHAPE, -1)), recipe)
    assert found.fitted.purity[0] == pytest.approx(2 / 3, abs=0.05)


def test_two_signals_tell_what_neither_does():
    both = JointMixture(3, widths=[30, 30], connectivity=GRAPH).fit(np.hstack([ONE, OTHER]))
    assert score(both.labels_) > 0.97
    alone = [MultinomialMixture(3, connectivity=GRAPH).fit(x).labels_ for x in (ONE, OTHER)]
    assert max(map(score, alone)) < 0.7
    assert 0.5 < both.information_.min() < both.information_.max() < both.joint_information_


@pytest.mark.parametrize("kind", ["counts", "values"])
def test_a_detector_of_noise_costs_little_and_tells_nothing(kind):
    rng = np.random.default_rng(3)
    noise = rng.poisson(0.5, (TRUTH.size, 200)) if kind == "counts" else rng.normal(size=(1440, 3))
    fitted = JointMixture(
        3,
        widths=[30, 30, noise.shape[1]],
        kinds=["counts", "counts", kind],
        connectivity=GRAPH,
        coupling=1.0,
    ).fit(np.hstack([ONE, OTHER, noise]))
    assert score(fitted.labels_) > 0.97
    assert fitted.information_[2] < 0.02


def test_values_count_by_what_lies_within_clusters():
    rng = np.random.default_rng(4)
    values = np.array([0.0, 3.0, 3.0])[TRUTH].reshape(-1, 1) + rng.normal(size=(TRUTH.size, 1))
    fitted = JointMixture(3, widths=[1, 30], kinds=["values", "counts"], connectivity=GRAPH).fit(
        np.hstack([100 + 7 * values, OTHER])
    )
    assert score(fitted.labels_) > 0.95
    within = np.linalg.inv(fitted._fit.precisions[0])  # in units of the noise between neighbours
    assert 0.7 < within[0, 0] < 1.4
    with pytest.raises(InputError, match="need neighbours"):
        JointMixture(3, widths=[1, 30], kinds=["values", "counts"]).fit(np.hstack([values, OTHER]))


def test_a_weight_of_nothing_leaves_a_signal_out():
    given = {"connectivity": GRAPH, "coupling": 0.8, "overdispersion": False}
    alone = MultinomialMixture(2, **given).fit(ONE).labels_
    both = JointMixture(2, widths=[30, 30], weights=[1.0, 0.0], **given)
    assert adjusted_rand_score(alone, both.fit(np.hstack([ONE, OTHER])).labels_) > 0.98


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"widths": [30, 20]}, r"sum is the number of columns \(60\); got \[30, 20\]"),
        ({"widths": [30, 30], "weights": [1.0]}, "one kind and one weight for each"),
        ({"widths": [30, 30], "weights": [0.0, 0.0]}, "not all 0"),
        ({"widths": [30, 30], "weights": [-1.0, 1.0]}, "at least 0"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(given, words):
    with pytest.raises(ParameterError, match=words):
        JointMixture(2, **given).fit(np.hstack([ONE, OTHER]))


def test_crossed_clusters_are_joined_by_likelihood():
    counts = counts_of(
        csr_array(np.hstack([ONE, OTHER]) * 1.0),
        None,
        tuple(
            Counted(slice(30 * i, 30 * i + 30), x.sum(axis=0) / x.sum(), 1.0, False)
            for i, x in enumerate((ONE + 1, OTHER + 1))
        ),
    )
    truth = TRUTH.ravel()
    by_one = 2 * (truth > 0) + np.random.default_rng(0).integers(0, 2, truth.size)
    assert score(joined(counts, np.array([by_one, truth == 2]), 3)) == 1.0


def views(seed, shift=(0, 0)):
    """Images of two detectors of one area: what they share are borders and the thickness."""
    rng = np.random.default_rng(seed)
    size = (70, 80)
    field = gaussian_filter(rng.normal(size=(3, *size)), (0, 5, 5)).argmax(axis=0)
    wave = np.exp(5 * gaussian_filter(rng.normal(size=size), 8))
    one = np.stack([wave, 1.0 * (field == 0)])
    other = np.stack([-1.5 * wave * (1 + (field == 2)), 1.0 * (field == 2)])
    noise = [rng.normal(0, 0.3, (2, *size)) for _ in range(2)]
    y, x = shift
    return (one + noise[0])[:, 5:60, 5:65], (other + noise[1])[:, 5 - y : 60 - y, 5 - x : 65 - x]


def test_positions_are_the_same_shifted_or_others():
    for seed in (0, 1, 3):
        found = shared_positions(*views(seed))
        assert found is not None
        assert (found.kind, found.shift) == ("same", (0, 0))
        moved = shared_positions(*views(seed, (4, -3)))
        assert moved is not None
        assert (moved.kind, moved.shift) == ("shift", (4, -3))
        assert shared_positions(views(seed)[0], views(seed + 50)[1]) is None
    noise = np.random.default_rng(0).normal(size=(1, 55, 60))
    assert shared_positions(views(0)[0], noise).chance is None  # nothing to compare


def test_images_that_are_turned_are_found():
    one, _ = views(3)
    angle = np.deg2rad(4)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(one.shape[1:]) - 1) / 2
    offset = middle - matrix @ middle
    turned = [affine_transform(x, matrix, offset, order=1, mode="nearest") for x in one]
    found = shared_positions(one, -2 * np.array(turned), affine=True)
    assert found is not None
    assert found.kind == "affine"
    places = np.indices(one.shape[1:]).reshape(2, -1)
    there = found.matrix[:, :2] @ places + found.matrix[:, 2:]
    back = matrix @ there + offset[:, None]
    assert np.sqrt(((back - places) ** 2).sum(axis=0).mean()) < 0.5  # 1.6 before


@pytest.fixture(scope="module")
def sample():
    return samples.joint(shape=(40, 44), random_state=3)


def test_a_scan_is_clustered_by_all_its_signals(sample):
    both = {name: sample.signals[name] for name in ("eels", "eds")}
    found = clustem.segment(both, "joint")
    assert found.n_clusters == 3
    assert adjusted_rand_score(sample.labels.ravel(), found.labels.data.ravel()) > 0.95
    assert found["eds"].centers.data.shape == (3, 1024)
    assert found["eds"].color_index == found["eels"].color_index
    assert found.joint_information < found.entropy
    assert "eels" in found.sentence


def test_a_phase_of_few_positions_that_one_signal_tells_is_found():
    scene = samples.joint(shape=(48, 56), random_state=20)  # a tenth is diamond
    given = {name: scene.signals[name] for name in ("eels", "eds")}
    found = clustem.segment(given, "joint", n_clusters=3, settings={"eds.place": "same"})
    assert adjusted_rand_score(scene.labels.ravel(), found.labels.data.ravel()) > 0.98
    assert found.information["eels"] > 0.1  # though its shapes of the other two are too sure


def test_a_scan_of_the_fit_gets_its_labels_again():
    signals = dict(samples.joint(shape=(20, 24)).signals)
    same = {f"{name}.place": "same" for name in signals}
    settings = {**same, "haadf.use": "guide", "eels.recipe": "eels-shape"}
    found = clustem.segment(signals, "joint", n_clusters=3, settings=settings)
    again = found.apply(signals, novelty=None)
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    np.testing.assert_allclose(again.memberships.data, found.memberships.data, atol=1e-6)


def test_an_image_may_be_a_guide(sample):
    found = clustem.segment(
        dict(sample.signals), "joint", n_clusters=3, settings={"haadf.use": "guide"}
    )
    assert set(found.information) == {"eels", "eds"}
    assert found["haadf"].centers.data.shape == (3,)
    assert found["haadf"].history[-3].found["power"] == pytest.approx(1, abs=0.2)  # thickness
    assert adjusted_rand_score(sample.labels.ravel(), found.labels.data.ravel()) > 0.95


def test_finer_and_shifted_signals_are_brought_together(sample):
    eels, image = sample.signals["eels"], sample.signals["haadf"]
    fine = hs.signals.Signal2D(np.kron(image.data, np.ones((3, 3))))
    found = clustem.segment({"eels": eels, "image": fine}, "joint", n_clusters=3)
    assert found["image"].mask.shape == (40, 44)
    assert "binned by 3 x 3" in found["image"].history[0].note
    larger = samples.joint()
    cut, part = larger.signals["eels"].inav[3:, 4:], larger.signals["eds"].inav[:-3, :-4]
    found = clustem.segment({"eels": cut, "eds": part}, "joint", n_clusters=3)
    assert found.placements["eds"].shift == (4, 3)
    inside = ~found.mask
    truth = larger.labels[4:, 3:][inside]
    assert adjusted_rand_score(truth, found.labels.data[inside]) > 0.9


def test_signals_of_other_areas_are_refused(sample):
    other = samples.joint(shape=(40, 44), random_state=9).signals["eds"]
    given = {"eels": sample.signals["eels"], "eds": other}
    with pytest.raises(InputError, match="eds must show the same area as eels"):
        clustem.segment(given, "joint", n_clusters=3)
    told = clustem.segment(given, "joint", n_clusters=3, settings={"eds.place": "same"})
    assert told.placements["eds"].kind == "same"


def test_bad_input_is_refused(sample):
    signals = sample.signals
    with pytest.raises(InputError, match="two or more"):
        clustem.segment({"eds": signals["eds"]}, "joint")
    with pytest.raises(UnknownNameError, match="edx"):
        clustem.segment(dict(signals), "joint", settings={"edx.weight": 1})
    with pytest.raises(ParameterError, match=r"eds\.weight must be a number"):
        clustem.segment(dict(signals), "joint", settings={"eds.weight": "heavy"})
    with pytest.raises(ParameterError, match="evidence, guide"):
        clustem.segment(dict(signals), "joint", settings={"eds.use": "both"})
    with pytest.raises(ParameterError, match="take the recipe joint"):
        clustem.segment(dict(signals), "eds")
    wide = hs.signals.Signal2D(np.random.default_rng(0).random((50, 90)))
    with pytest.raises(InputError, match="cover the field"):
        clustem.segment({"eds": signals["eds"], "image": wide}, "joint")


def test_lines_are_clustered_position_by_position(sample):
    line = {name: sample.signals[name].inav[:, 20] for name in ("eels", "eds")}
    found = clustem.segment(dict(line), "joint", n_clusters=2)
    assert found.labels.data.shape == (44,)
    with pytest.raises(InputError, match="position by position"):
        clustem.segment(dict(line), "joint", n_clusters=2, settings={"eds.shift": [0, 2]})
    short = {"eels": line["eels"].inav[:30], "eds": line["eds"]}
    with pytest.raises(InputError, match="position by position"):
        clustem.segment(short, "joint", n_clusters=2)
