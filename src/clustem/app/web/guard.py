"""What each request passes before it is handled, and what each answer carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.server.util import check_allowlist
from bokeh.util.token import check_session_id_signature, generate_session_id
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, OutputTransform, RequestHandler

SESSION = "clustem-session"
"""Name of the cookie by which a browser finds its session again."""
LOST = "Clustem-Lost"
"""Header of a request whose browser had a session before."""
_MADE = "Clustem-New-Session"
ALIVE = "/alive"
"""Where a page asks whether the server still answers."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "  # Bokeh's
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' ws: wss: blob:; worker-src blob:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNUSED = ("/autoload.js", "/metadata")
"""Of Bokeh: pages that show the explorer within them, and what the server knows."""


class Guard(Router):
    """Refuses requests by their host and origin, and tells each browser its session.

    Parameters
    ----------
    application
        Handles what is let through.
    names
        Under which the page may be reached, ``host:port``.
    secret
        Signs names of sessions.

    Notes
    -----
    A page of another site that makes its own name point to this machine still sends that name: the
    Host header is what tells. Bokeh lets websockets in that name no origin: here they are refused.
    """

    def __init__(self, application: Application, names: Sequence[str], secret: bytes) -> None:
        self._application, self._names, self._secret = application, list(names), secret
        application.transforms.append(_Dressed)

    def find_handler(self, request: HTTPServerRequest, **given: Any) -> HTTPMessageDelegate | None:
        """Return what handles a request."""
        host, path = request.host.lower(), request.path
        for name in (_MADE, LOST):
            request.headers.pop(name, None)
        if not check_allowlist(host, self._names):
            return self._refused(request, 403)
        if path == ALIVE:
            return self._refused(request, 204)
        if path in _UNUSED:
            return self._refused(request, 404)
        if path == "/ws" and "Origin" not in request.headers:
            return self._refused(request, 403)
        if path == "/":
            if {"bokeh-session-id", "bokeh-token"} & set(request.arguments):
                return self._refused(request, 403)
            request.headers["Bokeh-Session-Id"] = self._session(request)
        return self._application.find_handler(request, **given)

    def _session(self, request: HTTPServerRequest) -> str:
        """Return the session of a browser: the one that it names, or a new one."""
        kept = request.cookies.get(SESSION)
        if kept is not None:
            request.headers[LOST] = "yes"  # heeded by who has to make a session nevertheless
            if kept.value.isascii() and check_session_id_signature(
                kept.value, self._secret, signed=True
            ):
                return str(kept.value)
        made = str(generate_session_id(self._secret, signed=True))
        request.headers[_MADE] = made
        return made

    def _refused(self, request: HTTPServerRequest, status: int) -> HTTPMessageDelegate:
        return self._application.get_handler_delegate(request, _Plain, {"status": status})


class _Plain(RequestHandler):
    """Answers with a status and nothing else."""

    def initialize(self, status: int) -> None:
        self._code = status

    async def prepare(self) -> None:
        self.set_status(self._code)
        self.set_header("Cache-Control", "no-store")
        self.finish()


class _Dressed(OutputTransform):
    """Adds the headers that keep a page to itself, and the cookie of a new session."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._request = request

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: FBT001, ARG002  # tornado's signature
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add headers to an answer."""
        for name, text in _HEADERS.items():
            headers[name] = text
        made = self._request.headers.get(_MADE)
        if made is not None and status_code == 200:
            headers.add("Set-Cookie", f"{SESSION}={made}; Path=/; HttpOnly; SameSite=Strict")
        return status_code, headers, chunk
