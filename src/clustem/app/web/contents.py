"""Which files may be opened, by their names and by what is in them."""

from __future__ import annotations

import re
from pathlib import Path

from clustem.core import InputError, contents

READABLE = (
    ".hspy", ".zspy", ".npy", ".bcf", ".blo", ".dm3", ".dm4", ".emd", ".mib", ".mrc", ".msa",
    ".rpl", ".spx", ".ser", ".emi", ".h5", ".hdf5", ".tif", ".tiff", ".png", ".jpg", ".jpeg",
    ".bmp", ".gif", ".pts", ".spd", ".spc", ".emsa", ".ems", ".mas", ".tvips", ".elid", ".de5",
    ".ali", ".prz", ".nxs", ".app5", ".sur", ".pro", ".wdf", ".tvf", ".unf", ".img", ".map", ".eds",
)  # fmt: skip
"""Formats that may be opened here: none of their readers unpickles or evaluates what it reads, or
opens another file that it names, once :func:`check_content` has seen the file."""


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
    """Refuse files that may not be opened here, or whose reading would run or show other things.

    Parameters
    ----------
    path
        A file, or a ``.zspy`` folder.

    Raises
    ------
    InputError
        If it is in another format, or as for :func:`clustem.core.contents.check_content`; a link
        to another file is refused, too.
    """
    if path.suffix.lower() not in READABLE:
        check_name(path.name)
    contents.check_content(path, links=False)
