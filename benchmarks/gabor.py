"""Gabor features and k-means of an image against scikit-image, SciPy and scikit-learn.

Run: ``python benchmarks/gabor.py [--size 256] [--starts 10] [--large]``. Both sides make the bank
of the source (36 orientations, 7 wavelengths) and cluster its magnitudes into six.
"""

import argparse
import resource
import statistics
import time

import hyperspy.api as hs
import numpy as np
from scipy.signal import fftconvolve
from skimage.filters import gabor_kernel
from sklearn.cluster import KMeans as Peer

from clustem import compare, samples, segment
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="only the recipe on 2048 x 2048")
    given = parser.parse_args()
    if given.large:
        shape = 2048, 2048
        row, column = np.indices(shape) * 1.0
        image = np.where(column < 1000, np.sin(1.5 * row), np.sin(1.2 * column + 0.9 * row))
        image += np.random.default_rng(0).normal(size=shape)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        features = gabor(hs.signals.Signal2D(image), wavelengths=WAVELENGTHS)
        middle = time.perf_counter()
        labels = KMeans(2, n_init=3).fit(features.rows).labels_.reshape(shape)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"features {features.rows.nbytes / 1e9:.1f} GB in {middle - begin:.1f} s")
        print(f"k-means {time.perf_counter() - middle:.1f} s")
        print(f"peak memory {peak / 1e6:.2f} GB, {before / 1e6:.2f} GB before")
        print(compare(labels, (column < 1000).astype(int)))
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
