"""The result that a user holds: clusters on the scan, and how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clustem.core.about import FilterBank, Info, IntensityInfo, PatternInfo
from clustem.core.errors import InputError, ParameterError, UnknownNameError
from clustem.core.features import Features
from clustem.core.fitted import Fitted
from clustem.core.history import Step, versions
from clustem.core.registry import registry
from clustem.core.signal import (
    Signal,
    axes_of,
    from_dictionary,
    is_signal,
    like,
    to_dictionary,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from clustem.app.notebook import View
    from clustem.eels.zero_loss_model import ZeroLossModel
    from clustem.recipes.recipe import Recipe

K = TypeVar("K", bound=Info)
_LAST_COLOR = 65535


@dataclass(frozen=True, eq=False)
class Thickness:
    """How thick the specimen is at each position, NaN outside the clusters.

    Parameters
    ----------
    relative
        Thickness in units of the inelastic mean free path, t/λ, float32, shape of the scan.
    relative_error
        Half of its 68 % band.
    absolute
        Thickness [nm], None where the mean free path is not known.
    absolute_error
        Half of its 68 % band [nm].
    """

    relative: NDArray[np.float32]
    relative_error: NDArray[np.float32]
    absolute: NDArray[np.float32] | None = None
    absolute_error: NDArray[np.float32] | None = None

    def without(self, excluded: NDArray[np.bool_]) -> Thickness:
        """Return the maps with NaN at excluded positions."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        nan = np.float32(np.nan)
        kept = {n: np.where(excluded, nan, m) for n, m in known.items() if m is not None}
        return replace(self, **kept)


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Clusters on the scan: maps, centers, and how they came about.

    Parameters
    ----------
    labels
        Signal of the scan's shape, int16: number of the cluster, -1 = unassigned or excluded.
    memberships
        Signal (k | scan), float32, 0 where excluded; None for hard clusters.
    centers
        Signal (k | signal axes): mean raw row of each cluster, with the type, axes and metadata
        of the source.
    standard_error
        Signal like ``centers``: standard error of each mean.
    counts
        Number of scan positions in each mean, (k,).
    mask
        Boolean, shape of the scan, True = excluded.
    points
        What was clustered, float32 (n, d), when it has few columns; else (n, 0).
    feature_names
        Names of the columns of ``points``.
    names
        Names that the user gave to clusters, by number.
    color_index
        Place in the palette of each cluster's color, (k,); by number if not given.
    scores
        Figures of merit by name.
    about
        What the steps that made the features know about them.
    mean
        Mean raw row of all positions that take part.
    feature_centers
        Centers of a clustering of a single feature, (k,).
    distance
        Distance to the nearest center, float32, shape of the scan, NaN where excluded.
    margin
        Share by which the next center is farther (0: on the border, 1: on the center).
    novel
        Where no cluster explains what is there, boolean, shape of the scan; None if nobody asked.
    thickness
        Thickness maps.
    zero_loss
        Zero-loss model of each cluster.
    recipe
        The recipe that made it, edits included.
    history
        Everything that was done, in order.
    origin
        ``path`` and ``digest`` of the input.
    source
        The raw signal, None after loading from disk.
    context
        Other images of the same positions, for the report.
    features
        What was clustered, None after loading from disk.
    fitted
        What :meth:`apply` needs; None where the clusters cannot be had without fitting.
    before
        The result before the last edit, None if there was none.

    Raises
    ------
    InputError
        If there is not one color for each cluster.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> found.labels.data.shape, found.n_clusters
    ((20, 24), 4)
    """

    labels: Signal
    memberships: Signal | None
    centers: Signal
    standard_error: Signal
    counts: NDArray[np.int64]
    mask: NDArray[np.bool_]
    points: NDArray[np.float32]
    feature_names: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    color_index: tuple[int, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    about: Info | None = None
    mean: NDArray[np.float32] | None = None
    feature_centers: NDArray[np.float64] | None = None
    distance: NDArray[np.float32] | None = None
    margin: NDArray[np.float32] | None = None
    novel: NDArray[np.bool_] | None = None
    thickness: Thickness | None = None
    zero_loss: ZeroLossModel | None = None
    recipe: Recipe | None = None
    history: tuple[Step, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    source: Signal | None = None
    context: tuple[Signal, ...] = ()
    features: Features | None = None
    fitted: Fitted | None = None
    before: Segmentation | None = None

    def __post_init__(self) -> None:
        if not self.color_index:
            object.__setattr__(self, "color_index", tuple(range(self.n_clusters)))
        if len(self.color_index) != self.n_clusters:
            raise InputError(
                f"There must be one color for each of {self.n_clusters} clusters",
                got=len(self.color_index),
                cure="Leave color_index empty to color clusters by their numbers.",
            )
        if not all(0 <= place <= _LAST_COLOR for place in self.color_index):
            raise InputError(
                f"Places in the palette must be 0 … {_LAST_COLOR}",
                got=max(self.color_index, key=abs),
                cure="Leave color_index empty to color clusters by their numbers.",
            )

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.mask.shape))
        left = f"{100 * self.unassigned_fraction:.2f} % unassigned"
        return f"<Segmentation, {self.n_clusters} clusters on {shape}, {left}>"

    def _repr_html_(self) -> str:
        """Show the map and the shares of the clusters in a notebook."""
        text: str = _step_above("report.page.card", "card")(self)
        return text

    def __getstate__(self) -> dict[str, Any]:
        """Pickle signals as plain values; what :meth:`load` does not know stays behind."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        state |= {"source": None, "features": None, "before": None}
        return {name: _plain(value) for name, value in state.items()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, _restored(value))

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
    def signal_mask(self) -> NDArray[np.bool_] | None:
        """Pixels of a pattern that were no features, True = excluded."""
        found = self.find(PatternInfo)
        return None if found is None else found.signal_mask

    @property
    def ranked_by(self) -> str:
        """Name of the feature by whose falling median clusters are numbered; empty for size."""
        found = self.find(IntensityInfo)
        return "" if found is None else found.ranked_by

    @property
    def lattice(self) -> FilterBank | None:
        """Filters that an image of a lattice was described with."""
        return self.find(FilterBank)

    def find(self, kind: type[K]) -> K | None:
        """Return what a kind of step knows about the features; None if there was no such step."""
        return None if self.about is None else self.about.find(kind)

    def name_of(self, cluster: int) -> str:
        """Name of a cluster: the user's, or ``cluster 0``, ``cluster 1``, ..."""
        return self.names.get(cluster, f"cluster {cluster}")

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the map with its color key and scale bar.

        Parameters
        ----------
        ax
            Axes to draw the map into; None makes a pyplot figure, which ``plt.show()`` shows.

        Returns
        -------
        :
            The figure. In a notebook, end the line with a semicolon: pyplot shows it already.
        """
        figure: Figure = _step_above("report.figures.pyplot", "plot_map")(self, ax)
        return figure

    def explore(self, *, source: Signal | None = None) -> View:
        """Show the map in a notebook, linked with the spectrum or pattern under the cursor.

        Parameters
        ----------
        source
            The raw signal, needed for a result loaded from disk.

        Returns
        -------
        :
            A view: make it the last line of a cell. No server is started.

        Raises
        ------
        InputError
            If the packages of ``clustem[app]`` are missing, or the raw signal is.
        """
        found: View = _step_above("app.notebook", "explore")(self, source)
        return found

    def members(self, cluster: int, *, source: Signal | None = None) -> Any:
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
        raw, ndim = self._raw(source), self.mask.ndim
        chosen = np.flatnonzero(self._chosen(cluster))
        data = raw.data.reshape(self.mask.size, *raw.data.shape[ndim:])[chosen]
        axes = [{"name": "member", "size": len(data), "navigate": True}, *axes_of(raw)[ndim:]]
        return raw.__class__(data, axes=axes, metadata=raw.metadata.as_dictionary())

    def spectral_image(self, cluster: int, *, source: Signal | None = None) -> Any:
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
        return like(raw, data)

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

        Raises
        ------
        InputError
            If these are no names by number, or there is no such cluster.
        """
        if not isinstance(names, Mapping):
            raise ParameterError(
                "names must be given by the clusters' numbers",
                got=repr(names)[:60],
                cure='Write {0: "rutile"}.',
            )
        return self.edit("relabel", names={str(key): str(name) for key, name in names.items()})

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

        Raises
        ------
        InputError
            If these are not numbers of two clusters or more.
        """
        several = isinstance(clusters, Iterable) and not isinstance(clusters, str)
        return self.edit(
            "merge", clusters=np.asarray([*clusters]).tolist() if several else clusters
        )

    def split(self, cluster: int, n: int = 2, *, source: Signal | None = None) -> Segmentation:
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

    def exclude(
        self, mask: ArrayLike | Signal | Path, *, source: Signal | None = None
    ) -> Segmentation:
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
        found: str = _step_above("labelmaps.label_maps", "packed_mask")(mask)
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
        inherit = _step_above("labelmaps.inheritance", "inherited_colors")
        found = self.edit("recolor", color_index=list(inherit(self, other)))
        given = _step_above("labelmaps.inheritance", "inherited_names")(self, other)
        return found.edit("relabel", names=given) if names and given else found

    def apply(
        self,
        source: Any,
        *,
        novelty: float | None = 0.01,
        lazy: bool | None = None,
        progress: Any = None,
    ) -> Segmentation:
        """Find the same clusters on another scan, without fitting.

        Parameters
        ----------
        source
            Path of a file, a HyperSpy signal or a scan, as for ``segment``.
        novelty
            False-alarm rate of positions that no cluster explains; None does not look for any.
        lazy
            Whether to leave the data on disk; if None, files beyond 2 GB are.
        progress
            Called with the step and the share of steps done, 0 ... 1.

        Returns
        -------
        :
            The result on that scan, clusters in the same numbers, colors and names.

        Raises
        ------
        InputError
            If the scan is of another kind, or the clusters cannot be had without fitting.
        """
        found: Segmentation = _step_above("recipes.apply", "apply")(
            self, source, novelty=novelty, lazy=lazy, progress=progress
        )
        return found

    def edit(self, name: str, **parameters: Any) -> Segmentation:
        """Make an edit by name, as a recipe does that repeats it.

        Parameters
        ----------
        name
            ``merge``, ``split``, ``relabel``, ``recolor`` or ``exclude``.
        **parameters
            Its parameters, plain values.

        Returns
        -------
        :
            A new result, the edit in its history and at the end of its recipe.

        Raises
        ------
        InputError
            If there is no such edit, or its parameters do not fit.
        """
        entry = registry("edits").named(name, what="edit")
        given = entry.checked(parameters)
        changed: Segmentation = entry.step(self, **given)
        step = Step(
            "edits", name, given, version=versions()["clustem"], seed=given.get("random_state")
        )
        recipe = None if self.recipe is None else self.recipe.with_edit(name, given)
        return replace(changed, history=(*self.history, step), recipe=recipe, before=self)

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
        """Return the raw signal with the clusters in it, for HyperSpy.

        Returns
        -------
        :
            A copy of the source that shares its data. ``metadata.Clustem`` holds ``labels``,
            ``memberships`` and ``centers`` as signals; of a map of two axes, ``labels.plot()``
            draws names and colors, also after HyperSpy has saved and loaded it. Where HyperSpy has
            ``learning_results`` (up to 2.5), they are filled, so that ``plot_cluster_results`` and
            ``get_cluster_labels`` show the clusters.

        Raises
        ------
        InputError
            If the result was loaded from disk and has no source.
        """
        raw, k = self._raw(None), self.n_clusters
        out = like(raw, raw.data, copy_variance=True)
        labels = self.labels
        if self.mask.ndim == 2:
            labels = _step_above("report.label_map", "label_map")(self)
        parts = {"labels": labels, "memberships": self.memberships, "centers": self.centers}
        for name, part in parts.items():
            if part is not None:
                out.metadata.set_item(f"Clustem.{name}", part)
        results = getattr(out, "learning_results", None)
        if results is not None:
            flat = self.labels.data.ravel()
            means = self.centers.data.reshape(k, -1)
            results.number_of_clusters = k
            results.cluster_labels = np.stack([flat == i for i in range(k)])
            results.cluster_centroid_signals = means
            results.cluster_sum_signals = means * self.counts[:, None]
            results.cluster_metadata = {"estimator": self.recipe_text}
        return out

    @property
    def recipe_text(self) -> str:
        """The recipe as TOML; empty if there is none."""
        return "" if self.recipe is None else self.recipe.to_toml()

    def save(
        self,
        folder: str | Path,
        *,
        force: bool = False,
        beside: Mapping[str, Segmentation] | None = None,
        truth: NDArray[np.integer[Any]] | None = None,
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
        target: Path = _step_above("report.page.save_result", "save_result")(
            self, folder, force=force, beside=beside, truth=truth, truth_names=truth_names
        )
        return target

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
            The result, without its source, context and features.

        Raises
        ------
        InputError
            If the folder is not a result, or a file in it is missing or broken.
        """
        found: Segmentation = _step_above("recipes._result", "load_result")(Path(folder))
        return found

    def check_clusters(self, clusters: Iterable[int]) -> None:
        """Refuse numbers of clusters that are not there.

        Raises
        ------
        UnknownNameError
            If there is no such cluster.
        """
        known = [str(i) for i in range(self.n_clusters)]
        for cluster in clusters:
            if not 0 <= cluster < self.n_clusters:
                raise UnknownNameError.among("cluster", str(cluster), known)

    def _with_source(self, source: Signal | None) -> Segmentation:
        return self if source is None else replace(self, source=self._raw(source))

    def _chosen(self, cluster: int) -> NDArray[np.bool_]:
        """Where a cluster is, or the unassigned positions for -1; boolean, shape of the scan."""
        if cluster != -1:
            self.check_clusters([cluster])
        chosen: NDArray[np.bool_]
        chosen = self.unassigned if cluster == -1 else self.labels.data == cluster
        if not chosen.any():
            raise InputError(
                f"Cluster {cluster} must have members", got=0, cure="Lower the threshold."
            )
        return chosen

    def _raw(self, source: Signal | None) -> Any:
        """Return the raw signal, given or kept."""
        raw = self.source if source is None else source
        if raw is None or raw.data.shape[: self.mask.ndim] != self.mask.shape:
            raise InputError(
                f"The raw signal on {self.mask.shape} is needed",
                got="none" if raw is None else f"shape {raw.data.shape}",
                cure="Pass source=signal, cropped and binned as in the recipe.",
            )
        return raw


def _step_above(module: str, name: str) -> Any:
    """Load a function of a layer above this one: verbs only hand over (decision 15)."""
    return getattr(import_module(f"clustem.{module}"), name)


def _plain(value: Any) -> Any:
    """Turn signals into plain values, in tuples, too."""
    if is_signal(value):
        return _PlainSignal(to_dictionary(value))
    return tuple(_plain(part) for part in value) if type(value) is tuple else value


def _restored(value: Any) -> Any:
    if isinstance(value, _PlainSignal):
        return from_dictionary(value.content)
    return tuple(_restored(part) for part in value) if type(value) is tuple else value


@dataclass(frozen=True)
class _PlainSignal:
    """A signal as plain values."""

    content: dict[str, Any]
