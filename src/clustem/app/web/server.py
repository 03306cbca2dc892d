"""The server: one page for each visitor who has access."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

from clustem.app.session.memory import Budget
from clustem.app.web.guard import LOST, Guard
from clustem.app.web.security import Attempts, is_loopback, same
from clustem.app.web.transfers import DownloadHandler, Transfers, UploadHandler

_LOG = logging.getLogger(__name__)
_LEAVE = 15 * 60_000
"""Time that a session is kept whose pages are all closed [ms]."""
_OFTEN = 10_000
"""Longest time between two looks for such sessions [ms]."""
_VALID = 7 * 24 * 3600
"""Time for which a page may come back to its session, as long as that is there [s]."""
_COOKIE = "clustem"


@dataclass(frozen=True)
class Settings:
    """How the explorer is served.

    Parameters
    ----------
    root
        Folder whose files may be opened.
    source
        File that each session begins with, from the root; empty for none.
    host, port
        Where to listen; port 0 takes a free one.
    token
        What a browser must show, empty for nothing.
    limit
        Largest upload [bytes].
    origins
        More names under which the page may be reached, ``host:port``.
    budget
        Memory of all sessions; None takes half of what is free.
    """

    root: Path | None
    source: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    limit: int = 2 * 10**9
    origins: tuple[str, ...] = ()
    budget: Budget | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of this machine in the address line."""
        if is_loopback(self.host):
            return ("localhost", "127.0.0.1")
        if self.host in {"0.0.0.0", "::"}:  # noqa: S104  # all addresses, behind the token
            return ("localhost", "127.0.0.1", *_own_names())
        return (self.host,)


class TokenAuth(AuthProvider):
    """Gives access to browsers that showed the token; they keep a signed cookie.

    Parameters
    ----------
    token
        What must be shown.
    """

    def __init__(self, token: str) -> None:
        self._token, self._attempts = token, Attempts()
        super().__init__()

    @property
    def get_user(self) -> Any:
        """Return who it is, None for nobody."""

        def user(handler: RequestHandler) -> str | None:
            found = handler.get_signed_cookie(_COOKIE, max_age_days=7)
            return None if found is None else found.decode()

        return user

    @property
    def get_user_async(self) -> None:
        """Unused."""

    @property
    def login_url(self) -> str:
        """Where to show the token."""
        return "/login"

    @property
    def get_login_url(self) -> None:
        """Unused."""

    @property
    def login_handler(self) -> type[RequestHandler]:
        """Return the page that takes the token."""
        token, attempts = self._token, self._attempts

        class Login(RequestHandler):
            """Takes the token from the address or from a form."""

            def get(self) -> None:
                """Take it from the address that was printed at the start."""
                given = self.get_query_argument("token", None)
                if given is None:
                    self.finish(_LOGIN.replace("{note}", ""))
                else:
                    self._enter(given)

            def post(self) -> None:
                """Take it from the form."""
                self._enter(self.get_body_argument("token", ""))

            def _enter(self, given: str) -> None:
                address = self.request.remote_ip or ""
                if attempts.blocked(address):
                    self.set_status(429)
                    self.finish(_LOGIN.replace("{note}", "Too many wrong tokens: wait a minute."))
                    return
                if not same(given.strip(), token):
                    attempts.wrong(address)
                    self.set_status(403)
                    self.finish(_LOGIN.replace("{note}", "That is not the token."))
                    return
                self.set_signed_cookie(_COOKIE, secrets.token_hex(8), httponly=True,
                                       samesite="Strict", expires_days=7)  # fmt: skip
                self.redirect("/")

            def set_default_headers(self) -> None:
                self.set_header("Cache-Control", "no-store")

        return Login

    @property
    def logout_url(self) -> None:
        """Nobody logs out; the cookie ends with the server."""

    @property
    def logout_handler(self) -> None:
        """Unused."""


def make_server(settings: Settings, transfers: Transfers) -> Any:
    """Make a server that listens but does not run yet.

    Parameters
    ----------
    settings
        How it is served.
    transfers
        Files of its sessions.

    Returns
    -------
    :
        Bokeh's server; its ``port`` is where it listens.
    """
    import panel as pn
    from bokeh.server.util import bind_sockets

    from clustem.app.web.page import Page

    sockets, port = bind_sockets(settings.host, settings.port)
    for socket in sockets:  # the server binds its own; this one only found a free port
        socket.close()

    def visit() -> Any:
        try:
            headers: Any = getattr(pn.state, "headers", None) or {}
            lost = LOST in headers
            return Page(settings, transfers, lost=lost).template
        except Exception:  # noqa: BLE001  # Panel would show the traceback to all
            _LOG.exception("a page could not be made")
            return pn.pane.HTML("<p>The page could not be made. The server has written down why.")

    key = r"(?P<key>[\w-]{20,80})"
    auth: dict[str, Any] = {"auth_provider": TokenAuth(settings.token)} if settings.token else {}
    given = {"transfers": transfers}
    names = [f"{host}:{port}" for host in settings.hosts] + list(settings.origins)
    secret = secrets.token_bytes(32)
    server = pn.io.server.get_server(
        {"/": visit},
        port=port,
        address=settings.host,
        title="Clustem",
        websocket_origin=names,
        cookie_secret=_cookie_secret(settings.token),
        secret_key=secret,
        sign_sessions=True,
        include_cookies=[],
        include_headers=[LOST],
        session_token_expiration=_VALID,
        extra_patterns=[
            (rf"/upload/{key}", UploadHandler, given),
            (rf"/download/{key}/(?P<name>[\w.() -]+)", DownloadHandler, given),
        ],
        unused_session_lifetime_milliseconds=_LEAVE,
        check_unused_sessions_milliseconds=min(_LEAVE // 3, _OFTEN),
        websocket_max_message_size=20 * 2**20,
        location=False,
        **auth,
    )
    server._http.request_callback = Guard(server._tornado, names, secret)  # no other way
    return server


def _cookie_secret(token: str) -> str:
    """Return what signs cookies: after a new start with the same token they still hold."""
    return (
        hashlib.sha256(b"clustem " + token.encode()).hexdigest() if token else secrets.token_hex(32)
    )


def _own_names() -> tuple[str, ...]:
    import socket

    name = socket.gethostname()
    try:
        addresses = socket.gethostbyname_ex(name)[2]
    except OSError:
        addresses = []
    return tuple(dict.fromkeys([name, socket.getfqdn(), *addresses]))


_LOGIN = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Clustem</title><style>
body { font: 15px/1.5 system-ui, sans-serif; display: grid; place-content: center; height: 90vh;
       background: Canvas; color: CanvasText; color-scheme: light dark; }
input, button { font: inherit; padding: .35em .6em; }
</style></head><body><form method="post"><h1>Clustem</h1>
<p>{note}</p>
<label>Token, as printed where the explorer was started<br>
<input name="token" type="password" size="44" autofocus></label> <button>Enter</button>
</form></body></html>"""
