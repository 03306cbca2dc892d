"""Draw the pictures of README and of the explorer's page: ``make pictures`` writes docs/images.

``make docs`` draws them anew for its own pages, beside them. Pictures of the explorer need Chromium
(``CLUSTEM_CHROMIUM`` names another one); without it those in docs/images are shown.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FRONT = HERE.parent / "tests" / "front"
"""Where the tests keep what a user of the explorer does in a browser."""
SIZE = {"width": 1280, "height": 760}
_LONG = 120_000
"""How long a busy machine may take for a step [ms]."""


def demo_eds_map(result: Any, path: Path) -> None:
    """Draw the phase map of the demo."""
    from clustem.report import phase_map

    phase_map(result, context=False).savefig(path, dpi=200)


def demo_eds_spectra(result: Any, path: Path) -> None:
    """Draw its mean spectra."""
    from clustem.report import center_plot

    center_plot(result).savefig(path, dpi=200)


def explorer(page: Any, user: Any) -> None:
    """Run EDS, name a cluster, and hold the mouse over the map."""
    user.open_file(page, "eds.hspy")
    user.run(page)
    field = page.get_by_label("Name of cluster 1")
    field.click()
    field.fill("rutile")
    field.press("Enter")
    _point(page, 0.45, 0.5)


def explorer_patterns(page: Any, user: Any) -> None:
    """Run 4D-STEM, the pattern under the mouse beside its center."""
    user.open_file(page, "diffraction.hspy")
    user.run(page)
    _point(page, 0.4, 0.45)


def explorer_try_k(page: Any, user: Any) -> None:
    """Try several numbers of clusters."""
    user.open_file(page, "eds.hspy")
    user.run(page)
    page.get_by_role("radio", name="Try k").check()
    user.button(page, "Try").click()
    user.said(page, "Click a k")


FIGURES: tuple[Callable[[Any, Path], None], ...] = (demo_eds_map, demo_eds_spectra)
SHOTS: tuple[Callable[[Any, Any], None], ...] = (explorer, explorer_patterns, explorer_try_k)
NAMES = tuple(f"{draw.__name__}.png" for draw in (*FIGURES, *SHOTS))
"""All pictures in docs/images."""


def write(folder: Path) -> list[str]:
    """Draw what can be drawn here; return the names of the files."""
    from clustem import samples, segment

    folder.mkdir(parents=True, exist_ok=True)
    result = segment(samples.eds().signal, "eds")
    for draw in FIGURES:
        draw(result, folder / f"{draw.__name__}.png")
    names = [f"{draw.__name__}.png" for draw in FIGURES]
    chromium = os.environ.get("CLUSTEM_CHROMIUM") or shutil.which("chromium")
    return names if chromium is None else names + _shots(folder, chromium)


def _shots(folder: Path, chromium: str) -> list[str]:
    """Take pictures of the explorer, as users see it."""
    sys.path.insert(0, str(FRONT))
    try:
        import _browser as user
    finally:
        sys.path.remove(str(FRONT))
    from clustem import samples

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    names = []
    with tempfile.TemporaryDirectory() as root, user.sync_api.sync_playwright() as playwright:
        samples.eds(shape=(64, 80)).signal.save(Path(root) / "eds.hspy")
        samples.diffraction(shape=(32, 40)).signal.save(Path(root) / "diffraction.hspy")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        with user.serving("--root", root, "--no-token") as (address, _):
            for act in SHOTS:
                page = browser.new_context(viewport=SIZE).new_page()
                page.set_default_timeout(_LONG)
                page.goto(address)
                page.locator("header [data-key=open]").wait_for()
                act(page, user)
                page.wait_for_timeout(1500)  # until all is drawn
                names.append(f"{act.__name__}.png")
                page.screenshot(path=folder / names[-1])
                page.context.close()
        browser.close()
    return names


def _point(page: Any, across: float, down: float) -> None:
    box = page.locator(".plot.map").bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in write(HERE / "images"):
        sys.stdout.write(f"docs/images/{name}\n")
