"""What it takes to open a scan in each format, to get its first block, and to pass over it.

Run: ``python benchmarks/formats.py [--mb 300] [--folder DIR] [FILE ...]``. Scans of uint16
patterns are written here in the formats that can be, and by hand where it is simple (.mib,
.mrc); files of your own may be named instead. Each is read in a process of its own, left on disk
(``lazy=True``); the files are in the system's cache. Memory is the largest resident size, less that
of a process that has opened a tiny file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_FORMATS = ("npy", "blo", "hspy", "zspy", "emd", "mib", "mrc", "tvips", "prz", "tif")


def write(folder: Path, kind: str, megabytes: float) -> Path:
    """Write patterns of 128 x 128 pixels."""
    import hyperspy.api as hs

    n = max(2, round((megabytes * 1e6 / (2 * 128 * 128)) ** 0.5))
    rng = np.random.default_rng(0)
    shapes = rng.gamma(0.3, 8.0, (64, 128, 128))
    data = rng.poisson(shapes[rng.integers(0, 64, n * n)]).astype(np.uint16)
    data = data.reshape(n, n, 128, 128)
    path = folder / f"scan_{n}.{kind}"
    if kind == "npy":
        np.save(path, data)
    elif kind == "mib":
        mib(path, data)
    elif kind == "mrc":
        head = np.zeros(256, dtype="<i4")
        head[:4], head[7:10] = (128, 128, n * n, 6), (128, 128, n * n)
        with path.open("wb") as file:
            head.tofile(file)
            data.tofile(file)
    else:
        data = data.clip(0, 255).astype(np.uint8) if kind == "blo" else data
        signal = hs.signals.Signal2D(data.reshape(n * n, 128, 128) if kind == "tif" else data)
        signal.save(path, overwrite=True)
    return next(folder.glob(f"scan_{n}*.{kind}"))  # TVIPS' files are numbered


def mib(path: Path, data) -> None:
    """Write a Merlin file: 384 bytes before each frame, big-endian, bottom row first."""
    rows, columns = data.shape[-2:]
    with path.open("wb") as file:
        for i, frame in enumerate(data.reshape(-1, rows, columns)):
            head = f"MQ1,{i + 1:06d},00384,01,{columns:04d},{rows:04d},U16,   1x1,01,"
            head += "2024-05-06 10:00:00.000000000,0.001000,0,0,0,1.2E+2,"
            head += "MQ1A,2024-05-06T10:00:00.000000000Z,1000000ns,12,"
            file.write(head.ljust(384).encode())
            file.write(frame[::-1].astype(">u2").tobytes())
    frames = {"per Trigger": data.shape[1], "in Acquisition": data.shape[0] * data.shape[1]}
    lines = "".join(f"Frames {name} (Number):\t{value}\n" for name, value in frames.items())
    path.with_suffix(".hdr").write_text(f"HDR\t\n{lines}End\t\n")


def read(path: Path) -> dict[str, float]:
    """Open a file, take a block, make a pass."""
    import hyperspy.api  # noqa: F401  # its import is no part of the times

    from clustem.io.reading import read as open_scan
    from clustem.passes.rows import Rows
    from clustem.passes.storage import is_dask

    start = time.perf_counter()
    signal = open_scan(path, lazy=True).signal
    opened = time.perf_counter()
    rows = Rows(signal.data, row_ndim=signal.axes_manager.signal_dimension)
    rows.take(np.arange(2))
    first = time.perf_counter()
    for _ in rows.map(lambda block, _: int(block[:, ::64].sum())):
        pass
    return {
        "gb": rows.nbytes / 1e9,
        "open": opened - start,
        "block": first - opened,
        "pass": time.perf_counter() - first,
        "memory": int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6,
        "lazy": is_dask(signal.data),
    }


def in_a_process(path: Path) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", __file__, "--read", path]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode:
        return {"error": found.stderr.strip().splitlines()[-1][:150]}
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--mb", type=float, default=300)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read(given.read)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        base = in_a_process(write(Path(folder), "npy", 1))["memory"]
        print("| file | size [GB] | open [s] | first block [s] | pass [s/GB] | memory [GB] |")
        print("|---|---|---|---|---|---|")
        for item in given.files or _FORMATS:
            path = item if isinstance(item, Path) else write(Path(folder), item, given.mb)
            found = in_a_process(path)
            name = path.name if given.files else path.suffix
            if "error" in found:
                print(f"| `{name}` | {found['error']} |")
                continue
            print(
                f"| `{name}` | {found['gb']:.2f} | {found['open']:.2f} | {found['block']:.2f} "
                f"| {found['pass'] / found['gb']:.2f} | {max(0, found['memory'] - base):.2f} |"
            )
            if not given.files:
                path.unlink() if path.is_file() else None


if __name__ == "__main__":
    main()
