"""What figures of a clustered intensity share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError, Projection

_LABELS = {
    "ln N_tot": r"Total intensity $\ln N_\mathrm{tot}$",
    "ln N_ZLP": r"Zero-loss intensity $\ln N_\mathrm{ZLP}$",
    "ln N_bulk": r"Inelastic intensity $\ln N_\mathrm{bulk}$",
    "N_tot": r"Total intensity $N_\mathrm{tot}$",
    "N_ZLP": r"Zero-loss intensity $N_\mathrm{ZLP}$",
    "N_bulk": r"Inelastic intensity $N_\mathrm{bulk}$",
}


def is_intensity(projection: Projection) -> bool:
    """Whether an intensity, and nothing else, was clustered."""
    return projection.features == (projection.details.get("numbered_by"),)


def intensities(projection: Projection) -> NDArray[np.float32]:
    """Return the intensity of each position that takes part (n,).

    Raises
    ------
    InputError
        If something else was clustered.
    """
    if not is_intensity(projection):
        raise InputError(
            "An intensity must have been clustered",
            got=", ".join(projection.features) or "whole spectra",
            cure="Run the recipe eels, or describe with describe.total_intensity.",
        )
    values: NDArray[np.float32] = projection.points[:, 0]
    return values


def label_of(projection: Projection) -> str:
    """Name of the intensity, with mathematics."""
    name = projection.features[0]
    return _LABELS.get(name, name)
