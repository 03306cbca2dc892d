"""The explorer in a real Chromium, driven as a user would.

Chromium is Debian's (``apt-get install chromium``) or whatever CLUSTEM_CHROMIUM names; without it
these tests are skipped and counted. With CLUSTEM_SCREENSHOT=1 they write ``docs/images/explorer.png``.
"""

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from clustem import Segmentation, cli, samples, segment
from clustem.recipes import Recipe

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install .[dev]")
expect = sync_api.expect
CHROMIUM = os.environ.get("CLUSTEM_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SERVE = "from clustem.cli import main; main()"
SHAPES = {"eds": (24, 30), "diffraction": (12, 14), "domains": (160, 200), "particles": (224, 232)}
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "explorer.png"
AROUND = [(0.12, 0.12), (0.94, 0.12), (0.94, 0.86), (0.12, 0.86), (0.12, 0.14)]
CLICKS = "window.clicks = 0; addEventListener('pointerdown', () => { window.clicks += 1 }, true)"
CLOUD = "section.right .bk-Figure:visible >> nth=-1"


@contextlib.contextmanager
def serving(*options, before=""):
    """Run ``clustem serve``; give its address and its process."""
    command = [sys.executable, "-c", before + SERVE, "serve", "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **pipes) as server:
        try:
            yield re.search(r"http\S+", server.stdout.readline()).group(0), server
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    for name, shape in SHAPES.items():
        samples.catalogue[name].step(shape=shape).signal.save(folder / f"{name}.hspy")
    (folder / "broken.npy").write_bytes(b"\x93NUMPY no more")
    np.save(folder.parent / "secret.npy", np.zeros((4, 5, 6)))
    (folder / "way_out.npy").symlink_to(folder.parent / "secret.npy")
    return folder


@pytest.fixture(scope="module")
def address(root):
    with serving("--root", str(root), "--max-upload", "0.001") as (url, _):
        yield url


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        size = {"width": 1366, "height": 768}
        context = browser.new_context(viewport=size, color_scheme="light")
        context.add_init_script(CLICKS)
        yield context
        browser.close()


@contextlib.contextmanager
def visiting(chromium, url):
    """Open the page; whatever goes wrong in it fails the test."""
    page = chromium.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if _is_outside(request.url) else 0)
    page.set_default_timeout(15_000)
    page.goto(url)
    page.get_by_role("button", name="Open", exact=False).first.wait_for()
    try:
        yield page
    except BaseException:
        page.screenshot(path=f"/tmp/sh7/out/F{time.time():.0f}.png")
        raise
    page.close()
    assert wrong == []


def _is_outside(url):
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


@pytest.fixture
def page(chromium, address):
    with visiting(chromium, address) as found:
        yield found


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def said(page, pattern):
    """Wait for a message and return it."""
    line = page.locator("footer [data-key=status]").filter(has_text=re.compile(pattern))
    line.wait_for()
    return line.inner_text()


def open_file(page, name):
    page.get_by_label("Files").locator("option").filter(has_text=name).click()
    button(page, "Open").click()
    said(page, rf"{re.escape(name)} is open")


def run(page):
    button(page, "Run").click()
    return said(page, r"\d+ clusters, ")


def settle(page, key, value):
    """Type a value into a field and leave it."""
    field = page.locator(f"[data-key='{key}'] input")
    field.fill(str(value))
    field.press("Enter")


def download(page, name):
    with page.expect_download() as found:
        button(page, name).click()
    return Path(found.value.path()), found.value.suggested_filename


def unpacked(path, folder):
    with zipfile.ZipFile(path) as file:
        file.extractall(folder)
    return Segmentation.load(next(folder.iterdir()))


def lasso(page, figure):
    """Draw around nearly all of a figure; return how many positions are then chosen.

    The tool is ready when the server has answered, so the first strokes may be too early.
    """
    box = page.locator(figure).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in AROUND]
    chosen = page.locator("[data-key=chosen]")
    for _ in range(10):
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()
        with contextlib.suppress(sync_api.TimeoutError):
            chosen.wait_for(timeout=1500)
            return int(chosen.inner_text().split()[0])
    raise AssertionError(f"no lasso in {figure}")


def test_from_lasso_and_merge_to_the_command_line(page, root, tmp_path):
    open_file(page, "eds.hspy")
    run(page)
    size = np.prod(SHAPES["eds"])
    page.get_by_role("radio", name="Lasso").check()
    assert size // 3 < lasso(page, ".plot.map") <= size
    button(page, "Clear").click()
    expect(page.locator("[data-key=chosen]")).to_have_count(0)
    assert 0.9 * size < lasso(page, CLOUD) <= size
    button(page, "Clear").click()
    clusters = page.locator("[data-key^='tick/']")
    before = clusters.count()
    name = page.get_by_label("Name of cluster 0")
    name.fill("matrix")
    name.press("Enter")
    page.get_by_role("checkbox", name="matrix").wait_for()
    for i in (1, 2):
        page.locator(f"[data-key='tick/{i}'] input").check()
    button(page, "Merge").click()
    expect(clusters).to_have_count(before - 1)
    button(page, "Undo").click()
    expect(clusters).to_have_count(before)
    for i in (0, 1):
        page.locator(f"[data-key='tick/{i}'] input").check()
    button(page, "Merge").click()
    expect(clusters).to_have_count(before - 1)
    button(page, "Export").click()
    found = unpacked(download(page, "Download result")[0], tmp_path / "page")
    toml, suggested = download(page, "Recipe")
    assert suggested.endswith(".toml")
    saved = shutil.copy(toml, tmp_path / "saved.toml")
    given = ["run", root / "eds.hspy", "-r", saved, "-o", tmp_path / "line"]
    answer = CliRunner().invoke(cli.app, [str(part) for part in given])
    assert answer.exit_code == 0, answer.output
    again = Segmentation.load(tmp_path / "line")
    assert again.n_clusters == before - 1
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    assert again.names == found.names


def test_each_recipe(page, root, tmp_path):
    for name in ("diffraction", "domains", "particles"):
        if name != "diffraction":
            page.locator("header [data-key=open]").click()
        open_file(page, f"{name}.hspy")
        page.locator("header").get_by_label("Recipe").select_option(name)
        run(page)
        button(page, "Export").click()
        text = download(page, "Recipe")[0].read_text(encoding="utf-8")
        found = unpacked(download(page, "Download result")[0], tmp_path / name)
        expected = segment(root / f"{name}.hspy", Recipe.from_toml(text))
        np.testing.assert_array_equal(found.labels.data, expected.labels.data)


def test_newcomers_path(chromium, address, root, request):
    """The clicks that docs/explorer.md writes down; with the real file where it is at hand."""
    name = "eds.hspy"
    with contextlib.suppress(pytest.skip.Exception):
        real = next(request.getfixturevalue("data_dir").rglob("core_shell.hspy"), None)
        name = name if real is None else shutil.copy(real, root) and real.name
    begun = time.monotonic()
    with visiting(chromium, address) as page:
        open_file(page, name)
        run(page)
        box = page.locator(".plot.map").bounding_box()
        page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"])
        expect(page.locator("[data-key=cursor]")).to_contain_text("row")
        field = page.get_by_label("Name of cluster 1")
        field.click()
        field.fill("shell")
        field.press("Enter")
        page.get_by_role("checkbox", name="shell").wait_for()
        _picture(page)
        button(page, "Export").click()
        path, suggested = download(page, "Download result")
        assert suggested.endswith(".zip")
        assert any("map" in entry for entry in zipfile.ZipFile(path).namelist())
        assert page.evaluate("clicks") == 6
    assert time.monotonic() - begun < 120


def _picture(page):
    """Keep the page as it is for the README, where that is asked for."""
    if os.environ.get("CLUSTEM_SCREENSHOT"):
        PICTURE.parent.mkdir(exist_ok=True)
        page.get_by_role("radio", name="Centers").focus()
        page.wait_for_timeout(1000)
        page.screenshot(path=PICTURE)


def test_by_keyboard_alone(page):
    files = page.get_by_label("Files")
    for _ in range(9):  # every stop is visible and the list comes soon
        page.keyboard.press("Tab")
        if files.evaluate("node => node.getRootNode().activeElement === node"):
            break
    for _ in range(20):
        if "eds" in files.evaluate("node => node.selectedOptions[0]?.text ?? ''"):
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    said(page, r"eds.hspy is open")
    start = button(page, "Run")
    start.focus()
    page.keyboard.press("Enter")
    said(page, r"\d+ clusters, ")
    cursor = page.locator("[data-key=cursor]")
    cursor.focus()
    page.keyboard.press("ArrowRight")
    expect(cursor).to_contain_text("row 12, column 16")
    page.keyboard.press("Shift+ArrowUp")
    expect(cursor).to_contain_text("row 2, column 16")


def test_k_side_by_side_and_cancel(page):
    open_file(page, "eds.hspy")
    settle(page, "set/cluster/GustafsonKessel/n_init", 1)
    settle(page, "k", 3)
    assert run(page).startswith("3 clusters")
    page.get_by_role("radio", name="Try k").check()
    settle(page, "ks", "2:3")
    button(page, "Try").click()
    said(page, "Click a k")
    button(page, "2").click()
    expect(page.get_by_label("k", exact=True).first).to_have_value("2")
    page.get_by_role("radio", name="Side by side").check()
    expect(page.locator("section.right .bk-Figure:visible")).to_have_count(3)
    settle(page, "set/cluster/GustafsonKessel/n_init", 5000)
    button(page, "Run").click()
    page.get_by_role("progressbar").wait_for()
    begun = time.monotonic()
    button(page, "Cancel").click()
    button(page, "Run").wait_for()
    assert time.monotonic() - begun < 8
    assert page.locator("[data-key^='tick/']").count() == 2  # what was there before


def test_broken_and_forbidden_files(page, root, tmp_path):
    files = page.get_by_label("Files").locator("option").all_inner_texts()
    assert not any("way_out" in name for name in files)
    page.get_by_label("Files").locator("option").filter(has_text="broken").click()
    button(page, "Open").click()
    told = page.locator("footer .error")
    told.wait_for()
    assert str(root) not in told.inner_text()
    uploads = {
        "bad.hspy": (b"not HDF5", "bad.hspy"),
        "evil.pkl": (b"cos", "format"),
        "big.npy": (b"0" * 2**21, "at most 1 MB"),
    }
    for name, (content, words) in uploads.items():
        (tmp_path / name).write_bytes(content)
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(told).to_contain_text(words)
        assert "/tmp" not in told.inner_text()
        assert "\n" not in told.inner_text()
    for path in ("../secret.npy", "way_out.npy", "/etc/hostname"):  # as a forged page might ask
        page.evaluate(_FORGE, path)
        expect(told).to_contain_text(f"shared folder; got {path.rpartition('/')[2]!r}")
    np.save(tmp_path / "good.npy", np.random.default_rng(1).poisson(4, (6, 7, 9)).astype(np.uint8))
    page.locator("input[type=file]").set_input_files(tmp_path / "good.npy")
    said(page, "good.npy is open")


_FORGE = """path => {
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


def test_two_visitors_do_not_see_each_other(chromium, address):
    with visiting(chromium, address) as one, visiting(chromium, address) as two:
        open_file(one, "domains.hspy")
        assert button(two, "Run").count() == 0
        open_file(two, "eds.hspy")
        expect(one.locator("header [data-key=open]")).to_contain_text("domains.hspy")
        expect(two.locator("header [data-key=open]")).to_contain_text("eds.hspy")


def request(url, path, method="GET", body=None, **headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer, text


def test_doors_of_the_server(address):
    origin = f"http://{urlsplit(address).netloc}"
    upload = f"/upload/{'x' * 32}?name=x.npy"
    for path in (f"/download/{'x' * 32}/x.zip", "/download/../etc/passwd", upload):
        answer, text = request(address, path, "GET", Origin=origin)
        assert answer.status in {404, 405}
        assert "Traceback" not in text
    assert request(address, upload, "POST", b"1")[0].status == 403  # no origin
    assert request(address, upload, "POST", b"1", Origin="http://evil.test")[0].status == 403
    assert request(address, upload, "POST", b"1", Origin=origin)[0].status == 404  # no such session
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "bokeh, x",
    }  # fmt: skip
    assert request(address, "/ws", **upgrade, Origin="http://evil.test")[0].status == 403


def test_token_and_what_is_left_behind(chromium, root, tmp_path):
    """Only with the token; a session that ends leaves nothing, nor does a server that is stopped."""
    before = f"import tempfile, clustem.app.server as s; s._LEAVE = 1500; tempfile.tempdir = {str(tmp_path)!r}; "
    with serving("--root", str(root), "--host", "0.0.0.0", before=before) as (url, server):
        token = urlsplit(url).query.partition("=")[2]
        assert len(token) > 30
        for path in ("/", "/ws", "/autoload.js?bokeh-autoload-element=1"):
            answer, text = request(url, path)
            assert answer.status in {302, 403, 400}, path
            assert "Clustem" not in text
        assert request(url, "/login?token=wrong")[0].status == 403
        answer, _ = request(url, f"/login?token={token}")
        assert answer.status == 302
        assert "HttpOnly" in answer.getheader("Set-Cookie")
        with visiting(chromium, url) as page:
            assert "token" not in page.url
            with visiting(chromium, url.partition("login")[0]) as other:
                open_file(other, "domains.hspy")
                assert len(list(tmp_path.glob("clustem-session-*"))) == 2
            limit = time.monotonic() + 20
            while len(list(tmp_path.glob("clustem-session-*"))) > 1 and time.monotonic() < limit:
                time.sleep(0.05)
            assert len(list(tmp_path.glob("clustem-session-*"))) == 1
            server.stdout.close()  # nobody reads any more: that must not keep it from ending
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        assert not list(tmp_path.glob("clustem-session-*"))
