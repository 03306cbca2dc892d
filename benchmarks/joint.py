"""How well several detectors together find phases that none of them finds alone.

Run: ``python benchmarks/joint.py [--seeds 10]``. Simulated scans (``samples.joint``): EELS tells
one phase from two others, EDS another one from two. ARI of both together, of each alone by the same
mixture, with a detector of noise beside them, with an image; the number of clusters not given; how
often signals of two areas, and of one area shifted, are taken for what they are.
"""

import argparse
import warnings

import hyperspy.api as hs
import numpy as np
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.core import ClustemError


def ari(labels, found):
    inside = ~found.mask
    return adjusted_rand_score(labels[inside], found.labels.data[inside])


def noise_like(signal, seed):
    """Draw counts without structure, as many as a signal has."""
    rng = np.random.default_rng(seed)
    mean = signal.data.mean(axis=(0, 1))
    out = hs.signals.Signal1D(rng.poisson(np.broadcast_to(mean, signal.data.shape)))
    out.set_signal_type("EDS_TEM")
    out.axes_manager[-1].units, out.axes_manager[-1].scale = "keV", 0.01
    return out


def placed(given):
    """Whether signals are refused, and where they are found to lie."""
    try:
        found = clustem.segment(given, "joint", n_clusters=3)
    except ClustemError:
        return "refused"
    return next(iter(found.placements.values())).shift


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    rows, places = [], []
    for seed in range(parser.parse_args().seeds):
        sample = samples.joint(random_state=seed)
        eels, eds, haadf = sample.signals.values()
        both = {"eels": eels, "eds": eds}
        given = [
            (both, 3),
            ({"eels": eels}, 3),
            ({"eds": eds}, 3),
            ({**both, "eds_2": noise_like(eds, seed)}, 3),
            ({**both, "haadf": haadf}, 3),
            (both, "auto"),
        ]
        found = []
        for signals, k in given:
            if len(signals) == 1:  # the same with a signal that weighs nothing beside it
                other = {"eels": eds, "eds": eels}[next(iter(signals))]
                settings = {"other.weight": 0.0}
                result = clustem.segment(
                    {**signals, "other": other}, "joint", n_clusters=k, settings=settings
                )
            else:
                result = clustem.segment(signals, "joint", n_clusters=k)
            found.append(ari(sample.labels, result))
        found.append(result.n_clusters)
        rows.append(found)
        other = samples.joint(random_state=seed + 1000).signals
        moved = {"eels": eels.inav[3:, 4:], "eds": eds.inav[:-3, :-4]}
        places.append((placed({"eels": eels, "eds": other["eds"]}), placed(moved)))
        print(seed, np.round(found, 3), *places[-1], flush=True)
    names = ("both", "EELS", "EDS", "with noise", "with HAADF", "k auto")
    for name, column in zip(names, np.array(rows).T, strict=False):
        print(f"{name}: median {np.median(column):.3f}, worst {column.min():.3f}")
    print("k:", sorted(int(row[-1]) for row in rows))
    print("other areas refused:", sum(one == "refused" for one, _ in places), "of", len(places))
    print("shifts of (4, 3):", [where for _, where in places])


if __name__ == "__main__":
    main()
