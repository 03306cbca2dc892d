"""One image out of what users open: grey from colors, no stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green, blue (ITU-R BT.709)


@dataclass(frozen=True)
class PlainImage:
    """A grey image.

    Parameters
    ----------
    data
        Real numbers (rows, columns), in the file's own type where it was grey.
    axes
        Name, scale, offset and units of its two axes, row axis first.
    note
        What was done to it, empty if nothing.
    """

    data: NDArray[Any]
    axes: tuple[dict[str, Any], dict[str, Any]]
    note: str = ""

    @classmethod
    def of(cls, signal: Any) -> PlainImage:
        """Take the image out of a HyperSpy signal.

        Raises
        ------
        InputError
            If it is no single image of real numbers, or has no contrast.
        """
        data, note = signal.data, ""
        axes = list(signal.axes_manager._axes)
        if hasattr(data, "compute"):  # one image fits in memory
            data = data.compute()
        if data.dtype.names:
            data = np.stack([data[name] for name in data.dtype.names[:3]], axis=-1)
            data, note = _grey(data)
        elif data.ndim == 3 and data.shape[-1] in (3, 4) and data.dtype.kind in "uf":
            data, note = _grey(data[..., :3])
            axes = axes[:2]
        while data.ndim > 2 and 1 in data.shape:
            where = data.shape.index(1)
            data = data[(slice(None),) * where + (0,)]
            del axes[where]
        if data.ndim != 2:
            raise InputError(
                "One image is needed (rows, columns)",
                got=f"{'a stack' if data.ndim > 2 else 'a line'} of shape {data.shape}",
                cure="Take one image of it: signal.inav[0]."
                if data.ndim > 2
                else "For spectra use describe.spectra.",
            )
        if data.dtype.kind not in "buif":
            raise InputError(
                "An image must hold real numbers",
                got=f"dtype {data.dtype}",
                cure="Take its magnitude or phase first.",
            )
        if not np.isfinite(data).all():
            raise InputError(
                "An image must hold finite numbers",
                got=f"{np.count_nonzero(~np.isfinite(data))} pixels that are NaN or infinite",
                cure="Crop them away or fill them in.",
            )
        if data.min() == data.max():
            raise InputError(
                "An image needs contrast",
                got=f"{data.flat[0]:g} in all {data.size} pixels",
                cure="Check which image of the file this is.",
            )
        rows, columns = (_plain_axis(axis) for axis in axes)
        return cls(data, (rows, columns), note)


def _grey(colors: NDArray[Any]) -> tuple[NDArray[np.float32], str]:
    if (colors == colors[..., :1]).all():
        return colors[..., 0].astype(np.float32), "its three equal color channels taken as one"
    weights = np.array(_LUMINANCE, dtype=np.float32)
    return colors.astype(np.float32) @ weights, "colors turned to their luminance"


def _plain_axis(axis: Any) -> dict[str, Any]:
    known = axis.get_axis_dictionary()
    units = known.get("units")
    return {
        "name": known.get("name") if isinstance(known.get("name"), str) else "",
        "units": units if isinstance(units, str) else "",
        "scale": float(known.get("scale", 1.0)),
        "offset": float(known.get("offset", 0.0)),
    }
