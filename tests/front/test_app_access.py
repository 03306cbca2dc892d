"""Who may come in, and what answers carry: what an attacker can try without a browser."""

import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from _browser import request, serving
from rsciio import IO_PLUGINS

from clustem.app.web.contents import READABLE

BEFORE = "import contextlib; from clustem.app.web import serve; "
BEFORE += "serve._compiling = contextlib.nullcontext; "  # the tests need both cores
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "bokeh, x",
}  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    np.save(root / "scan.npy", np.ones((4, 5, 6), dtype=np.uint8))
    with serving("--root", str(root), before=BEFORE) as (found, _):
        yield found


@pytest.fixture(scope="module")
def home(address):
    return f"http://{urlsplit(address).netloc}"


@pytest.fixture(scope="module")
def cookie(address, home):
    """What a browser keeps that has shown the token."""
    answer, _ = request(home, "/login?" + urlsplit(address).query)
    return {"Cookie": answer.getheader("Set-Cookie").partition(";")[0]}


def raw(home, *lines):
    """Send a request as it is written; return the status line."""
    parts = urlsplit(home)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode())
        return line.recv(4000).decode(errors="replace").partition("\r\n")[0]


def test_this_machine_needs_a_token_too(home):
    for path in ("/", "/ws"):
        answer, text = request(home, path, Origin=home)
        assert answer.status in {302, 403, 400}, path
        assert "Clustem" not in text
    answer, text = request(home, "/alive")
    assert (answer.status, text) == (204, "")


def test_answers_keep_the_page_to_itself(home, cookie):
    for path, given in (("/", cookie), ("/login", {}), ("/nothing", {}), ("/alive", {})):
        answer, _ = request(home, path, **given)
        assert answer.getheader("X-Frame-Options") == "DENY"
        policy = answer.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "name", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "127.0.0.1:1"]
)
def test_only_known_names_of_the_server_are_answered(name, home, cookie):
    lines = ["GET / HTTP/1.1", f"Host: {name}", f"Cookie: {cookie['Cookie']}", "Connection: close"]
    assert " 403 " in raw(home, *lines)
    lines[1] = f"Host: {urlsplit(home).netloc}"
    assert " 200 " in raw(home, *lines)


@pytest.mark.parametrize("origin", [{}, {"Origin": "http://evil.test"}, {"Origin": "null"}])
def test_no_websocket_from_another_place_or_from_nowhere(origin, home, cookie):
    assert request(home, "/ws", **UPGRADE, **origin, **cookie)[0].status == 403


def test_nobody_chooses_the_name_of_a_session(home, cookie):
    for query in ("bokeh-session-id=mine", "bokeh-token=mine"):
        assert request(home, f"/?{query}", **cookie)[0].status == 403
    for path in ("/autoload.js?bokeh-autoload-element=1", "/metadata"):
        assert request(home, path, **cookie)[0].status == 404
    forged = {"Cookie": f"{cookie['Cookie']}; clustem-session=mine.signature"}
    answer, _ = request(home, "/", **forged)
    made = answer.getheader("Set-Cookie")
    assert made.startswith("clustem-session=")
    assert "mine" not in made
    assert "HttpOnly" in made
    assert "SameSite=Strict" in made
    again = {"Cookie": f"{cookie['Cookie']}; {made.partition(';')[0]}"}
    assert request(home, "/", **again)[0].getheader("Set-Cookie") is None


def test_uploads_and_downloads(home, cookie):
    upload = f"/upload/{'x' * 32}?name=x.npy"
    for path in (f"/download/{'x' * 32}/x.zip", "/download/../etc/passwd", upload):
        answer, text = request(home, path, "GET", Origin=home, **cookie)
        assert answer.status in {404, 405}
        assert "Traceback" not in text
    assert request(home, upload, "POST", b"1", Origin=home)[0].status == 403  # no cookie
    assert request(home, upload, "POST", b"1", **cookie)[0].status == 403  # no origin
    evil = {"Origin": "http://evil.test", **cookie}
    assert request(home, upload, "POST", b"1", **evil)[0].status == 403
    assert request(home, upload, "POST", b"1", Origin=home, **cookie)[0].status == 404  # no session


NOT_OPENED = {
    "nc": "its reader evaluates text",
    "xml": "names the file that holds the values",
    "asw": "names the files that hold the values",
    "mrcz": "needs another package, which unpickles",
    "csv": "logs of holders",
    "dens": "logs of holders",
    "lsd": "an index of others",
    "sac": "mass spectra",
    "sbc": "mass spectra",
    **dict.fromkeys(
        ["dib", "jpe", "msp", "pcx", "ppm", "pbm", "pgm", "xbm", "spi"], "pictures of the office"
    ),
}


def test_every_format_of_the_command_line_is_listed():
    """But those of which something else is said here."""
    known = {name.lower() for plugin in IO_PLUGINS for name in plugin["file_extensions"]}
    listed = {suffix.removeprefix(".") for suffix in READABLE}
    assert not listed & set(NOT_OPENED)
    assert listed | set(NOT_OPENED) == known


def test_wrong_tokens_have_to_wait(home):
    """Comes last: this address has to wait then, right token or not."""
    answers = [request(home, f"/login?token=wrong{i}")[0].status for i in range(12)]
    assert answers == [403] * 10 + [429] * 2
