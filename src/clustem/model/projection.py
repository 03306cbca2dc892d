"""Clusters back on the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model.errors import InputError
from clustem.model.step import Step
from clustem.model.table import Table


@dataclass(frozen=True)
class Projection:
    """Maps in scan space and centers from the raw data.

    Parameters
    ----------
    labels
        Signal of the scan's shape, int16: number of the cluster, -1 = unassigned or excluded.
    memberships
        Signal (k | scan), float32, 0 where excluded; None for hard clusters.
    centers
        Signal (k | signal axes): mean raw row of each cluster, with the type, axes and metadata
        of the source.
    spread
        Signal like ``centers``: standard error of each mean.
    counts
        Number of scan positions in each mean, (k,).
    mask
        Boolean, shape of the scan, True = excluded.
    points
        What was clustered, float32 (n, d), when it has few columns; else (n, 0).
    features
        Names of the columns of ``points``.
    names
        Names that the user gave to clusters, by number.
    scores
        Figures of merit by name.
    details
        What figures need, by name: arrays and plain values.
    history
        Everything that was done, in order.
    source
        The raw signal, None after loading from disk.
    context
        Other images of the same file (signals), for the report.
    colors
        Place in the palette of each cluster's color, (k,); by number if empty.
    table
        What was clustered, None after loading from disk.

    Raises
    ------
    InputError
        If there is not one color for each cluster.
    """

    labels: Any
    memberships: Any | None
    centers: Any
    spread: Any
    counts: NDArray[np.int64]
    mask: NDArray[np.bool_]
    points: NDArray[np.float32]
    features: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Step, ...] = ()
    source: Any | None = None
    context: tuple[Any, ...] = ()
    colors: tuple[int, ...] = ()
    table: Table | None = None

    def __post_init__(self) -> None:
        if self.colors and len(self.colors) != self.n_clusters:
            raise InputError(
                f"There must be one color for each of {self.n_clusters} clusters",
                got=len(self.colors),
                cure="Leave colors empty to color clusters by their numbers.",
            )

    @property
    def n_clusters(self) -> int:
        """Number of clusters k."""
        return len(self.counts)

    @property
    def unassigned(self) -> NDArray[np.bool_]:
        """Positions that take part but belong to no cluster; boolean, shape of the scan."""
        unassigned: NDArray[np.bool_] = (self.labels.data < 0) & ~self.mask
        return unassigned

    @property
    def unassigned_fraction(self) -> float:
        """Share of unassigned positions among those not excluded."""
        return float(self.unassigned[~self.mask].mean())

    @property
    def hues(self) -> tuple[int, ...]:
        """Place in the palette of each cluster's color, (k,)."""
        return self.colors or tuple(range(self.n_clusters))

    def name_of(self, cluster: int) -> str:
        """Name of a cluster: the user's, or ``cluster 0``, ``cluster 1``, ..."""
        return self.names.get(cluster, f"cluster {cluster}")
