"""Who may come in, which files they may open, and what they are told."""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clustem.model import ClustemError, InputError

READABLE = (
    ".hspy", ".zspy", ".npy", ".bcf", ".blo", ".dm3", ".dm4", ".emd", ".mib", ".mrc", ".msa",
    ".rpl", ".spx", ".ser", ".emi", ".h5", ".hdf5", ".nc", ".tif", ".tiff", ".png", ".jpg",
)  # fmt: skip
"""Formats that may be opened here: none of their readers unpickles or evaluates what it reads,
once :func:`check_content` has seen the file."""

_SHORTEST = 16  # characters of a token
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()<>]+){1,}[/\\]?")
_LOG = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str, given: str | None) -> str:
    """Return the token that a browser must show, empty if none is needed.

    Parameters
    ----------
    host
        Address to listen on.
    given
        Token that the user chose, None for none.

    Returns
    -------
    :
        The given one; for loopback none; for any other address one that is made up.

    Raises
    ------
    InputError
        If the given token is too short.

    Examples
    --------
    >>> token_for("127.0.0.1", None), len(token_for("0.0.0.0", None)) >= 32
    ('', True)
    """
    if given is not None:
        if len(given) < _SHORTEST:
            raise InputError(
                f"A token must have at least {_SHORTEST} characters",
                got=len(given),
                cure="Leave --token out, and one is made and printed.",
            )
        return given
    return "" if is_loopback(host) else secrets.token_urlsafe(32)


def same(given: str | None, token: str) -> bool:
    """Compare a token in a time that tells nothing about it."""
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


def below(root: Path, relative: str) -> Path:
    """Return a path below a root folder, links followed.

    Parameters
    ----------
    root
        The folder that may be seen.
    relative
        Path from there.

    Raises
    ------
    InputError
        If it leads out of the folder, by ``..``, as an absolute path or through a link, or is not
        there: both are told in the same words.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     below(Path(folder), "../etc")
    Traceback (most recent call last):
    clustem.model.errors.InputError: The path must be in the shared folder; got '../etc'. ...
    """
    home = root.resolve()
    try:
        found = (home / relative).resolve(strict=True)
        if "\0" not in relative and found.is_relative_to(home):
            return found
    except (OSError, ValueError, RuntimeError):  # not there; a null byte; a circle of links
        pass
    raise InputError(
        "The path must be in the shared folder", got=repr(relative), cure="Choose one of its files."
    )


def closed(recipe: Any, root: Path | None) -> Any:
    """Return a recipe whose parameters name files below the root only.

    Parameters
    ----------
    recipe
        A recipe; seeds and masks in it may be label maps in a text, or paths from the root.
    root
        The folder that may be seen, None for none.

    Raises
    ------
    InputError
        If a path leads out of it.
    """

    def inside(params: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(params)
        for name, value in params.items():
            if isinstance(value, str) and _names_a_file(name, value):
                if root is None:
                    raise InputError("A folder must be shared", got="none", cure="--root DIR.")
                inner = value.removeprefix(f"{root}/")
                found[name] = str(below(root, inner))
        return found

    steps = {key: inside(params) for key, params in recipe.steps.items()}
    edits = tuple(inside(edit) for edit in recipe.edits)
    return replace(recipe, steps=steps, edits=edits)


def _names_a_file(name: str, value: str) -> bool:
    if value.startswith("labels:"):  # a map written into the recipe
        return False
    known = Path(value).suffix.lower() in READABLE
    return (
        name in {"seeds", "mask"}
        or known
        or "\\" in value
        or value.startswith(("/", "~", "./", "../"))
    )


def check_name(name: str) -> str:
    """Return the plain name of a file that somebody sends, of a format that may be opened.

    Raises
    ------
    InputError
        If the format is not one of ``READABLE``.
    """
    plain = Path(name.replace("\\", "/")).name
    safe = re.sub(r"[^\w.() -]", "_", plain).strip(". ")[-120:]
    if Path(safe).suffix.lower() not in READABLE:
        raise InputError(
            "A file must be in a format that can be opened here",
            got=repr(safe),
            cure=f"Known: {' '.join(READABLE)}.",
        )
    return safe


def check_content(path: Path) -> None:
    """Refuse files whose reading would run what is written in them.

    Parameters
    ----------
    path
        A file or ``.zspy`` folder.

    Raises
    ------
    InputError
        If a zarr store names a codec that unpickles, or an HDF5 file has an axis given by a formula
        (HyperSpy evaluates it).
    """
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        check_name(path.name)
    found = ""
    if path.is_dir():
        found = _in_zarr(path)
    elif suffix in {".hspy", ".h5", ".hdf5", ".emd", ".nc"}:
        found = _in_hdf5(path)
    if found:
        raise InputError(
            f"{path.name} must hold data only", got=found, cure="Save it again with plain axes."
        )


def _in_zarr(folder: Path) -> str:
    for name in (".zarray", ".zattrs", ".zmetadata"):
        for file in folder.rglob(name):
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # its reader will say so
            if _has(content, "id", "pickle"):
                return "pickled values"
            if _has(content, "expression", None):
                return "an axis given by a formula"
    return ""


def _has(content: Any, key: str, value: str | None) -> bool:
    """Whether a key, with a value if one is given, is anywhere in nested lists and tables."""
    if isinstance(content, dict):
        if key in content and value in {None, content[key]}:
            return True
        return any(_has(part, key, value) for part in content.values())
    return isinstance(content, list) and any(_has(part, key, value) for part in content)


def _in_hdf5(path: Path) -> str:
    import h5py  # noqa: PLC0415  # 0.2 s

    def look(_: str, item: Any) -> str | None:
        if "expression" in item.attrs:
            return "an axis given by a formula"
        outside = getattr(item, "is_virtual", False) or getattr(item, "external", None)
        return "a link to another file" if outside else None

    try:
        with h5py.File(path, "r") as file:
            return str(file.visititems(look) or "")
    except (OSError, RuntimeError, KeyError):
        return ""  # its reader will say so


def public(error: BaseException, *private: Path) -> str:
    """Say what went wrong without telling where things lie on this machine.

    Parameters
    ----------
    error
        Anything that was raised.
    private
        Folders whose paths are taken out first.

    Examples
    --------
    >>> public(InputError("The input must exist", got="/home/ada/x.hspy"), Path("/home/ada"))
    'The input must exist; got x.hspy.'
    >>> public(OSError("disk /dev/sda1"))
    'Something went wrong here. The server has written down what.'
    """
    if not isinstance(error, ClustemError):
        _LOG.error("unexpected: %s", error, exc_info=error)
        return "Something went wrong here. The server has written down what."
    text = " ".join(str(error).split())
    for folder in private:
        for form in {str(folder), str(folder.resolve())}:
            text = text.replace(f"{form}/", "").replace(form, "the shared folder")
    return _PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)
