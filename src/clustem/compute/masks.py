"""Masks that callers give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError


def fitting_mask(mask: Any, shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
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
