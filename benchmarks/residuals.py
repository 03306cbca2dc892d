"""How often ``judge.residuals`` raises a false alarm, and which rare phases it finds.

Run: ``python benchmarks/residuals.py [--maps 100] [--part alarms|mixed|wrong|rare|speed]``.
Maps of 96 × 96 × 980 with the spectra of eds_minerals of the development data (``CLUSTEM_DATA``),
thickness varying five-fold, and a step of the dose. "alarms": one phase. "mixed": the minerals as
they are, and four phases with borders blurred by 1.5 pixels, labels true. "wrong": one phase cut
in three by the mixture of multinomials; the minerals in clusters of the mixture. "rare": a
square of another mineral, against an oracle that knows its spectrum and size: its log-likelihood
ratio exceeds ln(positions / rate).
"""

import argparse
import os
import time
import tracemalloc
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.ndimage import gaussian_filter

from clustem.cluster import MultinomialMixture
from clustem.core import Clustering
from clustem.describe import spectra
from clustem.judge import residuals
from clustem.labelmaps.grid_graph import grid_graph
from clustem.mapping import clusters

DOSES = (110, 22, 5.5, 2.2)
SHAPE = (96, 96)
RATE = 0.01
PAIRS = ((0, 2), (1, 4), (3, 0), (4, 3), (2, 1))
"""Matrix and rare mineral."""


class Given:
    """Labels as if an estimator had found them."""

    def __init__(self, labels, k):
        self.labels_, self.cluster_centers_ = labels.ravel(), np.empty(k)


def minerals():
    folder = Path(os.environ.get("CLUSTEM_DATA", "../shared/data"))
    with np.load(folder / "simulated" / "eds_minerals.npz") as file:
        shapes = file["spectra"].astype(float)
        return shapes / shapes.sum(axis=1, keepdims=True), file["abundance"], file["labels"]


def drawn(shapes, abundance, dose, rng):
    """Poisson counts of each phase, thickness varying, the dose 2.5-fold lower below row 40."""
    thick = gaussian_filter(rng.normal(size=SHAPE), 8)
    thick = 1 + 4 * (thick - thick.min()) / np.ptp(thick)
    thick[40:] *= 0.4
    dose = dose * thick / thick.mean()
    flat = np.zeros((dose.size, shapes.shape[1]), dtype=np.uint16)
    for share, shape in zip(np.moveaxis(abundance, -1, 0), shapes, strict=True):
        total = rng.poisson(dose * share).ravel()
        where = np.repeat(np.arange(dose.size), total)
        channel = np.searchsorted(np.cumsum(shape)[:-1], rng.random(len(where)))
        np.add.at(flat, (where, channel), 1)
    return flat.reshape(*SHAPE, -1)


def segmentation(data, labels, k):
    features = spectra(hs.signals.Signal1D(data))
    return clusters(Clustering.from_estimator(Given(labels, k), features))


def fitted(data, k):
    rows = data.reshape(-1, data.shape[-1])
    graph = grid_graph(np.zeros(SHAPE, dtype=bool))
    found = MultinomialMixture(k, connectivity=graph, n_init=3).fit(rows)
    return segmentation(data, found.labels_, k)


def one_phase(n):
    return np.eye(5)[np.full(SHAPE, n)]


def blurred(rng):
    fields = gaussian_filter(rng.normal(size=(4, *SHAPE)), (0, 9, 9)).argmax(axis=0)
    pure = np.eye(5)[fields]
    return gaussian_filter(pure, (1.5, 1.5, 0)), fields


def counted(name, dose, many, make):
    """Print in how many maps there is an alarm."""
    alarms, seconds = 0, []
    for seed in range(many):
        segmented = make(np.random.default_rng([seed, round(10 * dose)]), seed)
        start = time.perf_counter()
        found = residuals(segmented, rate=RATE)
        seconds.append(time.perf_counter() - start)
        alarms += bool(found.candidates)
    print(
        f"{name:42} {dose:6} counts: {alarms:3d} alarms in {many} maps, {np.median(seconds):.1f} s",
        flush=True,
    )


def alarms(many):
    shapes, _, _ = minerals()

    def make(rng, seed, dose):
        data = drawn(shapes, one_phase(seed % 5), dose, rng)
        return segmentation(data, np.zeros(SHAPE, int), 1)

    for dose in DOSES:
        counted("one phase", dose, many, lambda rng, seed, d=dose: make(rng, seed, d))


def mixed(many):
    shapes, abundance, labels = minerals()

    def with_borders(rng, dose):
        share, fields = blurred(rng)
        return segmentation(drawn(shapes, share, dose, rng), fields, 4)

    for dose in DOSES:
        counted(
            "minerals, true labels",
            dose,
            max(many // 5, 1),
            lambda rng, _, d=dose: segmentation(drawn(shapes, abundance, d, rng), labels, 5),
        )
        counted(
            "blurred borders", dose, max(many // 5, 1), lambda rng, _, d=dose: with_borders(rng, d)
        )


def wrong(many):
    shapes, abundance, _ = minerals()
    for dose in DOSES:
        counted(
            "one phase cut in three",
            dose,
            max(many // 10, 1),
            lambda rng, seed, d=dose: fitted(drawn(shapes, one_phase(seed % 5), d, rng), 3),
        )
        counted(
            "minerals, labels of the mixture, k = 5",
            dose,
            max(many // 10, 1),
            lambda rng, _, d=dose: fitted(drawn(shapes, abundance, d, rng), 5),
        )


def rare(many):
    shapes, _, _ = minerals()
    for dose in DOSES:
        for side in (3, 5):
            ours = oracle = 0
            for seed in range(max(many // 5, 1)):
                rng = np.random.default_rng([seed, side])
                host, other = PAIRS[seed % 5]
                abundance = one_phase(host)
                row, column = rng.integers(5, 85, 2)
                there = (slice(row, row + side), slice(column, column + side))
                abundance[there] = np.eye(5)[other]
                data = drawn(shapes, abundance, dose, rng)
                known = float(data[there].sum(axis=(0, 1)) @ np.log(shapes[other] / shapes[host]))
                oracle += known > np.log(np.prod(SHAPE) / RATE)
                found = residuals(segmentation(data, np.zeros(SHAPE, int), 1), rate=RATE)
                ours += any(one.mask[there].any() for one in found.candidates)
            print(
                f"rare phase of {side} × {side} px, {dose:6} counts: found {ours}, by the oracle "
                f"{oracle} of {max(many // 5, 1)}",
                flush=True,
            )


def speed(_):
    rng = np.random.default_rng(0)
    shapes, abundance, labels = minerals()
    data = drawn(shapes, abundance, 110, rng)
    timed("96 × 96 × 980 at 110 counts, k = 5", segmentation(data, labels, 5))
    labels = gaussian_filter(rng.normal(size=(4, 256, 256)), (0, 20, 20)).argmax(axis=0)
    wide = np.repeat(shapes, 3, axis=1)[:4, :2048]
    wide /= wide.sum(axis=1, keepdims=True)
    data = np.zeros((256 * 256, 2048), dtype=np.uint8)
    for i, label in enumerate(labels.ravel()):
        channel = np.searchsorted(np.cumsum(wide[label])[:-1], rng.random(rng.poisson(13)))
        np.add.at(data[i], channel, 1)
    timed(
        "256 × 256 × 2048 at 13 counts, k = 4", segmentation(data.reshape(256, 256, -1), labels, 4)
    )


def timed(name, segmented):
    residuals(segmented)
    start = time.perf_counter()
    residuals(segmented)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    residuals(segmented)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    nonzero = np.count_nonzero(segmented.source.data)
    print(
        f"{name}: {seconds:.2f} s, {peak / 1e6:.0f} MB beside {8 * nonzero / 1e6:.0f} MB of "
        "non-zero counts (8 bytes each)",
        flush=True,
    )


PARTS = {"alarms": alarms, "mixed": mixed, "wrong": wrong, "rare": rare, "speed": speed}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--maps", type=int, default=100)
    parser.add_argument("--part", choices=PARTS)
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.part in (None, name):
            part(options.maps)


if __name__ == "__main__":
    main()
