"""What can lie over the picture: a number for each position of a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.session.clouds import sureness
from clustem.core import Segmentation, VAEInfo
from clustem.report.layout.units import with_units

if TYPE_CHECKING:
    from clustem.judge.residuals import Residuals

CLUSTERS, NONE = "clusters", "none"
_MISSED = -3.0, 8.0
"""Deviances between which colors change [standard deviations]."""
_MOST = 4
"""Most latent coordinates whose widths are drawn."""


@dataclass(frozen=True)
class Layer:
    """A number for each position.

    Parameters
    ----------
    values
        Shape of the label map, NaN where there is none.
    limits
        Values between which colors change.
    label
        What they are, with units.
    is_angle
        Whether the last color is the first again.
    """

    values: NDArray[np.floating[Any]]
    limits: tuple[float, float] = (0.0, 1.0)
    label: str = "0 ... 1"
    is_angle: bool = False


def layers_of(segmentation: Segmentation, missed: Residuals | None) -> dict[str, str]:
    """List what can be drawn of a result: its name for the reader by its key.

    Parameters
    ----------
    segmentation
        The result.
    missed
        What its clusters leave unexplained, None if nobody looked.
    """
    found = {CLUSTERS: "Clusters", NONE: "Picture only"}
    soft = segmentation.memberships is not None
    if soft or segmentation.margin is not None:
        found["sureness"] = "Sureness"
    for i in range(segmentation.n_clusters) if soft else ():
        found[f"member/{i}"] = f"Membership: {segmentation.name_of(i)}"
    if missed is not None:
        found["missed"] = "Residuals"
    known = segmentation.find(VAEInfo)
    if known is not None and known.width.shape[:-1] == segmentation.mask.shape:
        if known.angle is not None:
            found["angle"] = "Angle of the motif"
        for i, name in enumerate(segmentation.feature_names[: min(known.n_components, _MOST)]):
            found[f"width/{i}"] = f"Width: {name}"
    return found


def layer(segmentation: Segmentation, missed: Residuals | None, key: str) -> Layer:
    """Return a layer that :func:`layers_of` lists; without a number in it for other keys."""
    kind, _, number = key.partition("/")
    excluded = segmentation.mask
    found = Layer(np.full(excluded.shape, np.nan))
    known = segmentation.find(VAEInfo)
    if kind == "sureness":
        found = Layer(sureness(segmentation).reshape(excluded.shape))
    elif kind == "member" and segmentation.memberships is not None:
        found = Layer(np.asarray(segmentation.memberships.data[int(number)], dtype=np.float64))
    elif kind == "missed" and missed is not None:
        found = Layer(missed.deviance, _MISSED, "Standard deviations")
    elif kind == "width" and known is not None:
        values = known.width[..., int(number)]
        high = max(float(np.nanquantile(values, 0.995)), 1e-3)
        found = Layer(values, (0.0, high), "Width (the prior's is 1)")
    elif kind == "angle" and known is not None and known.angle is not None:
        found = _angle(known, excluded)
    return Layer(np.where(excluded, np.nan, found.values), found.limits, found.label,
                 is_angle=found.is_angle)  # fmt: skip


def _angle(known: VAEInfo, excluded: NDArray[np.bool_]) -> Layer:
    """Turn angles so that motifs that look the same have one color."""
    fold = np.ones(excluded.shape) if known.fold is None else np.maximum(known.fold, 1)
    folds, counts = np.unique(fold[~excluded], return_counts=True)
    once = 360.0 / float(folds[counts.argmax()])
    turn = np.asarray(known.angle, dtype=np.float64) * fold / 360 % 1
    return Layer(turn * once, (0.0, once), with_units("Angle", "°"), is_angle=True)
