"""The zero-loss model, and what is derived from it, against plain formulas."""

import sys

import numpy as np
import pytest
from exspy._misc.eels.electron_inelastic_mean_free_path import (
    iMFP_angular_correction,
    iMFP_Iakoubovskii,
)
from scipy.special import expit

from clustem import samples
from clustem.core import InputError
from clustem.core.progress import observe
from clustem.eels import ZeroLossModel, _network, subtract, thickness

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")

QUICK = {"n_replicas": 12, "n_epochs": 60}


@pytest.fixture(scope="module")
def wedge():
    return samples.eels(shape=(7, 30), channels=500, jitter=0.0)


@pytest.fixture(scope="module")
def model(wedge):
    return ZeroLossModel(**QUICK).fit(wedge.signal, wedge.labels)


@pytest.fixture(scope="module")
def parts(wedge, model):
    return subtract(wedge.signal, model)


def some_points(rng, *, replicas, clusters=2, n=30, ceilings=6, grid=5):
    x = rng.uniform(-1, 1, (replicas, 3, n + clusters * grid)).astype(np.float32)
    x[:, 2] = 1
    y = rng.normal(0, 3, (replicas, n)).astype(np.float32)
    held = rng.random((replicas, n)) < 0.2
    weights = [(part / 30).astype(np.float32) for part in (~held, held)]
    return _network.Points(x, y, *weights, n_ceilings=ceilings, n_clusters=clusters)


def trained_plainly(weights, points, replica, *, epochs, rate, monotony):
    """One replica in the usual way: modules, autograd, torch's Adam."""
    sizes = (2, *_network.HIDDEN, 1)
    flat, at, layers = torch.from_numpy(weights[replica].astype(np.float64)), 0, []
    for i in range(len(sizes) - 1):
        layer = torch.nn.Linear(sizes[i], sizes[i + 1], dtype=torch.float64)
        rows = sizes[i + 1] + (i < len(_network.HIDDEN))
        block = flat[at : at + rows * (sizes[i] + 1)].view(rows, -1)
        at += block.numel()
        with torch.no_grad():
            layer.weight.copy_(block[: sizes[i + 1], :-1])
            layer.bias.copy_(block[: sizes[i + 1], -1])
        layers += [layer, torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-1])
    adam = torch.optim.Adam(net.parameters(), lr=rate)
    turn = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    parts = (points.x[replica, :2].T, points.y[replica], points.train[replica])
    x, y, fit = (torch.from_numpy(part.astype(np.float64)) for part in parts)
    check = torch.from_numpy(points.valid[replica].astype(np.float64))
    n, losses = len(y), []
    for _ in range(epochs):
        out = net(x)[:, 0] * _network.OUTPUT
        residual = out[:n] - y
        one_sided = residual[n - points.n_ceilings :].clamp(min=0)
        residual = torch.cat([residual[: n - points.n_ceilings], one_sided])
        penalty = monotony * out[n:].view(points.n_clusters, -1).diff(dim=1).clamp(min=0).sum()
        losses.append(((residual**2 * check).sum() + penalty).item())
        adam.zero_grad()
        ((residual**2 * fit).sum() + penalty).backward()
        adam.step()
        turn.step()
    return losses


@pytest.mark.parametrize("epochs", [1, 4, 12])
def test_all_at_once_is_one_by_one(epochs):
    rng = np.random.default_rng(2)
    points = some_points(rng, replicas=5)
    weights = _network.initial(5, rng)
    given = {"learning_rate": 0.03, "monotony": 10.0, "patience": 500}
    _, loss, n_epochs = _network.train(
        weights, points, n_epochs=epochs, threads=1, progress=None, **given
    )
    assert (n_epochs == epochs).all()
    for replica in range(5):
        plain = trained_plainly(weights, points, replica, epochs=epochs, rate=0.03, monotony=10.0)
        assert loss[replica] == pytest.approx(min(plain), rel=2e-3)


def test_what_is_kept_has_the_loss_that_is_returned():
    rng = np.random.default_rng(3)
    points = some_points(rng, replicas=3)
    best, loss, _ = _network.train(
        _network.initial(3, rng), points, n_epochs=80, learning_rate=0.03, monotony=2.0,
        patience=20, threads=2, progress=None,
    )  # fmt: skip
    for replica in range(3):
        out = _network.forward(best[replica : replica + 1], points.x[replica])[0]
        residual = out[:30] - points.y[replica]
        residual[24:] = np.maximum(residual[24:], 0)
        rise = np.maximum(np.diff(out[30:].reshape(2, 5), axis=1), 0).sum()
        found = (residual**2 * points.valid[replica]).sum() + 2.0 * rise
        assert found == pytest.approx(loss[replica], rel=1e-3)


def test_replicas_stop_on_their_own_and_leave_the_others_alone():
    rng = np.random.default_rng(6)
    points, weights = some_points(rng, replicas=8), _network.initial(8, rng)
    given = {"n_epochs": 400, "learning_rate": 0.05, "monotony": 1.0, "threads": 1}
    _, patient, all_epochs = _network.train(weights, points, patience=400, progress=None, **given)
    _, hasty, epochs = _network.train(weights, points, patience=30, progress=None, **given)
    assert (all_epochs == 400).all()
    assert (epochs % 50 == 0).all()
    assert epochs.min() < 400
    longest = epochs == epochs.max()
    assert (hasty >= patient * (1 - 1e-3)).all()
    if epochs.max() == 400:
        np.testing.assert_allclose(hasty[longest], patient[longest], rtol=1e-2)


def test_the_same_seed_gives_the_same_bands_whatever_the_threads(wedge, model):
    again = ZeroLossModel(**QUICK, threads=1).fit(wedge.signal, wedge.labels)
    other = ZeroLossModel(**QUICK, random_state=1).fit(wedge.signal, wedge.labels)
    np.testing.assert_array_equal(np.stack(model.predict()), np.stack(again.predict()))
    assert not np.array_equal(model.predict().median, other.predict().median)


def test_threads_share_blocks_and_results_do_not_change():
    rng = np.random.default_rng(7)
    points, weights = some_points(rng, replicas=150), _network.initial(150, rng)
    given = {"n_epochs": 8, "learning_rate": 0.03, "monotony": 1.0, "patience": 9}
    shares = []
    before = torch.get_num_threads()
    one = _network.train(weights, points, threads=1, progress=shares.append, **given)
    three = _network.train(weights, points, threads=3, progress=None, **given)
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert torch.get_num_threads() == before


def test_threads_of_others_stay_as_they_are_during_the_training():
    rng = np.random.default_rng(7)
    points, weights = some_points(rng, replicas=150), _network.initial(150, rng)
    before, seen = torch.get_num_threads(), []
    _network.train(
        weights, points, n_epochs=8, learning_rate=0.03, monotony=1.0, patience=9, threads=2,
        progress=lambda _: seen.append(torch.get_num_threads()),
    )  # fmt: skip
    assert seen == [before] * 3


def test_a_listener_can_stop_the_training(wedge):
    def refuse(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), observe(refuse):
        ZeroLossModel(n_replicas=150, n_epochs=5).fit(wedge.signal, wedge.labels)


def test_poor_replicas_are_dropped_and_counted(wedge):
    strict = ZeroLossModel(**QUICK, max_loss=1.05).fit(wedge.signal, wedge.labels)
    poor = strict.loss_ > 1.05 * np.median(strict.loss_)
    assert strict.n_dropped_ == poor.sum() > 0
    assert len(strict.weights_) == 12 - poor.sum()


def test_each_cluster_has_its_energies_and_bands(wedge, model):
    assert (model.counts_ == np.bincount(wedge.labels.ravel())).all()
    assert (model.blend_start_ < model.onset_).all()
    assert (model.onset_ < model.cutoff_).all()
    band = model.predict()
    assert band.median.shape == (5, 500)
    assert (band.low <= band.median).all()
    assert (band.median <= band.high).all()
    for k, end in enumerate(model.cutoff_):
        assert (band.high[k, model.energy_ > end] == 0).all()
        assert (band.low[k, np.abs(model.energy_) < end] > 0).all()


def test_energies_in_kev_change_nothing(wedge, model):
    signal = wedge.signal.deepcopy()
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units = axis.scale / 1000, axis.offset / 1000, "keV"
    other = ZeroLossModel(**QUICK).fit(signal, wedge.labels)
    np.testing.assert_allclose(other.onset_, model.onset_)
    np.testing.assert_allclose(other.predict().median, model.predict().median, rtol=1e-3)


def test_the_users_energies_are_taken(wedge):
    model = ZeroLossModel(**QUICK, onset=[1.1, None, 1.3, None, 1.2], cutoff=6.0)
    model.fit(wedge.signal, wedge.labels)
    np.testing.assert_allclose(model.onset_[[0, 2, 4]], [1.1, 1.3, 1.2])
    np.testing.assert_allclose(model.cutoff_, 6.0)


def test_split_is_the_formula(wedge, model, parts):
    """A plain loop over the channels of some spectra."""
    energy, band = model.energy_, model.predict()
    core = np.abs(energy) <= model.reach_
    gain, floor = model.noise_
    for row, column in ((0, 2), (3, 11), (6, 29)):
        spectrum = wedge.signal.data[row, column].astype(float)
        k = wedge.labels[row, column]
        scale = spectrum[core].sum() / model.spectra_[k][core].sum()
        start, onset = model.blend_start_[k], model.onset_[k]
        for j in range(0, 500, 7):
            share = 0.0 if energy[j] < start else 1.0
            if start <= energy[j] < onset:
                share = expit((energy[j] - (start + onset) / 2) / ((onset - start) / 10))
            raw = [
                (1 - share) * spectrum[j] + share * scale * one[k, j]
                for one in (band.median, band.low, band.high)
            ]
            zlp = np.clip(raw, 0, max(spectrum[j], 0)) if share > 0 else np.array(raw)
            near = spectrum[max(j - 2, 0) : j + 3].mean()
            noise = share * (gain * max(near, 0) + floor)
            inner = spectrum[j] - raw[0]
            expected = [
                *zlp,
                spectrum[j] - zlp[0],
                inner - np.sqrt((raw[2] - raw[0]) ** 2 + noise),
                inner + np.sqrt((raw[0] - raw[1]) ** 2 + noise),
            ]
            found = [part.data[row, column, j] for part in parts]
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-2)


def test_parts_are_signals_like_the_source(wedge, parts):
    for part in parts:
        assert type(part) is type(wedge.signal)
        assert part.data.dtype == np.float32
        assert part.metadata.as_dictionary() == wedge.signal.metadata.as_dictionary()
        assert str(part.axes_manager) == str(wedge.signal.axes_manager)
    total = parts.zero_loss.data + parts.inelastic.data
    np.testing.assert_allclose(total, wedge.signal.data, rtol=1e-6, atol=1e-2)
    assert (parts.zero_loss.data <= np.maximum(wedge.signal.data, 0) + 1e-3)[..., 110:].all()
    quiet = subtract(wedge.signal, ZeroLossModel(**QUICK).fit(wedge.signal, wedge.labels),
                     counting_noise=False)  # fmt: skip
    assert (quiet.inelastic_high.data <= parts.inelastic_high.data + 1e-3).all()


def test_lazy_is_the_same(wedge, model, parts):
    lazy = wedge.signal.as_lazy()
    lazy.data = lazy.data.rechunk((3, 11, 200))
    found = subtract(lazy, model)
    for name, part in found._asdict().items():
        assert part._lazy
        np.testing.assert_array_equal(part.data.compute(), getattr(parts, name).data)
    large = subtract(wedge.signal, model, memory=1e-6)
    assert large.inelastic._lazy
    np.testing.assert_array_equal(large.inelastic.data.compute(), parts.inelastic.data)
    again = ZeroLossModel(**QUICK).fit(lazy, wedge.labels)
    np.testing.assert_array_equal(again.predict().median, model.predict().median)
    maps, lazily = thickness(wedge.signal, model), thickness(lazy, model)
    np.testing.assert_allclose(lazily.relative.data, maps.relative.data, rtol=1e-6)


def test_line_scans_and_other_labels(wedge, model):
    line = wedge.signal.inav[:, 3]
    found = subtract(line, model, segmentation=wedge.labels[3])
    whole = subtract(wedge.signal, model)
    np.testing.assert_array_equal(found.inelastic.data, whole.inelastic.data[3])
    assert thickness(line, model, segmentation=wedge.labels[3]).relative.data.shape == (30,)
    core = wedge.signal.deepcopy()
    core.axes_manager[-1].offset += 500
    with pytest.raises(InputError, match=r"energies that .* fitted on; got 49\d.* and .* low-loss"):
        subtract(core, model)
    with pytest.raises(InputError, match="model knows the clusters 0, 1, 2, 3, 4; got labels 5"):
        subtract(line, model, segmentation=np.full(30, 5))
    with pytest.raises(InputError, match=r"scan's shape, \(30,\)"):
        subtract(line, model)


def test_positions_of_no_cluster_are_zero_and_have_no_thickness(wedge, model):
    labels = wedge.labels.copy()
    labels[2, :5] = -1
    found = subtract(wedge.signal, model, segmentation=labels)
    for part in found:
        assert (part.data[2, :5] == 0).all()
        assert part.data[2, 5].any()
    maps = thickness(wedge.signal, model, segmentation=labels)
    assert np.isnan(maps.relative.data[2, :5]).all()
    assert np.isnan(maps.relative_error.data[2, :5]).all()
    assert np.isfinite(maps.relative.data[labels >= 0]).all()


def test_thickness_is_the_log_ratio_and_exspys_nanometres(wedge, model, parts):
    maps = thickness(wedge.signal, model, density=4.2)
    sums = [part.data.sum(axis=-1, dtype=float) for part in parts[:3]]
    total = wedge.signal.data.sum(axis=-1, dtype=float)
    ratio = np.log(total / sums[0])
    np.testing.assert_allclose(maps.relative.data, ratio, rtol=1e-6)
    model_part = np.log(sums[2] / sums[1]) / 2
    counting = np.sqrt(model.gain_ * (1 / sums[0] - 1 / total))
    np.testing.assert_allclose(
        maps.relative_error.data, np.hypot(model_part, counting), rtol=1e-4, atol=1e-7
    )
    nm = iMFP_Iakoubovskii(electron_energy=200.0, density=4.2)
    nm *= iMFP_angular_correction(beam_energy=200.0, alpha=10.0, beta=20.0, density=4.2)
    np.testing.assert_allclose(maps.absolute.data, nm * ratio, rtol=1e-5)
    np.testing.assert_allclose(maps.absolute_error.data, nm * maps.relative_error.data, rtol=1e-5)
    for one in maps:
        assert one.axes_manager.signal_shape == (30, 7)
        assert [axis.units for axis in one.axes_manager.signal_axes] == ["nm", "nm"]
        assert [axis.scale for axis in one.axes_manager.signal_axes] == [2.0, 2.5]
    known = thickness(wedge.signal, model, mean_free_path=100.0)
    np.testing.assert_allclose(known.absolute.data, 100 * ratio, rtol=1e-5)
    assert thickness(wedge.signal, model).absolute is None


def test_a_density_needs_the_microscope(wedge, model):
    bare = wedge.signal.deepcopy()
    del bare.metadata.Acquisition_instrument
    with pytest.raises(InputError, match="got no convergence_angle, collection_angle"):
        thickness(bare, model, density=4.2, beam_energy=200.0)
    bare.metadata.set_item("Sample.density", 4.2)
    given = {"beam_energy": 200.0, "convergence_angle": 10.0, "collection_angle": 20.0}
    there = thickness(bare, model, **given)
    np.testing.assert_allclose(
        there.absolute.data, thickness(wedge.signal, model, density=4.2).absolute.data
    )


def test_a_model_comes_back_from_its_file_and_needs_no_torch(wedge, model, tmp_path, monkeypatch):
    path = model.save(tmp_path / "peak")
    assert path.suffix == ".npz"
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind != "O" for name in file)
    monkeypatch.setitem(sys.modules, "torch", None)
    loaded = ZeroLossModel.load(path)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(np.stack(loaded.predict()), np.stack(model.predict()))
    assert (loaded.n_dropped_, loaded.gain_) == (model.n_dropped_, model.gain_)
    found = subtract(wedge.signal, loaded)
    np.testing.assert_array_equal(
        found.inelastic.data, subtract(wedge.signal, model).inelastic.data
    )


def test_small_clusters_are_flagged_and_represented(wedge):
    labels = wedge.labels.copy()
    labels[0, :3] = 6  # three spectra of terrace 0; nobody is in cluster 5
    with pytest.warns(UserWarning, match=r"cluster 6 \(3 spectra\) by cluster 0"):
        model = ZeroLossModel(**QUICK).fit(wedge.signal, labels)
    assert model.source_.tolist() == [0, 1, 2, 3, 4, -1, 0]
    assert np.isnan(model.onset_[5])
    band = model.predict().median
    np.testing.assert_array_equal(band[6], band[0])
    assert np.isnan(band[5]).all()
    found = subtract(wedge.signal, model)
    assert np.isfinite(found.inelastic.data).all()
    with pytest.raises(InputError, match="model knows the clusters 0, 1, 2, 3, 4, 6"):
        subtract(wedge.signal, model, segmentation=np.full(labels.shape, 5))


def test_bad_input_is_refused_in_one_line(wedge):
    signal, labels = wedge.signal, wedge.labels
    model = ZeroLossModel(**QUICK)
    with pytest.raises(InputError, match="zero-loss peak in range"):
        model.fit(signal.isig[15.0:], labels)
    shifted, broken = signal.deepcopy(), signal.deepcopy()
    shifted.axes_manager[-1].offset += 3.0
    broken.data[0, 0, 7] = np.nan
    with pytest.raises(InputError, match=r"must be at 0 eV; .*prepare\.align_zero_loss"):
        model.fit(shifted, labels)
    with pytest.raises(InputError, match="At least one cluster must have 10 spectra"):
        model.fit(signal.inav[:1, :1], np.zeros((1, 1), int))
    with pytest.raises(InputError, match="all excluded or unassigned"):
        model.fit(signal, np.full(labels.shape, -1))
    with pytest.raises(InputError, match="NaN or inf in 1 of"):
        model.fit(broken, labels)
    with pytest.raises(InputError, match="n_replicas must be an integer of at least 2"):
        ZeroLossModel(n_replicas=1).fit(signal, labels)


def test_the_input_is_left_alone(wedge, model):
    before = wedge.signal.data.copy(), wedge.labels.copy()
    subtract(wedge.signal, model)
    np.testing.assert_array_equal(wedge.signal.data, before[0])
    np.testing.assert_array_equal(wedge.labels, before[1])


def test_a_segmentation_will_do_for_a_model(wedge, monkeypatch):
    calls = []
    fit = ZeroLossModel.fit

    def quick(self, signal, segmentation):
        calls.append(segmentation)
        return fit(self.set_params(**QUICK), signal, segmentation)

    monkeypatch.setattr(ZeroLossModel, "fit", quick)
    found = subtract(wedge.signal, wedge.labels)
    assert calls == [wedge.labels] or calls[0] is wedge.labels
    assert found.inelastic.data.shape == wedge.signal.data.shape
