"""The zero-loss peak of each cluster of a result, and how thick the specimen is."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal, Thickness, analysis, record
from clustem.eels.thickness import thickness
from clustem.eels.zero_loss_model import ZeroLossModel


@analysis
def zero_loss(
    segmentation: Segmentation,
    *,
    n_replicas: Annotated[int, Ge(2)] = 100,
    n_epochs: Annotated[int, Ge(1)] = 500,
    density: Annotated[float, Gt(0)] | None = None,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Segmentation:
    """Add the zero-loss model of each cluster and the thickness map to a result.

    Parameters
    ----------
    segmentation
        Clusters of a low-loss spectrum image, with their source: aligned raw spectra.
    n_replicas
        Number of networks in the ensemble of :class:`ZeroLossModel`. 100 know the band to about a
        tenth of its width; take 500 for a paper.
    n_epochs
        Steps of training.
    density
        Of the specimen [g/cm³]: then the thickness is known in nm, too.
    random_state
        Seed.

    Returns
    -------
    :
        The same result with ``zero_loss``, the fitted model, and ``thickness``: t/λ and half of its
        68 % band on the scan, NaN outside the clusters, with a density also in nm. If PyTorch is
        missing, or the spectra allow no model, the result stays as it is and its history says why.

    Raises
    ------
    InputError
        If the result was loaded from disk and has no source.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> wedge = samples.eels(shape=(8, 30), jitter=0.0)
    >>> plain = segment(wedge.signal, "eels", settings={"eels.zero_loss": False})
    >>> found = zero_loss(plain, n_replicas=8, n_epochs=50)
    >>> found.thickness.relative.shape
    (8, 30)
    """
    model = ZeroLossModel(n_replicas=n_replicas, n_epochs=n_epochs, random_state=random_state)
    source = segmentation.source
    if source is None:
        raise InputError(
            "A zero-loss model needs the raw spectra",
            got="a result loaded from disk",
            cure="Run the recipe on the file again.",
        )
    try:
        model.fit(source, segmentation)
        maps = thickness(source, model, density=density)
    except InputError as error:
        record(f"no zero-loss model: {error}")
        return segmentation
    outside = segmentation.labels.data < 0
    found = Thickness(
        *(_kept(part, outside) for part in maps[:2]),
        *(part if part is None else _kept(part, outside) for part in maps[2:]),
    )
    known = np.isfinite(found.relative)
    middle = float(np.median(found.relative[known])) if known.any() else np.nan
    record(
        f"{len(model.weights_)} of {n_replicas} networks kept; median thickness {middle:.3g} λ",
        n_networks=len(model.weights_),
        median_thickness=middle if known.any() else None,
        onset=_plain(model.onset_),
        cutoff=_plain(model.cutoff_),
    )
    return replace(segmentation, zero_loss=model, thickness=found)


def _plain(energies: NDArray[np.float64]) -> list[float | None]:
    """Turn energies into plain numbers, None for clusters without spectra."""
    return [float(energy) if np.isfinite(energy) else None for energy in energies]


def _kept(signal: Signal, outside: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(outside, np.nan, signal.data).astype(np.float32)
