"""What a user changes in a result: each a function of the result that a recipe can repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.compute.cluster_sums import cluster_sums
from clustem.compute.label_maps import as_labels, inherited, matched, on_shape, overlaps
from clustem.compute.picked_rows import PickedRows
from clustem.model import (
    InputError,
    ParameterError,
    Projection,
    UnknownNameError,
    check_parameters,
    falling_order,
    parameters_of,
)

_OF_CENTERS = ("distance", "margin")
"""Details that hold for the centers of the clustering only."""

_ON_SCAN = (*_OF_CENTERS, *(f"thickness{end}" for end in ("", "_error", "_nm", "_nm_error")))
"""Details that hold for positions, one value each."""

_OF_CLUSTERS = (*_OF_CENTERS, "zero_loss")
"""Details that hold for the clusters before they are joined or cut only."""


def checked_edit(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check an edit's name and parameters, as a recipe or a caller gives them.

    Raises
    ------
    UnknownNameError
        If there is no such edit or parameter.
    ParameterError
        If a value does not fit or is missing.
    """
    if name not in EDITS:
        raise UnknownNameError.among("edit", name, EDITS)
    found = check_parameters(EDITS[name], params, where=f"the edit {name}")
    for parameter in parameters_of(EDITS[name]).values():
        if parameter.required and parameter.name not in found:
            raise ParameterError(
                f"The edit {name} needs {parameter.name}, {parameter.description}",
                got="none",
                cure="Add it.",
            )
    return found


def merge(old: Projection, *, clusters: list[int]) -> Projection:
    """Join clusters into the one of them with the lowest number: see ``Segmentation.merge``."""
    wanted = sorted(set(clusters))
    check_clusters(old, wanted)
    if len(wanted) < 2:
        raise InputError("A merge needs two clusters or more", got=wanted, cure="Name them all.")
    first = np.arange(old.n_clusters)
    first[wanted] = wanted[0]
    parts = [np.flatnonzero(first == i) for i in np.unique(first)]
    mean, error = _pooled(old, parts)
    memberships = None
    if old.memberships is not None:
        memberships = np.stack([old.memberships.data[part].sum(axis=0) for part in parts])
    number = np.empty(old.n_clusters + 1, dtype=np.int16)
    number[-1] = -1
    for new, part in enumerate(parts):
        number[part] = new
    leaders = [int(part[0]) for part in parts]
    return _renumbered(
        old,
        _Parts(
            labels=number[old.labels.data],
            memberships=memberships,
            means=mean,
            errors=error,
            counts=np.array([old.counts[part].sum() for part in parts]),
            hues=tuple(old.hues[i] for i in leaders),
            names={new: old.names[i] for new, i in enumerate(leaders) if i in old.names},
        ),
    )


def split(
    old: Projection,
    *,
    cluster: int,
    n: Annotated[int, Ge(2)] = 2,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Projection:
    """Cut a cluster into n by k-means of what was clustered: see ``Segmentation.split``."""
    check_clusters(old, [cluster])
    rows, positions = _clustered_rows(old)
    flat = old.labels.data.ravel()
    members = np.flatnonzero(flat[positions] == cluster)
    if len(members) < n:
        raise InputError(
            f"Cluster {cluster} can be split into at most as many as it has members "
            f"({len(members)})",
            got=n,
            cure="Use a smaller n.",
        )
    part_of = _cut(rows, members, n, random_state, everywhere=old.memberships is not None)
    k = old.n_clusters
    labels = flat.astype(np.int16)
    child = np.array([cluster, *range(k, k + n - 1)], dtype=np.int16)
    labels[positions[members]] = child[part_of[members]]
    found = _means(old, labels.reshape(old.mask.shape), child)
    means, errors = (
        np.concatenate([data, np.zeros((n - 1, *data.shape[1:]), data.dtype)])
        for data in (old.centers.data, old.spread.data)
    )
    means[child], errors[child] = found.means, found.errors
    counts = np.append(old.counts, np.zeros(n - 1, dtype=old.counts.dtype))
    counts[child] = found.counts
    memberships = None
    if old.memberships is not None:
        memberships = np.concatenate([old.memberships.data, np.zeros((n - 1, *old.mask.shape))])
        whole = old.memberships.data[cluster].ravel()
        share = np.zeros((n, old.mask.size))
        share[part_of, positions] = whole[positions]
        memberships[child] = share.reshape(n, *old.mask.shape)
        memberships = memberships.astype(old.memberships.data.dtype)
    names = dict(old.names)
    if cluster in names:
        names |= {int(c): f"{names[cluster]} {i + 1}" for i, c in enumerate(child)}
    hues = inherited({i: i for i in range(k)}, old.hues, k + n - 1)
    parts = _Parts(labels.reshape(old.mask.shape), memberships, means, errors, counts, hues, names)
    return _renumbered(old, parts)


def relabel(old: Projection, *, names: dict[str, str]) -> Projection:
    """Give clusters names: see ``Segmentation.relabel``."""
    wrong = [key for key in names if not key.lstrip("-").isdigit()]
    if wrong:
        raise ParameterError(
            "names must be given by the clusters' numbers",
            got=wrong[0],
            cure='Write {0: "rutile"}.',
        )
    given = {int(key): name for key, name in names.items()}
    check_clusters(old, given)
    names = {**old.names, **given}
    return replace(old, names={key: name for key, name in names.items() if name.strip()})


def recolor(old: Projection, *, colors: list[Annotated[int, Ge(0)]]) -> Projection:
    """Give each cluster a place in the palette: see ``Segmentation.match``."""
    if len(colors) != old.n_clusters or len(set(colors)) != len(colors):
        raise ParameterError(
            f"colors must be {old.n_clusters} different places in the palette, one per cluster",
            got=colors,
            cure="Give each cluster its own.",
        )
    return replace(old, colors=tuple(colors))


def exclude(old: Projection, *, mask: str | NDArray[np.bool_]) -> Projection:
    """Take positions out of a result: see ``Segmentation.exclude``."""
    given, _ = on_shape(
        as_labels(mask, what="A mask"),
        old.mask.shape,
        what="A mask must have the shape of the scan, or be binned to it by whole factors",
        cure="Make it for the scan as it was cropped and binned.",
    )
    out = given != 0
    new = out & ~old.mask
    if (old.mask | out).all():
        raise InputError(
            "At least one position must be left in",
            got=f"all {out.size} excluded",
            cure="True means excluded: invert the mask, or make it smaller.",
        )
    labels = np.where(out, -1, old.labels.data).astype(np.int16)
    details = dict(old.details)
    for name in set(_ON_SCAN) & set(details):
        details[name] = np.where(new, np.nan, details[name])
    memberships = old.memberships
    if memberships is not None:
        memberships = _like(memberships, np.where(out, 0, memberships.data))
    found = replace(
        old,
        labels=_like(old.labels, labels),
        memberships=memberships,
        mask=old.mask | out,
        points=old.points[~out[~old.mask]],
        details=details,
    )
    if not (old.labels.data[new] >= 0).any():
        return found
    sums = _means(found, labels, np.arange(old.n_clusters))
    return replace(
        found,
        centers=_like(old.centers, sums.means),
        spread=_like(old.spread, sums.errors),
        counts=sums.counts,
        details={**details, "mean": sums.mean},
    )


EDITS: dict[str, Callable[..., Projection]] = {
    "merge": merge,
    "split": split,
    "relabel": relabel,
    "recolor": recolor,
    "exclude": exclude,
}


def colors_of(new: Projection, old: Projection) -> tuple[int, ...]:
    """Return the colors that clusters take over from another result of the same scan.

    Raises
    ------
    InputError
        If the scans differ by more than binning by whole factors.
    """
    return inherited(_pairs(new, old), old.hues, new.n_clusters)


def names_of(new: Projection, old: Projection) -> dict[str, str]:
    """Return the names that clusters take over, as :func:`relabel` takes them."""
    return {str(j): old.names[i] for i, j in _pairs(new, old).items() if i in old.names}


def _pairs(new: Projection, old: Projection) -> dict[int, int]:
    """Cluster of the new result by that of the old one which it overlaps most."""
    cure = "Match results of the same scan, cropped alike."
    what = "Both results must be of the same scan"
    a, b = as_labels(old), as_labels(new)
    if a.size >= b.size:
        a, _ = on_shape(a, b.shape, what=what, cure=cure)
    else:
        b, _ = on_shape(b, a.shape, what=what, cure=cure)
    return matched(overlaps(a, b, (old.n_clusters, new.n_clusters))[:-1, :-1])


def check_clusters(old: Projection, clusters: Iterable[int]) -> None:
    """Refuse numbers of clusters that are not there.

    Raises
    ------
    UnknownNameError
        If there is no such cluster.
    """
    known = [str(i) for i in range(old.n_clusters)]
    for cluster in clusters:
        if not 0 <= cluster < old.n_clusters:
            raise UnknownNameError.among("cluster", str(cluster), known)


@dataclass(frozen=True)
class _Parts:
    """Clusters in any order, before they are numbered."""

    labels: NDArray[np.int16]
    memberships: NDArray[Any] | None
    means: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int64]
    hues: tuple[int, ...]
    names: Mapping[int, str]


def _renumbered(old: Projection, parts: _Parts) -> Projection:
    order = falling_order(_rank(old, parts))
    number = np.full(len(order) + 1, -1, dtype=np.int16)  # the last is for -1
    number[order] = np.arange(len(order))
    memberships = None
    if parts.memberships is not None and old.memberships is not None:
        memberships = _like(old.memberships, parts.memberships[order])
    return replace(
        old,
        labels=_like(old.labels, number[parts.labels]),
        memberships=memberships,
        centers=_like(old.centers, parts.means[order]),
        spread=_like(old.spread, parts.errors[order]),
        counts=parts.counts[order].astype(np.int64),
        names={int(number[i]): parts.names[i] for i in order.tolist() if i in parts.names},
        colors=tuple(parts.hues[i] for i in order),
        details={key: value for key, value in old.details.items() if key not in _OF_CLUSTERS},
    )


def _rank(old: Projection, parts: _Parts) -> NDArray[Any]:
    """Return what clusters are numbered by: size, or the column that the partition was by."""
    name = old.details.get("numbered_by")
    if name not in old.features:
        return parts.counts
    values = old.points[:, old.features.index(name)]
    labels = parts.labels[~old.mask]
    groups = [values[labels == i] for i in range(len(parts.counts))]
    return np.array([np.median(group) if len(group) else -np.inf for group in groups])


def _clustered_rows(old: Projection) -> tuple[Rows, NDArray[np.intp]]:
    """Rows that were clustered (n, d), and the flat index in the scan of each."""
    if old.table is not None:
        return Rows.of(old.table.rows), old.table.positions
    if old.points.shape[1]:
        return Rows.of(old.points), np.flatnonzero(~old.mask)
    raise InputError(
        "A split needs the rows that were clustered",
        got="a result loaded from disk, whose rows are too wide to be saved",
        cure='Run its recipe again, and split that; or add [[edit]] with do = "split" to it.',
    )


def _cut(
    rows: Rows, members: NDArray[np.intp], n: int, seed: int, *, everywhere: bool
) -> NDArray[np.int32]:
    """Part (rows,) of each member, or of all rows."""
    import warnings  # noqa: PLC0415  # here only

    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  # 0.5 s

    from clustem.cluster import KMeans  # noqa: PLC0415  # 0.5 s

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told below, with its cure
        found = KMeans(n, random_state=seed).fit(PickedRows(rows, members))
    if len(np.unique(found.labels_)) < n:
        raise InputError(
            "A cluster can be split into as many as it has different members",
            got=f"fewer than {n}",
            cure="Use a smaller n.",
        )
    if everywhere:
        return np.asarray(found.predict(rows))
    parts = np.zeros(len(rows), dtype=np.int32)
    parts[members] = found.labels_
    return parts


def _means(old: Projection, labels: NDArray[np.int16], clusters: NDArray[Any]) -> Any:
    """Average the raw rows of some clusters of a label map."""
    if old.source is None:
        raise InputError(
            "The raw signal is needed to average the clusters anew",
            got="none",
            cure="Pass source=signal, cropped and binned as in the recipe.",
        )
    place = np.full(int(labels.max(initial=0)) + 2, -1)
    place[clusters] = np.arange(len(clusters))
    flat = place[labels[~old.mask]]
    return cluster_sums(old.source.data, flat, len(clusters), mask=old.mask)


def _pooled(old: Projection, parts: list[Any]) -> tuple[Any, Any]:
    """Means weighted by the counts, and their standard errors, of groups of clusters."""
    mean, error = old.centers.data.astype(np.float64), old.spread.data.astype(np.float64)
    n = old.counts.reshape(-1, *[1] * (mean.ndim - 1)).astype(np.float64)
    squares = error**2 * n * np.maximum(n - 1, 0) + n * mean**2  # sums of squares per cluster
    means, errors = [], []
    for part in parts:
        total = max(float(n[part].sum()), 1.0)
        together = (n[part] * mean[part]).sum(axis=0) / total
        rest = np.maximum(squares[part].sum(axis=0) - total * together**2, 0)
        means.append(together)
        errors.append(np.sqrt(rest / max(total - 1, 1) / total))
    return np.stack(means).astype(np.float32), np.stack(errors).astype(np.float32)


def _like(signal: Any, data: Any) -> Any:
    """Give data the axes and metadata of a signal; the first axis may have another size."""
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes]
    axes[0]["size"] = len(data)
    return signal.__class__(data, axes=axes, metadata=signal.metadata.as_dictionary())
