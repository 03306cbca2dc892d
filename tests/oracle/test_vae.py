"""Autoencoders: simulated motifs with known angle, shift and kind; counts; refusals."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from clustem.cluster import GaussianMixture as Mixture
from clustem.core import (
    Cancelled,
    Features,
    InputError,
    ParameterError,
    VAEInfo,
    collecting,
    declaration_of,
    observe,
    recording,
)
from clustem.judge.choose_k import choose_k
from clustem.reduce import pca, vae

pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")

from clustem.reduce._vae_network import Sizes, flat, initial, network, unflat
from clustem.reduce._vae_poses import Field, Poses, posed, refined, upright
from clustem.reduce._vae_rows import Basis, Layout, layout_of, normal_and_basis

SIDE = 24
MOTIFS = {  # row, column, height of each spot around the middle; symmetry
    "triangle": (np.array([(0, 5, 1), (4.33, -2.5, 1), (-4.33, -2.5, 1)]), 3),
    "hook": (np.array([(-4, -3, 1), (0, -3, 1), (4, -3, 1), (4, 2, 1)]), 1),
}


def drawn(spots, turn, shift, *, side=SIDE, width=1.5):
    """Spots turned from columns toward rows, then shifted: images (n, side, side)."""
    half = (side - 1) / 2
    row, column = np.indices((side, side)) - half
    out = np.zeros((len(turn), side, side))
    for y, x, height in spots:
        at_column = np.cos(turn) * x - np.sin(turn) * y + shift[:, 1]
        at_row = np.sin(turn) * x + np.cos(turn) * y + shift[:, 0]
        square = (row - at_row[:, None, None]) ** 2 + (column - at_column[:, None, None]) ** 2
        out += height * np.exp(-square / (2 * width**2))
    return out


def patches_of(n, *, snr, seed, most_shift=3.0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    turn, shift = rng.uniform(0, 2 * np.pi, n), rng.uniform(-most_shift, most_shift, (n, 2))
    images = np.empty((n, SIDE, SIDE))
    for k, (spots, _) in enumerate(MOTIFS.values()):
        here = kind == k
        images[here] = drawn(spots, turn[here], shift[here])
    images += rng.normal(0, images.std() / snr, images.shape)
    return images.astype(np.float32), kind, turn, shift


@pytest.fixture(scope="module")
def turned():
    images, kind, turn, shift = patches_of(420, snr=2.0, seed=4)
    with recording() as said:
        found = vae(images, rotation="any", random_state=1, max_steps=300)
    return images, kind, turn, shift, found, said.found


def mixture(rows):
    model = GaussianMixture(2, n_init=3, random_state=0)
    return model.fit_predict(np.asarray(rows))


def test_motifs_at_any_angle_and_shift_are_two_clusters(turned):
    images, kind, _, _, found, _ = turned
    assert adjusted_rand_score(kind, mixture(found.rows)) >= 0.95
    plain = pca(images.reshape(len(images), -1), n_components=2)
    assert adjusted_rand_score(kind, mixture(plain.rows)) < 0.6


def test_angles_are_found_up_to_the_symmetry(turned):
    _, kind, turn, _, found, _ = turned
    about = found.find(VAEInfo)
    for k, (_, fold) in enumerate(MOTIFS.values()):
        here = kind == k
        off = fold * (np.radians(about.angle[here]) - turn[here])
        assert abs(np.exp(1j * off).mean()) > 0.99
        assert (about.fold[here] == fold).mean() > 0.97


def test_shifts_are_found(turned):
    _, kind, turn, shift, found, _ = turned
    about = found.find(VAEInfo)
    assert about.shift.shape == (len(kind), 2)
    hook = kind == 1  # a template's middle is its own: compare up to a constant in its frame
    off = about.shift[hook] - shift[hook]
    c, s = np.cos(turn[hook]), np.sin(turn[hook])
    own = np.stack([c * off[:, 0] - s * off[:, 1], s * off[:, 0] + c * off[:, 1]], 1)
    assert np.abs(own - np.median(own, axis=0)).mean() < 0.3


def test_what_is_known_fits_the_rows(turned):
    _, kind, _, _, found, said = turned
    about = found.find(VAEInfo)
    assert found.names == ("VAE 1", "VAE 2")
    assert about.width.shape == (len(kind), 2)
    assert (about.width > 0).all()
    assert about.manifold.shape == (9, 9, SIDE * SIDE)
    assert about.examples.shape == (2, 6, SIDE * SIDE)
    assert said["n_templates"] == len(about.templates) == len(said["folds"])
    assert len(said["information"]) == 2
    given, made = about.examples * Field(SIDE, turned=True, most_shift=0).weight.ravel()
    assert np.corrcoef(given.ravel(), made.ravel())[0, 1] > 0.8


def test_other_rows_get_the_same_without_training(turned):
    images, _, _, _, found, _ = turned
    again = declaration_of(vae).again
    about = found.find(VAEInfo)
    whole = again(Features(images.reshape(len(images), -1)), about)
    np.testing.assert_array_equal(whole.rows, found.rows)
    np.testing.assert_array_equal(whole.find(VAEInfo).angle, about.angle)
    some = again(Features(images[7:31].reshape(24, -1)), about)
    np.testing.assert_allclose(some.rows, found.rows[7:31], atol=1e-4)
    with pytest.raises(InputError, match="trained on, 24 × 24; got 20 × 20"):
        again(Features(np.zeros((3, 400))), about)


def test_reruns_are_identical_and_seeds_differ():
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (150, 2)) @ rng.normal(0, 1, (2, 40)) + rng.normal(0, 0.3, (150, 40))
    one, two = (vae(rows, random_state=3, max_steps=60) for _ in range(2))
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.find(VAEInfo).weights, two.find(VAEInfo).weights)
    other = vae(rows, random_state=4, max_steps=60).find(VAEInfo)
    assert (other.weights != one.find(VAEInfo).weights).any()


def test_counts_of_several_phases_lie_apart_in_a_plane():
    """Four phases need three components: two latent coordinates hold them, two components not."""
    rng = np.random.default_rng(2)
    phases = rng.dirichlet(np.full(80, 0.25), 5)
    truth = rng.integers(0, 5, 700)
    dose = rng.gamma(6.0, 1 / 6.0, (700, 1))  # thickness drops out
    counts = rng.poisson(90 * dose * phases[truth]).astype(np.uint16)

    def score(rows):
        model = GaussianMixture(5, n_init=5, random_state=0)
        return adjusted_rand_score(truth, model.fit_predict(np.asarray(rows)))

    found = vae(counts, max_steps=500)
    assert found.find(VAEInfo).level > 0
    assert score(found.rows) > max(score(pca(counts, n_components=2).rows), 0.7)
    shares = found.find(VAEInfo).manifold
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-4)


def test_noise_has_no_clusters_and_that_is_said():
    rows = np.random.default_rng(5).normal(0, 1, (300, 60)).astype(np.float32)
    with collecting() as warned, recording() as said:
        found = vae(rows)
    assert any("alike but for noise" in text for text in warned)
    assert "latent coordinate 1, 2 is not used" in said.note
    choice = choose_k(found, Mixture, range(1, 4))
    assert choice.k == 1


def test_patches_of_noise_have_no_angle():
    rows = np.random.default_rng(6).normal(0, 1, (260, 20, 20)).astype(np.float32)
    with collecting(), recording() as said:
        found = vae(rows, rotation="any", max_steps=50)
    assert found.find(VAEInfo).angle is None
    assert "Nothing in the patches has an angle" in said.note


def test_turning_back_is_the_inverse_of_turning():
    spots = MOTIFS["hook"][0]
    turn, shift = np.array([0.4, 2.5, -1.1]), np.array([(1.5, -2.0), (0.0, 2.5), (-2.2, 0.7)])
    field = Field(SIDE, turned=True, most_shift=3.0)
    straight = drawn(spots, np.zeros(1), np.zeros((1, 2)))[0]
    given = drawn(spots, turn, shift).astype(np.float32)
    found = upright(given, Poses(turn, shift, np.zeros(3, dtype=np.intp)), field)
    np.testing.assert_allclose(found, [straight * field.weight] * 3, atol=0.03)


def test_poses_are_found_to_a_fraction_of_a_pixel():
    spots = MOTIFS["hook"][0]
    rng = np.random.default_rng(1)
    turn, shift = rng.uniform(0, 2 * np.pi, 40), rng.uniform(-3, 3, (40, 2))
    field = Field(SIDE, turned=True, most_shift=3.0)
    template = drawn(spots, np.zeros(1), np.zeros((1, 2))).astype(np.float32) * field.weight
    given = drawn(spots, turn, shift).astype(np.float32)
    found, _ = posed(given, template, field, reach=3.0, candidates=2, rounds=4)
    off = np.angle(np.exp(1j * (found.turn - turn)))
    assert np.abs(off).max() < np.radians(2)
    assert np.abs(found.shift - shift).max() < 0.2
    near = Poses(turn + 0.07, shift + 0.6, np.zeros(40, dtype=np.intp))
    better, _ = refined(given, near, template, field, rounds=4)
    assert np.abs(better.turn - turn).max() < np.radians(2)
    assert np.abs(better.shift - shift).max() < 0.2


def test_the_start_is_that_of_probabilistic_principal_components():
    import torch

    rng = np.random.default_rng(3)
    n, width = 4000, 30
    factors = np.linalg.qr(rng.normal(0, 1, (width, 2)))[0].T
    rows = rng.normal(0, 1, (n, 2)) * (6, 3) @ factors + rng.normal(0, 1, (n, width))
    rows = (2.5 * rows + 7).astype(np.float32)
    normal, basis = normal_and_basis(rows, counts=False, image=True, seen=None, seed=0)
    assert normal.scale == pytest.approx(2.5, rel=0.03)  # the noise
    assert basis.variances[:2] == pytest.approx([37, 10], rel=0.1)
    assert basis.above_noise(n) == 2
    sizes = Sizes((width,), 2, len(basis.variances))
    model = network(initial(sizes, basis, n, np.random.default_rng(0)), basis, sizes)
    y = normal.apply(rows)
    mean, logs, _ = model.encode(torch.from_numpy(y), torch.zeros((n, 1)))
    signal = basis.signal(n)[:2]
    expected = y @ basis.factors[:2].T * np.sqrt(signal) / (1 + signal)
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert logs.exp()[0].numpy() == pytest.approx(1 / np.sqrt(1 + signal), rel=1e-3)
    drawn_scores = model.decode(mean).numpy()
    np.testing.assert_allclose(
        drawn_scores[:, :2], mean.numpy() * np.sqrt(signal), rtol=1e-3, atol=1e-4
    )
    assert (drawn_scores[:, 2:] == 0).all()


@pytest.mark.parametrize("shape", [(7,), (300,), (9, 14), (40, 40)])
def test_weights_in_one_vector_come_back(shape):
    sizes = Sizes(shape, 3, 5)
    basis = Basis(np.eye(5, int(np.prod(shape)), dtype=np.float32), np.ones(5, np.float32))
    weights = initial(sizes, basis, 100, np.random.default_rng(0))
    again = unflat(flat(weights), sizes)
    assert list(again) == list(weights)
    assert all((again[name] == weights[name]).all() for name in weights)
    with pytest.raises(InputError, match="must be those of its sizes"):
        unflat(flat(weights)[1:], sizes)


def test_large_images_are_binned():
    images = np.zeros((3, 144, 130), dtype=np.uint8)
    layout = layout_of(Features(images.reshape(3, -1)), square=False)
    assert layout == Layout((144 * 130,), (144 * 130,))
    from clustem.passes.rows import Rows
    from clustem.reduce._vae_rows import read

    images[1, 3:6, 6:9] = 9
    layout = layout_of(Features(Rows(images, row_ndim=2)))
    assert layout.shape == (48, 43)
    seen = read(Rows(images, row_ndim=2), layout).reshape(3, 48, 43)
    assert seen[1, 1, 2] == 9
    assert seen.sum() == 9


def test_training_stops_where_asked():
    rows = np.random.default_rng(5).normal(0, 1, (200, 30))

    def stop(_):
        raise Cancelled

    with observe(stop), pytest.raises(Cancelled):
        vae(rows)


def test_threads_of_others_stay_as_they_are():
    import torch

    before = torch.get_num_threads()
    with collecting():
        vae(GOOD, max_steps=2)
    assert torch.get_num_threads() == before


GOOD = np.random.default_rng(0).normal(0, 1, (120, 16)).astype(np.float32)
NAN = GOOD.copy()
NAN[5, 3] = np.nan


@pytest.mark.parametrize(
    ("rows", "given", "message"),
    [
        (GOOD[:99], {}, "needs at least 100 rows; got 99"),
        (np.full((120, 16), 3.7), {}, "needs rows that differ; got rows that are all alike"),
        (np.zeros((120, 16), dtype=np.uint8), {}, "needs rows with counts; got only zeros"),
        (np.full((120, 16), 7, dtype=np.uint8), {}, "needs rows that differ"),
        (NAN, {}, "needs finite values; got NaN or infinity in row 5 and 0 more"),
        (GOOD - 9, {"likelihood": "multinomial"}, "Counts must be 0 or more"),
        (GOOD[:, :15], {"rotation": "any"}, "must be images .*; got rows of 15 values"),
        (GOOD.reshape(120, 2, 8), {"rotation": "any"}, "must be square"),
        (GOOD[:, :1], {"n_components": 1}, "needs at least 2 columns"),
    ],
)
def test_bad_rows_are_refused_in_one_line(rows, given, message):
    with pytest.raises(InputError, match=message) as refusal:
        vae(rows, **given)
    assert "\n" not in str(refusal.value)
    assert refusal.value.cure


def test_a_latent_space_larger_than_the_data_is_refused():
    with pytest.raises(ParameterError, match=r"less than the number of columns \(16\); got 16"):
        vae(GOOD, n_components=16)
    with pytest.raises(ParameterError, match="n_components must be"):
        vae(GOOD, n_components=0)
