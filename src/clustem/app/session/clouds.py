"""The clustered rows as points in a plane, and what is chosen of them or of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import param
from numpy.typing import NDArray

from clustem.app.session.frames import inside
from clustem.app.session.outcome import Outcome
from clustem.app.session.probe import mean_of_chosen
from clustem.app.session.state import Explorer
from clustem.core import PCAInfo, Segmentation

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
    segmentation: Segmentation = outcome.result
    entries = np.flatnonzero(~segmentation.mask)
    labels = np.asarray(segmentation.labels.data).ravel()[entries]
    points = np.asarray(segmentation.points, dtype=np.float64)
    if points.shape[1] >= 2:
        found = tuple(_name(segmentation, i) for i in range(points.shape[1]))
        return Cloud(points, found, entries, labels)
    if points.shape[1] == 1:
        sure = sureness(segmentation)[entries]
        return Cloud(
            np.column_stack([points, sure]), (_name(segmentation, 0), "Sureness"), entries, labels
        )
    names = ("Centers' plane, axis 1 (a.u.)", "Centers' plane, axis 2 (a.u.)")
    features = segmentation.features
    if features is None:  # of a saved result
        of_scan = outcome.raw.data.shape[: segmentation.mask.ndim] == segmentation.mask.shape
        plane = _plane(_raw_rows(outcome), labels) if of_scan else np.zeros((len(entries), 2))
        return Cloud(plane, names, entries, labels)
    clustered = features.positions
    plane = _plane(features.rows, np.asarray(segmentation.labels.data).ravel()[clustered])
    left_in = ~segmentation.mask.ravel()[clustered]  # positions may have been excluded since
    return Cloud(plane[left_in], names, entries, labels)


def _name(segmentation: Segmentation, i: int) -> str:
    components, names = segmentation.find(PCAInfo), segmentation.feature_names
    name = names[i] if i < len(names) else f"Feature {i + 1}"
    explained = () if components is None else components.explained_variance_ratio
    return f"{name} (a.u.; {100 * explained[i]:.1f} %)" if i < len(explained) else f"{name} (a.u.)"


def sureness(segmentation: Segmentation) -> F64:
    """How sure each entry of the label map is, 0 ... 1: largest membership, or the margin."""
    if segmentation.memberships is not None:
        stack = np.asarray(segmentation.memberships.data, dtype=np.float64)
        return np.asarray(stack.reshape(len(stack), -1).max(axis=0))
    if segmentation.margin is None:
        return np.zeros(segmentation.mask.size)
    return np.ravel(segmentation.margin).astype(np.float64)


def _raw_rows(outcome: Outcome) -> Any:
    """Return the raw rows of the positions that take part; a saved result has no others."""
    from clustem.passes.rows import Rows

    raw, mask = outcome.raw, outcome.result.mask
    return Rows(raw.data, row_ndim=raw.data.ndim - mask.ndim, mask=mask if mask.any() else None)


def _plane(given: Any, labels: NDArray[Any]) -> F64:
    """Coordinates (n, 2) in the plane of the clusters' means."""
    from clustem.passes.rows import Rows

    rows = given if hasattr(given, "map") else Rows.of(given)
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

    chosen: param.Parameter[NDArray[np.bool_] | None] = param.Parameter(
        doc="Boolean, one per entry of the label map"
    )
    mean: param.Parameter[NDArray[Any] | None] = param.Parameter(doc="Mean raw row of the chosen")
    cloud: param.Parameter[Cloud | None] = param.Parameter(doc="Points of the present result")

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self._explorer = explorer
        explorer.param.watch(self._renew, "outcome")

    @property
    def count(self) -> int:
        """Number of chosen entries."""
        return 0 if self.chosen is None else int(np.count_nonzero(self.chosen))

    def on_map(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Choose what lies inside an outline on the map."""
        places, outcome = self._explorer.places, self._explorer.outcome
        if places is not None and outcome is not None:
            found = inside(places.points, np.column_stack([xs, ys]).astype(float))
            found &= ~np.ravel(outcome.result.mask)
            self.choose(found)

    def in_cloud(self, xs: Sequence[float], ys: Sequence[float], axes: tuple[int, int]) -> None:
        """Choose what lies inside an outline in the plane of two coordinates of the cloud."""
        cloud, outcome = self.cloud, self._explorer.outcome
        if cloud is None or outcome is None:
            return
        found = np.zeros(outcome.result.mask.size, dtype=bool)
        polygon = np.column_stack([xs, ys]).astype(float)
        found[cloud.entries[inside(cloud.points[:, list(axes)], polygon)]] = True
        self.choose(found)

    def choose(self, chosen: NDArray[np.bool_] | None) -> None:
        """Choose these entries; none if all are False."""
        self.mean = None
        self.chosen = chosen if chosen is not None and chosen.any() else None
        outcome = self._explorer.outcome
        if self.chosen is None or outcome is None:
            return
        mine = self.chosen

        def show(mean: NDArray[np.float64] | None) -> None:
            if self.chosen is mine:
                self.mean = mean

        self._explorer.background.start(
            "chosen",
            lambda _: mean_of_chosen(outcome, mine),
            show,
            self._explorer.fail,
            latest=True,
        )

    def _renew(self, *_: Any) -> None:
        self.cloud = None  # first: what is drawn when nothing is chosen must not be of another map
        self.choose(None)
        outcome = self._explorer.outcome
        if outcome is None:
            return

        def show(cloud: Cloud) -> None:
            if self._explorer.outcome is outcome:
                self.cloud = cloud

        self._explorer.background.start(
            "cloud", lambda _: cloud_of(outcome), show, self._explorer.fail, latest=True
        )
