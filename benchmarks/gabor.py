"""Gabor features and k-means of an image against scikit-image, SciPy and scikit-learn.

Run: ``python benchmarks/gabor.py [--size 256] [--starts 10]``. Both sides make the bank of the
source (36 orientations, 7 wavelengths) and cluster its magnitudes into six. ``--large 8192`` runs
``clustem run -r particles`` on an image of that side alone and compares with the truth.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.signal import fftconvolve
from skimage.filters import gabor_kernel
from sklearn.cluster import KMeans as Peer

from clustem import compare, load, samples, segment
from clustem.cluster import KMeans
from clustem.describe import gabor

WAVELENGTHS = [4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]
ENVELOPE = 0.8


def theirs(image: np.ndarray, starts: int) -> tuple[float, float, np.ndarray]:
    begin = time.perf_counter()
    columns = []
    for wavelength in WAVELENGTHS:
        for i in range(36):
            sigma = ENVELOPE * wavelength
            kernel = gabor_kernel(
                1 / wavelength, theta=np.pi * i / 36, sigma_x=sigma, sigma_y=sigma
            )
            columns.append(np.abs(fftconvolve(image, kernel, mode="same")).ravel())
    rows = np.stack(columns, axis=1).astype(np.float32)
    middle = time.perf_counter()
    labels = Peer(6, n_init=starts, random_state=0).fit(rows).labels_
    return middle - begin, time.perf_counter() - middle, labels


def ours(image: np.ndarray, starts: int) -> tuple[float, float, np.ndarray]:
    signal = hs.signals.Signal2D(image)
    begin = time.perf_counter()
    features = gabor(signal, wavelengths=WAVELENGTHS, envelope=ENVELOPE, smooth=0, normalize=False)
    middle = time.perf_counter()
    labels = KMeans(6, n_init=starts).fit(features.rows).labels_
    return middle - begin, time.perf_counter() - middle, labels


def large(side: int) -> None:
    """Run the recipe on copies of a small image, turned and with noise of their own."""
    sample = samples.particles(kind="several", shape=(512, 512), diameter=18.0)
    rng, turns = np.random.default_rng(0), np.add.outer(*2 * (np.arange(-(-side // 512)),)) % 4
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "image.npy", Path(folder) / "out"
        blocks = [[np.rot90(sample.signal.data, turn) for turn in line] for line in turns]
        image = np.block(blocks)[:side, :side] + rng.normal(scale=2.0, size=(side, side))
        np.save(path, image.clip(0).astype(np.uint16))
        truth = np.block([[np.rot90(sample.labels, turn) for turn in line] for line in turns])
        del image, blocks
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "clustem", "run", path, "-r", "particles", "-o", out],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{side} x {side}: {seconds:.0f} s, CPU {used.ru_utime + used.ru_stime:.0f} s,", end=" "
        )
        print(f"peak memory {used.ru_maxrss / 1e6:.2f} GB")
        part = slice(0, 2048)
        found = load(out).labels.data[part, part]
        print(f"first 2048 x 2048 pixels: {compare(found, truth[part, part])}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", type=int, help="only the recipe, on an image of this side")
    given = parser.parse_args()
    if given.large:
        large(given.large)
        return
    sample = samples.particles(shape=(given.size, given.size), diameter=0.85 * 0.06 * given.size)
    image = sample.signal.data.astype(np.float32)
    ours(image, given.starts)  # compiles
    segment(sample.signal, "particles")
    ratios = []
    for _ in range(given.repeats):
        theirs_s, ours_s = theirs(image, given.starts), ours(image, given.starts)
        begin = time.perf_counter()
        result = segment(sample.signal, "particles")
        whole = time.perf_counter() - begin
        ratios.append(sum(theirs_s[:2]) / sum(ours_s[:2]))
        for name, found in (("peers", theirs_s), ("clustem", ours_s)):
            print(f"{name:8} features {found[0]:.2f} s, k-means {found[1]:.2f} s")
        print(f"ratio {ratios[-1]:.1f}; the recipe {whole:.2f} s")
    print(f"median ratio {statistics.median(ratios):.1f}")
    print(f"the recipe: {compare(result, sample.labels)}")


if __name__ == "__main__":
    main()
