"""The result that a user holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem._edits import EDITS, check_clusters, checked_edit, colors_of, names_of
from clustem._result_folder import load_result, save_result
from clustem._toml import table
from clustem.compute.label_maps import as_labels, packed
from clustem.model import InputError, Projection, Step


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
    before
        The result before the last edit, None if there was none.

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
    before: Segmentation | None = field(default=None, repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "projection":  # not yet there while unpickling
            raise AttributeError(name)
        return getattr(self.projection, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.projection)})

    def __repr__(self) -> str:
        old, shape = self.projection, "×".join(map(str, self.projection.mask.shape))
        left = f"{100 * old.unassigned_fraction:.2f} % unassigned"
        return f"<Segmentation, {old.n_clusters} clusters on {shape}, {left}>"

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
        raw, mask = self._raw(source), self.projection.mask
        chosen = self._chosen(cluster)
        data = raw.data.reshape(mask.size, *raw.data.shape[mask.ndim :])[np.flatnonzero(chosen)]
        axes = [{"name": "member", "size": len(data), "navigate": True}]
        axes += [axis.get_axis_dictionary() for axis in raw.axes_manager._axes[mask.ndim :]]
        return raw.__class__(data, axes=axes, metadata=raw.metadata.as_dictionary())

    def spectral_image(self, cluster: int, *, source: Any = None) -> Any:
        """Take the raw scan with zeros wherever another cluster is, or none.

        Parameters
        ----------
        cluster
            As for :meth:`members`.
        source
            As for :meth:`members`.

        Returns
        -------
        :
            Signal of the source's shape, type and axes, lazy if the source is.

        Raises
        ------
        InputError
            As for :meth:`members`.
        """
        raw, chosen = self._raw(source), self._chosen(cluster)
        inner = (1,) * (raw.data.ndim - chosen.ndim)
        data = np.where(chosen.reshape(*chosen.shape, *inner), raw.data, raw.data.dtype.type(0))
        return raw._deepcopy_with_new_data(data)  # HyperSpy's way

    def relabel(self, names: Mapping[int, str]) -> Segmentation:
        """Give clusters names, which figures and files then show.

        Parameters
        ----------
        names
            Name by number of the cluster; an empty one gives the cluster its number back.

        Returns
        -------
        :
            A new result; this one stays.
        """
        pairs = names.items() if isinstance(names, Mapping) else [(names, "")]
        return self.edit("relabel", names={str(key): str(name) for key, name in pairs})

    def merge(self, clusters: Iterable[int]) -> Segmentation:
        """Join clusters into the one of them with the lowest number.

        Parameters
        ----------
        clusters
            Two or more numbers.

        Returns
        -------
        :
            A new result, its clusters numbered anew as before (by size), in the colors they had.
            Memberships add up, means are weighted by the counts, standard errors are pooled.
        """
        given = clusters if np.isscalar(clusters) else [*clusters]
        return self.edit("merge", clusters=np.ravel(given).tolist())

    def split(self, cluster: int, n: int = 2, *, source: Any = None) -> Segmentation:
        """Cut a cluster into parts by k-means of what was clustered.

        Parameters
        ----------
        cluster
            Its number.
        n
            Number of parts.
        source
            The raw signal, needed for a result loaded from disk.

        Returns
        -------
        :
            A new result, its clusters numbered anew as before; the largest part keeps the color.
            Where there are memberships, each position's goes to the part it is nearer.

        Raises
        ------
        InputError
            If there is no such cluster, it has fewer different members, or the rows are missing.
        """
        return self._with_source(source).edit("split", cluster=cluster, n=n)

    def exclude(self, mask: Any, *, source: Any = None) -> Segmentation:
        """Take positions out: they belong to no cluster, mean or share any more.

        Parameters
        ----------
        mask
            Boolean, shape of the scan, True = excluded; an array, a signal, or a file.
        source
            The raw signal, needed for a result loaded from disk.

        Returns
        -------
        :
            A new result; clusters keep their numbers.

        Raises
        ------
        InputError
            If the mask has another shape or leaves nothing, or the raw signal is missing.
        """
        found = packed(as_labels(mask, what="A mask") != 0)
        return self._with_source(source).edit("exclude", mask=found)

    def match(self, other: Segmentation, *, names: bool = False) -> Segmentation:
        """Take the colors over from another result of the same scan, also at another k or binning.

        Parameters
        ----------
        other
            An earlier run, say, or a folder loaded with :meth:`load`.
        names
            Whether names are taken over, too.

        Returns
        -------
        :
            A new result. Clusters that overlap most have the same color; others get free ones.
        """
        found = self.edit("recolor", colors=list(colors_of(self.projection, other.projection)))
        given = names_of(self.projection, other.projection) if names else {}
        return found.edit("relabel", names=given) if given else found

    def edit(self, name: str, **params: Any) -> Segmentation:
        """Make an edit by name, as a recipe does that repeats it.

        Parameters
        ----------
        name
            ``merge``, ``split``, ``relabel``, ``recolor`` or ``exclude``.
        **params
            Its parameters, plain values.

        Returns
        -------
        :
            A new result, the edit in its history and at the end of its recipe.
        """
        from clustem import __version__  # noqa: PLC0415  # the package imports this file

        params = checked_edit(name, params)
        changed = EDITS[name](self.projection, **params)
        step = Step("segmentation", name, params, __version__, params.get("random_state"))
        recipe = self.recipe
        if recipe:
            recipe += "\n" + table("edit", {"do": name, **params}, one_of_many=True)
        projection = replace(changed, history=(*self.projection.history, step))
        return replace(self, projection=projection, recipe=recipe, before=self)

    def undo(self) -> Segmentation:
        """Return the result before the last edit.

        Raises
        ------
        InputError
            If nothing was edited since the recipe ran or the folder was loaded.
        """
        if self.before is None:
            raise InputError(
                "Only an edit of this session can be undone",
                got="none",
                cure="Run the recipe without its [[edit]] tables.",
            )
        return self.before

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
        self._raw(None)
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
            Other results on the same scan, by title: the report shows their maps, too, in
            the colors of this one.
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
        others = {
            title: replace(other.projection, colors=colors_of(other.projection, self.projection))
            for title, other in (beside or {}).items()
        }
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

    def _with_source(self, source: Any) -> Segmentation:
        if source is None:
            return self
        return replace(self, projection=replace(self.projection, source=self._raw(source)))

    def _chosen(self, cluster: int) -> Any:
        """Where a cluster is, or the unassigned positions for -1; boolean, shape of the scan."""
        if cluster != -1:
            check_clusters(self.projection, [cluster])
        chosen = self.projection.unassigned if cluster == -1 else self.labels.data == cluster
        if not chosen.any():
            raise InputError(
                f"Cluster {cluster} must have members", got=0, cure="Lower the threshold."
            )
        return chosen

    def _raw(self, source: Any) -> Any:
        """Return the raw signal, given or kept."""
        raw = self.projection.source if source is None else source
        mask = self.projection.mask
        if raw is None or raw.data.shape[: mask.ndim] != mask.shape:
            raise InputError(
                f"The raw signal on {mask.shape} is needed",
                got="none" if raw is None else f"shape {raw.data.shape}",
                cure="Pass source=signal, cropped and binned as in the recipe.",
            )
        return raw
