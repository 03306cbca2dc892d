"""Passes over a 4D-STEM scan on disk, beside LiberTEM's, on one core.

Run where LiberTEM is installed: ``python benchmarks/passes.py [--copies 1] [--folder DIR]``. Both
read the same bytes of a raw file in the system's cache, in turn: the sum under one annular mask,
and the sums of the patterns of each of six clusters. LiberTEM runs its inline executor; its sums by
cluster are a product of a one-hot matrix with each tile in float32, the fastest of what was tried.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from libertem.api import Context
from libertem.executor.inline import InlineJobExecutor
from libertem.udf import UDF
from libertem.udf.masks import ApplyMasksUDF

from clustem.passes.cluster_sums import cluster_sums
from clustem.passes.group_sums import group_sums
from clustem.passes.rows import Rows

_RUNS = 5
_CLUSTERS = 6


class SumsByLabel(UDF):
    """Sum of the frames of each label."""

    def get_result_buffers(self):
        """Name the sums."""
        shape = (_CLUSTERS, *tuple(self.meta.dataset_shape.sig))
        return {"sums": self.buffer(kind="single", extra_shape=shape, dtype="float32")}

    def process_tile(self, tile):
        """Add the frames of a tile."""
        hot = np.zeros((_CLUSTERS, len(tile)), dtype=np.float32)
        labels = self.params.labels[: len(tile)]
        hot[labels, np.arange(len(tile))] = 1
        flat = tile.reshape(len(tile), -1).astype(np.float32, copy=False)
        sig = self.meta.sig_slice.get()
        self.results.sums[(slice(None), *sig)] += (hot @ flat).reshape(_CLUSTERS, *tile.shape[1:])

    def merge(self, dest, src):
        """Add the sums of a partition."""
        dest.sums[:] += src.sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        npy, raw = Path(folder, "scan.npy"), Path(folder, "scan.raw")
        size = Path(__file__).with_name("size.py")
        command = [sys.executable, size, "--copies", str(given.copies), "--write", npy]
        subprocess.run(command, check=True)
        scan = np.load(npy, mmap_mode="r")
        np.asarray(scan).tofile(raw)
        compare(scan, raw)


def compare(scan, raw) -> None:
    context = Context(executor=InlineJobExecutor())
    n = int(np.prod(scan.shape[:2]))
    dataset = context.load(
        "raw", path=str(raw), dtype=scan.dtype, nav_shape=scan.shape[:2], sig_shape=scan.shape[2:]
    )
    y, x = np.indices(scan.shape[2:]) - 71.5
    ring = (np.hypot(y, x) > 20) & (np.hypot(y, x) < 60)
    labels = np.random.default_rng(0).integers(0, _CLUSTERS, n)
    mask = np.zeros(scan.shape[:2], dtype=bool)
    number = np.where(ring, 0, -1).ravel()

    def their_mask():
        udf = ApplyMasksUDF([lambda: ring.astype(np.float32)])
        return context.run_udf(dataset, udf)["intensity"].data.ravel()

    def our_mask():
        return group_sums(Rows(scan, row_ndim=2), number, 1).ravel()

    def their_sums():
        udf = SumsByLabel(labels=SumsByLabel.aux_data(labels, kind="nav", dtype=labels.dtype))
        return context.run_udf(dataset, udf)["sums"].data

    def our_sums():
        found = cluster_sums(scan, labels, _CLUSTERS, mask=mask)
        return found.means * found.counts[:, None, None]

    print(f"{scan.nbytes / 1e9:.2f} GB of {scan.dtype}, one core, {_RUNS} runs each in turn")
    for title, theirs, ours in (
        ("one mask", their_mask, our_mask),
        ("sums by cluster", their_sums, our_sums),
    ):
        np.testing.assert_allclose(theirs(), ours(), rtol=1e-3)  # and both are compiled
        times = [(clock(theirs), clock(ours)) for _ in range(_RUNS)]
        slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(one / other for one, other in times)
        print(
            f"{title:16} LiberTEM {scan.nbytes / 1e9 / slow:.2f} GB/s, "
            f"Clustem {scan.nbytes / 1e9 / fast:.2f} GB/s, {ratio:.1f}x"
        )
    print("Clustem's sums by cluster include those of the squares, for the standard errors")


def clock(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
