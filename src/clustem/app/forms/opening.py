"""What can be opened: files below the root, uploads, samples; and what is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import param

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.session import files
from clustem.app.session.state import Explorer
from clustem.app.web.contents import READABLE
from clustem.app.web.security import below
from clustem.core import InputError, registry
from clustem.core.memory import size_text
from clustem.io.output_folder import PROVENANCE

_MOST = 500  # entries of a folder that are listed
_UP = ".."


class Opening(param.Parameterized):
    """Form of what can be opened.

    Parameters
    ----------
    explorer
        The session.
    upload_url
        Where the browser sends files to.
    limit
        Largest upload [bytes].
    """

    folder = param.String(default="", doc="Path of the listed folder from the root")
    chosen = param.String(default="", doc="Path of the marked entry from the root")

    def __init__(self, explorer: Explorer, upload_url: str, limit: int) -> None:
        super().__init__()
        self._explorer = explorer
        self._upload_url, self._limit = upload_url, limit

    def fields(self) -> list[Field]:
        """Describe the form."""
        found = []
        if self._explorer.opened is not None:
            facts = fields.facts(self._explorer.opened.facts)
            found.append(fields.group("about", "Now open", [*self._open(), facts], open=True))
        return [*found, *self._files(), *self._uploads(), *self._samples()]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "file":
            self.chosen = str(value)
        elif key in {"enter", "open-file"}:
            self._enter(self.chosen if key == "open-file" else str(value))
        elif key == "add-file":
            self._enter(self.chosen, beside=True)
        elif key.startswith("close/"):
            files.close(self._explorer, int(key.partition("/")[2]))
        elif key.startswith("sample/"):
            self._explorer.open_sample(key.partition("/")[2])
        elif key == "upload" and isinstance(value, dict):
            self._refused(value)

    def _open(self) -> Iterator[Field]:
        """List the files that are open, where there are several."""
        every = self._explorer.files
        for i, file in enumerate(every if len(every) > 1 else ()):
            label = file.opened.label
            yield fields.row(
                [
                    fields.text(label, tag="span", key="label", style="grow"),
                    fields.button(f"close/{i}", "Close", style="small", tip=f"Close {label}"),
                ],
                key=f"file/{i}",
            )

    def _files(self) -> Iterator[Field]:
        root = self._explorer.root
        if root is None:
            return
        options = [(path, text) for path, text in listed(root, self.folder)]
        where = f"{root.name}/{self.folder}".rstrip("/")
        values = [value for value, _ in options]
        chosen = self.chosen if self.chosen in values else None
        there = self._explorer.opened
        body = [
            fields.text(where, style="path", key="where"),
            fields.listing("file", "Files", options, chosen, opens="enter", rows=9),
            fields.row([
                fields.button("open-file", "Open", style="main", disabled=chosen is None),
                fields.button("add-file", "Add", disabled=chosen is None or there is None,
                              tip="Open it beside what is open"),
            ]),
        ]  # fmt: skip
        yield fields.group("files", "Files", body, open=True)

    def _uploads(self) -> Iterator[Field]:
        upload = {
            "is": "upload",
            "key": "upload",
            "url": self._upload_url,
            "limit": self._limit,
            "caption": f"Choose a file or drop it here (up to {size_text(self._limit)})",
        }
        yield fields.group("uploads", "Upload", [upload], open=True)

    def _samples(self) -> Iterator[Field]:
        buttons = [
            fields.button(f"sample/{name}", name, tip=entry.summary, style="small")
            for name, entry in registry("samples").items()
        ]
        yield fields.group("samples", "Samples", [fields.row(buttons, style="wrap")], open=True)

    def _enter(self, path: str, *, beside: bool = False) -> None:
        if not path:
            return
        if path == _UP or _is_folder(self._explorer.root, path):
            parent = str(PurePosixPath(self.folder).parent)
            self.folder = ("" if parent == "." else parent) if path == _UP else path
            self.chosen = ""
            return
        self._explorer.open_path(path, beside=beside)

    def _refused(self, value: dict[str, Any]) -> None:
        reason = str(value.get("error", ""))[:300]
        if reason == "size":
            reason = str(
                InputError(
                    f"An upload must be at most {size_text(self._limit)}",
                    got=str(value.get("name", ""))[:80],
                    cure="Put it into the shared folder.",
                )
            )
        self._explorer.say("error", reason or "The upload did not arrive.")


def listed(root: Path, folder: str) -> list[tuple[str, str]]:
    """List folders and files that can be opened: path from the root, and text.

    Parameters
    ----------
    root
        The shared folder.
    folder
        Path of the folder to list, from there.

    Returns
    -------
    :
        Folders first, each list in the order of names. What is hidden, unreadable or leads out
        of the root is not there.
    """
    try:
        place = below(root, folder)
        entries = sorted(place.iterdir(), key=lambda path: path.name.lower())
    except (InputError, OSError):
        return []
    folders, listed_files = [], []
    for path in entries:
        relative = str(PurePosixPath(folder) / path.name)
        if path.name.startswith(".") or not _inside(root, relative):
            continue
        known = path.suffix.lower() in READABLE
        if (path / PROVENANCE).is_file():
            listed_files.append((relative, f"{path.name}   result"))
        elif path.is_dir() and path.suffix.lower() != ".zspy":
            folders.append((relative, f"{path.name}/"))
        elif known:
            size = "" if path.is_dir() else f"   {size_text(path.stat().st_size)}"
            listed_files.append((relative, f"{path.name}{size}"))
    up = [(_UP, "../")] if folder else []
    return [*up, *folders, *listed_files][:_MOST]


def _inside(root: Path, relative: str) -> bool:
    try:
        below(root, relative)
    except InputError:
        return False
    return True


def _is_folder(root: Path | None, relative: str) -> bool:
    try:
        path = below(root, relative) if root is not None else Path()
    except InputError:
        return False
    return path.is_dir() and path.suffix.lower() != ".zspy" and not (path / PROVENANCE).is_file()
