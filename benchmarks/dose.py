"""Maps at a fraction of the dose: agreement with the truth (ARI) of recipes, oracles and peers.

``python benchmarks/dose.py [--seeds N]`` thins a simulated EDS map binomially: eds_minerals of the
development data (``CLUSTEM_DATA``), else the embedded sample. "true spectra" classifies each
position with the spectra of the truth; "and neighbours" adds the same prior as the recipe.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import clustem
from clustem import samples
from clustem.labelmaps.grid_graph import grid_graph

SHARES = (1.0, 0.2, 0.05, 0.02, 0.01)
COUPLING = 1.4


def scene():
    """Return counts (rows, columns, channels), labels (-1 = not judged) and true spectra."""
    path = Path(os.environ.get("CLUSTEM_DATA", "../shared/data")) / "simulated" / "eds_minerals.npz"
    if path.is_file():
        with np.load(path) as file:
            return file["data"], file["labels"].astype(int), file["spectra"]
    sample = samples.eds(shape=(96, 96))
    return sample.signal.data, sample.labels.astype(int), sample.spectra


def recipe(name):
    def run(data, k, _):
        signal = hs.signals.Signal1D(data)
        signal.set_signal_type("EDS_SEM")
        return clustem.segment(signal, name, n_clusters=k).labels.data.ravel()

    return run


def oracle(coupling):
    def run(data, _, spectra):
        shapes = np.maximum(spectra / spectra.sum(axis=1, keepdims=True), 1e-9)
        evidence = csr_array(data.reshape(-1, data.shape[-1])) @ np.log(shapes).T
        graph = grid_graph(np.zeros(data.shape[:2], dtype=bool))
        field = np.zeros_like(evidence)
        for step in range(40):
            values = evidence + coupling * min(1, step / 20) * (graph @ field)
            values = np.exp(values - values.max(axis=1, keepdims=True))
            field = values / values.sum(axis=1, keepdims=True)
        return field.argmax(axis=1)

    return run


def hyperspy_k_means(data, k, _):
    signal = hs.signals.Signal1D(data.astype(float))
    signal.decomposition(normalize_poissonian_noise=True, print_info=False, output_dimension=k)
    signal.cluster_analysis("decomposition", n_clusters=k)
    return signal.get_cluster_labels(merged=True).data.ravel()


def gaussian_mixture(data, k, _):
    rows = data.reshape(-1, data.shape[-1]).astype(float)
    rows /= np.maximum(rows.sum(axis=1, keepdims=True), 1)
    return GaussianMixture(k, random_state=0).fit_predict(
        PCA(k, random_state=0).fit_transform(rows)
    )


def nmf(data, k, _):
    rows = data.reshape(-1, data.shape[-1]).astype(float)
    return NMF(k, init="nndsvda", random_state=0, max_iter=200).fit_transform(rows).argmax(axis=1)


METHODS = {
    "recipe eds-counts": recipe("eds"),
    "recipe eds": recipe("eds"),
    "true spectra": oracle(0.0),
    "and neighbours": oracle(COUPLING),
    "HyperSpy": hyperspy_k_means,
    "scikit-learn GMM": gaussian_mixture,
    "scikit-learn NMF": nmf,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="thinnings at each dose")
    seeds = parser.parse_args().seeds
    data, truth, spectra = scene()
    known = truth.ravel() >= 0
    k = len(np.unique(truth[truth >= 0]))
    counts = [data.sum(axis=-1).mean() * share for share in SHARES]
    print(f"{'counts per position':20}" + "".join(f"{value:>20.1f}" for value in counts))
    for name, method in METHODS.items():
        cells = []
        for share in SHARES:
            scores, start = [], time.perf_counter()
            for seed in range(1 if share == 1 else seeds):
                thinned = np.random.default_rng(seed).binomial(data, share).astype(data.dtype)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    warnings.simplefilter("ignore", UserWarning)
                    found = method(thinned, k, spectra)
                scores.append(adjusted_rand_score(truth.ravel()[known], found[known]))
            seconds = (time.perf_counter() - start) / len(scores)
            cells.append(f"{np.median(scores):8.3f} ({min(scores):.3f}) {seconds:4.1f}s")
        print(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
