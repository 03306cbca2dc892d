"""What we use of a HyperSpy signal: its protocol, signals like another, axes and instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from clustem.core.plain_signal import PlainSignal
from clustem.core.quiet import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray

AxisDictionary = dict[str, Any]
"""An axis as HyperSpy takes and gives it: name, size, scale, offset, units, navigate, ..."""


class Axis(Protocol):
    """One axis of a signal."""

    name: str
    size: int
    scale: float
    offset: float
    units: str
    navigate: bool
    is_uniform: bool
    axis: NDArray[np.float64]
    low_value: float
    high_value: float

    def get_axis_dictionary(self) -> AxisDictionary:
        """Return the axis as plain values."""
        ...


class AxesManager(Protocol):
    """All axes of a signal."""

    navigation_dimension: int
    signal_dimension: int
    navigation_size: int
    navigation_axes: Sequence[Axis]
    signal_axes: Sequence[Axis]
    _axes: Sequence[Axis]

    def as_dictionary(self) -> dict[str, AxisDictionary]:
        """Return all axes as plain values."""
        ...

    def __getitem__(self, axis: int | str) -> Axis:
        """Return an axis by its place or name."""
        ...


class Metadata(Protocol):
    """A tree of metadata."""

    def get_item(self, item_path: str, default: Any = None) -> Any:
        """Return what lies at a path."""
        ...

    def set_item(self, item_path: str, value: Any) -> None:
        """Write to a path."""
        ...

    def as_dictionary(self) -> dict[str, Any]:
        """Return the tree as nested dictionaries."""
        ...

    def __getattr__(self, name: str) -> Any:
        """Return a branch or a leaf."""
        ...


class Slicer(Protocol):
    """``inav`` or ``isig`` of a signal."""

    def __getitem__(self, key: Any) -> Any:
        """Cut out a part."""
        ...


@runtime_checkable
class Signal(Protocol):
    """What we use of a HyperSpy signal.

    ``data`` is an ndarray, or a dask array where the signal is lazy: axes of the scan first, then
    those of the spectrum or pattern, each in array order.
    """

    data: Any
    metadata: Metadata
    original_metadata: Metadata
    axes_manager: AxesManager
    inav: Slicer
    isig: Slicer

    def deepcopy(self) -> Self:
        """Copy the signal and its data."""
        ...

    def transpose(self, **kwargs: Any) -> Self:
        """Return the signal with other signal axes."""
        ...

    def save(self, filename: Any, overwrite: bool | None = None, **kwargs: Any) -> Any:  # noqa: FBT001  # HyperSpy's
        """Write the signal to a file."""
        ...

    def set_signal_type(self, signal_type: str = "") -> None:
        """Turn the signal into one of another type."""
        ...


S = TypeVar("S", bound=Signal)


def is_signal(value: object) -> bool:
    """Whether something is a HyperSpy signal; needs no HyperSpy."""
    return hasattr(value, "axes_manager") and hasattr(value, "data")


def is_lazy(signal: Signal) -> bool:
    """Whether the data of a signal are left on disk."""
    return bool(getattr(signal, "_lazy", False))


def elements_of(signal: Signal) -> list[str]:
    """Return the chemical elements in the metadata of a signal."""
    return [str(element) for element in signal.metadata.get_item("Sample.elements", [])]


def title_of(signal: Signal) -> str:
    """Return the title of a signal; empty if it has none."""
    return str(signal.metadata.get_item("General.title", "") or "")


def type_of(signal: Signal) -> str:
    """Return the signal type, such as ``"EDS_SEM"``; empty if it has none."""
    return str(signal.metadata.get_item("Signal.signal_type", "") or "")


def instrument(signal: Signal, name: str, default: Any = None) -> Any:
    """Look up what the metadata say of the microscope.

    Parameters
    ----------
    signal
        Any signal.
    name
        What is looked for, for example ``"beam_energy"`` or ``"Detector.EDS.elevation_angle"``.
    default
        What to return if neither the TEM nor the SEM metadata say it.
    """
    for microscope in ("TEM", "SEM"):
        found = signal.metadata.get_item(f"Acquisition_instrument.{microscope}.{name}")
        if found is not None:
            return found
    return default


def scan_shape(signal: Signal) -> tuple[int, ...]:
    """Return the shape of the scan in array order: (rows, columns), (positions,) or ()."""
    return tuple(int(axis.size) for axis in signal.axes_manager.navigation_axes[::-1])


def axes_of(signal: Signal) -> list[AxisDictionary]:
    """Return all axes of a signal as plain values, in array order."""
    return list(signal.axes_manager.as_dictionary().values())


def to_dictionary(signal: Any) -> dict[str, Any]:
    """Return data, axes and metadata of a signal as plain values, through HyperSpy's public face.

    :func:`from_dictionary` makes a signal of the same type of them.
    """
    return {
        "data": signal.data,
        "axes": axes_of(signal),
        "metadata": signal.metadata.as_dictionary(),
        "original_metadata": signal.original_metadata.as_dictionary(),
    }


def from_dictionary(content: Mapping[str, Any]) -> Any:
    """Make a signal of what :func:`to_dictionary` returned."""
    import hyperspy.api as hs

    with quiet():  # signal types of packages that are not installed
        out = hs.signals.BaseSignal(**content)
        if hasattr(content["data"], "dask"):
            out = out.as_lazy()
        out.set_signal_type(type_of(out))
    return out


def like(signal: S, data: Any, *, copy_variance: bool = False) -> S:
    """Return a signal with other values of the same shape, or with another first size.

    HyperSpy takes a signal's values away for a moment while it slices it, so one that other threads
    may look at is sliced as such a signal of its own.

    Parameters
    ----------
    signal
        Whose type, axes and metadata the new signal has.
    data
        Its values, an array; nothing is copied.
    copy_variance
        Whether the noise variance in the metadata holds for the new values, too.

    Returns
    -------
    :
        Signal of the same class.
    """
    content = to_dictionary(signal) | {"data": data}
    content["axes"][0]["size"] = data.shape[0]
    if not copy_variance:
        content["metadata"].get("Signal", {}).pop("Noise_properties", None)
    if isinstance(signal, PlainSignal):
        return signal.changed(**content)
    on_disk = hasattr(data, "dask")
    if is_lazy(signal) and not on_disk:
        found: S = from_dictionary(content)
        return found
    make: Any = signal.__class__
    with quiet():  # as above
        made = make(**content)
        return made.as_lazy() if on_disk and not is_lazy(made) else made  # type: ignore[no-any-return]


def stack_of_rows(rows: NDArray[Any], signal: Any) -> Signal:
    """Wrap rows of a signal, one per cluster, in its type, signal axes and metadata.

    Parameters
    ----------
    rows
        Array (k, *shape of a row).
    signal
        Where the rows come from.

    Returns
    -------
    :
        Signal (cluster | signal axes).
    """
    axes = [{"name": "cluster", "size": len(rows), "navigate": True, "units": "", "scale": 1.0}]
    known = axes_of(signal)
    axes += known[len(known) - rows.ndim + 1 :]
    metadata = signal.metadata.as_dictionary()
    if isinstance(signal, PlainSignal):
        plain: Any = signal.changed(data=rows, axes=axes, metadata=metadata, original_metadata={})
        return plain  # type: ignore[no-any-return]  # a signal by what it does
    out: Signal = _kind(rows.ndim - 1)(rows, axes=axes, metadata=metadata)
    if signal._signal_type:  # of the class: one whose package is not installed stays in metadata
        out.set_signal_type(signal._signal_type)
    return out


def map_of(values: NDArray[Any], signal: Any, *, title: str = "") -> Signal:
    """Wrap a map of a scan with its axes.

    Parameters
    ----------
    values
        Array of the scan's shape.
    signal
        A signal of that scan.
    title
        Title of the map; that of the signal if empty.
    """
    axes = [{**axis, "navigate": False} for axis in axes_of(signal)[: values.ndim]]
    return _plain_or_not(values, signal, axes, title)


def stack_of_maps(
    values: NDArray[Any], signal: Any, *, axis: Mapping[str, Any] | None = None, title: str = ""
) -> Signal:
    """Wrap maps of a scan, one per cluster, with its axes.

    Parameters
    ----------
    values
        Array (k, *shape of the scan).
    signal
        A signal of that scan.
    axis
        The first axis where it is not that of the clusters.
    title
        Title of the maps; that of the signal if empty.
    """
    first = {"name": "cluster", **(axis or {}), "size": len(values), "navigate": True}
    scan = [{**axis, "navigate": False} for axis in axes_of(signal)[: values.ndim - 1]]
    return _plain_or_not(values, signal, [first, *scan], title)


def _plain_or_not(
    values: NDArray[Any], signal: Any, axes: list[AxisDictionary], title: str
) -> Signal:
    """Make a signal of maps, one of plain values where the scan's own is."""
    metadata = {"General": {"title": title or title_of(signal)}}
    inner = sum(not axis["navigate"] for axis in axes)
    kind: Any = PlainSignal if isinstance(signal, PlainSignal) else _kind(inner)
    made: Signal = kind(values, axes=axes, metadata=metadata)
    return made


def _kind(signal_dimension: int) -> Any:
    """HyperSpy's class for single values (0), spectra (1) or images (2)."""
    import hyperspy.api as hs

    kinds = (hs.signals.BaseSignal, hs.signals.Signal1D, hs.signals.Signal2D)
    return kinds[min(signal_dimension, 2)]
