"""The clustered rows as points in a plane, and what is chosen of them or of the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import param
from numpy.typing import NDArray

from clustem.app.frames import inside
from clustem.app.probe import mean_of_chosen
from clustem.app.runs import Outcome
from clustem.app.state import Explorer
from clustem.model import Projection

F64 = NDArray[np.float64]
_SOME = 4096  # rows from which the plane is found


@dataclass(frozen=True)
class Cloud:
    """Rows of a result as points.

    Parameters
    ----------
    points
        Coordinates (n, d), d at least 2.
    names
        Of the coordinates, with units.
    entries
        Entry of the label map in C order of each point, (n,).
    labels
        Cluster of each point, -1 = none.
    """

    points: F64
    names: tuple[str, ...]
    entries: NDArray[np.intp]
    labels: NDArray[Any]


def cloud_of(outcome: Outcome) -> Cloud:
    """Lay the rows of a result out as points.

    Parameters
    ----------
    outcome
        A result.

    Returns
    -------
    :
        The clustered features where they are few; else coordinates in the plane in which the
        clusters' means differ most, by one pass over the rows.
    """
    projection: Projection = outcome.result.projection
    entries = np.flatnonzero(~projection.mask)
    labels = np.asarray(projection.labels.data).ravel()[entries]
    points = np.asarray(projection.points, dtype=np.float64)
    if points.shape[1] >= 2:
        names = [_name(projection, i) for i in range(points.shape[1])]
        return Cloud(points, tuple(names), entries, labels)
    if points.shape[1] == 1:
        sure = _sureness(projection, entries)
        return Cloud(
            np.column_stack([points, sure]), (_name(projection, 0), "Sureness"), entries, labels
        )
    names = ("Centers' plane, axis 1 (a.u.)", "Centers' plane, axis 2 (a.u.)")
    table = projection.table
    if table is None:
        return Cloud(np.zeros((len(entries), 2)), names, entries, labels)
    clustered = table.positions
    plane = _plane(table.rows, np.asarray(projection.labels.data).ravel()[clustered])
    left_in = ~projection.mask.ravel()[clustered]  # positions may have been excluded since
    return Cloud(plane[left_in], names, entries, labels)


def _name(projection: Projection, i: int) -> str:
    explained = np.ravel(projection.details.get("explained_variance_ratio", ()))
    name = projection.features[i] if i < len(projection.features) else f"Feature {i + 1}"
    return f"{name} (a.u.; {100 * explained[i]:.1f} %)" if i < len(explained) else f"{name} (a.u.)"


def _sureness(projection: Projection, entries: NDArray[np.intp]) -> F64:
    if projection.memberships is not None:
        stack = np.asarray(projection.memberships.data, dtype=np.float64)
        return np.asarray(stack.reshape(len(stack), -1).max(axis=0)[entries])
    margin = projection.details.get("margin")
    return np.zeros(len(entries)) if margin is None else np.ravel(margin)[entries].astype(float)


def _plane(table: Any, labels: NDArray[Any]) -> F64:
    """Coordinates (n, 2) in the plane of the clusters' means."""
    from clustem.compute import Rows  # noqa: PLC0415  # numba, with the first result

    rows = table if hasattr(table, "map") else Rows.of(table)
    some = np.unique(np.linspace(0, len(labels) - 1, min(_SOME, len(labels))).astype(np.intp))
    sample = np.asarray(rows.take(some), dtype=np.float32)
    middle = sample.mean(axis=0)
    found = [sample[labels[some] == i].mean(axis=0) for i in np.unique(labels[some]) if i >= 0]
    means = np.stack(found or [middle]) - middle
    if len(means) < 3:  # two clusters span a line only: the rows' own spread gives the rest
        means = np.concatenate([means, (sample - middle)[:: max(len(sample) // 64, 1)] * 1e-3])
    axes = np.linalg.svd(means, full_matrices=False)[2][:2].T.astype(np.float32)
    offset = middle @ axes
    out = np.zeros((len(labels), 2))

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
        out[where, : axes.shape[1]] = np.asarray(block, dtype=np.float32) @ axes - offset

    for _ in rows.map(one):
        pass
    return out


class Selection(param.Parameterized):
    """Some entries of the label map: chosen on the map or among the points, shown on both.

    Parameters
    ----------
    explorer
        The session.
    """

    chosen = param.Parameter(doc="Boolean, one per entry of the label map, or None")
    mean = param.Parameter(doc="Mean raw row of the chosen, or None")
    cloud = param.Parameter(doc="Cloud of the present outcome, or None")

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self._explorer = explorer
        explorer.param.watch(self._renew, "outcome")

    @property
    def count(self) -> int:
        """Number of chosen entries."""
        return 0 if self.chosen is None else int(np.count_nonzero(self.chosen))

    def on_map(self, xs: Any, ys: Any) -> None:
        """Choose what lies inside an outline on the map."""
        places = self._explorer.places
        if places is not None:
            found = inside(places.points, np.column_stack([xs, ys]).astype(float))
            found &= ~np.ravel(self._explorer.outcome.result.mask)
            self.choose(found)

    def in_cloud(self, xs: Any, ys: Any, axes: tuple[int, int]) -> None:
        """Choose what lies inside an outline in the plane of two coordinates of the cloud."""
        cloud = self.cloud
        if cloud is None:
            return
        found = np.zeros(self._explorer.outcome.result.mask.size, dtype=bool)
        polygon = np.column_stack([xs, ys]).astype(float)
        found[cloud.entries[inside(cloud.points[:, list(axes)], polygon)]] = True
        self.choose(found)

    def choose(self, chosen: NDArray[np.bool_] | None) -> None:
        """Choose these entries; none if there is nothing in it."""
        self.mean = None
        self.chosen = chosen if chosen is not None and chosen.any() else None
        outcome = self._explorer.outcome
        if self.chosen is None or outcome is None:
            return
        mine = self.chosen

        def show(mean: Any) -> None:
            if self.chosen is mine:
                self.mean = mean

        self._explorer.looks.start(
            "chosen",
            lambda _: mean_of_chosen(outcome, mine),
            show,
            self._explorer.fail,
            latest=True,
        )

    def _renew(self, *_: Any) -> None:
        self.choose(None)
        self.cloud = None
        outcome = self._explorer.outcome
        if outcome is None:
            return

        def show(cloud: Cloud) -> None:
            if self._explorer.outcome is outcome:
                self.cloud = cloud

        self._explorer.looks.start(
            "cloud", lambda _: cloud_of(outcome), show, self._explorer.fail, latest=True
        )
