"""Scans that LiberTEM opens: raw, FRMS6, SEQ, K2IS and others that RosettaSciIO does not read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clustem.core import ClustemError, InputError

PREFIX = "lt"
"""Start of the name of a reader that is LiberTEM's."""
_PARTITION = 64e6  # read at once [bytes]


def is_libertem(source: Any) -> bool:
    """Whether something is a dataset of LiberTEM."""
    return hasattr(source, "get_partitions") and hasattr(source, "set_num_cores")


def open_libertem(path: Path, reader: str) -> Any:
    """Open a file with LiberTEM and leave it on disk.

    Parameters
    ----------
    path
        An existing file.
    reader
        ``"lt"`` to find out the format, ``"lt:seq"`` to name it, and what it needs to know after
        commas: ``"lt:raw,dtype=uint16,nav_shape=256x256,sig_shape=128x128"``.

    Returns
    -------
    :
        HyperSpy's signal (scan | pattern), lazy.

    Raises
    ------
    InputError
        If LiberTEM is not installed or cannot open the file.

    Notes
    -----
    A. Clausen et al., J. Open Source Softw. 5 (2020) 2006.
    """
    try:
        from libertem.api import Context
        from libertem.executor.inline import InlineJobExecutor
    except ImportError:
        raise InputError(
            f"The reader {reader} needs LiberTEM",
            got="none installed",
            cure="pip install libertem",
        ) from None
    kind, *given = reader.removeprefix(PREFIX).removeprefix(":").split(",")
    options = dict(_option(text, reader) for text in given)
    try:
        context = Context(executor=InlineJobExecutor())
        dataset = context.load(kind or "auto", path=str(path), **options)
        return signal_of(dataset, title=path.stem)
    except ClustemError:
        raise
    except Exception as error:  # noqa: BLE001  # readers raise anything on a broken file
        reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        raise InputError(
            f"{path.name} must be a file that LiberTEM reads as {kind or 'one of its formats'}",
            got=reason.rstrip("."),
            cure="Name the format and what it needs, for example "
            "--reader lt:raw,dtype=uint16,nav_shape=256x256,sig_shape=128x128.",
        ) from None


def signal_of(dataset: Any, *, title: str = "") -> Any:
    """Wrap a dataset of LiberTEM as a lazy signal.

    Parameters
    ----------
    dataset
        As ``libertem.api.Context.load`` returns it.
    title
        Of the signal.

    Raises
    ------
    InputError
        If its frames are no images.
    """
    import hyperspy.api as hs
    from libertem.contrib.daskadapter import make_dask_array

    size = float(dataset.shape.size) * dataset.dtype.itemsize
    dataset.set_num_cores(max(1, round(size / _PARTITION)))
    if dataset.shape.sig.dims != 2:
        raise InputError(
            "A dataset must hold images",
            got=f"{dataset.shape.sig.dims} axes in each frame",
            cure="Load it with a sig_shape of two numbers.",
        )
    data, _ = make_dask_array(dataset)
    metadata = {"General": {"title": title}}
    return hs.signals.Signal2D(data, metadata=metadata).as_lazy()


def _option(text: str, reader: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            "What a reader needs to know must read NAME=VALUE",
            got=f"{text!r} in {reader}",
            cure="For example dtype=uint16.",
        )
    if re.fullmatch(r"\d+(x\d+)+", value):
        return name, tuple(int(part) for part in value.split("x"))
    return name, int(value) if value.isdigit() else value
