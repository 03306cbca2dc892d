"""Who may open the page, which files they may name, and what messages may say."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustem.app.web.contents import READABLE, check_content
from clustem.core import ClustemError, InputError
from clustem.io.trial import try_out
from clustem.recipes.recipe import Recipe

_SHORTEST = 16  # characters of a token
_TRIES, _WAIT = 10, 60.0
"""Wrong tokens of one address within a time [s] after which it has to wait."""
_ADDRESSES = 10_000
"""Addresses that are remembered."""
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()<>]+){1,}[/\\]?")
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z-])")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*\b")
_UPLOAD = re.compile(r"\bupload-[0-9a-f]{8}\b[/ ]?")
_SAID = {
    "-o": "Choose another name.",
    "--output": "Choose another name.",
    "--force": "Choose another name.",
    "--lazy": "Crop or bin it, or save it as .zspy, which is read part by part.",
    "--anyway": "Run anyway.",
    "--root": "Choose one of the files in the shared folder.",
}
"""What to do in the page instead of an option of the command line."""
_LOG = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str, given: str | None, *, without: bool = False) -> str:
    """Return the token that a browser must show, empty if none is needed.

    Parameters
    ----------
    host
        Address to listen on.
    given
        Token that the user chose, None for one that is made up.
    without
        Whether none is wanted, which only an address of this machine alone allows.

    Raises
    ------
    InputError
        If the given token is too short, or none is wanted where others can reach the page.

    Examples
    --------
    >>> len(token_for("127.0.0.1", None)) >= 32, token_for("127.0.0.1", None, without=True)
    (True, '')
    """
    if without:
        if given is not None or not is_loopback(host):
            raise InputError(
                "Only a page that no other machine can reach may do without a token",
                got=host if given is None else "a token, too",
                cure="Leave --no-token out.",
            )
        return ""
    if given is not None and len(given) < _SHORTEST:
        raise InputError(
            f"A token must have at least {_SHORTEST} characters",
            got=len(given),
            cure="Leave --token out, and one is made and printed.",
        )
    return secrets.token_urlsafe(32) if given is None else given


class Attempts:
    """Counts wrong tokens, so that nobody can try many.

    Parameters
    ----------
    now
        Tells the time [s].
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: dict[str, list[float]] = {}

    def blocked(self, address: str) -> bool:
        """Whether an address has shown so many wrong tokens that it has to wait."""
        recent = [at for at in self._wrong.get(address, ()) if self._now() - at < _WAIT]
        return len(recent) >= _TRIES

    def wrong(self, address: str) -> None:
        """Note that an address has shown a wrong token."""
        if len(self._wrong) > _ADDRESSES:
            self._wrong.clear()
        self._wrong[address] = [*self._wrong.get(address, ())[-_TRIES + 1 :], self._now()]


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
        there: both are refused in the same words.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     below(Path(folder), "../etc")
    Traceback (most recent call last):
    clustem.core.errors.InputError: The path must be in the shared folder; got '../etc'. ...
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


def closed(recipe: Recipe, root: Path | None) -> Recipe:
    """Return a recipe whose parameters name files below the root only, by paths from there.

    Parameters
    ----------
    recipe
        A recipe; markers and masks in it may be label maps in a text, or paths from the root.
    root
        The folder that may be seen, None for none.

    Raises
    ------
    InputError
        If a path leads out of it.
    """

    def allowed(path: str) -> str:
        _shared(root, path)
        return path

    return _each_path(recipe, allowed)


def located(recipe: Recipe, root: Path | None) -> Recipe:
    """Return a recipe that can be run: the files that it names looked into, their paths absolute.

    Browsers get to see the recipe that is given here, whose paths are those that were typed.

    Parameters
    ----------
    recipe
        A recipe that names files by paths from the root.
    root
        The folder that may be seen, None for none.

    Raises
    ------
    InputError
        If a path leads out of it, or reading a file would run what is written in it.
    """

    def checked(path: str) -> str:
        found = _shared(root, path)
        if found.exists():
            try_out(found)
        check_content(found)
        return str(found)

    return _each_path(recipe, checked)


def _shared(root: Path | None, path: str) -> Path:
    if root is None:
        raise InputError("A folder must be shared", got="none", cure="--root DIR.")
    return below(root, path)


def _each_path(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    """Change whatever names a file in the steps and edits of a recipe."""

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "U":
            value = value.tolist()  # a list of paths, as the recipe keeps it
        if isinstance(value, list | tuple):
            return type(value)(changed(name, part) for part in value)
        is_path = isinstance(value, str) and _names_a_file(name, value)
        return change(value) if is_path else value

    def inside(params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: changed(name, value) for name, value in params.items()}

    steps = {key: inside(params) for key, params in recipe.steps.items()}
    return replace(recipe, steps=steps, edits=tuple(inside(edit) for edit in recipe.edits))


def _names_a_file(name: str, value: str) -> bool:
    if value.startswith("labels:"):  # a map written into the recipe
        return False
    known = Path(value).suffix.lower() in READABLE
    return (
        name in {"markers", "mask"}
        or known
        or "\\" in value
        or value.startswith(("/", "~", "./", "../"))
    )


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
    text = _PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)
    return _in_words_of_the_page(text)


def _in_words_of_the_page(text: str) -> str:
    """Say what options of the command line are for, or leave out the sentence that names one.

    Examples
    --------
    >>> _in_words_of_the_page("A result must be new; got x. Choose another with -o or --force.")
    'A result must be new; got x. Choose another name.'
    """
    kept = []
    for sentence in _SENTENCE.split(_UPLOAD.sub("", text)):
        options = () if "; got " in sentence else _OPTION.findall(sentence)
        said = next((_SAID[one] for one in options if one in _SAID), "" if options else sentence)
        kept.append(said)
    return " ".join(dict.fromkeys(filter(None, kept)))
