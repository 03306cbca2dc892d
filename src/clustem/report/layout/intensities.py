"""What figures of a clustered intensity share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation

_LABELS = {
    "ln N_tot": r"Total intensity $\ln N_\mathrm{tot}$",
    "ln N_ZLP": r"Zero-loss intensity $\ln N_\mathrm{ZLP}$",
    "ln N_bulk": r"Inelastic intensity $\ln N_\mathrm{bulk}$",
    "N_tot": r"Total intensity $N_\mathrm{tot}$",
    "N_ZLP": r"Zero-loss intensity $N_\mathrm{ZLP}$",
    "N_bulk": r"Inelastic intensity $N_\mathrm{bulk}$",
}


def is_intensity(segmentation: Segmentation) -> bool:
    """Whether an intensity, and nothing else, was clustered."""
    return segmentation.feature_names == (segmentation.ranked_by,)


def intensities(segmentation: Segmentation) -> NDArray[np.float32]:
    """Return the intensity of each position that takes part (n,).

    Raises
    ------
    InputError
        If something else was clustered.
    """
    if not is_intensity(segmentation):
        raise InputError(
            "An intensity must have been clustered",
            got=", ".join(segmentation.feature_names) or "whole spectra",
            cure="Run the recipe eels, or describe with describe.total_intensity.",
        )
    values: NDArray[np.float32] = segmentation.points[:, 0]
    return values


def label_of(segmentation: Segmentation) -> str:
    """Name of the intensity, with mathematics."""
    name = segmentation.feature_names[0]
    return _LABELS.get(name, name)
