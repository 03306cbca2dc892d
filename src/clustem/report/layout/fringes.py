"""Whether the centers of a result are responses to lattice fringes."""

from __future__ import annotations

from clustem.core import FilterBank, Segmentation


def filters_of(segmentation: Segmentation) -> FilterBank | None:
    """Return the filters whose mean responses the centers are; None if they are something else."""
    lattice = segmentation.lattice
    if lattice is None:
        return None
    shape = len(lattice.wavelengths), len(lattice.orientations)
    fits = 0 not in shape and segmentation.centers.data.shape[1:] == shape
    return lattice if fits else None


def has_fringes(segmentation: Segmentation) -> bool:
    """Whether the centers are responses to lattice fringes by spacing and direction."""
    return filters_of(segmentation) is not None
