"""EDS: principal components against HyperSpy's, and the whole recipe, on 152 × 156 × 1024 counts.

Each peer runs in a process of its own; peak memory is what runs add to its resident set.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 5
FOLDER = tempfile.gettempdir()


def measure(name):
    import warnings

    warnings.simplefilter("ignore")
    import hyperspy.api as hs  # noqa: F401  # its import is not timed
    import numpy as np

    import clustem
    from clustem.describe import spectra
    from clustem.reduce import pca
    from clustem.samples import eds

    small, sample = eds(shape=(30, 40)).signal, eds().signal
    if name == "hyperspy pca":
        sample.change_dtype("float64")

        def run(signal):
            signal.decomposition(
                normalize_poissonian_noise=True, output_dimension=3, print_info=False
            )
            return signal.learning_results.loadings

        small.change_dtype("float64")
    elif name == "clustem pca":

        def run(signal):
            return pca(spectra(signal), n_components=3, scores="loadings").rows

    else:

        def run(signal):
            return clustem.segment(signal, "eds").points

    run(small)  # compile and import
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        found = run(sample)
        seconds.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    basis = np.linalg.qr(np.asarray(found, dtype=float))[0]
    np.save(f"{FOLDER}/benchmark_{name.replace(' ', '_')}.npy", basis)
    print(json.dumps({"seconds": seconds, "peak": peak, "raw": eds().signal.data.nbytes}))


def main():
    import numpy as np

    names = ("hyperspy pca", "clustem pca", "clustem eds recipe")
    found = {}
    for name in names:
        done = subprocess.run(
            [sys.executable, __file__, name], check=True, capture_output=True, text=True
        )
        found[name] = json.loads(done.stdout)
        s = found[name]["seconds"]
        print(
            f"{name:20} {statistics.median(s):6.2f} s median ({min(s):.2f} to {max(s):.2f}), "
            f"adds {found[name]['peak'] / 1e6:6.0f} MB, "
            f"{found[name]['peak'] / found[name]['raw']:.2f} × the raw array"
        )
    ratio = statistics.median(found[names[0]]["seconds"]) / statistics.median(
        found[names[1]]["seconds"]
    )
    one, two = (np.load(f"{FOLDER}/benchmark_{name.replace(' ', '_')}.npy") for name in names[:2])
    cosine = np.linalg.svd(one.T @ two)[1].min()
    print(
        f"PCA: {ratio:.1f} × faster than HyperSpy; smallest cosine between subspaces {cosine:.6f}"
    )
    n, channels = 152 * 156, 1024
    print(
        f"floor of PCA: {n * channels**2 / 1e9:.0f} Gflop (half of the Gram matrix), "
        f"{n * channels * 2 / 1e6:.0f} MB read twice"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
