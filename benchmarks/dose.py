"""Maps at a fraction of the dose: agreement with the truth (ARI) of recipes, oracles and peers.

``python benchmarks/dose.py [--seeds N] [--only NAME]`` thins simulated scans binomially:
``minerals`` and, with a field of thickness that varies 5-fold, ``thickness`` (eds_minerals of the
development data, ``CLUSTEM_DATA``, else the embedded sample), ``grains`` (4dstem_grains), and
``rare``: the sample of diffraction at 250 electrons a pattern, two grains of which hold 1 % of the
positions each. "true shapes" classifies each position with the mean shapes of the truth; "and
neighbours" adds the same prior as the recipe: the best possible. SmoothNMF needs ``pip install
espm``. Each cell: median (worst) of the thinnings, seconds of one.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from sklearn.decomposition import NMF, PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import clustem
from clustem import samples
from clustem.labelmaps.grid_graph import grid_graph

COUPLING = 1.4
"""Of the oracle, the best of 0.6 ... 2.2 at 5 counts per position."""
DATA = Path(os.environ.get("CLUSTEM_DATA", "../shared/data")) / "simulated"


@dataclass(frozen=True)
class Scene:
    """Counts (rows, columns, ...), labels (-1 = not judged), and the shares of them to keep."""

    data: np.ndarray
    truth: np.ndarray
    shares: tuple[float, ...]
    recipe: tuple[str, ...]
    hidden: np.ndarray | None = None

    @property
    def k(self) -> int:
        """Number of phases."""
        return len(np.unique(self.truth[self.truth >= 0]))

    def rows(self, data: np.ndarray) -> np.ndarray:
        """Return one row per position, without what is hidden."""
        rows = data.reshape(self.truth.size, -1)
        return rows if self.hidden is None else rows[:, ~self.hidden.ravel()]


def minerals() -> Scene:
    shares = (1.0, 0.2, 0.05, 0.02, 0.01)
    path = DATA / "eds_minerals.npz"
    if path.is_file():
        with np.load(path) as file:
            return Scene(file["data"], file["labels"].astype(int), shares, ("eds", "eds-fuzzy"))
    sample = samples.eds(shape=(96, 96))
    return Scene(sample.signal.data, sample.labels.astype(int), shares, ("eds", "eds-fuzzy"))


def thickness() -> Scene:
    scene = minerals()
    field = gaussian_filter(np.random.default_rng(0).normal(size=scene.truth.shape), 12)
    field = (field - field.min()) / np.ptp(field)
    kept = 0.2 + 0.8 * field  # 5-fold
    data = np.random.default_rng(1).binomial(scene.data, kept[..., None]).astype(scene.data.dtype)
    return Scene(data, scene.truth, scene.shares, scene.recipe)


def grains() -> Scene:
    with np.load(DATA / "4dstem_grains.npz") as file:
        data, truth = file["data"], file["labels"].astype(int)
    hidden = clustem.prepare.beam_mask(hs.signals.Signal2D(data))
    return Scene(data, truth, (1.0, 0.2, 0.05, 0.02), ("diffraction", "diffraction-counts"), hidden)


def rare() -> Scene:
    sample = samples.diffraction(shape=(60, 80), grains=6)
    patterns = sample.signal.data.reshape(sample.labels.size, *sample.signal.data.shape[2:])
    rng, labels = np.random.default_rng(0), sample.labels.ravel()
    present = np.unique(labels[labels >= 0])
    row, column = np.indices(sample.labels.shape)
    distances = [(row - y) ** 2 + (column - x) ** 2 for y, x in rng.uniform(0, (60, 80), (9, 2))]
    truth = np.argmin(distances, axis=0) % (len(present) - 2)
    for number, (y, x) in enumerate(((15, 20), (42, 60)), start=len(present) - 2):
        truth[(row - y) ** 2 + (column - x) ** 2 < 15.3] = number  # 1 % of the positions
    data = np.empty(sample.signal.data.shape, dtype=patterns.dtype)
    for number, label in enumerate(present):
        there = truth == number
        data[there] = patterns[rng.choice(np.flatnonzero(labels == label), there.sum())]
    share = 250 / data.sum(axis=(-1, -2)).mean()
    hidden = clustem.prepare.beam_mask(hs.signals.Signal2D(data))
    return Scene(data, truth, (share,), ("diffraction", "diffraction-counts"), hidden)


def recipe(name: str) -> Callable:
    def run(scene: Scene, data: np.ndarray) -> np.ndarray:
        signal = (hs.signals.Signal1D if data.ndim == 3 else hs.signals.Signal2D)(data)
        if data.ndim == 3:
            signal.set_signal_type("EDS_SEM")
            signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.01, "keV"
            signal.axes_manager[-1].offset = 0.2
        return clustem.segment(signal, name, n_clusters=scene.k).labels.data.ravel()

    return run


def oracle(coupling: float) -> Callable:
    def run(scene: Scene, data: np.ndarray) -> np.ndarray:
        truth = scene.truth.ravel()
        all_rows = scene.rows(scene.data)
        shapes = np.array([all_rows[truth == j].sum(axis=0) for j in np.unique(truth[truth >= 0])])
        shapes = np.maximum(shapes / shapes.sum(axis=1, keepdims=True), 1e-9)
        evidence = csr_array(scene.rows(data)) @ np.log(shapes).T
        graph = grid_graph(np.zeros(scene.truth.shape, dtype=bool))
        field = np.zeros_like(evidence)
        for step in range(40):
            values = evidence + coupling * min(1, step / 20) * (graph @ field)
            values = np.exp(values - values.max(axis=1, keepdims=True))
            field = values / values.sum(axis=1, keepdims=True)
        return field.argmax(axis=1)

    return run


def hyperspy_k_means(scene: Scene, data: np.ndarray) -> np.ndarray:
    rows = scene.rows(data).reshape(*scene.truth.shape, -1)
    signal = hs.signals.Signal1D(rows.astype(float))
    signal.decomposition(
        normalize_poissonian_noise=True, print_info=False, output_dimension=scene.k
    )
    signal.cluster_analysis("decomposition", n_clusters=scene.k)
    return signal.get_cluster_labels(merged=True).data.ravel()


def gaussian_mixture(scene: Scene, data: np.ndarray) -> np.ndarray:
    rows = scene.rows(data).astype(float)
    rows /= np.maximum(rows.sum(axis=1, keepdims=True), 1)
    scores = PCA(scene.k, random_state=0).fit_transform(rows)
    return GaussianMixture(scene.k, random_state=0).fit_predict(scores)


def nmf(scene: Scene, data: np.ndarray) -> np.ndarray:
    model = NMF(scene.k, init="nndsvda", random_state=0, max_iter=200)
    return model.fit_transform(scene.rows(data).astype(float)).argmax(axis=1)


def smooth_nmf(scene: Scene, data: np.ndarray) -> np.ndarray:
    from espm.estimators import SmoothNMF

    model = SmoothNMF(
        n_components=scene.k, shape_2d=scene.truth.shape, lambda_L=1.0, max_iter=200, verbose=0
    )
    model.fit_transform(scene.rows(data).astype(float).T + 1e-6)
    return np.asarray(model.H_).argmax(axis=0)


METHODS = {
    "true shapes": oracle(0.0),
    "and neighbours": oracle(COUPLING),
    "HyperSpy": hyperspy_k_means,
    "scikit-learn GMM": gaussian_mixture,
    "scikit-learn NMF": nmf,
    "espm SmoothNMF": smooth_nmf,
}
SCENES = {"minerals": minerals, "thickness": thickness, "grains": grains, "rare": rare}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="thinnings at each dose")
    parser.add_argument("--only", choices=SCENES, help="one scene")
    parser.add_argument("--ours", action="store_true", help="recipes and oracles only")
    given = parser.parse_args()
    for title in [given.only] if given.only else SCENES:
        scene = SCENES[title]()
        counts = [scene.data.sum() / scene.truth.size * share for share in scene.shares]
        print(f"\n{title + ', counts:':24}" + "".join(f"{value:>22.1f}" for value in counts))
        methods = {f"recipe {name}": recipe(name) for name in scene.recipe} | METHODS
        for name, method in methods.items():
            if given.ours and name in ("HyperSpy", "scikit-learn GMM", "scikit-learn NMF"):
                continue
            print(f"{name:24}" + "".join(cells(scene, method, given.seeds)), flush=True)


def cells(scene: Scene, method: Callable, seeds: int) -> list[str]:
    known, found = scene.truth.ravel() >= 0, []
    for share in scene.shares:
        scores, start = [], time.perf_counter()
        for seed in range(1 if share == 1 else seeds):
            thinned = np.random.default_rng(seed).binomial(scene.data, share)
            thinned = thinned.astype(scene.data.dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    labels = method(scene, thinned)
                except ImportError:
                    return [f"{'not installed':>22}"]
            scores.append(adjusted_rand_score(scene.truth.ravel()[known], labels[known]))
        seconds = (time.perf_counter() - start) / len(scores)
        found.append(f"{np.median(scores):>9.3f} ({min(scores):.3f}){seconds:5.1f}s")
    return found


if __name__ == "__main__":
    main()
