"""Click at random in the explorer's page, as a user who tries everything would.

``python tools/clicks.py --seconds 1800`` serves samples, opens Chromium, clicks for half an hour
and looks at the server's memory, in which PyTorch is loaded from the start, as some recipes load
it; ``tests/front/test_app_browser.py`` clicks for a few seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONTROLS = "button:visible, select:visible, summary:visible, .plot.map:visible, " + ", ".join(
    f"input[type={kind}]:visible" for kind in ("checkbox", "radio", "range", "text", "number")
)
TEXTS = (
    "",
    "-1",
    "3",
    "2:4",
    "1e99",
    "nan",
    "<b>x</b>",
    "../x",
    "é" * 70,
    "auto",
    "rows 2:9, columns 3:8",
)
LEFT_OUT = ("Download", "Figures", "Save in", "Recipe")
"""Buttons that write or download files: each takes seconds."""
RESTS = 0.4
"""Processor time in four seconds below which the server does nothing more [s]."""
PATIENCE = 1500
"""Time for one action; what was drawn anew meanwhile is not waited for [ms]."""
FIRST = "eds.hspy"
"""The file that is open when the server's memory is looked at."""
GROWS = 60.0
"""Memory that the server may take in the second half beyond that in the first [MB]."""


def act(page, rng: random.Random) -> str:
    """Do one thing in the page; return what.

    Parameters
    ----------
    page
        Of Playwright.
    rng
        Chooses.
    """
    controls = page.locator(CONTROLS)
    count = controls.count()
    if not count:
        return "nothing"
    one = controls.nth(rng.randrange(count))
    kind = one.evaluate("node => node.type === undefined ? node.className : node.type")
    if "map" in str(kind).split():
        return _on_map(page, one, rng)
    if kind == "select-one":
        options = one.locator("option").count()
        one.select_option(index=rng.randrange(max(options, 1)), timeout=PATIENCE)
    elif kind in {"text", "number"}:
        text = rng.choice(TEXTS)
        number = re.fullmatch(r"-?\d+", text) is not None
        one.fill(text if kind == "text" or number else "7", timeout=PATIENCE)
        one.press("Enter", timeout=PATIENCE)
    elif kind == "range":
        one.press(rng.choice(("ArrowLeft", "ArrowRight", "Home", "End")), timeout=PATIENCE)
    elif kind in {"checkbox", "radio"} or not _is_left_out(one):
        one.click(timeout=PATIENCE, no_wait_after=True)
    return str(kind or "fold")


def _is_left_out(one) -> bool:
    return one.inner_text(timeout=PATIENCE).startswith(LEFT_OUT)


def _on_map(page, one, rng: random.Random) -> str:
    """Move, click, drag or turn the wheel on the map."""
    box = one.bounding_box()

    def place() -> tuple[float, float]:
        return (
            box["x"] + rng.uniform(0.02, 0.98) * box["width"],
            box["y"] + rng.uniform(0.02, 0.98) * box["height"],
        )

    page.mouse.move(*place())
    what = rng.choice(("move", "click", "drag", "wheel", "undo"))
    if what == "click":
        page.mouse.click(*place())
    elif what == "drag":
        page.mouse.down()
        for _ in range(4):
            page.mouse.move(*place(), steps=2)
        page.mouse.up()
    elif what == "wheel":
        page.mouse.wheel(0, rng.choice((-200, 200)))
    elif what == "undo":
        page.keyboard.press("Control+z")
    return what


def clicked(page, rng: random.Random, seconds: float) -> Counter[str]:
    """Click for a time; return what was done.

    Raises
    ------
    AssertionError
        If the page says that something went wrong inside, or that the server is gone.
    """
    from playwright.sync_api import Error

    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            done[act(page, rng)] += 1
        except Error:  # it was drawn anew, or is covered
            done["gone"] += 1
        said = page.locator("footer [data-key=status]")
        text = said.inner_text() if said.count() else ""
        if "Something went wrong" in text:
            raise AssertionError(text)
    return done


@contextmanager
def logged(log) -> Iterator[None]:
    """Print the end of what a server has logged if something goes wrong."""
    try:
        yield
    except BaseException:
        log.seek(0)
        sys.stdout.write("".join(log.readlines()[-60:]))
        raise


def anonymous(pid: int) -> float:
    """Memory of a process without mapped files [MB]."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1000


def processor_time(pid: int) -> float:
    """Processor time that a process has taken [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_rest(page, pid: int) -> float:
    """Memory of the server with the first file open again, once all else has ended [MB].

    What was open and found before is closed by then; a cancelled job may go on until it ticks.
    """
    from _browser import UNFOLD, button, show_files
    from playwright.sync_api import Error, expect

    cancel = page.get_by_role("button", name="Cancel", exact=True).locator("visible=true")
    if cancel.count():
        with suppress(Error):  # it has just ended, or is being cancelled
            cancel.first.click(timeout=PATIENCE)
    expect(cancel).to_have_count(0, timeout=60_000)
    page.keyboard.press("Escape")
    files = page.get_by_label("Files")
    files.evaluate(UNFOLD)
    page.wait_for_timeout(1000)  # the last click may have shown or hidden it
    show_files(page)
    files.locator("option").filter(has_text=FIRST).click()
    button(page, "Open").click()  # and it is run where "auto" was clicked
    expect(page.locator("header [data-key=open]")).to_contain_text(FIRST)
    for _ in range(120):
        before = processor_time(pid)
        page.wait_for_timeout(4000)  # what was closed is given back after two seconds
        if processor_time(pid) - before < RESTS:
            break
    return anonymous(pid)


def main() -> int:
    """Click; return 1 if anything went wrong or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "front"))
    from _browser import open_file, serving, sync_api, visiting

    from clustem.core import registry

    rng, done, sizes = random.Random(options.seed), Counter(), []
    with (
        tempfile.TemporaryDirectory(prefix="clustem-clicks-") as name,
        Path(name, "log").open("w+", encoding="utf-8") as log,
    ):
        root = Path(name, "shared")
        root.mkdir()
        for kind, shape in (("eds", (24, 30)), ("diffraction", (10, 12)), ("domains", (128, 144))):
            registry("samples")[kind].step(shape=shape).signal.save(root / f"{kind}.hspy")
        given = ["--root", str(root)]
        loaded = "import contextlib\nwith contextlib.suppress(ImportError):\n    import torch\n"
        with (
            logged(log),
            serving(*given, before=loaded, errors=log) as (url, server),
            sync_api.sync_playwright() as play,
        ):
            flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = play.chromium.launch(executable_path=options.chromium, args=flags)
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            with visiting(context, url) as page:
                page.on(
                    "console", lambda one: page.wrong.append(one.text) if one.type == "error" else 0
                )
                open_file(page, FIRST)
                for _ in range(10):
                    done += clicked(page, rng, options.seconds / 10)
                    sizes.append(at_rest(page, server.pid))
                    print(f"{sum(done.values())} actions, {sizes[-1]:.0f} MB", flush=True)
            browser.close()
    grown = max(sizes[5:]) - max(sizes[:5])
    print(f"{dict(done)}; memory of the second half beyond that of the first: {grown:.0f} MB")
    return int(grown > GROWS)


if __name__ == "__main__":
    sys.exit(main())
