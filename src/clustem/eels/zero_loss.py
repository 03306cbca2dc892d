"""The zero-loss peak of each cluster of a result, and how thick the specimen is."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from clustem.eels.thickness import thickness
from clustem.eels.zero_loss_model import ZeroLossModel
from clustem.model import InputError, Projection, checked


@checked
def zero_loss(
    projection: Any,
    *,
    n_replicas: Annotated[int, Ge(2)] = 100,
    n_epochs: Annotated[int, Ge(1)] = 500,
    density: Annotated[float, Gt(0)] | None = None,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Projection:
    """Add the zero-loss model of each cluster and the thickness map to a result.

    Parameters
    ----------
    projection
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
        The same result with more details: ``zero_loss``, the fitted model; ``thickness`` and
        ``thickness_error``, t/λ and half of its 68 % band on the scan, NaN outside the clusters;
        with a density also ``thickness_nm`` and ``thickness_nm_error``. If PyTorch is missing, or
        the spectra allow no model, the result stays as it is and its ``note`` says why.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> wedge = samples.eels(shape=(8, 30), jitter=0.0)
    >>> plain = segment(wedge.signal, "eels", **{"eels.zero_loss": False})
    >>> found = zero_loss(plain.projection, n_replicas=8, n_epochs=50)
    >>> found.details["thickness"].shape
    (8, 30)
    """
    model = ZeroLossModel(n_replicas=n_replicas, n_epochs=n_epochs, random_state=random_state)
    details = dict(projection.details)
    try:
        model.fit(projection.source, projection)
        maps = thickness(projection.source, model, density=density)
    except InputError as error:
        details["note"] = f"no zero-loss model: {error}"
        return replace(projection, details=details)
    details["zero_loss"] = model
    outside = projection.labels.data < 0
    for suffix, value, half in (
        ("", maps.relative, maps.relative_error),
        ("_nm", maps.absolute, maps.absolute_error),
    ):
        if value is not None:
            details[f"thickness{suffix}"] = _kept(value, outside)
            details[f"thickness{suffix}_error"] = _kept(half, outside)
    known = np.isfinite(details["thickness"])
    middle = np.median(details["thickness"][known]) if known.any() else np.nan
    details["note"] = (
        f"{len(model.weights_)} of {n_replicas} networks kept; median thickness {middle:.3g} λ"
    )
    return replace(projection, details=details)


def _kept(signal: Any, outside: Any) -> Any:
    return np.where(outside, np.nan, signal.data).astype(np.float32)
