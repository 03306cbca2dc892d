"""The explorer in a real Chromium, driven as a user would.

Chromium is Debian's (``apt-get install chromium``) or whatever CLUSTEM_CHROMIUM names; without it
these tests are skipped and counted. One server and one browser serve all: each takes seconds to
start.
"""

import base64
import contextlib
import os
import random
import shutil
import signal
import socket
import time
import zipfile
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from _browser import (
    DRAW_FORM,
    FOCUSED,
    FORGE,
    LAID_OUT,
    button,
    download,
    expect,
    fill,
    lasso,
    open_file,
    request,
    run,
    said,
    scale_bars_in_images,
    serving,
    show_files,
    sync_api,
    unpacked,
    visiting,
)
from typer.testing import CliRunner

from clustem import Segmentation, cli, segment
from clustem.app import ASSETS
from clustem.core import registry
from clustem.recipes import Recipe

CHROMIUM = os.environ.get("CLUSTEM_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SAMPLES = {
    "eds": {"shape": (24, 30)},
    "diffraction": {"shape": (10, 12)},
    "domains": {"shape": (128, 144)},
    "eels": {"shape": (12, 20)},
}
CLICKS = "window.clicks = 0; addEventListener('pointerdown', () => { window.clicks += 1 }, true)"
CLOUD = "section.right .bk-Figure:visible >> nth=-1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    for name, given in SAMPLES.items():
        registry("samples")[name].step(**given).signal.save(folder / f"{name}.hspy")
    for name, shape in (("wide", (30, 150)), ("tall", (150, 30))):
        np.save(folder / f"{name}.npy", np.random.default_rng(0).random(shape, dtype=np.float32))
    (folder / "broken.npy").write_bytes(b"\x93NUMPY no more")
    np.save(folder.parent / "secret.npy", np.zeros((4, 5, 6)))
    (folder / "way_out.npy").symlink_to(folder.parent / "secret.npy")
    return folder


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def served(root, scratch):
    """A server for the whole network: its address with the token, and its process."""
    before = "import tempfile, clustem.app.web.server as server; server._LEAVE = 5000; "
    before += f"tempfile.tempdir = {str(scratch)!r}; "
    before += "import contextlib; from clustem.app.web import serve; "
    before += "serve._compiling = contextlib.nullcontext; "  # the tests need both cores
    given = ["--root", str(root), "--host", "0.0.0.0", "--max-upload", "0.001"]
    with serving(*given, before=before) as found:
        yield found


@pytest.fixture(scope="module")
def address(served):
    return served[0]


def sessions(scratch):
    return set(scratch.glob("clustem-session-*"))


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        size = {"width": 1366, "height": 768}
        context = browser.new_context(viewport=size, color_scheme="light")
        context.add_init_script(CLICKS)
        yield context
        browser.close()


@pytest.fixture(scope="module")
def lasting(chromium, address):
    with visiting(chromium, address) as found:
        yield found


@pytest.fixture
def page(lasting):
    """One visitor's page, who opens one file after the other: to load it takes seconds."""
    yield lasting
    assert lasting.wrong == []


def test_from_lasso_and_merge_to_the_command_line(page, root, tmp_path):
    open_file(page, "eds.hspy")
    fill(page, "k", 4)  # not asked of the data, which takes three times as long
    fill(page, "set/cluster/MultinomialMixture/n_init", 1)
    place = page.locator(".plot.map").bounding_box()
    run(page)
    size = 24 * 30
    page.get_by_role("radio", name="Lasso").check()
    assert size // 3 < lasso(page, ".plot.map") <= size
    page.locator("[data-key='tick/0'] input").check()
    page.locator("[data-key=color]").wait_for()
    assert page.locator(".plot.map").bounding_box() == place  # whatever is shown beside it
    page.locator("[data-key='tick/0'] input").uncheck()
    button(page, "Clear").click()
    expect(page.locator("[data-key=chosen]")).to_have_count(0)
    assert 0.9 * size < lasso(page, CLOUD) <= size
    button(page, "Clear").click()
    expect(page.locator("[data-key=chosen]")).to_have_count(0)
    box = page.locator(CLOUD).bounding_box()  # from the axis, outside the frame: no lasso
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator("[data-key=chosen]")).to_have_count(0)
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
    """From each kind of file to a map, its recipe and a download: in ten clicks at most.

    Spectra of X-rays are the newcomer's path.
    """
    for name, k in (("diffraction", 6), ("domains", 5), ("eels", 4)):
        file = root / f"{name}.hspy"
        before = page.evaluate("clicks")
        open_file(page, file.name)
        page.locator("header").get_by_label("Recipe").select_option(name)
        fill(page, "k", k)  # to ask the data takes most of a minute
        if name == "eels":  # 100 networks take half of one
            fill(page, "set/eels/zero_loss/n_replicas", 2)
            fill(page, "set/eels/zero_loss/n_epochs", 20)
        run(page)
        page.mouse.move(*_middle(page))  # patterns have axes and color bars with labels
        page.wait_for_timeout(300)
        assert page.evaluate(LAID_OUT) < 3  # else labels and fitting images chase each other
        button(page, "Export").click()
        text = download(page, "Recipe")[0].read_text(encoding="utf-8")
        found = unpacked(download(page, "Download result")[0], tmp_path / name)
        assert page.evaluate("clicks") - before <= 10
        assert page.locator("[data-key=fine], [data-key=doubt]").count() == 1
        expected = segment(file, Recipe.from_toml(text), n_clusters=found.n_clusters)
        np.testing.assert_array_equal(found.labels.data, expected.labels.data)


def _middle(page):
    box = page.locator(".plot.map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.fixture
def first_file(root, request):
    """Name of the file that docs/explorer.md opens; where it is not at hand, that of a sample."""
    with contextlib.suppress(pytest.skip.Exception):
        real = next(request.getfixturevalue("data_dir").rglob("core_shell.hspy"), None)
        if real is not None:
            return Path(shutil.copy(real, root)).name
    return "eds.hspy"


def test_a_reload_and_a_second_tab_find_the_session_again(page, chromium, address):
    open_file(page, "eds.hspy")
    fill(page, "k", 4)
    run(page)
    field = page.get_by_label("Name of cluster 0")
    field.fill("matrix")
    field.press("Enter")
    page.get_by_role("checkbox", name="matrix").wait_for()
    page.reload()
    page.get_by_role("checkbox", name="matrix").wait_for()
    expect(page.locator("header [data-key=open]")).to_contain_text("eds.hspy")
    with visiting(chromium, address) as other:
        other.get_by_role("checkbox", name="matrix").wait_for()
        button(other, "Undo").click()
        expect(page.get_by_role("checkbox", name="matrix")).to_have_count(0)  # in the first, too


def test_the_page_says_that_the_server_is_gone_and_comes_back(page, served):
    gone = page.locator("#gone")
    expect(gone).to_be_hidden()
    served[1].send_signal(signal.SIGSTOP)
    try:
        expect(gone).to_be_visible(timeout=3_000)
    finally:
        served[1].send_signal(signal.SIGCONT)
    expect(gone).to_be_hidden()


def test_newcomers_path(lasting, chromium, address, scratch, first_file):
    """The clicks that docs/explorer.md writes down.

    Another visitor is there at the same time, and when the newcomer leaves, nothing stays.
    """
    open_file(lasting, "domains.hspy")
    before = sessions(scratch)
    begun = time.monotonic()
    own = chromium.browser.new_context(accept_downloads=True)
    own.add_init_script(CLICKS)
    with contextlib.closing(own), visiting(own, address) as page:
        assert button(page, "Run").count() == 0  # sees nothing of the other one's
        its = sessions(scratch) - before
        open_file(page, first_file)
        run(page)
        box = page.locator(".plot.map").bounding_box()
        page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"])
        expect(page.locator("[data-key=cursor]")).to_contain_text("row")
        field = page.get_by_label("Name of cluster 1")
        field.click()
        field.fill("shell")
        field.press("Enter")
        page.get_by_role("checkbox", name="shell").wait_for()
        button(page, "Export").click()
        path, suggested = download(page, "Download result")
        assert suggested.endswith(".zip")
        assert any("map" in entry for entry in zipfile.ZipFile(path).namelist())
        assert page.evaluate("clicks") == 6
    assert time.monotonic() - begun < 120
    expect(lasting.locator("header [data-key=open]")).to_contain_text("domains.hspy")
    assert lasting.locator("[data-key^='tick/']").count() == 0
    assert len(its) == 1
    limit = time.monotonic() + 30
    while its <= sessions(scratch) and time.monotonic() < limit:
        time.sleep(0.05)
    assert sessions(scratch) == before


def test_by_keyboard_alone(page):
    page.locator("body").click(position={"x": 1, "y": 1})  # begin at the top
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "open"
    files = page.get_by_label("Files")
    if not files.is_visible():
        page.keyboard.press("Enter")
        files.wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == "file":
            break
    page.keyboard.press("Home")
    for _ in range(20):
        if "eds" in files.evaluate("node => node.selectedOptions[0]?.text ?? ''"):
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    said(page, r"eds.hspy is open")
    page.get_by_label("k", exact=True).first.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    button(page, "Run").focus()
    page.keyboard.press("Enter")
    said(page, r"3 clusters, ")
    cursor = page.locator("[data-key=cursor]")
    cursor.focus()
    page.keyboard.press("ArrowRight")
    expect(cursor).to_contain_text("row 12, column 16")
    page.keyboard.press("Shift+ArrowUp")
    expect(cursor).to_contain_text("row 2, column 16")


def test_what_the_user_chose_stays_until_the_server_has_answered(chromium):
    page = chromium.new_page()
    script = base64.b64encode((ASSETS / "form.js").read_bytes()).decode()
    page.evaluate(DRAW_FORM, f"data:text/javascript;base64,{script}")
    select = page.locator("select")
    chosen = "node => node.selectedIndex"
    select.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    for turn, answered, value, expected in [
        (2, 1, "b", 2),  # an answer to the first key when the second was pressed already
        (3, 1, "a", 2),
        (4, 2, "c", 2),
        (3, 2, "a", 2),  # overtaken on the way
        (5, 2, "b", 1),  # the server may change what it has answered
    ]:
        page.evaluate("([...given]) => show(...given)", [turn, answered, value])
        assert select.evaluate(chosen) == expected
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == [["file", "b", 1], ["file", "c", 2], ["open", "b", 3]]
    page.close()


@pytest.mark.parametrize("name", ["wide", "tall"])
def test_scale_bars_lie_in_images_that_have_just_been_opened(page, name):
    open_file(page, f"{name}.npy")
    assert "map" in scale_bars_in_images(page)


def test_k_side_by_side_and_cancel(page):
    open_file(page, "eds.hspy")
    fill(page, "set/cluster/MultinomialMixture/n_init", 1)
    fill(page, "k", 3)
    assert "3 clusters, " in run(page)
    page.get_by_role("radio", name="Try k").check()
    fill(page, "ks", "2:3")
    button(page, "Try").click()
    said(page, "Click a k")
    button(page, "2").click()
    expect(page.get_by_label("k", exact=True).first).to_have_value("2")
    page.get_by_role("radio", name="Side by side").check()
    expect(page.locator("section.right .bk-Figure:visible")).to_have_count(3)
    button(page, "Run both").click()
    expect(button(page, "Run both")).to_have_count(0)
    for _ in range(100):  # both run after the button has gone
        if (found := scale_bars_in_images(page)) >= {"map", "side-left", "side-right"}:
            break
        page.wait_for_timeout(100)
    assert found >= {"map", "side-left", "side-right"}
    fill(page, "set/cluster/MultinomialMixture/tol", 0)
    fill(page, "set/cluster/MultinomialMixture/max_iter", 10**6)
    button(page, "Run").click()
    page.get_by_role("progressbar").wait_for()
    begun = time.monotonic()
    button(page, "Cancel").click()
    button(page, "Run").wait_for()
    assert time.monotonic() - begun < 8
    assert page.locator("[data-key^='tick/']").count() == 2  # what was there before


def test_broken_and_forbidden_files(page, root, tmp_path):
    show_files(page)
    files = page.get_by_label("Files").locator("option")
    assert not any("way_out" in name for name in files.all_inner_texts())
    files.filter(has_text="broken").click()
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
        page.evaluate(FORGE, path)
        expect(told).to_contain_text("must be in the shared folder")
        expect(told).to_contain_text(path.rpartition("/")[2])
    np.save(tmp_path / "good.npy", np.random.default_rng(1).poisson(4, (6, 7, 9)).astype(np.uint8))
    page.locator("input[type=file]").set_input_files(tmp_path / "good.npy")
    said(page, "good.npy is open")


UPLOAD_URL = """() => {
  const find = (node) => {
    for (const child of node.querySelectorAll("*")) {
      if (child.field?.is === "upload") return child.field.url;
      const inner = child.shadowRoot && find(child.shadowRoot);
      if (inner) return inner;
    }
  };
  return find(document);
}"""


def test_an_upload_that_breaks_off_leaves_nothing(page, chromium, address, scratch):
    show_files(page)
    url, parts = page.evaluate(UPLOAD_URL), urlsplit(address)
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in chromium.cookies())
    lines = [
        f"POST /{url}?name=half.npy HTTP/1.1", f"Host: {parts.netloc}", f"Cookie: {cookies}",
        f"Origin: http://{parts.netloc}", "Content-Length: 900000", "", "half",
    ]  # fmt: skip
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as line:
        line.sendall("\r\n".join(lines).encode())
        _until(lambda: list(scratch.glob("*/upload-*/half.npy")))
    _until(lambda: not list(scratch.glob("*/upload-*/half.npy")))


def _until(holds, seconds=30):
    limit = time.monotonic() + seconds
    while not holds() and time.monotonic() < limit:
        time.sleep(0.05)
    assert holds()


def test_clicks_at_random(chromium, address, monkeypatch):
    """A few seconds of what tools/clicks.py does for half an hour; a tab is killed on the way."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    clicks = import_module("clicks")
    size = {"width": 1366, "height": 768}
    with contextlib.closing(chromium.browser.new_context(viewport=size)) as own:
        for seed in (0, 1):
            with visiting(own, address) as page:
                page.on("console", lambda one: _note(one, page.wrong))
                open_file(page, "eds.hspy")
                assert clicks.clicked(page, random.Random(seed), 4).total() > 2
        with visiting(own, address) as page:  # the session goes on as it was left
            button(page, "Run").or_(button(page, "Cancel")).first.wait_for()


def _note(message, wrong):
    if message.type == "error":
        wrong.append(message.text)


def test_an_input_is_open_from_the_start(chromium, root):
    """Where no other machine can reach the page, it may do without a token."""
    given = [str(root / "domains.hspy"), "--no-token"]
    with serving(*given) as (url, server), visiting(chromium, url) as page:
        assert "token" not in url
        what = page.locator("header [data-key=open]")
        expect(what).to_contain_text("domains.hspy", timeout=120_000)  # HyperSpy is imported once
        server.send_signal(signal.SIGINT)  # Ctrl-C
        assert server.wait(20) == 0


def test_a_server_that_is_stopped_leaves_nothing(served, scratch, chromium):
    address, server = served
    for page in chromium.pages:  # they would say that it is gone
        page.close()
    with visiting(chromium, address) as page:  # something that takes long
        open_file(page, "eds.hspy")
        fill(page, "set/cluster/MultinomialMixture/tol", 0)
        fill(page, "set/cluster/MultinomialMixture/max_iter", 10**6)
        button(page, "Run").click()
        page.get_by_role("progressbar").wait_for()
    answer, _ = request(address, "/login?" + urlsplit(address).query)
    cookie = answer.getheader("Set-Cookie").partition(";")[0]
    assert request(address, "/", Cookie=cookie)[0].status == 200  # a session begins
    assert sessions(scratch)
    server.stdout.close()  # nobody reads any more: that must not keep it from ending
    begun = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert time.monotonic() - begun < 5  # 3 s on a machine that does nothing else
    assert not sessions(scratch)
