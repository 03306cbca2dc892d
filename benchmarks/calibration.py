"""How often memberships are right: expected calibration error, and the reliability curve.

Run: ``python benchmarks/calibration.py [--seeds N] [--first SEED] [--only NAME]``. Each recipe runs
on the embedded samples and, with the development data (``CLUSTEM_DATA``), on simulated scans, also
thinned to few counts, with the true number of clusters and one less. Clusters are matched with the
truth so that most positions are right. ECE: ten bins of the largest membership; the difference of
its mean and the share that is right, weighted by positions. Positions that are excluded or
unassigned are left out. Clusters without memberships (k-means) have none to be judged.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import hyperspy.api as hs
import numpy as np

import clustem
from clustem import samples
from clustem.core import PatchGrid
from clustem.judge import calibration
from clustem.judge.calibration import Calibration

DATA = Path(os.environ.get("CLUSTEM_DATA", "../shared/data")) / "simulated"


def spectra(data: np.ndarray) -> hs.signals.BaseSignal:
    signal = hs.signals.Signal1D(data)
    signal.set_signal_type("EDS_SEM")
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.01, "keV"
    signal.axes_manager[-1].offset = 0.2
    return signal


def cases(seed: int) -> Iterator[tuple[str, object, np.ndarray, tuple[str, ...]]]:
    """Yield a name, a signal, the true labels (-1 = not judged), and recipes."""
    rng = np.random.default_rng(seed)
    sample = samples.eds(random_state=seed)
    yield "sample eds", sample.signal, sample.labels, ("eds", "eds-fuzzy")
    sample = samples.diffraction(counts=300, random_state=seed)
    yield "sample diffraction", sample.signal, sample.labels, ("diffraction",)
    sample = samples.eels(random_state=seed)
    yield "sample eels", sample.signal, sample.labels, ("eels-shape",)
    sample = samples.domains(random_state=seed)
    yield "sample domains", sample.signal, sample.labels, ("domains",)
    sample = samples.support(random_state=seed)
    yield "sample support", sample.signal, sample.labels, ("texture",)
    if not DATA.is_dir():
        return
    with np.load(DATA / "eds_minerals.npz") as file:
        data, truth = file["data"], file["labels"].astype(int)
    for share in (1.0, 0.2, 0.05, 0.02, 0.01):
        thinned = rng.binomial(data, share).astype(data.dtype)
        name = f"minerals, {thinned.sum() / truth.size:.2g} counts"
        yield name, spectra(thinned), truth, ("eds",)
    with np.load(DATA / "4dstem_grains.npz") as file:
        data, truth = file["data"], file["labels"].astype(int)
    for share in (0.2, 0.05, 0.02):
        thinned = rng.binomial(data, share).astype(data.dtype)
        name = f"grains, {thinned.sum() / truth.size:.0f} electrons"
        yield name, hs.signals.Signal2D(thinned), truth, ("diffraction",)


def judged(result: object, truth: np.ndarray) -> Calibration | None:
    """Return the calibration of a result; None without memberships."""
    if result.memberships is None:
        return None
    if (patches := result.find(PatchGrid)) is not None:
        row, column = np.rint(patches.positions).astype(int).T
        truth = truth[row, column].reshape(result.labels.data.shape)
    return calibration(result, truth)


def curve(found: Calibration) -> str:
    """Return the reliability curve in words, without bins of few positions."""
    shown = found.counts > 0.005 * found.counts.sum()
    pairs = zip(found.sure[shown], found.right[shown], strict=True)
    return " ".join(f"{sure:.2f}:{right:.2f}" for sure, right in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="samples and thinnings")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    given = parser.parse_args()
    print(f"{'case':28}{'recipe':20}{'k':>3}  {'ECE':>6} {'sure':>6} {'right':>6}  sure:right")
    for seed in range(given.first, given.first + given.seeds):
        for name, signal, truth, recipes in cases(seed):
            if given.only not in name:
                continue
            k = len(np.unique(truth[truth >= 0]))
            for recipe in recipes:
                for n_clusters in (k, k - 1):
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        result = clustem.segment(signal, recipe, n_clusters=n_clusters)
                    found = judged(result, np.asarray(truth).astype(int))
                    row = f"{name:28}{recipe:20}{n_clusters:>3}"
                    if found is None:
                        print(f"{row}  no memberships", flush=True)
                        continue
                    share = found.counts / found.counts.sum()
                    seconds = time.perf_counter() - start
                    print(
                        f"{row}  {found.error:6.3f} {found.sure @ share:6.3f}"
                        f" {found.right @ share:6.3f}  {curve(found)}  {seconds:.1f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
