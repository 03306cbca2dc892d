"""Change the fields of the explorer's forms at random, without a browser.

``python tools/forms.py --seed 3`` fills a page on the server, sends it what its forms
could send, outlines parts of the map, and stops where something goes wrong inside. It does some
ten times as much as ``tools/clicks.py`` in the same time; ``tests/front/test_app_forms.py`` runs it
for a few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

SHAPES = {"eds": (18, 21), "diffraction": (8, 9), "domains": (128, 144), "eels": (14, 16)}
"""Shapes of the samples that are saved as files."""
TEXTS = ("", "-1", "3", "2:4", "1e99", "nan", "<b>x</b>", "../x", "é" * 70, "auto", "0.5", "2,3")
NUMBERS = (-1, 0, 0.5, 1, 2, 3, 4, 7, 40, 1e9)
STEPS = ([1, 0], [-1, 0], [0, 1], [0, -1])
LEFT_OUT = {
    "text", "facts", "progress", "row", "group", "theme", "download", "upload", "swatch",
}  # fmt: skip
"""Kinds of fields that send nothing, or belong to the browser."""
PATIENCE = 20.0
"""Time after which what runs is cancelled [s]."""
WRONG = "Something went wrong"


def save_samples(root: Path, *names: str) -> None:
    """Write samples of these names, all if none is given, into a folder."""
    from clustem.core import registry

    for name in names or SHAPES:
        registry("samples")[name].step(shape=SHAPES[name]).signal.save(root / f"{name}.hspy")


async def fill(root: Path, rng: random.Random, seconds: float) -> Counter[str]:
    """Change fields for a time; return how many of each kind.

    Parameters
    ----------
    root
        Folder whose files can be opened.
    rng
        Chooses.
    seconds
        How long [s].

    Raises
    ------
    AssertionError
        If the page says that something went wrong inside; with what led to it.
    """
    from bokeh.document import Document
    from panel.io.state import set_curdoc

    from clustem.app.forms.form import Form
    from clustem.app.web.page import Page
    from clustem.app.web.server import Settings
    from clustem.app.web.transfers import Transfers

    forms: list[Form] = []
    init, document = Form.__init__, Document()

    def listed(form: Form, *given: Any, **more: Any) -> None:
        init(form, *given, **more)
        forms.append(form)

    done: Counter[str] = Counter()
    trail: deque[object] = deque(maxlen=12)
    with set_curdoc(document):
        with patch.object(Form, "__init__", listed):
            page = Page(Settings(root), Transfers())
            page.template.server_doc(document)
            page._arrive()
            await _posted(document)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                kind, what = _act(page, rng, forms)
                done[kind] += 1
                trail.append(what)
                await _at_rest(page, document, PATIENCE if rng.random() < 0.85 else 0.1)
                text = page.explorer.message.text
                if WRONG in text:
                    raise AssertionError(f"{text} {list(trail)}\n{page.explorer.recipe}")
        finally:
            page.close()
    return done


def _act(page: Any, rng: random.Random, forms: list[Any]) -> tuple[str, object]:
    """Run, choose on the map, or send what a field could; return its kind and what it was."""
    if rng.random() < 0.08:
        frame = page.map.figure
        xs, ys = (
            [rng.uniform(side.start or 0, side.end or 0) for _ in range(5)]
            for side in (frame.x_range, frame.y_range)
        )
        page._selection.on_map(xs, ys)
        page.explorer.look(xs[0], ys[0])
        return "outline", (xs, ys)
    header = page.forms["header"]
    if rng.random() < 0.08:
        header._handle_msg({"key": "run", "value": None, "message": 1})
        return "run", "run"
    form = rng.choice([*forms, header])
    fields = list(_senders(json.loads(form._fields)))
    if not fields:
        return "nothing", ""
    field = rng.choice(fields)
    value = _value(field, rng)
    form._handle_msg({"key": field["key"], "value": value, "message": 1})
    return field["is"], (field["key"], value)


def _senders(fields: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields that can send something, those in groups and rows, too."""
    for field in fields:
        yield from _senders(field.get("fields", []))
        if field.get("key") and field["is"] not in LEFT_OUT and not field.get("disabled"):
            yield field


def _value(field: dict[str, Any], rng: random.Random) -> Any:
    """Choose what a user could send from a field."""
    if field.get("options"):
        return rng.choice(field["options"])[0]
    chosen: dict[str, Callable[[], Any]] = {
        "check": lambda: rng.random() < 0.5,
        "slider": lambda: rng.uniform(field.get("min", 0.0), field["max"]),  # a browser keeps to it
        "number": lambda: rng.choice(NUMBERS),
        "entry": lambda: rng.choice(TEXTS),
        "cursor": lambda: rng.choice(STEPS),
        "swatches": lambda: rng.randrange(len(field["colors"])),
        "elements": lambda: rng.choice(("O", "Fe", "Xx")),
    }
    return chosen.get(field["is"], lambda: field.get("value"))()


async def _at_rest(page: Any, document: Any, patience: float) -> None:
    """Wait for what runs, and cancel it where it takes too long."""
    end = time.monotonic() + patience
    while not all(jobs.wait(0) for jobs in (page.explorer.jobs, page.explorer.background)):
        await _posted(document)
        if patience == PATIENCE and time.monotonic() > end:
            page.explorer.jobs.cancel()
        elif time.monotonic() > end:
            return
    await _posted(document)


async def _posted(document: Any) -> None:
    """Do what threads and the page itself have left for the next tick."""
    from bokeh.server.callbacks import NextTickCallback

    await asyncio.sleep(0.01)
    while ticks := [one for one in document.session_callbacks if isinstance(one, NextTickCallback)]:
        for one in ticks:
            one.callback()
        await asyncio.sleep(0)


def main() -> int:
    """Fill; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clustem-forms-") as name:
        save_samples(Path(name))
        done = asyncio.run(fill(Path(name), random.Random(options.seed), options.seconds))
    print(f"{done.total()} messages without a fault: {dict(done)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
