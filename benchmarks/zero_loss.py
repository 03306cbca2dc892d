"""Zero-loss models: 500 networks at once against one by one, and what both kinds of tails miss.

    python benchmarks/zero_loss.py                  500 replicas, 5 clusters, 1000 epochs
    python benchmarks/zero_loss.py --replicas 64    less

The peer is the usual loop of PyTorch: one module and one Adam for each replica, on the same points
with the same loss; three replicas are trained and counted up. Then the truth of the simulated wedge
is compared with the bands, and with tails fitted or mirrored in each spectrum.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import warnings

import numpy as np
import torch

warnings.simplefilter("ignore")

import hyperspy.api as hs  # noqa: E402  # its own warnings on import

from clustem.eels import ZeroLossModel, _network, subtract  # noqa: E402
from clustem.passes.threads import cores  # noqa: E402
from clustem.samples import eels  # noqa: E402

PEER_REPLICAS, CHANNELS = 3, 1200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--pool", action="store_true", help="average over 3 x 3 pixels first")
    args = parser.parse_args()
    signal, labels, zlp, inelastic = wedge(pooled=args.pool)
    seen = {}
    original = _network.train

    def watched(weights, points, **given):
        seen["points"] = points
        start = time.perf_counter()
        found = original(weights, points, **given)
        seen["seconds"] = time.perf_counter() - start
        return found

    import clustem.eels.zero_loss_model as home

    home.train = watched
    model = ZeroLossModel(n_replicas=args.replicas, n_epochs=args.epochs)
    start = time.perf_counter()
    model.fit(signal, labels)
    whole = time.perf_counter() - start
    points = seen["points"]
    steps, n = int(model.n_epochs_.sum()), points.x.shape[2]
    flops = 6 * sum(rows * columns for _, rows, columns in _network._layout()) * n * steps
    k, seconds = len(model.counts_), seen["seconds"]
    print(f"{args.replicas} replicas x {k} clusters x {args.epochs} epochs, {n} points")
    print(f"all at once     {whole:7.1f} s, training {seconds:.1f} s on {cores()} cores")
    print(f"                {flops:.2e} flops: {flops / seconds / 1e9:.1f} Gflop/s; a large")
    print(f"                product of matrices runs at {product_speed():.0f} Gflop/s here")
    single = one_by_one(points, args.epochs) / PEER_REPLICAS
    print(f"one by one      {single * args.replicas:7.1f} s ({single:.2f} s for a replica)")
    print(f"ratio           {single * args.replicas / seconds:7.1f}")
    start = time.perf_counter()
    parts = subtract(signal, model)
    print(f"subtraction     {time.perf_counter() - start:7.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory     {peak:7.2f} GiB; {model.n_dropped_} replicas dropped")
    compare(model, parts, signal, zlp, inelastic)


def wedge(*, pooled):
    """Spectra and their true parts, aligned alike."""
    sample = eels(channels=CHANNELS)
    signal = sample.signal
    parts = [
        signal._deepcopy_with_new_data(getattr(sample, name).copy())
        for name in ("zlp", "inelastic")
    ]
    signal.align_zero_loss_peak(print_stats=False, show_progressbar=False, also_align=parts)
    if pooled:
        from clustem.prepare import pool

        signal, *parts = (pool(one, radius=1.5) for one in (signal, *parts))
    return signal, sample.labels, *(part.data for part in parts)


def one_by_one(points, epochs):
    """Seconds for some replicas in the usual loop, with the same points and loss."""
    n, ceilings = points.y.shape[1], points.n_ceilings
    start = time.perf_counter()
    for r in range(PEER_REPLICAS):
        torch.manual_seed(r)
        inner = [torch.nn.Linear(2, 10), torch.nn.Tanh(), torch.nn.Linear(10, 15), torch.nn.Tanh()]
        net = torch.nn.Sequential(
            *inner, torch.nn.Linear(15, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
        )
        x = torch.from_numpy(np.ascontiguousarray(points.x[r, :2].T))
        y, fit, check = (
            torch.from_numpy(part[r]) for part in (points.y, points.train, points.valid)
        )
        adam = torch.optim.Adam(net.parameters(), lr=0.03)
        lowest, best = np.inf, None
        for _ in range(epochs):
            adam.zero_grad()
            out = net(x)[:, 0] * _network.OUTPUT
            residual = out[:n] - y
            residual = torch.cat([residual[:-ceilings], residual[-ceilings:].clamp(min=0)])
            rise = torch.relu(out[n:].view(points.n_clusters, -1).diff(dim=1)).sum()
            (torch.sum(residual**2 * fit) + 10 * rise).backward()
            adam.step()
            with torch.no_grad():
                loss = float(torch.sum(residual**2 * check) + 10 * rise)
            if loss < lowest:
                lowest = loss
                best = [part.detach().clone() for part in net.parameters()]
        assert best is not None
    return time.perf_counter() - start


def product_speed():
    a = torch.rand(1500, 1500)
    a @ a
    start = time.perf_counter()
    for _ in range(5):
        a @ a
    return 5 * 2 * 1500**3 / (time.perf_counter() - start) / 1e9


def compare(model, parts, signal, zlp, inelastic):
    """Coverage and errors in region II of all clusters."""
    energy, data = model.energy_, signal.data.astype(float)
    inside, inside_zlp = [], []
    errors = {name: [] for name in ("clustem", "power law", "exponential", "mirror", "only noise")}
    for k in range(len(model.counts_)):
        here = model.labels_ == k
        two = (energy >= model.onset_[k]) & (energy <= model.cutoff_[k])
        fit = (energy >= model.blend_start_[k]) & (energy < model.onset_[k])
        truth, recorded, peak = inelastic[here][:, two], data[here][:, two], zlp[here][:, two]
        low, high = (
            part.data[here][:, two] for part in (parts.inelastic_low, parts.inelastic_high)
        )
        inside.append(((low <= truth) & (truth <= high)).ravel())
        low, high = (part.data[here][:, two] for part in parts[1:3])
        inside_zlp.append(((low <= peak) & (peak <= high)).ravel())
        tails = {
            "power law": tail(np.log, energy, fit, two, data[here]),
            "exponential": tail(np.asarray, energy, fit, two, data[here]),
            "mirror": np.stack([np.interp(-energy[two], energy, row) for row in data[here]]),
            "only noise": peak,
        }
        found = {name: recorded - np.minimum(one, recorded) for name, one in tails.items()}
        found["only noise"] = recorded - peak
        found["clustem"] = parts.inelastic.data[here][:, two]
        for name, one in found.items():
            errors[name].append(np.abs(one - truth).ravel())
    print(
        f"in region II    true inelastic intensity in its band at {percent(inside)} of the points"
    )
    print(f"                true zero-loss peak in its band at {percent(inside_zlp)}")
    for name, found in errors.items():
        print(f"median error    {np.median(np.concatenate(found)):7.2f} counts, {name}")


def tail(bend, energy, fit, two, rows):
    """Straight lines through ln I over the bent energy, one for each spectrum."""
    design = np.stack([bend(energy[fit]), np.ones(fit.sum())])
    lines = np.log(np.maximum(rows[:, fit], 0.5)) @ np.linalg.pinv(design)
    return np.exp(lines @ np.stack([bend(energy[two]), np.ones(two.sum())]))


def percent(flags):
    return f"{100 * np.concatenate(flags).mean():.1f} %"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    hs.preferences.General.show_progressbar = False
    main()
