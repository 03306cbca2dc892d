"""How long the explorer lets one wait on a large 4D-STEM scan.

Usage: ``python benchmarks/explorer.py [SCAN.npy]``; without a file a scan of (181, 172, 144, 144)
uint8 is made. Through the session's own state: until the first image, masked k-means with k = 6,
how often it tells how far it is, reading one position. In Chromium, where it is there: from a move
of the mouse to the pattern that was sent back. What Numba compiles once per installation is left
out: a small scan runs first.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from clustem import samples, segment
from clustem.app.session.state import Explorer

SHAPE = (181, 172, 144, 144)
K = 6
MOVES = 120


def make(path):
    """Write a scan of six textures of spots in stripes, with counting noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:144, :144] - 72
    beam = 40 * np.exp(-(rows**2 + columns**2) / 40) + 0.3
    means = np.tile(beam, (K, 1, 1))
    for i, y, x in zip(np.repeat(range(K), 12), *rng.integers(-60, 60, (2, 12 * K)), strict=True):
        means[i] += 4 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12)
    data = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=SHAPE)
    for i in range(SHAPE[0]):
        label = (i // 8 + np.arange(SHAPE[1]) // 20) % K
        data[i] = np.minimum(rng.poisson(means[label].astype(np.float32)), 255)
    data.flush()


def state(path):
    """Time the session behind the page."""
    explorer = Explorer(path.parent, lambda call: call())
    begun, marks = time.perf_counter(), {}
    explorer.param.watch(lambda _: marks.setdefault("picture", time.perf_counter()), "picture")
    told = []
    explorer.jobs.param.watch(lambda event: told.append(event.new), "status")
    explorer.open_path(path.name)
    explorer.jobs.wait(120)
    print(f"first image            {marks['picture'] - begun:8.2f} s   (must be < 5 s)")
    explorer.choose("diffraction")
    explorer.change({"cluster.n_clusters": K})
    explorer.background.wait(120)
    told.clear()
    begun = time.perf_counter()
    explorer.run()
    explorer.jobs.wait(300)
    took = time.perf_counter() - begun
    print(f"masked k-means, k = {K}  {took:8.2f} s   (must be < 10 s)")
    print(f"  its progress was told {len(told)} times; {explorer.message.text}")
    rng, trips = np.random.default_rng(0), []
    for row, column in zip(rng.integers(0, 181, MOVES), rng.integers(0, 172, MOVES), strict=True):
        x, y = explorer.picture.frame.middle(int(row), int(column))
        begun = time.perf_counter()
        explorer.look(x, y)
        trips.append(1e3 * (time.perf_counter() - begun))
    print(f"reading a position     {median(trips):8.2f} ms  (slowest {max(trips):.1f} ms)")
    explorer.close()


def browser(path):
    """Time the mouse in a real browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("no Playwright or no chromium: the browser was not measured")
        return
    start = "from clustem.cli import main; main()"
    command = [sys.executable, "-c", start, "serve", str(path), "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        url = server.stdout.readline().split()[-1]
        window = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = window.new_page(viewport={"width": 1366, "height": 768})
        page.goto(url)
        line = page.locator("footer [data-key=status]").filter(has_text="is open")
        line.wait_for(timeout=60_000)
        page.get_by_role("button", name="Run", exact=True).click()
        line = page.locator("footer [data-key=status]").filter(has_text="clusters, ")
        line.wait_for(timeout=120_000)
        box = page.locator(".plot.map").bounding_box()
        rng = np.random.default_rng(0)
        for x, y in rng.uniform(0.25, 0.75, (MOVES, 2)):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.wait_for_function("() => window.clustemPointer && !window.clustemPointer.waiting")
        trips = sorted(page.evaluate("window.clustemPointer.trips"))
        late = trips[int(0.95 * len(trips))]
        print(
            f"mouse to pattern       {median(trips):8.2f} ms  (95 % below {late:.1f} ms; < 100 ms)"
        )
        window.close()
        server.terminate()


def main():
    """Measure on the file that is given, or on one that is made."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(folder) / "scan.npy"
        if not path.exists():
            make(path)
        print(f"{np.load(path, mmap_mode='r').shape}")
        segment(samples.diffraction(shape=(36, 40)).signal, "diffraction")
        state(path)
        browser(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory of the session {peak:.2f} GiB")


if __name__ == "__main__":
    main()
