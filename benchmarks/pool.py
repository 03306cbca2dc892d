"""Pooling 100 × 120 × 1000 values with d = 3 against the defining loops and general filters.

The loops run on some rows only and are scaled up; ratios are medians over rounds in which all
peers run one after the other. Peak memory is what a run in a process of its own adds.
"""

import pathlib
import statistics
import subprocess
import sys
import time

ROUNDS = 5
SHAPE, D = (100, 120, 1000), 3
SIGNALS = {}  # by the array's id
SOME_ROWS = 2  # of the loops over offsets
SOME_CHANNELS = 2  # of the loops over everything


def data_of(kind):
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.random(SHAPE) if kind == "float64" else rng.integers(0, 9, SHAPE, dtype=kind)


def ours(data, weights="uniform"):
    """Pool a signal; that it was made of the array is not counted."""
    from clustem.prepare.pool import pool

    return pool(signal_of(data), d=D, weights=weights).data


def arrays_only(data):
    """Do the arithmetic alone, without the copy of a HyperSpy signal's axes and metadata."""
    import numpy as np

    from clustem.prepare._pooling import window_mean, window_norm, window_weights

    along, keep = window_weights(D, "uniform"), np.ones(SHAPE[:2], dtype=bool)
    return window_mean(data, keep, window_norm(keep, along, along), along, along)


def signal_of(data):
    """Make the signal of an array, once."""
    import hyperspy.api as hs

    if id(data) not in SIGNALS:
        SIGNALS[id(data)] = hs.signals.Signal1D(data)
    return SIGNALS[id(data)]


def scipy_filter(data, weights="uniform"):
    import numpy as np
    from scipy.ndimage import correlate1d

    away = np.arange(-D, D + 1)
    weight = np.ones(7) if weights == "uniform" else np.exp(-(away**2) / (2 * D**2))
    norm = 1.0
    for axis in (0, 1):
        ones = correlate1d(np.ones(SHAPE[axis]), weight, mode="constant")
        norm = norm * np.expand_dims(ones, 1 - axis)
        data = correlate1d(data, weight, axis=axis, mode="constant", output=np.float64)
    return data / norm[..., None]


def pixel_loop(data):
    """Two loops over the pixels, a mean over each window."""
    import numpy as np

    out = np.zeros(SHAPE)
    for i in range(SHAPE[0]):
        for j in range(SHAPE[1]):
            window = data[max(i - D, 0) : i + D + 1, max(j - D, 0) : j + D + 1]
            out[i, j] = window.mean(axis=(0, 1))
    return out


def weighted_windows(data):
    """Loop over the pixels as EELSfitter 3 does: two weighted averages for each window.

    Only pixels whose window lies inside, on some rows.
    """
    import numpy as np

    weight = np.exp(-(np.arange(-D, D + 1) ** 2) / (2 * D**2))
    out = np.zeros((SOME_ROWS, *SHAPE[1:]))
    for i in range(SOME_ROWS):
        for j in range(D, SHAPE[1] - D):
            window = data[47 + i : 54 + i, j - D : j + D + 1]
            along = np.average(window, axis=1, weights=weight)
            out[i, j] = np.average(along, axis=0, weights=weight)
    return out


def offset_loop(data):
    """Take the formula: loops over the pixels and over the offsets, spectra added one by one."""
    import numpy as np

    out = np.zeros((SOME_ROWS, *SHAPE[1:]))
    for i in range(SOME_ROWS):
        row = i + 50
        for j in range(SHAPE[1]):
            norm = 0.0
            for di in range(-D, D + 1):
                for dj in range(-D, D + 1):
                    if 0 <= j + dj < SHAPE[1]:
                        out[i, j] += 1.0 * data[row + di, j + dj]
                        norm += 1.0
            out[i, j] /= norm
    return out


def plain_loop(data):
    """Do the same with a loop over the channels too: no numpy arithmetic."""
    cube = data[47:54, :, :SOME_CHANNELS].tolist()
    out = []
    for j in range(SHAPE[1]):
        for k in range(SOME_CHANNELS):
            total = norm = 0.0
            for di in range(2 * D + 1):
                for dj in range(-D, D + 1):
                    if 0 <= j + dj < SHAPE[1]:
                        total += 1.0 * cube[di][j + dj][k]
                        norm += 1.0
            out.append(total / norm)
    return out


def timed(function, *arguments):
    """Wall-clock and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - processor


def memory(name, kind):
    """Peak memory that a run adds [MB], in a process of its own."""
    code = f"""
import numpy, pathlib, pool, re
status = pathlib.Path("/proc/self/status")  # ru_maxrss would begin with the parent's
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
data = pool.data_of({kind!r})
pool.ours(data[:9, :9]), pool.scipy_filter(numpy.zeros(pool.SHAPE, "u1")[:, :, :1])
before = peak()
pool.{name}(data)
print(peak() - before)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    folder = pathlib.Path(__file__).parent
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return int(found.stdout) / 1024


def main():
    every_row = SHAPE[0] / SOME_ROWS
    peers = {
        "clustem, uniform": (1, ours),
        "clustem, gaussian": (1, ours, "gaussian"),
        "clustem, uniform, arrays only": (1, arrays_only),
        "scipy.ndimage, separable": (1, scipy_filter),
        "loop over pixels, window means": (1, pixel_loop),
        "loop over pixels, weighted averages": (
            every_row * SHAPE[1] / (SHAPE[1] - 2 * D),
            weighted_windows,
        ),
        "loops over pixels and offsets": (every_row, offset_loop),
        "loops over pixels, offsets and channels": (
            SHAPE[0] * SHAPE[2] / SOME_CHANNELS,
            plain_loop,
        ),
    }
    for kind in ("uint16", "float64"):
        data = data_of(kind)
        for _, function, *more in list(peers.values())[:2]:
            function(data, *more)  # compile
        runs = [
            {
                name: (share, *timed(function, data, *more))
                for name, (share, function, *more) in all_
            }
            for all_ in [list(peers.items())] * ROUNDS
        ]
        print(f"{SHAPE[0]} × {SHAPE[1]} × {SHAPE[2]} {kind}, d = {D}")
        print(f"  {'':42} {'seconds':>9} {'ratio':>8} {'processor':>10} {'ratio':>8}")
        for name in peers:
            figures = []
            for i in (1, 2):
                took = [run[name][0] * run[name][i] for run in runs]
                own = [run["clustem, uniform"][i] for run in runs]
                ratio = statistics.median(a / b for a, b in zip(took, own, strict=True))
                figures += [statistics.median(took), ratio]
            print("  {:42} {:9.3f} {:8.1f} {:10.3f} {:8.1f}".format(name, *figures))
        for name in ("ours", "scipy_filter"):
            print(f"  peak memory that {name} adds, result included: {memory(name, kind):.0f} MB")


if __name__ == "__main__":
    main()
