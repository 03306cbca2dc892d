"""Which positions and which channels or pixels are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clustem.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from clustem.core.declare import Kind


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks that a recipe has found so far, for steps that heed them.

    Parameters
    ----------
    scan
        Boolean, shape of the scan in array order, True = excluded; None if nothing is.
    signal
        Boolean, shape of one spectrum or pattern, True = excluded; None if nothing is.

    Examples
    --------
    >>> Masks(scan=np.array([[True, False]])).added("scan mask", np.array([[False, True]])).scan
    array([[ True,  True]])
    """

    scan: NDArray[np.bool_] | None = None
    signal: NDArray[np.bool_] | None = None

    def added(self, kind: Kind, mask: NDArray[np.bool_]) -> Masks:
        """Return the masks with one more, which a preparation of this kind made."""
        if kind == "scan mask":
            return replace(self, scan=mask if self.scan is None else mask | self.scan)
        return replace(self, signal=mask if self.signal is None else mask | self.signal)


NO_MASKS = Masks()
"""Nothing is excluded."""


def fitting_mask(mask: ArrayLike | None, shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    """Return a mask as an array, all False for None; refuse what does not fit.

    Parameters
    ----------
    mask
        Boolean, True = excluded; None if nothing is.
    shape
        What its shape must be.
    where
        ``"scan"``, ``"signal"``, ``"pattern"`` or ``"image"``, for the message.

    Raises
    ------
    InputError
        If it is not boolean, has another shape, or leaves nothing in.

    Examples
    --------
    >>> fitting_mask(None, (2, 3), "scan").sum()
    np.int64(0)
    """
    if mask is None:
        return np.zeros(shape, dtype=bool)
    found = np.asarray(mask)
    if found.dtype != np.bool_ or found.shape != shape:
        raise InputError(
            f"The mask of the {where} must be boolean with the shape {shape}",
            got=f"{found.dtype} of shape {found.shape}",
            cure="True = excluded; masks are in array order, rows first.",
        )
    if found.all():
        raise InputError(
            f"Something must be left in by the mask of the {where}",
            got=f"all {found.size} excluded",
            cure="True means excluded: loosen the mask, or invert it.",
        )
    return found
