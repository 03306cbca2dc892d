"""Grains of a 4D-STEM scan: the recipe ``diffraction`` beside LiberTEM and py4DSTEM.

LiberTEM's cluster analysis sums the pixels that vary most and joins neighbouring positions. Of
py4DSTEM, Bragg disks are found in each pattern, and a Gaussian mixture clusters which were found.
Both get the number of clusters and where the beam is, and are run with several settings, of which
the one that agrees best with the truth is printed: what nobody knows of real data. Seconds are of
the processor, of the second of two runs.

Run: ``python benchmarks/peers.py``. Peers are optional: ``pip install libertem py4dstem``. One that
needs other versions may be in another environment: ``--py4dstem OTHER/bin/python``, which then
needs no Clustem.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

K = 6


def libertem(scan: np.ndarray, about: dict) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """As the notebook that LiberTEM's own window writes of it."""
    from libertem.analysis.clust import ClusterAnalysis
    from libertem.api import Context
    from libertem.udf.stddev import StdDevUDF

    context = Context.make_with("inline")
    for n_peaks, min_dist in product((50, 200, 500), (1, 2)):
        given = {
            "cy": about["center"][0], "cx": about["center"][1], "ri": 1.4 * about["radius"],
            "ro": min(scan.shape[2:]) / 2, "n_peaks": n_peaks, "min_dist": min_dist, "n_clust": K,
        }  # fmt: skip

        def run(given=given) -> np.ndarray:
            data = context.load("memory", data=scan, sig_dims=2)
            analysis = ClusterAnalysis(data, given)
            udf = analysis.get_cluster_udf(context.run_udf(dataset=data, udf=StdDevUDF()))
            sums = context.run_udf(dataset=data, udf=udf)
            found = analysis.get_udf_results(sums, roi=None, damage=True)
            return np.asarray(found["intensity"].raw_data)

        yield f"{n_peaks} pixels at distance {min_dist}", run


def py4dstem(scan: np.ndarray, about: dict) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Disks of each pattern, binned; principal components; a Gaussian mixture."""
    import py4DSTEM
    from py4DSTEM.process.classification import Featurization

    radius = about["radius"]

    def disks(least: float):
        cube = py4DSTEM.DataCube(scan.astype(np.float32))
        probe = py4DSTEM.Probe(scan[np.array(about["vacuum"])].mean(axis=0))
        probe.get_kernel(
            mode="sigmoid", origin=tuple(about["center"]), radii=(0.8 * radius, 2.2 * radius)
        )
        found = cube.find_Bragg_disks(
            template=probe.kernel, corrPower=1, sigma_cc=1, subpixel="poly", edgeBoundary=2,
            minPeakSpacing=2 * radius, minRelativeIntensity=least, maxNumPeaks=60,
        )  # fmt: skip
        return found.raw  # its own binning looks for a name that 0.14.18 no longer gives them

    size = 4  # of a bin [px]
    for least in (0.005, 0.05):

        def run(least=least) -> np.ndarray:
            points = disks(least)
            bins = np.zeros((*scan.shape[:2], *(-(-n // size) for n in scan.shape[2:])))
            for y, x in np.ndindex(scan.shape[:2]):
                here = [
                    np.asarray(q).astype(int) // size for q in (points[y, x].qx, points[y, x].qy)
                ]
                np.add.at(bins[y, x], tuple(here), 1)
            table = bins.reshape(-1, bins[0, 0].size)
            table = table[:, table.max(axis=0) > 0]
            few = Featurization(table, *scan.shape[:2], "disks").PCA(8, return_results=True)
            part = Featurization(few, *scan.shape[:2], "components")
            part.GMM(["full"], [K], 1, random_seed=0)
            return np.asarray(part.gmm_labels[0]).reshape(scan.shape[:2])

        yield f"disks above {least:g} of the brightest", run


PEERS = {"libertem": libertem, "py4dstem": py4dstem}


def work(peer: str, folder: Path) -> None:
    """Run all settings of a peer; print versions, seconds and labels for the parent."""
    scan = np.load(folder / "scan.npy")
    about = json.loads((folder / "about.json").read_text())
    for text, run in PEERS[peer](scan, about):
        run()
        begin = time.process_time()
        labels = run()
        seconds = time.process_time() - begin
        answer = {"text": text, "seconds": seconds, "labels": labels.astype(int).tolist()}
        print(json.dumps(answer | {"version": version(peer)}), file=sys.__stdout__, flush=True)


def beside(interpreters: dict[str, str], seeds: int) -> None:
    """Print time and agreement of ours and of each peer."""
    from clustem import compare, samples, segment

    for seed, counts in product(range(seeds), (6000.0, 1500.0)):
        sample = samples.diffraction(counts=counts, random_state=seed)
        segment(sample.signal, "diffraction", n_clusters=K)
        begin = time.process_time()
        found = segment(sample.signal, "diffraction", n_clusters=K)
        ours = time.process_time() - begin
        ari = compare(found, sample.labels).ari
        print(f"seed {seed}, {counts:g} electrons, {sample.signal.data.shape}")
        print(f"  Clustem       {ari:6.3f} {ours:7.2f} s")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            np.save(folder / "scan.npy", sample.signal.data)
            about = {"center": sample.center, "radius": sample.radius}
            about["vacuum"] = (sample.labels == 0).tolist()
            (folder / "about.json").write_text(json.dumps(about))
            for peer, python in interpreters.items():
                command = [python, __file__, "--work", peer, "--folder", name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                lines = [json.loads(s) for s in done.stdout.splitlines() if s.startswith("{")]
                if not lines:
                    print(f"  {peer}: not installed, or it failed: {done.stderr.strip()[-200:]}")
                    continue
                scored = [
                    (compare(np.array(one["labels"], dtype=np.int16), sample.labels).ari, one)
                    for one in lines
                ]
                best, one = max(scored, key=lambda pair: pair[0])
                median = float(np.median([score for score, _ in scored]))
                print(
                    f"  {peer} {one['version']:8} {best:6.3f} {one['seconds']:7.2f} s, "
                    f"{one['seconds'] / ours:.1f} times; {one['text']}; median of "
                    f"{len(scored)} settings {median:.3f}"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for peer_name in PEERS:
        parser.add_argument(f"--{peer_name}", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--work", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.folder)
    else:
        beside({name: getattr(options, name) for name in PEERS}, options.seeds)
