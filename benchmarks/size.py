"""Cost of a whole recipe on a scan that stays on disk, beside one bare read of the file.

Run: ``python benchmarks/size.py [--copies 4] [--recipe diffraction] [--folder DIR]``. Each copy of
the scan is 0.65 GB of uint8 patterns of 144 × 144 pixels. Reads are counted in the passes: bytes
handed to a step, over the bytes of the file.
"""

from __future__ import annotations

import argparse
import logging
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import clustem
from clustem.passes import rows as passes
from clustem.passes import storage
from clustem.samples import diffraction

_SHAPE = 60, 65  # of the scan that is repeated; 8 of them are a copy
_RUNS = 3


class Reads:
    """Counts the bytes of all blocks that are handed out."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        apply = passes._Block.apply

        def counted(block, function):
            if passes.is_dask(block.data) or storage._is_memmap_view(block.data):
                size = int(np.prod(block.data.shape[-2:])) * block.data.dtype.itemsize
                with self._lock:
                    self.total += len(block.where) * size
            return apply(block, function)

        passes._Block.apply = counted


def write(path: Path, copies: int) -> None:
    """Write a scan of 2 x 4 x copies tiles, each with noise of its own."""
    small = diffraction(shape=_SHAPE, detector=(144, 144), dtype="uint8").signal.data
    rng = np.random.default_rng(0)
    shape = (2 * _SHAPE[0] * copies, 4 * _SHAPE[1], 144, 144)
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for i in range(2 * copies):
        for j in range(4):
            rows = slice(i * _SHAPE[0], (i + 1) * _SHAPE[0])
            columns = slice(j * _SHAPE[1], (j + 1) * _SHAPE[1])
            whole[rows, columns] = np.minimum(rng.poisson(small, small.shape), 255)


def bare(path: Path) -> float:
    """Read all bytes once, in two threads."""
    data = np.load(path, mmap_mode="r")
    start = time.perf_counter()
    for _ in passes.Rows(data, row_ndim=2).map(lambda block, _: int(block.sum(dtype=np.uint64))):
        pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--recipe", default="diffraction")
    parser.add_argument("-k", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args()
    if given.write:
        write(given.write, given.copies)
        return
    logging.disable(logging.ERROR)
    reads = Reads()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "scan.npy"
        subprocess.run(
            [sys.executable, __file__, "--copies", str(given.copies), "--write", path], check=True
        )
        size = path.stat().st_size
        print(f"{size / 1e9:.2f} GB, recipe {given.recipe}, k = {given.k or 'auto'}")
        for _ in range(_RUNS):
            once = bare(path)
            reads.total, wall, cpu = 0, time.perf_counter(), time.process_time()
            result = clustem.segment(path, given.recipe, n_clusters=given.k)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"bare read {once:.2f} s; recipe {wall:.2f} s = {wall / once:.1f}x, "
                f"{cpu:.1f} CPU s, {reads.total / size:.2f} reads, "
                f"peak {peak:.2f} GB, k = {result.n_clusters}"
            )
        for step in result.history:
            print(f"  {step.stage}.{step.name:20} {step.seconds:8.2f} s")


if __name__ == "__main__":
    main()
