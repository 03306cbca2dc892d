from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from clustem.core import Clustering, InputError, Masks, Step
from clustem.describe import spectra
from clustem.judge import residuals
from clustem.judge._expected import _deviances, expected, shares, standardized
from clustem.judge._rare_phases import _grow, _in_turn, best_mixture, rare_phases
from clustem.judge._scan_counts import scan_counts
from clustem.mapping import clusters
from clustem.report.page._findings import unexplained, warnings_of

WIDTH = 240
CHANNELS = np.arange(WIDTH)


class Given:
    """Labels as if an estimator had found them."""

    def __init__(self, labels, k):
        self.labels_, self.cluster_centers_ = labels.ravel(), np.empty(k)


def shape(*lines):
    """Background and lines at (channel, share)."""
    background = np.exp(-CHANNELS / 90)
    total = sum(share for _, share in lines)
    found = background / background.sum() * (1 - total)
    for middle, share in lines:
        peak = np.exp(-((CHANNELS - middle) ** 2) / (2 * 3.0**2))
        found += share * peak / peak.sum()
    return found


MATRIX = shape((30, 0.3), (70, 0.2))
OTHER = shape((45, 0.25), (110, 0.2))
RARE = shape((90, 0.3), (150, 0.2))


def thickness(rng, size):
    """Varies five-fold, and the dose falls 2.5-fold from one row on."""
    field = gaussian_filter(rng.normal(size=size), 6)
    field = 1 + 4 * (field - field.min()) / np.ptp(field)
    field[size[0] // 2 :] *= 0.4
    return field / field.mean()


def segmented(data, labels=None, k=1, **masks):
    labels = np.zeros(data.shape[:2], dtype=int) if labels is None else labels
    features = spectra(hs.signals.Signal1D(data), masks=Masks(**masks))
    scan = masks.get("scan")
    rows = labels[~scan] if scan is not None else labels
    return clusters(Clustering.from_estimator(Given(rows, k), features))


def one_phase(rng, dose, size=(40, 52)):
    return rng.poisson(dose * thickness(rng, size)[..., None] * MATRIX)


def with_rare(rng, dose, side, at=(12, 30), size=(40, 52)):
    mean = np.broadcast_to(MATRIX, (*size, WIDTH)).copy()
    mean[at[0] : at[0] + side, at[1] : at[1] + side] = RARE
    return rng.poisson(dose * mean)


def slow_deviance(x, p):
    total, found = x.sum(), 0.0
    for value, share in zip(x, p, strict=True):
        if value > 0:
            found += 2 * value * np.log(value / (total * share))
    return found


def test_deviances_are_those_of_a_slow_loop():
    rng = np.random.default_rng(0)
    data = one_phase(rng, 30, (6, 9))
    counts = scan_counts(segmented(data))
    model = expected(counts, np.zeros((6, 9), int), 1)
    _, found = shares(counts, counts.values, model)
    rows = data.reshape(-1, WIDTH)
    assert np.allclose(found, [slow_deviance(row, model.shapes[0]) for row in rows])
    drawn = _deviances(rows[:3], model.shapes[0], 30.0)
    by_hand = [
        2 * (x[x > 0] * np.log(x[x > 0] / (30 * model.shapes[0][x > 0]))).sum() for x in rows[:3]
    ]
    assert np.allclose(drawn, by_hand)


@pytest.mark.parametrize("dose", [2, 20, 200])
def test_deviances_of_the_model_have_mean_0_and_variance_1_at_any_dose(dose):
    rng = np.random.default_rng(1)
    found = residuals(segmented(one_phase(rng, dose)))
    assert abs(found.deviance.mean()) < 0.15
    assert found.deviance.std() == pytest.approx(1, abs=0.1)
    far_off = dose < 100  # its law is far off where most channels are empty
    degrees = WIDTH - 1
    raw = [slow_deviance(x, MATRIX) for x in rng.multinomial(dose, MATRIX, 200)]
    assert (abs(np.mean(raw) - degrees) > 5 * np.sqrt(2 * degrees)) == far_off


def test_a_mixture_of_two_clusters_at_a_border_is_no_residual():
    rng = np.random.default_rng(2)
    size = (40, 52)
    labels = np.zeros(size, dtype=int)
    labels[:, 26:] = 1
    share = gaussian_filter(labels.astype(float), 1.5)[..., None]
    mean = (1 - share) * MATRIX + share * OTHER
    data = rng.poisson(120 * thickness(rng, size)[..., None] * mean)
    found = residuals(segmented(data, labels, 2))
    assert not found.candidates
    assert abs(found.deviance[:, 24:28].mean()) < 0.5
    hard = np.array([MATRIX, OTHER])[labels]
    border = data[:, 25:27].reshape(-1, WIDTH)
    pure = [
        slow_deviance(x, p) for x, p in zip(border, hard[:, 25:27].reshape(-1, WIDTH), strict=True)
    ]
    mixed = [
        slow_deviance(x, p) for x, p in zip(border, mean[:, 25:27].reshape(-1, WIDTH), strict=True)
    ]
    assert np.mean(pure) > np.mean(mixed) + 10  # the border is one


@pytest.mark.parametrize(("dose", "side"), [(110, 3), (22, 3), (22, 5), (5.5, 5)])
def test_a_small_region_of_another_phase_is_found_with_its_lines(dose, side):
    rng = np.random.default_rng(3)
    found = residuals(segmented(with_rare(rng, dose, side)))
    assert len(found.candidates) == 1
    one = found.candidates[0]
    truth = np.zeros(one.mask.shape, dtype=bool)
    truth[12 : 12 + side, 30 : 30 + side] = True
    assert (one.mask & truth).sum() > 0.7 * truth.sum()
    assert (one.mask & ~truth).sum() <= 0.4 * truth.sum()
    assert one.size == one.mask.sum()
    assert np.allclose(one.center, 12 + (side - 1) / 2 + np.array([0, 18]), atol=1.5)
    assert one.cluster == 0
    assert one.p_value <= found.rate
    assert abs(one.channels[0].index[0] - 90) <= 3
    assert one.share == pytest.approx(0.55, abs=0.3)
    assert abs(one.excess.sum()) < 1e-9
    assert "1 region that no cluster explains" in found.summary


@pytest.mark.parametrize("dose", [110, 5.5, 1.1])
def test_one_phase_with_thickness_and_a_dose_step_raises_no_alarm(dose):
    for seed in range(4):
        found = residuals(segmented(one_phase(np.random.default_rng(seed), dose)))
        assert not found.candidates
        assert found.summary == "no region departs from its cluster"


def test_a_cut_of_one_phase_by_its_noise_raises_no_alarm():
    rng = np.random.default_rng(5)
    data = one_phase(rng, 40)
    score = data[..., 20:40].sum(axis=-1) / data.sum(axis=-1)
    labels = (gaussian_filter(score, 2) > np.median(score)).astype(int)
    assert not residuals(segmented(data, labels, 2)).candidates


def test_too_few_clusters_are_noticed():
    rng = np.random.default_rng(6)
    mean = np.broadcast_to(MATRIX, (40, 52, WIDTH)).copy()
    mean[:, 34:] = OTHER
    found = residuals(segmented(rng.poisson(20 * mean)))
    assert found.candidates
    seen = np.any([one.mask for one in found.candidates], axis=0)
    assert seen[:, 34:].mean() > 0.9 or seen[:, :34].mean() > 0.9


def test_a_region_below_the_least_size_is_not_reported():
    data = with_rare(np.random.default_rng(7), 110, 3)
    assert residuals(segmented(data), min_size=4).candidates
    assert all(one.size >= 60 for one in residuals(segmented(data), min_size=60).candidates)


def test_the_likelihood_ratio_has_a_mean_of_at_most_1_for_mixed_positions():
    rng = np.random.default_rng(8)
    shapes = np.array([MATRIX, OTHER])
    q = 0.7 * MATRIX + 0.3 * RARE
    weights, totals = rng.random(9), rng.integers(1, 30, 9)
    ratios = []
    for _ in range(3000):
        x = sum(
            rng.multinomial(n, w * MATRIX + (1 - w) * OTHER)
            for n, w in zip(totals, weights, strict=True)
        )
        best, _ = best_mixture(x[x > 0].astype(float), shapes[:, x > 0], np.full(2, 0.5))
        ratios.append(float(x @ np.log(q)) - best)
    assert np.exp(ratios).mean() < 1
    assert np.mean(np.array(ratios) > np.log(20)) < 0.05


def test_the_best_mixture_is_that_of_a_search():
    rng = np.random.default_rng(9)
    x = rng.multinomial(400, 0.35 * MATRIX + 0.65 * OTHER).astype(float)
    shapes = np.array([MATRIX, OTHER])
    grid = np.linspace(0, 1, 2001)[:, None]
    slow = (np.log(grid * MATRIX + (1 - grid) * OTHER) @ x).max()
    found, weights = best_mixture(x, shapes, np.full(2, 0.5))
    assert slow - 1e-6 <= found <= slow + 0.06
    assert weights.sum() == pytest.approx(1)


def test_counts_predicted_in_turn_are_those_of_a_slow_loop():
    rng = np.random.default_rng(10)
    order = rng.choice(WIDTH, 10, p=RARE)
    seen, slow = np.zeros(WIDTH), 0.0
    for t, d in enumerate(order):
        near, mean = (np.convolve(v, np.ones(7), "same") for v in (seen, MATRIX))
        ratio = (near + 0.5) / (t * mean + 0.5)
        if t == 0:
            ratio = np.ones(WIDTH)
        slow += np.log(ratio[d] / (MATRIX @ ratio))
        seen[d] += 1
    # up to ten counts the prediction is made anew for each
    assert _in_turn(order, MATRIX, 3, 0.5) == pytest.approx(_in_turn.py_func(order, MATRIX, 3, 0.5))
    assert _in_turn(order, MATRIX, 3, 0.5) == pytest.approx(slow, abs=1e-9)


def test_predictions_in_turn_are_a_probability():
    rng = np.random.default_rng(11)
    found = [np.exp(_in_turn(rng.choice(WIDTH, 8, p=MATRIX), MATRIX, 7, 0.5)) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=0.3)


def test_excluded_positions_and_channels_do_not_matter():
    rng = np.random.default_rng(12)
    data = with_rare(rng, 30, 5)
    scan = np.zeros(data.shape[:2], dtype=bool)
    scan[:5, :9] = True
    hidden = np.zeros(WIDTH, dtype=bool)
    hidden[:8] = True
    first = residuals(segmented(data, scan=scan, signal=hidden))
    assert np.array_equal(np.isnan(first.deviance), scan)
    data[scan] = 900
    data[..., :8] = rng.poisson(50, data[..., :8].shape)
    second = residuals(segmented(data, scan=scan, signal=hidden))
    assert np.allclose(first.deviance, second.deviance, equal_nan=True)
    assert first.summary == second.summary
    assert len(first.candidates) == 1
    assert not first.candidates[0].excess[:8].any()


def test_the_same_from_lazy_data_and_other_types_and_again():
    import dask.array as da

    data = with_rare(np.random.default_rng(13), 30, 4)
    first = residuals(segmented(data))
    lazy = segmented(data)
    chunked = hs.signals.Signal1D(data).as_lazy()
    chunked.data = da.from_array(data, chunks=(7, 20, -1))
    for other in (
        residuals(segmented(data.astype(np.uint8))),
        residuals(segmented(data.astype(np.float32))),
        residuals(lazy, source=chunked),
        residuals(segmented(data), random_state=0),
    ):
        assert np.array_equal(first.deviance, other.deviance)
        assert first.summary == other.summary
        assert [c.p_value for c in first.candidates] == [c.p_value for c in other.candidates]


def test_a_line_scan_has_residuals():
    rng = np.random.default_rng(14)
    mean = np.broadcast_to(MATRIX, (90, WIDTH)).copy()
    mean[40:52] = RARE
    signal = hs.signals.Signal1D(rng.poisson(60 * mean))
    found = clusters(Clustering.from_estimator(Given(np.zeros(90, int), 1), spectra(signal)))
    result = residuals(found)
    assert result.deviance.shape == (90,)
    assert len(result.candidates) == 1
    assert result.candidates[0].mask[41:51].all()


def test_patterns_have_residuals_too():
    rng = np.random.default_rng(15)
    pattern = np.full((14, 18), 1.0)
    pattern[6:8, 8:10] = 60
    mean = np.broadcast_to(pattern / pattern.sum(), (16, 20, 14, 18)).copy()
    rare = pattern.copy()
    rare[2:4, 3:5] = 60
    mean[5:9, 8:12] = rare / rare.sum()
    signal = hs.signals.Signal2D(rng.poisson(60 * mean))
    from clustem.describe import patterns

    features = patterns(signal)
    found = clusters(Clustering.from_estimator(Given(np.zeros(320, int), 1), features))
    result = residuals(found)
    assert len(result.candidates) == 1
    row, column = result.candidates[0].channels[0].index
    assert 1 <= row <= 4
    assert 2 <= column <= 5


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda d: d - 1.0, "negative"),
        (lambda d: d * 0.7, "other values"),
        (lambda d: np.where(d > 3, np.nan, d), "NaN"),
        (lambda d: d.astype(np.int32) - 1, "negative"),
    ],
)
def test_what_is_no_counts_is_refused_in_one_line(change, got):
    data = one_phase(np.random.default_rng(0), 60, (8, 9))
    wrong = hs.signals.Signal1D(change(data))
    with pytest.raises(InputError, match=got) as error:
        residuals(segmented(data), source=wrong)
    assert "\n" not in str(error.value)


def test_counts_that_do_not_fit_in_memory_are_said_in_the_report(monkeypatch):
    found = segmented(one_phase(np.random.default_rng(0), 60, (8, 9)))
    monkeypatch.setattr("clustem.core.memory.free_memory", lambda: 1000.0)
    with pytest.raises(InputError, match="GB of memory; got 1e-06 GB that are free"):
        residuals(found)
    named = replace(found, history=(Step("cluster", "MultinomialMixture", {}),))
    (said,) = [text for text in warnings_of(named, unexplained(named)) if "unexplained" in text]
    assert said.startswith("What the clusters leave unexplained was not looked for. Residuals of")


def test_a_missing_source_is_refused():
    found = segmented(one_phase(np.random.default_rng(0), 60, (8, 9)))
    with pytest.raises(InputError, match="none"):
        residuals(replace(found, source=None))


def test_positions_without_counts_are_no_residuals():
    data = one_phase(np.random.default_rng(16), 20, (12, 14))
    data[3:5] = 0
    found = residuals(segmented(data))
    assert not found.deviance[3:5].any()
    empty = residuals(segmented(np.zeros((6, 7, WIDTH), dtype=np.uint8)))
    assert not empty.candidates
    assert not empty.deviance.any()


def test_a_region_grows_to_its_border_in_plain_python_too():
    rows = csr_array(np.where(np.arange(30)[:, None] % 6 > 2, [[0, 3]], [[3, 0]]))
    sparse = (
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        rows.data.astype(np.int32),
    )
    number = np.arange(30).reshape(5, 6)
    for grow in (_grow, _grow.py_func):
        inside = np.zeros((5, 6), dtype=bool)
        inside[1:3, 3:5] = True
        grow(sparse, np.array([-2.0, 2.0]), np.zeros(30), number, inside)
        assert np.array_equal(inside, np.broadcast_to(np.arange(6) > 2, (5, 6)))


def test_thinning_leaves_the_verdict_to_counts_not_seen():
    """A region of chance in one half is none in the other: the same half passes for proof."""
    rng = np.random.default_rng(17)
    counts = scan_counts(segmented(one_phase(rng, 5.5)))
    model = expected(counts, np.zeros(counts.number.shape, int), 1)
    honest = rare_phases(counts, model, min_size=4, rate=0.01, random=rng)
    assert not honest
    from clustem.judge import _rare_phases as module

    half = np.random.default_rng(0).binomial(counts.values, 0.5).astype(np.int32)
    regions = module._search(module._half(counts, half, model), min_size=4)
    same = [module._log_ratio(counts, half, model, one) for one in regions]
    other = [module._log_ratio(counts, counts.values - half, model, one) for one in regions]
    assert max(same) > np.log(100)
    assert max(other) < np.log(400)


def test_standardised_deviances_weigh_the_clusters_of_a_position():
    rng = np.random.default_rng(18)
    totals = np.full(6, 50)
    shapes = np.array([MATRIX, np.full(WIDTH, 1 / WIDTH)])
    share = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    raw = np.array([slow_deviance(x, p) for p in shapes for x in rng.multinomial(50, p, 3)])
    found = standardized(raw, totals, share, shapes, rng)
    assert (np.abs(found) < 4).all()
    swapped = standardized(raw, totals, share[::-1], shapes, rng)
    assert (np.abs(swapped) > 2).all()
