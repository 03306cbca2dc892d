"""Learned descriptors against pyroVED, AtomAI and principal components, on the same patches.

``python benchmarks/vae.py`` makes patches of two motifs at random angles and shifts, and prints the
agreement of a mixture of two with the truth, the error of the angle, and seconds; then the time and
memory of 14,161 patches of 40 × 40 and of 23,712 spectra of 1024 channels. ``--python PATH`` names
the interpreter that has the peers (``pip install pyroved==0.3.0 atomai==0.8.1``); what it lacks is
left out and said. ``--epochs`` is for the peers, which do not stop by themselves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PAIRS = {  # row, column of the spots of each motif, and its symmetry
    "hook, T": (
        ([(-6, -4), (0, -4), (6, -4), (6, 2)], 1),
        ([(-6, -6), (-6, 0), (-6, 6), (0, 0), (6, 0)], 1),
    ),
    "pair, triangle": (
        ([(0, -7), (0, 7)], 2),
        ([(0, 8), (6.93, -4), (-6.93, -4)], 3),
    ),
}


def patches(pair: str, *, n: int, side: int, snr: float, seed: int) -> dict[str, np.ndarray]:
    """Draw patches with their kind, angle [rad] and shift [px]."""
    rng = np.random.default_rng(seed)
    kind, turn = rng.integers(0, 2, n), rng.uniform(0, 2 * np.pi, n)
    shift = rng.uniform(-3, 3, (n, 2))
    half = (side - 1) / 2
    row, column = np.indices((side, side)) - half
    images = np.zeros((n, side, side), dtype=np.float32)
    for k, (spots, _) in enumerate(PAIRS[pair]):
        here = np.flatnonzero(kind == k)
        c, s = np.cos(turn[here]), np.sin(turn[here])
        for y, x in np.array(spots) * side / 40:
            at = s * x + c * y + shift[here, 0], c * x - s * y + shift[here, 1]
            square = (row - at[0][:, None, None]) ** 2 + (column - at[1][:, None, None]) ** 2
            images[here] += np.exp(-square / (2 * (side / 20) ** 2))
    spread = float(np.sqrt(((images - images.mean(axis=(1, 2), keepdims=True)) ** 2).mean()))
    images += rng.normal(0, spread / snr, images.shape).astype(np.float32)
    return {"images": images, "kind": kind, "turn": turn, "shift": shift}


def score(
    pair: str, known: dict[str, np.ndarray], latent: np.ndarray, angle: np.ndarray | None
) -> tuple[float, float]:
    """Return the Rand index of a mixture of two, and the median error of the angle [°].

    The angle counts up to its sense, a constant of each motif, and the motif's symmetry.
    """
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture

    found = GaussianMixture(2, n_init=5, random_state=0).fit_predict(latent)
    index = adjusted_rand_score(known["kind"], found)
    if angle is None:
        return index, np.nan
    errors = []
    for k, (_, fold) in enumerate(PAIRS[pair]):
        here = known["kind"] == k
        both = []
        for sense in (1, -1):
            off = np.exp(1j * fold * (sense * angle[here] - known["turn"][here]))
            both.append(np.abs(np.angle(off / np.exp(1j * np.angle(off.mean())))) / fold)
        errors.append(min(both, key=np.median))
    return index, float(np.degrees(np.median(np.concatenate(errors))))


def ours(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    from clustem.core import VAEInfo
    from clustem.reduce import vae

    found = vae(images, rotation="any")
    angle = found.find(VAEInfo).angle
    return np.asarray(found.rows), None if angle is None else np.radians(angle)


def components(images: np.ndarray) -> tuple[np.ndarray, None]:
    from clustem.reduce import pca

    return np.asarray(pca(images.reshape(len(images), -1), n_components=2).rows), None


def pyroved(images: np.ndarray, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    import pyroved as pv
    import torch

    scaled = (images - images.min()) / np.ptp(images)
    data = torch.from_numpy(scaled)
    model = pv.models.iVAE(images.shape[1:], latent_dim=2, invariances=["r", "t"], seed=0)
    trainer = pv.trainers.SVItrainer(model, seed=1)
    loader = pv.utils.init_dataloader(data, batch_size=64)
    for _ in range(epochs):
        trainer.step(loader)
    mean = np.asarray(model.encode(data)[0])
    return mean[:, 3:], mean[:, 0]


def atomai(images: np.ndarray, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    import atomai as aoi

    scaled = (images - images.min()) / np.ptp(images)
    model = aoi.models.rVAE(images.shape[1:], latent_dim=2, seed=0)
    model.fit(scaled, training_cycles=epochs, batch_size=64, loss="mse", filename="model")
    mean = np.asarray(model.encode(scaled)[0])
    return mean[:, 3:], mean[:, 0]


PEERS = {"pyroVED": pyroved, "AtomAI": atomai}


def run_peer(name: str, folder: Path, epochs: int) -> None:
    """Run a peer in this interpreter, and leave what it found."""
    import os

    os.chdir(folder)  # it writes files where it is
    given = np.load("patches.npz")["images"]
    start = time.perf_counter()
    latent, angle = PEERS[name](given, epochs)
    seconds = time.perf_counter() - start
    np.savez("found.npz", latent=latent, angle=angle, seconds=seconds)


def of_peer(
    name: str, images: np.ndarray, python: str, epochs: int
) -> tuple[np.ndarray, np.ndarray, float] | str:
    """Run a peer in an interpreter that has it; return its latents, angles and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "patches.npz", images=images)
        command = [python, __file__, "--peer", name, "--folder", folder, "--epochs", str(epochs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        file = Path(folder) / "found.npz"
        if not file.exists():
            return (done.stderr.strip().splitlines() or ["no answer"])[-1][:100]
        found = np.load(file)
        return found["latent"], found["angle"], float(found["seconds"])


def table(python: str, epochs: int, *, n: int, side: int, ratios: list[float]) -> None:
    """Print one line per method and set of patches."""
    print(f"{n} patches of {side} × {side}, two motifs, any angle, ± 3 px; peers: {epochs} epochs")
    print(f"{'':24s}{'':12s}{'ARI':>7s}{'angle':>9s}{'seconds':>9s}")
    for pair in PAIRS:
        for snr in ratios:
            known = patches(pair, n=n, side=side, snr=snr, seed=1)
            for name, method in {"Clustem": ours, "components": components}.items():
                start = time.perf_counter()
                latent, angle = method(known["images"])
                _line(pair, snr, name, score(pair, known, latent, angle), start)
            for name in PEERS:
                found = of_peer(name, known["images"], python, epochs)
                if isinstance(found, str):
                    print(f"{name} is left out: {found}")
                    continue
                latent, angle, seconds = found
                start = time.perf_counter() - seconds
                _line(pair, snr, name, score(pair, known, latent, angle), start)


def _line(pair: str, snr: float, name: str, found: tuple[float, float], start: float) -> None:
    seconds = time.perf_counter() - start
    index, error = found
    shown = "        –" if np.isnan(error) else f"{error:8.2f}°"
    print(f"{f'{pair}, SNR {snr:g}':24s}{name:12s}{index:7.3f}{shown}{seconds:9.1f}", flush=True)


def sizes() -> None:
    """Print time and memory of large sets, each in a process of its own."""
    for name in ("patches", "spectra"):
        command = [sys.executable, __file__, "--size", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"{found['shape']}: {found['seconds']:.0f} s, {found['gigabytes']:.2f} GB at most")


def run_size(name: str) -> None:
    import resource

    from clustem.reduce import vae

    if name == "patches":
        rows = patches("hook, T", n=14_161, side=40, snr=2.0, seed=0)["images"]
        given = {"rotation": "any"}
    else:
        rng = np.random.default_rng(0)
        shapes = rng.dirichlet(np.full(1024, 0.05), 5)
        rows, given = rng.poisson(110 * shapes[rng.integers(0, 5, 23_712)]).astype(np.uint16), {}
    start = time.perf_counter()
    vae(rows, **given)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    shape = " × ".join(map(str, rows.shape))
    print(json.dumps({"shape": shape, "seconds": seconds, "gigabytes": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the peers")
    parser.add_argument("--n", type=int, default=1000, help="number of patches")
    parser.add_argument("--side", type=int, default=32, help="edge of a patch [px]")
    parser.add_argument("--snr", type=float, nargs="+", default=[1.0, 3.0], help="ratios to noise")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        run_peer(given.peer, given.folder, given.epochs)
    elif given.size:
        run_size(given.size)
    else:
        table(given.python, given.epochs, n=given.n, side=given.side, ratios=given.snr)
        sizes()


if __name__ == "__main__":
    main()
