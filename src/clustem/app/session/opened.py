"""What is open: a file below the root, an upload or a sample."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from h5py import is_hdf5
from numpy.typing import NDArray
from tifffile import TiffFile

from clustem.app.session.frames import Frame
from clustem.app.session.memory import Budget, Claim, Room
from clustem.app.web.contents import check_content
from clustem.core import Axis, InputError, Scan, Segmentation, Signal, like, registry, tick, type_of
from clustem.core.contents import read_plain
from clustem.core.memory import size_text
from clustem.io.reading import read
from clustem.io.trial import is_handed_over, try_out
from clustem.passes.storage import stored
from clustem.recipes.recipe import Recipe

_LOG = logging.getLogger(__name__)
_MEMORY = 2e9
"""Size beyond which data are left on disk [bytes]."""
_PACKED = {".hspy", ".zspy", ".emd", ".h5", ".hdf5", ".nxs", ".de5", ".app5"}
"""Formats that compress, so that the size says little: opened without their data."""
_MAPPED = {".npy", ".blo"}
"""Formats whose files are mapped: they take no memory."""
_WHOLE = {".bcf", ".pts", ".prz", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif"}
"""Formats that compress, and are read whole: the first two in another process, with a limit."""
_POSITION = 32.0
"""Memory for each position of the pictures and maps that are drawn [bytes]."""
SAMPLE = "sample: "
"""Begin of the label of a sample."""
Watch = Callable[[Signal, int, NDArray[Any]], None]


@dataclass(frozen=True)
class Opened:
    """A scan or an image, and what is known about it.

    Parameters
    ----------
    scan
        The signal and its context images.
    label
        What people call it: the path below the root, the name of an upload or of a sample.
    truth
        Label map of a sample by a function of its result, None for real data.
    settings
        What the sample's recipe needs to know.
    claim
        Memory that it takes, None where nobody counts.
    """

    scan: Scan
    label: str
    truth: Callable[[Segmentation], NDArray[Any]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    claim: Claim | None = None

    @classmethod
    def file(
        cls, path: Path, label: str, watch: Watch | None = None, *, room: Room | None = None
    ) -> Opened:
        """Open a file; what would take more than 2 GB of memory, or than is left, stays on disk.

        Parameters
        ----------
        path, label
            Where it is, and what people call it.
        watch
            Called with the signal and each slab of the data when it was read: first row, values.
        room
            What memory it may take; None for any.

        Raises
        ------
        InputError
            If it is not data in a known format, of a kind that cannot be clustered, or too large.
        """
        room = room or Room(Budget(np.inf, np.inf))
        if path.exists() and (is_hdf5(path) or not is_handed_over(path)):  # else read() tries it
            try_out(path)
        check_content(path)
        suffix, size = path.suffix.lower(), unpacked_size(path)
        raw = suffix not in _MAPPED | _PACKED | _WHOLE
        reserved = room.take(size, label) if size and not raw else None
        axes = _signal_axes_of_npy(path) if suffix == ".npy" else None
        lazy = True if suffix in _PACKED or (raw and size > room.left) else None
        found = cls(read(path, lazy=lazy, signal_axes=axes), label)
        _ = found.kind  # refuse now what cannot be shown
        del reserved
        data = found.signal.data
        drawn = _POSITION * found.frame.shape[0] * found.frame.shape[1]
        if not found.on_disk:
            return replace(found, claim=room.take(drawn + data.nbytes, label))
        if lazy and data.nbytes <= min(_MEMORY, room.left - drawn):
            found = replace(found, claim=room.take(drawn + data.nbytes, label))
            return replace(found, scan=found.scan.with_signal(_loaded(found.signal, watch)))
        return replace(found, claim=room.take(drawn + _at_once(data), label))

    @classmethod
    def sample(cls, name: str) -> Opened:
        """Simulate a built-in sample."""
        sample = registry("samples")[name].step()
        return cls(Scan.of(sample.signal), f"{SAMPLE}{name}", truth=sample.truth_for)

    @property
    def signal(self) -> Signal:
        """The HyperSpy signal."""
        return self.scan.signal

    @cached_property
    def kind(self) -> str:
        """``"spectra"`` or ``"patterns"`` on a scan of one or two axes, or an ``"image"``."""
        manager = self.signal.axes_manager
        inner, outer = manager.signal_dimension, manager.navigation_dimension
        if inner == 2 and outer == 0:
            return "image"
        if inner in (1, 2) and outer in (1, 2):
            return "spectra" if inner == 1 else "patterns"
        raise InputError(
            "The explorer shows scans of spectra or patterns, and images",
            got=f"{outer} scan axes and {inner} signal axes",
            cure="Cut out one scan or one image with HyperSpy and save that.",
        )

    @cached_property
    def frame(self) -> Frame:
        """Pixels of the scan or image."""
        return frame_of(self.signal)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Facts about the file, in pairs of short texts."""
        signal = self.signal
        shape = " × ".join(str(size) for size in signal.data.shape)
        where = "on disk" if self.on_disk else "in memory"
        kind = signal.metadata.get_item("Signal.signal_type", "") or "no signal type"
        lines = [
            ("Shape", f"{shape}  {_type_name(signal.data.dtype)}"),
            ("Kind", f"{kind}, {self.kind}"),
            ("Memory", f"{size_text(signal.data.nbytes)}, {where}"),
        ]
        for axis in signal.axes_manager._axes:
            units = axis.units if isinstance(axis.units, str) and axis.units else "px"
            role = "scan" if axis.navigate else "signal"
            step = f"{axis.scale:.4g} {units}" if axis.is_uniform else f"uneven, {units}"
            lines.append((f"{role} axis", f"{axis.name}: {axis.size} × {step}"))
        return lines

    @property
    def on_disk(self) -> bool:
        """Whether the values are read when they are needed."""
        data = self.signal.data
        return hasattr(data, "dask") or isinstance(_base_of(data), np.memmap)

    @property
    def private(self) -> tuple[Path, ...]:
        """Folders that no message may name."""
        return () if self.scan.path is None else (self.scan.path.parent,)

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes that can take this, by name, the most specific first.

        One for another signal type comes along for data of no type: it then says that it takes any.
        """
        fitting = {name: Recipe.named(name) for name in Recipe.fitting(self.signal)}
        others = {}
        if not type_of(self.signal):
            for name in Recipe.names():
                recipe = Recipe.named(name)
                if name not in fitting and recipe.data == self.kind:
                    others[name] = replace(recipe, signal="")
        found = {**fitting, **others}
        own = self.label.removeprefix(SAMPLE)
        return {own: found[own], **found} if own in found else found


def _loaded(signal: Signal, watch: Watch | None) -> Signal:
    """Read a lazy signal into memory slab by slab, with progress."""
    lazy = signal.data
    data = np.empty(lazy.shape, dtype=lazy.dtype)
    ends = np.cumsum((0, *lazy.chunks[0])).tolist()  # to cut a chunk is to read it twice
    for first, last in pairwise(ends):
        try:
            data[first:last] = lazy[first:last].compute()
        except Exception as error:  # readers raise anything on a broken file
            _LOG.debug("reading rows %d to %d failed", first, last, exc_info=True)
            raise InputError(
                "The values of the file must all be readable",
                got=f"an error in rows {first} to {last - 1}",
                cure="Copy it again from the microscope, or save it again with HyperSpy.",
            ) from error
        if watch is not None:
            watch(signal, first, data[first:last])
        tick(last / ends[-1])
    found: Signal = like(signal, data)
    return found


def unpacked_size(path: Path) -> float:
    """Return the size of what a file holds when it is read whole, without reading it [bytes].

    Parameters
    ----------
    path
        A file that was looked into: :func:`~clustem.core.contents.check_content`.

    Returns
    -------
    :
        0 for files that are mapped or opened without their data, and where another process finds
        out.
    """
    suffix = path.suffix.lower()
    if suffix == ".prz":
        with ZipFile(path) as file:
            return float(sum(entry.file_size for entry in file.infolist()))
    if suffix in {".tif", ".tiff"}:
        with TiffFile(path) as file:
            return float(sum(one.size * one.dtype.itemsize for one in file.series))
    if suffix in _WHOLE - {".bcf", ".pts"}:
        try:
            return float(sum(one["data"].nbytes for one in read_plain(path, lazy=True)))
        except Exception:  # noqa: BLE001  # readers raise anything: whoever reads it tells
            return 0.0
    return 0.0 if suffix in _MAPPED | _PACKED | _WHOLE else float(path.stat().st_size)


def _at_once(data: Any) -> float:
    """Size of what is stored together, and so must be read together [bytes]."""
    chunks = getattr(data, "chunksize", None)
    source = stored(data)
    if chunks is None or (source is not None and source.mapped):
        return 0.0
    return float(np.prod(chunks) * data.dtype.itemsize)


def frame_of(signal: Signal) -> Frame:
    """Pixels of the scan of a signal, or of the image that it is."""
    return Frame.of(plane_of(signal))


def plane_of(signal: Signal) -> list[Axis]:
    """Return the axes of a scan, or of the image that a signal is: rows, then columns."""
    manager = signal.axes_manager
    return list(manager.navigation_axes[::-1]) or list(manager._axes[:2])


def _type_name(dtype: np.dtype[Any]) -> str:
    return "colors" if dtype.names else str(dtype)


def _base_of(data: Any) -> Any:
    while isinstance(getattr(data, "base", None), np.ndarray):
        data = data.base
    return data


def _signal_axes_of_npy(path: Path) -> int | None:
    """Guess from the number of axes: spectra of three, patterns of four; two are an image."""
    try:
        ndim = np.lib.format.open_memmap(path, mode="r").ndim
    except (OSError, ValueError, EOFError):
        return None  # its reader will say so
    return 1 if ndim == 3 else None
