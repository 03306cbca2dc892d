"""Cost of a 4D-STEM scan on disk: of a pass, and of what is computed in one, beside peers.

Ratios are medians over runs that alternate, so a busy machine slows both sides alike.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hyperspy.api as hs
import numpy as np

from clustem.describe import radial_profile, virtual_detectors
from clustem.io._formats import open_file
from clustem.io.blockfile import write_blo
from clustem.passes.rows import Rows
from clustem.prepare import bad_pixels, beam_mask, beam_shift
from clustem.samples import diffraction

_RUNS = 5


def total(data):
    """One pass that does next to nothing."""
    parts = Rows(data, row_ndim=2).map(lambda block, _: int(block.sum(dtype=np.int64)))
    return sum(part for _, part in parts)


def by_matrix(signal, table_of):
    """Rings as a float matrix product, as virtual detectors are often computed."""
    masks = table_of(signal)
    flat = signal.data.reshape(-1, masks.shape[0])
    return np.concatenate(
        [flat[i : i + 2000].astype(np.float32) @ masks for i in range(0, len(flat), 2000)]
    )


def ring_matrix(signal):
    shape = signal.data.shape[-2:]
    row, column = np.indices(shape)
    ring = np.hypot(row - shape[0] / 2, column - shape[1] / 2).astype(int).ravel()
    return np.eye(ring.max() + 1, dtype=np.float32)[ring]


def compare(name: str, ours: Callable[[], object], peer_name: str, peer: Callable[[], object]):
    """Print median seconds of both and the median of the ratios of neighbouring runs."""
    times = []
    ours(), peer()  # compile, fill caches
    for _ in range(_RUNS):
        marks = [time.perf_counter()]
        for run in (ours, peer):
            run()
            marks.append(time.perf_counter())
        times.append(np.diff(marks))
    mine, other = np.median(times, axis=0)
    ratio = statistics.median(b / a for a, b in times)
    print(f"{name:34} {mine:7.3f} s   {peer_name:38} {other:7.3f} s   {ratio:5.2f}x")


def main() -> None:
    logging.disable(logging.ERROR)
    scale = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    small = diffraction(shape=(30, 43), detector=(144, 144)).signal
    data = np.tile(small.data, (scale, 2, 1, 1))
    whole = hs.signals.Signal2D(data)
    for axis, source in zip(whole.axes_manager._axes, small.axes_manager._axes, strict=True):
        axis.scale, axis.units = source.scale, source.units
    whole.metadata.add_dictionary(small.metadata.as_dictionary())
    with tempfile.TemporaryDirectory() as folder:
        path = write_blo(whole, Path(folder) / "scan.blo")
        mapped, chunked = open_file(path, lazy=None)[0], open_file(path, lazy=True)[0]
        theirs = hs.load(path, lazy=True)
        print(f"{data.shape} uint8 .blo, {data.nbytes / 1e6:.0f} MB, {_RUNS} runs")
        compare(
            "pass, mapped",
            lambda: total(mapped.data),
            "dask, RosettaSciIO's chunks",
            lambda: total(theirs.data),
        )
        compare(
            "pass, lazy, whole patterns",
            lambda: total(chunked.data),
            "dask, RosettaSciIO's chunks",
            lambda: total(theirs.data),
        )
        center = (data.shape[2] / 2, data.shape[3] / 2)
        compare(
            "radial profile",
            lambda: radial_profile(mapped, center=center),
            "float32 matrix product (numpy)",
            lambda: by_matrix(mapped, ring_matrix),
        )
        for name, run in (
            ("virtual detectors", lambda: virtual_detectors(mapped, center=center, inner=8.0)),
            ("bad pixels", lambda: bad_pixels(mapped)),
            ("beam mask", lambda: beam_mask(mapped)),
            ("descan: find the beams", lambda: beam_shift(mapped)),
            ("descan: find and shift", lambda: total(beam_shift(mapped).data)),
        ):
            compare(name, run, "a pass that only sums", lambda: total(mapped.data))


if __name__ == "__main__":
    main()
