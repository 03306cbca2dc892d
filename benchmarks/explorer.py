"""How long the explorer lets one wait, and what memory it keeps.

Usage: ``python benchmarks/explorer.py [FILE] [--recipe NAME] [-k K] [--sessions N]``; without a
file a scan of (181, 172, 144, 144) uint8 is made. Through the session's own state: until the first
image, the run beside that of the command line, reading one position. In Chromium, where it is
there: the page, from a move of the mouse to the pattern that was sent back, and the server's memory
over sessions that open, run and leave. What Numba compiles once per installation is left out: a run
on a small scan comes first.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np

from clustem import samples, segment
from clustem.app.session.state import Explorer
from clustem.app.web.guard import SESSION

SHAPE = (181, 172, 144, 144)
K = 6
MOVES = 400
VISITORS = 9
CLI = [sys.executable, "-c", "from clustem.cli import main; main()"]
LEAVE = "import clustem.app.web.server as server; server._LEAVE = 1000; "
"""Sessions end a second after their page, so that what stays of them can be seen."""


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


def state(path, recipe, k):
    """Time the session behind the page."""
    explorer = Explorer(path.parent, lambda call: call())
    for what in ("first image, first file", "first image again"):  # HyperSpy is imported once
        begun, marks = time.perf_counter(), {}
        watcher = explorer.param.watch(
            lambda _, marks=marks: marks.setdefault("picture", time.perf_counter()), "picture"
        )
        explorer.open_path(path.name)
        explorer.jobs.wait(600)
        explorer.param.unwatch(watcher)
        print(f"{what:24}{marks['picture'] - begun:8.2f} s", flush=True)
    explorer.choose(recipe)
    if k:
        explorer.change({"cluster.n_clusters": k})
    explorer.background.wait(600)
    told = []
    explorer.jobs.param.watch(lambda event: told.append(event.new), "status")
    begun = time.perf_counter()
    explorer.run()
    explorer.jobs.wait(900)
    took = time.perf_counter() - begun
    print(f"run: {recipe:19}{took:8.2f} s   (progress was told {len(told)} times)")
    print(f"  {explorer.message.text}", flush=True)
    rows, columns = explorer.picture.frame.shape
    rng, trips = np.random.default_rng(0), []
    for row, column in zip(
        rng.integers(0, rows, MOVES), rng.integers(0, columns, MOVES), strict=True
    ):
        x, y = explorer.picture.frame.middle(int(row), int(column))
        begun = time.perf_counter()
        explorer.look(x, y)
        trips.append(1e3 * (time.perf_counter() - begun))
    print(f"reading a position      {median(trips):8.2f} ms  (slowest {max(trips):.1f} ms)")
    explorer.close()


def command(path, recipe, k):
    """Time the command line on the same."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["run", str(path), "-r", recipe, "-o", f"{folder}/out", *(["-k", str(k)] * bool(k))]
        begun = time.perf_counter()
        subprocess.run([*CLI, *given], check=True, capture_output=True)
        took = time.perf_counter() - begun
    print(f"clustem run             {took:8.2f} s   (start, run, report)", flush=True)


def memory(pid):
    """Memory of a process, all and without mapped files [MB]."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return [int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1000 for name in ("VmRSS", "RssAnon")]


def browser(path, recipe, sessions):
    """Time the page and the mouse in a real browser, and watch the server's memory."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("no Playwright or no chromium: the browser was not measured")
        return
    start = [sys.executable, "-c", LEAVE + CLI[2], "serve", str(path), "--port", "0"]
    with (
        subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        url = server.stdout.readline().split()[-1]
        window = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        sizes = []
        for i in range(max(sessions, 1)):
            context = window.new_context(viewport={"width": 1366, "height": 768})
            page = context.new_page()
            begun = time.perf_counter()
            page.goto(url)
            shown = time.perf_counter() - begun
            _said(page, "is open|clusters, ")
            page.locator("header").get_by_label("Recipe").select_option(recipe)
            begun = time.perf_counter()
            page.get_by_role("button", name="Run", exact=True).click()
            _said(page, r"\d+ clusters, ")
            ran = time.perf_counter() - begun
            if i == 0:
                _cursor(page)
                pages = _pages(url)
                print(
                    f"GET /                   {median(pages):8.2f} s   (slowest {max(pages):.2f})"
                )
            context.close()
            time.sleep(8)
            sizes.append(memory(server.pid))
            whole, own = sizes[-1]
            print(f"session {i}: page {shown:.2f} s, run {ran:.2f} s, then {whole:.0f} MB resident,"
                  f" {own:.0f} MB without files", flush=True)  # fmt: skip
        grown = [last - first for first, last in zip(sizes[0], sizes[-1], strict=True)]
        print(
            f"memory after {len(sizes)} sessions: {grown[0]:+.0f} MB, {grown[1]:+.0f} without files"
        )
        window.close()
        server.terminate()
        begun = time.perf_counter()
        server.wait(30)
        print(f"ended                   {time.perf_counter() - begun:8.2f} s after SIGTERM")


def _said(page, pattern):
    line = page.locator("footer [data-key=status]").filter(has_text=re.compile(pattern))
    line.wait_for(timeout=300_000)


def _pages(url):
    """Time how long new visitors wait, for each of whom a page is made."""
    cookies = CookieJar()
    visitor = build_opener(HTTPCookieProcessor(cookies))
    visitor.open(url).close()  # shows the token
    found = []
    for _ in range(VISITORS):
        for cookie in [one for one in cookies if one.name == SESSION]:
            cookies.clear(cookie.domain, cookie.path, cookie.name)
        begun = time.perf_counter()
        with visitor.open(url.partition("login")[0]) as answer:
            answer.read()
        found.append(time.perf_counter() - begun)
    return found


def _cursor(page):
    box = page.locator(".plot.map").bounding_box()
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0.25, 0.75, (MOVES, 2)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function("() => window.clustemPointer && !window.clustemPointer.waiting")
    trips = sorted(page.evaluate("window.clustemPointer.trips"))
    late = trips[int(0.99 * len(trips))]
    print(
        f"mouse to what is there  {median(trips):8.2f} ms  (99 % below {late:.1f} ms)", flush=True
    )


def main():
    """Measure on the file that is given, or on one that is made."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--recipe", default="diffraction")
    parser.add_argument("-k", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file.resolve() if options.file else Path(folder) / "scan.npy"
        if not path.exists():
            make(path)
        print(path.name, flush=True)
        sample = getattr(samples, options.recipe.partition("-")[0])
        segment(sample(shape=(36, 40)).signal, options.recipe)
        state(path, options.recipe, options.k)
        command(path, options.recipe, options.k)
        browser(path, options.recipe, options.sessions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory of the session {peak:.2f} GiB")


if __name__ == "__main__":
    main()
