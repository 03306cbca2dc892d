"""What a user of the explorer does in a browser, and what is looked at there."""

import contextlib
import http.client
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clustem import Segmentation

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install .[dev]")
expect = sync_api.expect
expect.set_options(timeout=30_000)  # where other work shares the processor

SERVE = "from clustem.cli import main; main()"
AROUND = [(0.12, 0.12), (0.94, 0.12), (0.94, 0.86), (0.12, 0.86), (0.12, 0.14)]
LASSOS_ARE_READY = """() => Bokeh.documents.some(document => [...document._all_models.values()]
    .filter(model => model.type === "LassoSelectTool" && model.active).length === 2)"""
UNFOLD = """node => {
  for (let fold = node.closest("details"); fold; fold = fold.parentElement?.closest("details"))
    fold.open = true;
}"""
FOCUSED = """() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node?.closest("[data-key]")?.dataset.key ?? "";
}"""
DRAW_FORM = """async url => {
  const options = [["a", "A"], ["b", "B"], ["c", "C"]];
  const field = {is: "listing", key: "file", opens: "open", label: "Files", options};
  const spec = (turn, answered, value) =>
    JSON.stringify({turn, answered, fields: [{...field, value}]});
  const model = {look: "", spec: spec(1, 0, "a"), on: (_, draw) => { model.draw = draw; }};
  window.sent = [];
  model.send_msg = ({key, value, message}) => window.sent.push([key, value, message]);
  window.show = (...given) => { model.spec = spec(...given); model.draw(); };
  document.body.append((await import(url)).render({model}));
}"""
SCALE_BARS = """() => {
  const models = Bokeh.documents.flatMap(document => [...document._all_models.values()]);
  const measured = figure => {
    const bar = figure.center.find(part => part.type === "ScaleBar");
    const {x_range: x, y_range: y} = figure;
    const longest = 2.5 * bar.bar_length * Math.abs(x.end - x.start);
    return [figure.name, [figure.tags, bar.location, [x.start, x.end, y.end, y.start], longest]];
  };
  const figures = models.filter(model => model.type === "Figure");
  return figures.filter(one => one.center.some(part => part.type === "ScaleBar")).map(measured);
}"""
LAID_OUT = """async () => {
  let changes = 0;
  for (const view of Bokeh.index.all_views())
    if (view.model.type === "Figure")
      view.model.properties.inner_width.change.connect(() => { changes += 1; });
  await new Promise(done => setTimeout(done, 400));
  return changes;
}"""
"""How often the figures change their widths in 0.4 s, in which nothing is done."""
FORGE = """path => {
  const find = (node) => {
    for (const child of node.querySelectorAll("*")) {
      if (child.field?.key === "file") return child;
      const inner = child.shadowRoot && find(child.shadowRoot);
      if (inner) return inner;
    }
  };
  const list = find(document), select = list.querySelector("select");
  list.field = {...list.field, options: [[path, "x"]]};
  select.selectedIndex = 0;
  select.dispatchEvent(new Event("dblclick"));
}"""


@contextlib.contextmanager
def serving(*options, before="", errors=subprocess.DEVNULL):
    """Run ``clustem serve``; give its address and its process. What it logs goes to a file."""
    command = [sys.executable, "-c", before + SERVE, "serve", "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": errors, "text": True}
    with subprocess.Popen(command, **pipes) as server:
        try:
            yield re.search(r"http\S+", server.stdout.readline()).group(0), server
        finally:
            server.terminate()
            server.wait(20)


@contextlib.contextmanager
def visiting(chromium, url):
    """Open the page; whatever goes wrong in it fails the test."""
    page = chromium.new_page()
    wrong = page.wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if _is_outside(request.url) else 0)
    page.set_default_timeout(60_000)
    page.goto(url)
    page.locator("header [data-key=open]").wait_for()
    yield page
    page.close()
    assert not wrong, wrong


def _is_outside(url):
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def said(page, pattern):
    """Wait for a message and return it."""
    line = page.locator("footer [data-key=status]")
    expect(line).to_contain_text(re.compile(pattern), timeout=180_000)  # Numba compiles once
    return line.inner_text()


def show_files(page):
    if not page.get_by_label("Files").is_visible():
        page.locator("header [data-key=open]").click()


def open_file(page, name):
    show_files(page)
    page.get_by_label("Files").locator("option").filter(has_text=name).click()
    button(page, "Open").click()
    said(page, rf"{re.escape(name)} is open")


def run(page):
    button(page, "Run").click()
    return said(page, r"\d+ clusters?, ")


def fill(page, key, value):
    """Type a value into a field, which may be folded away, and leave it."""
    field = page.locator(f"[data-key='{key}'] input")
    field.evaluate(UNFOLD)
    field.fill(str(value))
    field.press("Enter")


def scale_bars_in_images(page):
    """Return the names of figures with a scale bar, which must lie in a corner of the image."""
    found = dict(page.evaluate(SCALE_BARS))
    for name, (tags, (x, y), ends, longest) in found.items():
        left, right, top, bottom = tags[:4]
        assert left <= x < right, name
        assert top < y <= bottom, name
        assert ends[0] <= x, name  # in view, too
        assert y <= ends[3], name
        assert x + longest <= right, name
    return set(found)


def download(page, name):
    with page.expect_download() as found:
        button(page, name).click()
    return Path(found.value.path()), found.value.suggested_filename


def unpacked(path, folder):
    with zipfile.ZipFile(path) as file:
        file.extractall(folder)
    return Segmentation.load(next(folder.iterdir()))


def lasso(page, figure):
    """Draw around nearly all of a figure; return how many positions are then chosen."""
    page.wait_for_function(LASSOS_ARE_READY)
    box = page.locator(figure).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in AROUND]
    chosen = page.locator("[data-key=chosen]")
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    chosen.wait_for()
    return int(chosen.inner_text().split()[0])


def request(url, path, method="GET", body=None, **headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer, text
