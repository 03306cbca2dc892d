"""Files in and out of the browser: uploads and downloads of a session."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from bokeh.server.util import check_allowlist
from bokeh.server.views.auth_request_handler import AuthRequestHandler
from tornado.web import HTTPError, authenticated, stream_request_body

from clustem.app.web.contents import check_name
from clustem.core import InputError
from clustem.core.memory import size_text

_PIECE = 2**20
_LOG = logging.getLogger(__name__)


@dataclass
class SessionFiles:
    """Where the files of one session are, and what to call when they change.

    Parameters
    ----------
    folder
        Temporary folder of the session.
    limit
        Largest upload [bytes].
    received
        Called with the path and the name of each upload.
    closed
        Called when the server ends.
    """

    folder: Path
    limit: int
    received: Callable[[Path, str], None]
    closed: Callable[[], None]


class Transfers:
    """Files of all sessions, each session under a key that cannot be guessed.

    Parameters
    ----------
    arrived
        Called whenever a page has arrived in a browser.
    """

    def __init__(self, arrived: Callable[[], None] = lambda: None) -> None:
        self._sessions: dict[str, SessionFiles] = {}
        self.arrived = arrived

    def add(self, files: SessionFiles) -> str:
        """Add a session; return its key."""
        key = secrets.token_urlsafe(24)
        self._sessions[key] = files
        return key

    def remove(self, key: str) -> None:
        """Forget a session."""
        self._sessions.pop(key, None)

    def close(self) -> None:
        """End all sessions."""
        for files in list(self._sessions.values()):
            files.closed()

    def folders(self) -> list[Path]:
        """Return the temporary folders of all sessions."""
        return [files.folder for files in list(self._sessions.values())]

    def find(self, key: str) -> SessionFiles:
        """Return the files of a session; a wrong key is answered as a path that does not exist."""
        found = self._sessions.get(key)
        if found is None:
            raise HTTPError(404)
        return found

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._sessions)


class Base(AuthRequestHandler):
    """What uploads and downloads have in common: who has access, and what errors say."""

    def initialize(self, transfers: Transfers) -> None:
        """Take what the server was made with."""
        self.transfers = transfers

    def check_origin(self) -> None:
        """Refuse what another site sends in the name of a visitor."""
        origin = self.request.headers.get("Origin")
        application: Any = self.application  # Bokeh's, made by the server
        allowed = application.websocket_origins
        if origin is None or not check_allowlist(urlparse(origin).netloc.lower(), allowed):
            raise HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Name the kind of error only."""
        self.finish({403: "Not from there.", 404: "Nothing here."}.get(status_code, "Failed."))


@stream_request_body
class UploadHandler(Base):
    """Takes a file in pieces straight to the session's folder."""

    async def prepare(self) -> None:
        """Check everything before the first byte."""
        await super().prepare()
        self._file: Any = None
        self._refusal, self._size = "", 0
        if self.request.method != "POST":
            raise HTTPError(405)
        if not self.current_user:
            raise HTTPError(403)
        self.check_origin()
        self._files = self.transfers.find(self.path_kwargs["key"])
        connection: Any = self.request.connection  # tornado declares less than it gives
        connection.set_max_body_size(self._files.limit + 1)
        try:
            self._name = check_name(self.get_query_argument("name", ""))
        except InputError as error:
            self._refusal = str(error)
            return
        folder = self._files.folder / f"upload-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        self._path = folder / self._name
        self._file = self._path.open("wb")

    def data_received(self, chunk: bytes) -> None:
        """Write a piece, up to the limit."""
        self._size += len(chunk)
        if self._size > self._files.limit:
            self._refusal = str(
                InputError(
                    f"An upload must be at most {size_text(self._files.limit)}",
                    got="more",
                    cure="Put it into the shared folder.",
                )
            )
            self._drop()
        if self._file is not None:
            self._file.write(chunk)

    def post(self, key: str) -> None:  # noqa: ARG002  # of the address
        """Pass the file to the session."""
        if self._refusal:
            self.set_status(400)
            self.finish(self._refusal)
            return
        self._file.close()
        self._file = None
        self._files.received(self._path, self._name)
        self.finish("ok")

    def on_connection_close(self) -> None:
        """Delete a file that did not arrive whole."""
        self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._file = None


class DownloadHandler(Base):
    """Sends a file that the session has made."""

    @authenticated
    async def get(self, key: str, name: str) -> None:
        """Send it piece by piece."""
        folder = self.transfers.find(key).folder / "out"
        path = folder / Path(name).name
        if not path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{path.name}"')
        self.set_header("Content-Length", str(path.stat().st_size))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                self.write(piece)
                await self.flush()
