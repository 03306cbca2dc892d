"""Navigation images: sums of each position's spectrum or pattern, or the image itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.session.frames import Frame
from clustem.app.session.opened import Opened, frame_of
from clustem.core import InputError, PlainImage, Signal, instrument, title_of
from clustem.passes.group_sums import group_sums
from clustem.passes.rows import Rows
from clustem.physics.beam import find_beam, finite_mean, mean_pattern
from clustem.physics.xray_lines import Line, fwhm, lines_of
from clustem.report.layout.units import pretty

F32 = NDArray[np.float32]
_SUM = "Sum of all values"
_LEADERS = {"Ka", "La", "Ma"}
_LOWEST = 0.1
"""Energy below which no line is mapped: detectors have their zero peak there [keV]."""
_AT_FIRST = 2**29
"""Size of data on disk beyond which the first picture is made from a part of them [bytes]."""
_SELDOM = 0.4  # between two pictures of one that grows [s]


@dataclass(frozen=True)
class Picture:
    """Grey values with their frame.

    Parameters
    ----------
    values
        Array (rows, columns).
    frame
        Where its pixels lie.
    title
        What it shows, with units.
    part
        Share of the data that it was made from, 0 ... 1; what lies between is that of the nearest.
    """

    values: F32
    frame: Frame
    title: str
    part: float = 1.0

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Grey levels that leave out the outermost 1/500 of the pixels on either side."""
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            return 0.0, 1.0
        low, high = np.quantile(finite, (0.002, 0.998))
        if high <= low:
            low, high = float(finite.min()), float(finite.max())
        return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def first_picture(opened: Opened) -> Picture:
    """Draw what is looked at first: an image as it is, of a scan the sum of all values.

    Of a large scan on disk some positions are summed, and the nearest stand for the others.
    """
    if opened.kind == "image":
        return image(opened.signal)
    if _is_large(opened):
        return coarse(opened.signal, _AT_FIRST / 2)
    return total(opened.signal)


def image(signal: Signal) -> Picture:
    """Draw an image, colors turned to grey."""
    data = PlainImage.of(signal).data
    title = title_of(signal) or "Image"
    return Picture(data.astype(np.float32), frame_of(signal), f"{title} (intensity)")


def context(opened: Opened) -> dict[str, Picture]:
    """Draw the other images of the same file, by title."""
    found = {}
    for i, signal in enumerate(opened.scan.context):
        data = np.asarray(signal.data)
        if data.ndim == 2 and data.dtype.kind in "buif":
            title = title_of(signal) or f"image {i + 1}"
            found[title] = Picture(data.astype(np.float32), opened.frame, f"{title} (intensity)")
    return found


def total(
    signal: Signal,
    *,
    begun: Picture | None = None,
    show: Callable[[Picture], None] = lambda _: None,
) -> Picture:
    """Sum each position's spectrum or pattern: one pass over the data.

    Parameters
    ----------
    signal
        Scan of spectra or patterns.
    begun
        Picture of some of the positions, which stands where the pass has not been yet.
    show
        Called with the picture so far, not too often.
    """
    inner = signal.axes_manager.signal_dimension
    rows = Rows(signal.data, row_ndim=inner)
    out = np.zeros(len(rows)) if begun is None else begun.values.ravel().astype(np.float64)
    shown, done = time.monotonic(), 0
    for n in _summed(rows, slice(None), out):
        done += n
        if time.monotonic() - shown > _SELDOM:
            shown = time.monotonic()
            part = done / len(rows)
            show(replace(_on_scan(signal, out, f"{_SUM}, {100 * part:.0f} % read"), part=part))
    return _on_scan(signal, out, _SUM)


def coarse(signal: Signal, most: float) -> Picture:
    """Sum some positions' spectra or patterns; the nearest of them stand for the others.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, on disk.
    most
        How much to read about [bytes]: at least what is stored together.
    """
    from scipy.ndimage import distance_transform_edt

    data, inner = signal.data, signal.axes_manager.signal_dimension
    scan = data.shape[: data.ndim - inner]
    values = np.full(scan, np.nan)
    for place in _spread(data, len(scan), data.nbytes / most):
        piece = data[place]
        sums = _sums(Rows(piece, row_ndim=inner), slice(None))
        values[place] = sums.reshape(piece.shape[: len(scan)])
    unknown = np.isnan(values)
    part = 1 - float(unknown.mean())
    if unknown.any():
        nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    return replace(_on_scan(signal, values, f"{_SUM}, {100 * part:.2g} % read"), part=part)


def _spread(data: Any, ndim: int, fewer: float) -> list[tuple[slice, ...]]:
    """Choose parts of a scan, evenly spread, that hold so many times fewer data.

    Of a mapped array single positions; of what is stored in chunks whole ones.
    """
    step = max(int(np.ceil(fewer ** (1 / ndim))), 1)
    if not hasattr(data, "chunks"):
        return [tuple(slice(min(step // 2, size - 1), None, step) for size in data.shape[:ndim])]
    ends = [np.cumsum((0, *sizes)) for sizes in data.chunks[:ndim]]
    parts = [
        [slice(int(a), int(b)) for a, b in pairwise(along)][min(step // 2, len(along) - 2) :: step]
        for along in ends
    ]
    return list(product(*parts))


class Growing:
    """The sum of a scan while it is read, slab by slab.

    Parameters
    ----------
    show
        Called with the picture so far, not too often.
    """

    def __init__(self, show: Callable[[Picture], None]) -> None:
        self._show = show
        self._values: NDArray[np.float64] | None = None
        self._shown = 0.0
        self.whole: Picture | None = None

    def __call__(self, signal: Signal, first: int, slab: NDArray[Any]) -> None:
        """Take the slab that begins at a row."""
        inner = signal.axes_manager.signal_dimension
        scan = signal.data.shape[: signal.data.ndim - inner]
        if not scan:  # an image
            return
        if self._values is None:
            self._values = np.full(scan, np.nan)
        sums = _sums(Rows(slab, row_ndim=inner), slice(None))
        self._values[first : first + len(slab)] = sums.reshape(slab.shape[: len(scan)])
        picture = _on_scan(signal, self._values, _SUM)
        if first + len(slab) == scan[0]:
            self.whole = picture
        elif time.monotonic() - self._shown > _SELDOM:
            self._shown = time.monotonic()
            self._show(picture)


def window(signal: Signal, low: float, high: float) -> Picture:
    """Sum each spectrum over a window of its axis.

    Parameters
    ----------
    signal
        Scan of spectra.
    low, high
        Ends of the window, in the units of the axis.

    Raises
    ------
    InputError
        If no channel lies in it.
    """
    axis = signal.axes_manager.signal_axes[0]
    chosen = np.flatnonzero((axis.axis >= min(low, high)) & (axis.axis <= max(low, high)))
    if not len(chosen):
        raise InputError(
            "The window must hold a channel", got=f"{low:g} to {high:g}", cure="Make it wider."
        )
    part = slice(int(chosen[0]), int(chosen[-1]) + 1)
    units = pretty(axis.units)
    ends = f"{axis.axis[part.start]:.4g} to {axis.axis[part.stop - 1]:.4g} {units}".rstrip()
    return _on_scan(signal, _sums(Rows(signal.data), part), f"Sum from {ends}")


def element_lines(signal: Signal, elements: Sequence[str]) -> dict[str, Line]:
    """Choose the line of each element that its map is made from.

    Parameters
    ----------
    signal
        Scan of X-ray spectra.
    elements
        Symbols of elements.

    Returns
    -------
    :
        Line by element: of Kα, Lα and Mα the one of highest energy that the axis holds below two
        thirds of the beam energy, or else below the beam energy; none of elements without.
    """
    axis = signal.axes_manager.signal_axes[0]
    to_kev = 1e-3 if str(axis.units) == "eV" else 1.0
    ends = to_kev * float(axis.axis[0]), to_kev * float(axis.axis[-1])
    beam = float(instrument(signal, "beam_energy") or np.inf)
    found = {}
    for element in elements:
        for most in (min(2 / 3 * beam, ends[1]), min(beam, ends[1])):
            lines = [
                line
                for line in lines_of([element], low=max(ends[0], _LOWEST), high=most)
                if line.name in _LEADERS
            ]
            if lines and element not in found:
                found[element] = lines[-1]
    return found


def element_map(signal: Signal, line: Line) -> Picture:
    """Sum each spectrum over an X-ray line, as wide as the detector draws it."""
    axis = signal.axes_manager.signal_axes[0]
    to_kev = 1e-3 if str(axis.units) == "eV" else 1.0
    resolution = float(instrument(signal, "Detector.EDS.energy_resolution_MnKa") or 130.0)
    half = max(0.5 * float(fwhm(line.energy, resolution)) / to_kev, float(axis.scale))
    found = window(signal, line.energy / to_kev - half, line.energy / to_kev + half)
    return replace(found, title=f"{line.element} {line.name}: {found.title}")


class Detector:
    """Virtual detectors: patterns summed over a disc or ring around a center.

    Parameters
    ----------
    signal
        Scan of patterns.
    mean
        Mean pattern, where it is known.

    Notes
    -----
    One pass sums each pattern over rings one pixel wide; any disc or ring about the same center is
    then a difference of two running sums, and follows the mouse.
    """

    def __init__(self, signal: Signal, mean: NDArray[np.float64] | None = None) -> None:
        self.signal = signal
        self._rows = Rows(signal.data, row_ndim=2)
        self.mean = mean_pattern(self._rows) if mean is None else mean
        self.center, self.radius = _beam(np.nan_to_num(self.mean))
        self._running: tuple[tuple[float, float], NDArray[np.float64]] | None = None

    @property
    def farthest(self) -> float:
        """Distance of the farthest corner from the center [px]."""
        down, right = self._distances()
        return float(np.hypot(np.abs(down).max(), np.abs(right).max()))

    def picture(self, inner: float, outer: float, center: tuple[float, float]) -> Picture:
        """Sum each pattern over a ring.

        Parameters
        ----------
        inner, outer
            Radii [px]; 0 for a disc.
        center
            Row and column of its middle [px].

        Raises
        ------
        InputError
            If no pixel of the detector lies in it.
        """
        running = self._sums_around(center)
        first, last = (int(np.clip(np.rint(r), 0, running.shape[1] - 1)) for r in (inner, outer))
        if last <= first:
            raise InputError(
                "The ring must hold a pixel", got=f"{inner:g} to {outer:g} px", cure="Widen it."
            )
        title = f"Sum from {first} to {last} px around ({center[0]:.1f}, {center[1]:.1f})"
        return _on_scan(self.signal, running[:, last] - running[:, first], title)

    def _sums_around(self, center: tuple[float, float]) -> NDArray[np.float64]:
        if self._running is None or self._running[0] != center:
            self.center = center
            ring = np.floor(np.hypot(*self._distances()) + 0.5).astype(np.intp)
            sums = group_sums(self._rows, ring.ravel(), int(ring.max()) + 1)
            running = np.zeros((len(sums), sums.shape[1] + 1))
            np.cumsum(sums, axis=1, out=running[:, 1:])
            self._running = center, running
        return self._running[1]

    def _distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, columns = self._rows.row_shape
        return np.ogrid[:rows, :columns][0] - self.center[0], np.ogrid[:rows, :columns][1] - (
            self.center[1]
        )


def mean_of(opened: Opened) -> NDArray[np.float64]:
    """Mean of all spectra, or of some 500 patterns; what is not finite does not count.

    Of a large scan on disk that of some of the spectra.
    """
    data = opened.signal.data
    if opened.kind == "patterns":
        return mean_pattern(Rows(data, row_ndim=2))
    if not _is_large(opened):
        return finite_mean(Rows(data))
    parts = [data[place] for place in _spread(data, data.ndim - 1, data.nbytes / _AT_FIRST)]
    means = [finite_mean(Rows(part)) for part in parts]
    weights = [part[..., 0].size for part in parts]
    return np.average(np.nan_to_num(means), axis=0, weights=weights)


def _is_large(opened: Opened) -> bool:
    """Whether to look at a part first."""
    return opened.on_disk and opened.signal.data.nbytes > _AT_FIRST


def _beam(mean: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    """Center and radius of the direct beam; of the detector where no beam stands out."""
    try:
        beam = find_beam(mean)
    except InputError:
        rows, columns = mean.shape
        return ((rows - 1) / 2, (columns - 1) / 2), min(rows, columns) / 8
    return beam.center, beam.radius


def _sums(rows: Rows, part: slice) -> NDArray[np.float64]:
    out = np.empty(len(rows))
    for _ in _summed(rows, part, out):
        pass
    return out


def _summed(rows: Rows, part: slice, out: NDArray[np.float64]) -> Iterator[int]:
    """Sum each row, block by block; give the number of rows in each."""

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> int:
        wide = np.uint64 if block.dtype.kind in "bu" else np.float64
        out[where] = block[:, part].sum(axis=1, dtype=wide)
        return len(where)

    for _, n in rows.map(one):
        yield n


def _on_scan(signal: Signal, values: NDArray[Any], title: str) -> Picture:
    frame = frame_of(signal)
    title = f"{title} ({units_of(signal)})"
    return Picture(values.reshape(frame.shape).astype(np.float32), frame, title)


def units_of(signal: Signal) -> str:
    """Return what intensities are in: ``"counts"`` or ``"a.u."``."""
    kind = signal.metadata.get_item("Signal.quantity", "") or ""
    return "counts" if "ounts" in kind or signal.data.dtype.kind in "ui" else "a.u."
