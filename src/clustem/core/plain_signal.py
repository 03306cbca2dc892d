"""A signal made of plain values: what a recipe needs of one, without importing HyperSpy."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_KEPT = {"data", "axes", "metadata", "original_metadata", "package", "package_version"}
"""What is taken of a reader's values."""
_PLAIN = {
    "attributes", "mapping", "models", "tmp_parameters", "post_process", "learning_results",
    "ragged",
}  # fmt: skip
"""What else readers return and need not change a signal."""


@dataclass
class PlainAxis:
    """An axis by its plain values, as HyperSpy's have them; unknown names and units are None."""

    size: int
    name: str | None = None
    units: str | None = None
    navigate: bool = False
    is_binned: bool = False
    scale: float = 1.0
    offset: float = 0.0
    values: NDArray[np.float64] | None = None
    """Of an axis that is not uniform."""

    @classmethod
    def of(cls, known: Mapping[str, Any], *, navigate: bool) -> PlainAxis:
        """Make an axis of what a reader says of it."""
        values = known.get("axis")
        return cls(
            size=int(known["size"] if values is None else len(values)),
            name=_text(known.get("name")),
            units=_text(known.get("units")),
            navigate=navigate,
            is_binned=bool(known.get("is_binned", False)),
            scale=float(known.get("scale", 1.0)),
            offset=float(known.get("offset", 0.0)),
            values=None if values is None else np.asarray(values, dtype=np.float64),
        )

    @property
    def is_uniform(self) -> bool:
        """Whether its values are evenly spaced by definition."""
        return self.values is None

    @property
    def axis(self) -> NDArray[np.float64]:
        """All values."""
        if self.values is not None:
            return self.values
        return self.offset + self.scale * np.arange(self.size, dtype=np.float64)

    @property
    def low_value(self) -> float:
        """Least value."""
        return float(self.axis.min())

    @property
    def high_value(self) -> float:
        """Largest value."""
        return float(self.axis.max())

    def get_axis_dictionary(self) -> dict[str, Any]:
        """Return the axis as HyperSpy writes it."""
        known = {
            "_type": "UniformDataAxis" if self.is_uniform else "DataAxis",
            "name": self.name,
            "units": self.units,
            "navigate": self.navigate,
            "is_binned": self.is_binned,
        }
        if not self.is_uniform:
            return known | {"axis": self.values}
        return known | {"size": self.size, "scale": self.scale, "offset": self.offset}


class PlainAxes:
    """All axes of a signal, those of the scan first.

    Parameters
    ----------
    axes
        In array order.
    """

    def __init__(self, axes: Iterable[PlainAxis]) -> None:
        self._axes = tuple(axes)

    @property
    def navigation_axes(self) -> tuple[PlainAxis, ...]:
        """Axes of the scan, the last first."""
        return tuple(axis for axis in self._axes[::-1] if axis.navigate)

    @property
    def signal_axes(self) -> tuple[PlainAxis, ...]:
        """Axes of a spectrum or pattern, the last first."""
        return tuple(axis for axis in self._axes[::-1] if not axis.navigate)

    @property
    def navigation_dimension(self) -> int:
        """Number of axes of the scan."""
        return len(self.navigation_axes)

    @property
    def signal_dimension(self) -> int:
        """Number of axes of a spectrum or pattern; 0 for single values."""
        axes = self.signal_axes
        return 0 if len(axes) == 1 and axes[0].size == 1 else len(axes)

    @property
    def navigation_shape(self) -> tuple[int, ...]:
        """Sizes of the axes of the scan, the last first."""
        return tuple(axis.size for axis in self.navigation_axes)

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Sizes of the axes of a spectrum or pattern, the last first."""
        return tuple(axis.size for axis in self.signal_axes)

    @property
    def navigation_size(self) -> int:
        """Number of positions; 0 without a scan."""
        sizes = self.navigation_shape
        return int(np.prod(sizes)) if sizes else 0

    def as_dictionary(self) -> dict[str, dict[str, Any]]:
        """Return all axes as HyperSpy writes them."""
        return {f"axis-{i}": axis.get_axis_dictionary() for i, axis in enumerate(self._axes)}

    def __getitem__(self, key: int | str) -> PlainAxis:
        if isinstance(key, int):
            return (*self.navigation_axes, *self.signal_axes)[key]
        return next(axis for axis in self._axes if axis.name == key)


class PlainMetadata:
    """A tree of metadata.

    Parameters
    ----------
    tree
        Nested dictionaries; they are not copied.
    """

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree

    def get_item(self, item_path: str, default: Any = None) -> Any:
        """Return what lies at a path."""
        found: Any = self._tree
        for key in item_path.split("."):
            names = (
                [name for name in found if key in (name, _slug(name))] if _is_tree(found) else []
            )
            if not names:
                return default
            found = found[names[0]]
        return PlainMetadata(found) if _is_tree(found) else found

    def set_item(self, item_path: str, value: Any) -> None:
        """Write to a path."""
        *above, last = item_path.split(".")
        tree = self._tree
        for key in above:
            tree = tree.setdefault(key, {})
        tree[last] = value

    def as_dictionary(self) -> dict[str, Any]:
        """Return a copy of the tree as nested dictionaries."""
        return copy.deepcopy(self._tree)

    def keys(self) -> list[str]:
        """Return the names of what is in it, as names in Python: ``Exposure_s``."""
        return [_slug(name) for name in self._tree]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self.keys():
            return self.get_item(name)
        raise AttributeError(name)


class PlainSignal:
    """Values, axes and metadata of a file, as a HyperSpy signal has them.

    Parameters
    ----------
    data
        Array: axes of the scan first.
    axes
        One dictionary per axis, as HyperSpy's; None for axes of which nothing is known.
    metadata, original_metadata
        Nested dictionaries.
    package, package_version
        What made the signal; HyperSpy imports it with the file.

    Notes
    -----
    HyperSpy and the packages that extend it take two seconds to import. What such a signal cannot
    do itself (``inav``, ``isig``, ``rebin``, ...) the HyperSpy signal of the same values does,
    which is then made: nothing that changes a signal in place. What these packages add to the
    metadata where a file says nothing (of X-ray spectra a resolution of 130 eV, no tilt) is not
    there.

    Examples
    --------
    >>> axes = [{"name": "x", "size": 2, "navigate": True}, {"size": 3, "units": "keV"}]
    >>> signal = PlainSignal(np.ones((2, 3)), axes=axes)
    >>> signal.axes_manager.signal_axes[0].units, type(signal.inav[0]).__name__
    ('keV', 'Signal1D')
    """

    def __init__(
        self,
        data: Any,
        *,
        axes: list[dict[str, Any]] | None = None,
        metadata: dict[str, Any] | None = None,
        original_metadata: dict[str, Any] | None = None,
        package: str = "",
        package_version: str = "",
    ) -> None:
        self.data = data
        given = axes or [{"size": size} for size in data.shape]
        self.axes_manager = PlainAxes(
            PlainAxis.of(axis, navigate=bool(axis.get("navigate", False))) for axis in given
        )
        self.metadata = PlainMetadata(metadata or {})
        self.original_metadata = PlainMetadata(original_metadata or {})
        self.package = package, package_version
        for path in ("General.title", "Signal.signal_type"):
            if self.metadata.get_item(path) is None:
                self.metadata.set_item(path, "")

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Any:
        """Make a signal of what a reader of RosettaSciIO returned; None if only HyperSpy can.

        Parameters
        ----------
        content
            Data, axes and metadata as plain values, and what the reader does to the signal.
        """
        known = {**content}
        metadata = copy.deepcopy(known.get("metadata") or {})
        data, axes = known["data"], known.get("axes")
        other = set(known) - _KEPT - _PLAIN or known.get("models")
        if other or not _is_plain(metadata) or _is_ragged(known):
            return None
        recorded = {"spectrum": 1, "image": 2}.get(metadata.get("Signal", {}).pop("record_by", ""))
        if axes is not None:
            axes = _with_scan(axes, data.ndim, recorded)
            if axes is None:
                return None
        signal: Any = cls(
            data,
            axes=axes,
            metadata=metadata,
            original_metadata=copy.deepcopy(known.get("original_metadata") or {}),
            package=str(known.get("package") or ""),
            package_version=str(known.get("package_version") or ""),
        )
        for change in known.get("post_process", ()):
            signal = change(signal)
        for source, (target, convert) in known.get("mapping", {}).items():
            value = signal.original_metadata.get_item(source)
            if value is not None and convert is not None:
                value = convert(value)
            if value is not None:
                signal.metadata.set_item(target, value)
        return signal

    @property
    def _lazy(self) -> bool:
        return hasattr(self.data, "dask")

    @property
    def _signal_type(self) -> str:
        return str(self.metadata.get_item("Signal.signal_type", ""))

    @property
    def inav(self) -> _Slicer:
        """Cut out a part of the scan."""
        return _Slicer(self, "inav")

    @property
    def isig(self) -> _Slicer:
        """Cut out a part of each spectrum or pattern."""
        return _Slicer(self, "isig")

    def changed(self, **content: Any) -> Self:
        """Return a signal of the same package with other data, axes or metadata."""
        package, its_version = self.package
        known = {
            "data": self.data,
            "axes": self._axes(),
            "metadata": self.metadata.as_dictionary(),
            "original_metadata": self.original_metadata.as_dictionary(),
        }
        return type(self)(**known | content, package=package, package_version=its_version)

    def deepcopy(self) -> Self:
        """Copy the signal and its values."""
        return self.changed(data=self.data.copy())

    def squeeze(self) -> Self:
        """Leave out axes of one value."""
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager._axes if axis.size > 1]
        return self.changed(data=self.data.squeeze(), axes=axes)

    def to_signal1D(self, *, optimize: bool = True) -> Self:  # noqa: N802  # HyperSpy's name
        """Make the first axis that of spectra."""
        first, *others = self._axes()
        axes = [{**axis, "navigate": True} for axis in others] + [{**first, "navigate": False}]
        data = np.moveaxis(self.data, 0, -1)
        if optimize and not self._lazy:
            data = np.ascontiguousarray(data)
        return self.changed(data=data, axes=axes)

    def set_signal_type(self, signal_type: str = "") -> None:
        """Say what the values are, for example spectra of X-rays."""
        self.metadata.set_item("Signal.signal_type", signal_type)

    def to_hyperspy(self) -> Any:
        """Make the HyperSpy signal of the same values."""
        from clustem.core.signal import from_dictionary, to_dictionary

        return from_dictionary(to_dictionary(self))

    def __getattr__(self, name: str) -> Any:
        """Look up what only the HyperSpy signal has: ``rebin``, ``remove_background``, ..."""
        if name.startswith("_") or "axes_manager" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.to_hyperspy(), name)

    def transpose(self, **kwargs: Any) -> Any:
        """Return the HyperSpy signal with other signal axes."""
        return self.to_hyperspy().transpose(**kwargs)

    def save(self, filename: Any, overwrite: bool | None = None, **kwargs: Any) -> None:  # noqa: FBT001  # HyperSpy's
        """Write the signal as HyperSpy does."""
        path = Path(filename)
        if path.suffix != ".hspy" or kwargs or (path.exists() and not overwrite):
            self.to_hyperspy().save(filename, overwrite=overwrite, **kwargs)
            return
        file_writer: Callable[..., None] = import_module("rsciio.hspy").file_writer
        package, its_version = self.package
        content = {
            "data": self.data,
            "axes": self._axes(),
            "metadata": self.metadata.as_dictionary(),
            "original_metadata": self.original_metadata.as_dictionary(),
            "tmp_parameters": {},
            "attributes": {"_lazy": self._lazy, "ragged": False},
            "learning_results": {},
            "models": {},
            "package_info": {
                "package": package or "hyperspy",
                "package_version": its_version or _version("hyperspy"),
            },
        }
        file_writer(str(path), content, show_progressbar=False)

    def _axes(self) -> list[dict[str, Any]]:
        return list(self.axes_manager.as_dictionary().values())


class _Slicer:
    """``inav`` or ``isig``, which the HyperSpy signal has."""

    def __init__(self, signal: PlainSignal, name: str) -> None:
        self._signal, self._name = signal, name

    def __getitem__(self, key: Any) -> Any:
        return getattr(self._signal.to_hyperspy(), self._name)[key]


def _with_scan(
    axes: list[dict[str, Any]], ndim: int, recorded: int | None
) -> list[dict[str, Any]] | None:
    """Tell scan from signal axes as HyperSpy does; None if they do not lie one after the other."""
    if len(axes) != ndim or any("expression" in axis for axis in axes):
        return None
    if all("navigate" in axis for axis in axes):
        inner = sum(not axis["navigate"] for axis in axes)
    else:
        inner = ndim if recorded is None else recorded
    found = [{**axis, "navigate": i < ndim - inner} for i, axis in enumerate(axes)]
    pairs = zip(axes, found, strict=True)
    alike = all(bool(a.get("navigate", b["navigate"])) == b["navigate"] for a, b in pairs)
    return found if alike else None


def _is_plain(tree: Mapping[str, Any]) -> bool:
    """Whether metadata hold no signal, markers or axes, which HyperSpy makes objects of."""
    for key, value in tree.items():
        if key.startswith(("_sig_", "_hspy_")) or key == "Markers":
            return False
        if isinstance(value, Mapping) and not _is_plain(value):
            return False
    return True


def _is_ragged(content: Mapping[str, Any]) -> bool:
    ragged = content.get("ragged") or content.get("attributes", {}).get("ragged")
    return bool(ragged) or content["data"].dtype.kind == "O"


def _is_tree(value: object) -> bool:
    return isinstance(value, dict)


def _slug(name: str) -> str:
    """Return a name of metadata as HyperSpy writes it: letters, digits and underscores."""
    plain = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_ ]", "", plain).replace(" ", "_")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
