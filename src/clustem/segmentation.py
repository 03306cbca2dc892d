"""The result that a user holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem._result_folder import load_result, save_result
from clustem.model import InputError, Projection, Step, UnknownNameError, falling_order


@dataclass(frozen=True)
class Segmentation:
    """Clusters on the scan: maps, centers, and how they came about.

    All fields of :class:`clustem.model.Projection` are attributes: ``labels``, ``memberships``,
    ``centers``, ``spread``, ``counts``, ``scores``, ``unassigned_fraction``, ``history``, ...

    Parameters
    ----------
    projection
        The data.
    recipe
        The recipe that made it, TOML.
    origin
        ``path`` and ``digest`` of the input.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds")
    >>> found.labels.data.shape, found.n_clusters
    ((20, 24), 4)
    """

    projection: Projection
    recipe: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "projection":  # not yet there while unpickling
            raise AttributeError(name)
        return getattr(self.projection, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.projection)})

    def __repr__(self) -> str:
        shape = "×".join(str(size) for size in self.projection.mask.shape)
        return (
            f"<Segmentation, {self.projection.n_clusters} clusters on {shape}, "
            f"{100 * self.projection.unassigned_fraction:.2f} % unassigned>"
        )

    def plot(self) -> Any:
        """Draw the map with its color key and scale bar.

        Returns
        -------
        :
            A matplotlib Figure; a notebook shows it.
        """
        from clustem.report import phase_map  # noqa: PLC0415  # matplotlib, 0.5 s

        return phase_map(self.projection)

    def members(self, cluster: int, *, source: Any = None) -> Any:
        """Take the raw spectra or patterns of one cluster.

        Parameters
        ----------
        cluster
            Number of the cluster; -1 for the unassigned positions.
        source
            The raw signal (scan | signal axes), needed for a result loaded from disk.

        Returns
        -------
        :
            Signal (members | signal axes) of the source's type, lazy if the source is.

        Raises
        ------
        InputError
            If there is no such cluster, it has no members, or the source is missing or of another
            shape.
        """
        raw = self.projection.source if source is None else source
        mask = self.projection.mask
        if raw is None or raw.data.shape[: mask.ndim] != mask.shape:
            raise InputError(
                f"The raw signal on {mask.shape} is needed to take members from",
                got="none" if raw is None else f"shape {raw.data.shape}",
                cure="Pass source=signal, cropped and binned as in the recipe.",
            )
        if cluster != -1:
            self._check_clusters([cluster])
        chosen = self.projection.unassigned if cluster == -1 else self.labels.data == cluster
        if not chosen.any():
            raise InputError(
                f"Cluster {cluster} must have members", got=0, cure="Lower the threshold."
            )
        data = raw.data.reshape(mask.size, *raw.data.shape[mask.ndim :])[np.flatnonzero(chosen)]
        axes = [{"name": "member", "size": len(data), "navigate": True}]
        axes += [axis.get_axis_dictionary() for axis in raw.axes_manager._axes[mask.ndim :]]
        return raw.__class__(data, axes=axes, metadata=raw.metadata.as_dictionary())

    def relabel(self, names: Mapping[int, str]) -> Segmentation:
        """Give clusters names, which figures and files then show.

        Parameters
        ----------
        names
            Name by number of the cluster.

        Returns
        -------
        :
            A new result; this one stays.
        """
        self._check_clusters(names)
        params = {"names": {str(key): str(value) for key, value in names.items()}}
        return self._edited("relabel", params, names={**self.projection.names, **names})

    def merge(self, clusters: Iterable[int]) -> Segmentation:
        """Join clusters into the one of them with the lowest number.

        Parameters
        ----------
        clusters
            Two or more numbers.

        Returns
        -------
        :
            A new result, its clusters again numbered by falling size. Memberships add up, means
            are weighted by the counts, and standard errors are pooled.
        """
        wanted = sorted(set(clusters))
        self._check_clusters(wanted)
        if len(wanted) < 2:
            raise InputError(
                "A merge needs two clusters or more", got=wanted, cure="Name them all."
            )
        old = self.projection
        first = np.arange(old.n_clusters)
        first[wanted] = wanted[0]
        sizes = np.bincount(first, weights=old.counts, minlength=old.n_clusters)
        kept = [i for i in falling_order(sizes) if first[i] == i]
        parts = [np.flatnonzero(first == i) for i in kept]
        number = np.full(old.n_clusters + 1, -1, dtype=np.int16)  # the last is for -1
        for new, part in enumerate(parts):
            number[part] = new
        mean, error = _pooled(old, parts)
        stack = old.memberships
        if stack is not None:
            total = np.stack([stack.data[part].sum(axis=0) for part in parts])
            stack = _like(stack, total)
        return self._edited(
            "merge",
            {"clusters": wanted},
            labels=_like(old.labels, number[old.labels.data]),
            memberships=stack,
            centers=_like(old.centers, mean),
            spread=_like(old.spread, error),
            counts=sizes[kept].astype(np.int64),
            names={new: old.names[int(i)] for new, i in enumerate(kept) if int(i) in old.names},
        )

    def to_hyperspy(self) -> Any:
        """Return the raw signal with the clusters in its ``learning_results``.

        HyperSpy's ``plot_cluster_results`` and ``get_cluster_labels`` then show them.

        Returns
        -------
        :
            A copy of the source that shares its data.

        Raises
        ------
        InputError
            If the result was loaded from disk and has no source.
        """
        old = self.projection
        if old.source is None:
            raise InputError("The raw signal is needed", got="none", cure="Run the recipe again.")
        out = old.source._deepcopy_with_new_data(old.source.data)  # HyperSpy's way
        k = old.n_clusters
        flat = old.labels.data.ravel()
        results = out.learning_results
        results.number_of_clusters = k
        results.cluster_labels = np.stack([flat == i for i in range(k)])
        means = old.centers.data.reshape(k, -1)
        results.cluster_centroid_signals = means
        results.cluster_sum_signals = means * old.counts[:, None]
        results.cluster_metadata = {"estimator": self.recipe}
        return out

    def save(
        self,
        folder: str | Path,
        *,
        force: bool = False,
        beside: Mapping[str, Segmentation] | None = None,
        truth: NDArray[np.integer] | None = None,
        truth_names: Sequence[str] = (),
    ) -> Path:
        """Write the result folder with report, figures, maps, centers, recipe and provenance.

        Parameters
        ----------
        folder
            Where to; it must not exist yet.
        force
            Whether an earlier result there is replaced.
        beside
            Other results on the same scan, by title: the report shows their maps, too.
        truth, truth_names
            Labels that are known to be right, of the map's shape, negative where there are none,
            and their names: the report shows the confusion matrix and where the map is wrong.

        Returns
        -------
        :
            The folder.

        Raises
        ------
        OutputError
            If the folder exists, cannot be written, or the disk is full; nothing is left behind.

        Notes
        -----
        Written to a sibling folder that is renamed at the end, so there is never half a result.
        """
        others = {title: other.projection for title, other in (beside or {}).items()}
        return save_result(
            self.projection,
            folder,
            recipe=self.recipe,
            origin=self.origin,
            force=force,
            more={"beside": others, "truth": truth, "truth_names": truth_names},
        )

    @classmethod
    def load(cls, folder: str | Path) -> Segmentation:
        """Read a result folder.

        Parameters
        ----------
        folder
            A folder written by :meth:`save`.

        Returns
        -------
        :
            The result, without its source and context.

        Raises
        ------
        InputError
            If the folder is not a result, or a file in it is missing or broken.
        """
        projection, recipe, origin = load_result(folder)
        return cls(projection, recipe=recipe, origin=origin)

    def _edited(self, name: str, params: dict[str, Any], **changes: Any) -> Segmentation:
        from clustem import __version__  # noqa: PLC0415  # the package imports this file

        step = Step("segmentation", name, params, __version__)
        projection = replace(self.projection, history=(*self.projection.history, step), **changes)
        return replace(self, projection=projection)

    def _check_clusters(self, clusters: Iterable[int]) -> None:
        for cluster in clusters:
            if not 0 <= cluster < self.projection.n_clusters:
                raise UnknownNameError.among(
                    "cluster", str(cluster), [str(i) for i in range(self.projection.n_clusters)]
                )


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
