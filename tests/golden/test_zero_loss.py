"""The zero-loss model on a wedge whose true zero-loss peak, losses and thickness are known."""

import numpy as np
import pytest

from clustem import samples
from clustem.eels import ZeroLossModel, subtract, thickness

pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")


@pytest.fixture(scope="module", params=[0, 1], ids=["seed 0", "seed 1"])
def found(request):
    """Sample, its true parts aligned like the spectra, and what the model makes of it."""
    sample = samples.eels(shape=(20, 28), random_state=request.param)
    signal = sample.signal
    truth = [
        signal._deepcopy_with_new_data(getattr(sample, name).copy())
        for name in ("zlp", "inelastic")
    ]
    signal.align_zero_loss_peak(print_stats=False, show_progressbar=False, also_align=truth)
    model = ZeroLossModel(n_replicas=48, random_state=request.param).fit(signal, sample.labels)
    return sample, model, subtract(signal, model), *(one.data for one in truth)


def region_two(found):
    """Every cluster's positions, and its channels in region II."""
    sample, model = found[:2]
    for k in range(sample.n_clusters):
        inside = (model.energy_ >= model.onset_[k]) & (model.energy_ <= model.cutoff_[k])
        yield k, sample.labels == k, inside


def line_through_logs(bend, energy, fit, inside, rows):
    """Fit ln I over the bent energy before E_I in each spectrum, and go on along it."""
    design = np.stack([bend(energy[fit]), np.ones(fit.sum())])
    lines = np.log(np.maximum(rows[:, fit], 0.5)) @ np.linalg.pinv(design)
    return np.exp(lines @ np.stack([bend(energy[inside]), np.ones(inside.sum())]))


def test_the_band_holds_the_true_losses_as_often_as_it_says(found):
    _, _, parts, _, inelastic = found
    hits = []
    for _, here, inside in region_two(found):
        low, high = (
            one.data[here][:, inside] for one in (parts.inelastic_low, parts.inelastic_high)
        )
        truth = inelastic[here][:, inside]
        hits.append(((low <= truth) & (truth <= high)).ravel())
    assert 0.60 < np.concatenate(hits).mean() < 0.76


def test_fitted_and_mirrored_tails_miss_more(found):
    sample, model, parts, _, inelastic = found
    energy, data = model.energy_, sample.signal.data.astype(float)
    ours, theirs = [], {"power": [], "exponential": [], "mirror": []}
    for k, here, inside in region_two(found):
        rows, truth = data[here], inelastic[here][:, inside]
        fit = (energy >= model.blend_start_[k]) & (energy < model.onset_[k])
        tails = {
            "power": line_through_logs(np.log, energy, fit, inside, rows),
            "exponential": line_through_logs(np.asarray, energy, fit, inside, rows),
            "mirror": np.stack([np.interp(-energy[inside], energy, row) for row in rows]),
        }
        for name, tail in tails.items():
            left = rows[:, inside] - np.minimum(tail, rows[:, inside])
            theirs[name].append(np.abs(left - truth).ravel())
        ours.append(np.abs(parts.inelastic.data[here][:, inside] - truth).ravel())
    best = min(np.median(np.concatenate(errors)) for errors in theirs.values())
    assert np.median(np.concatenate(ours)) < best


def test_the_exciton_below_the_gap_is_left(found):
    """It lies in the tail of the peak, at the start of the extrapolation: not to be eaten."""
    sample, model, parts, zlp, inelastic = found
    exciton = np.abs(model.energy_ - sample.exciton) < 0.16
    for k in range(sample.n_clusters):
        here = sample.labels == k
        ours, truth, peak = (
            data[here][:, exciton].mean() for data in (parts.inelastic.data, inelastic, zlp)
        )
        assert abs(ours - truth) < 0.1 * peak
        assert ours > 0.8 * truth


def test_thickness_is_that_of_the_wedge(found):
    sample, model = found[:2]
    maps = thickness(sample.signal, model)
    truth = sample.thickness
    off = maps.relative.data / truth - 1
    assert np.abs(off[truth > 0.2]).max() < 0.03
    means = [maps.relative.data[sample.labels == k].mean() for k in range(sample.n_clusters)]
    assert (np.diff(means) > 0).all()
    assert 0 < maps.relative_error.data.max() < 0.02


def test_most_replicas_are_used(found):
    model = found[1]
    assert model.n_dropped_ <= 0.15 * len(model.loss_)
    assert (model.onset_ < 2.0).all()  # the exciton is beyond
