"""The result that a user holds of several signals of one scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal, UnknownNameError
from clustem.recipes._in_folder import InFolder

if TYPE_CHECKING:
    from pandas import DataFrame

    from clustem.app.notebook import View
    from clustem.physics.shared_positions import Placement
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.segment import Source


@dataclass(frozen=True, eq=False, repr=False)
class Joint(InFolder, Mapping[str, Segmentation]):
    """Several signals of one scan with one set of clusters: results by the name of the signal.

    All of them have the same map; each has the means of its own signal.

    Parameters
    ----------
    signals
        Result of each signal.
    information
        What each signal by itself tells about the cluster of a position [bits].
    joint_information
        What all of them tell [bits].
    placements
        How signals lie on the one whose positions are the common ones.
    recipes
        How each signal was prepared and described.

    Raises
    ------
    InputError
        If there is no signal.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> scene = samples.eds(shape=(24, 30))
    >>> image = scene.signal.sum(axis="Energy").as_signal2D((0, 1))
    >>> found = segment({"eds": scene.signal, "haadf": image}, "joint", n_clusters=4)
    >>> found["haadf"].centers.data.shape, found.n_clusters
    ((4,), 4)
    """

    signals: Mapping[str, Segmentation]
    information: Mapping[str, float] = field(default_factory=dict)
    joint_information: float = 0.0
    placements: Mapping[str, Placement] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.signals:
            raise InputError(
                "A joint result needs signals",
                got="none",
                cure='segment({"eds": ..., "haadf": ...}, "joint").',
            )

    def __getitem__(self, name: str) -> Segmentation:
        """Return the result of one signal."""
        if name not in self.signals:
            raise UnknownNameError.among("signal called", name, list(self.signals))
        return self.signals[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the signals."""
        return iter(self.signals)

    def __len__(self) -> int:
        """Return the number of signals."""
        return len(self.signals)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.mask.shape))
        return f"<Joint, {self.n_clusters} clusters on {shape}, by {' and '.join(self)}>"

    def _repr_html_(self) -> str:
        """Show the map and what each signal tells in a notebook."""
        return f"{self.first._repr_html_()}<p>{self.sentence}</p>"

    @property
    def first(self) -> Segmentation:
        """The result of the first signal."""
        return next(iter(self.signals.values()))

    @property
    def labels(self) -> Signal:
        """Number of the cluster at each position, -1 = unassigned or excluded."""
        return self.first.labels

    @property
    def memberships(self) -> Signal | None:
        """Membership in each cluster at each position."""
        return self.first.memberships

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Boolean, shape of the scan, True = excluded."""
        return self.first.mask

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of positions of each cluster, (k,)."""
        return self.first.counts

    @property
    def n_clusters(self) -> int:
        """Number of clusters k."""
        return self.first.n_clusters

    @property
    def names(self) -> Mapping[int, str]:
        """Names that the user gave to clusters, by number."""
        return self.first.names

    @property
    def color_index(self) -> tuple[int, ...]:
        """Place in the palette of each cluster's color, (k,)."""
        return self.first.color_index

    @property
    def sentence(self) -> str:
        """Who decided what, in one sentence."""
        if not self.information:
            return ""
        told = sorted(self.information.items(), key=lambda pair: -pair[1])
        parts = ", ".join(f"{name} {bits:.2f}" for name, bits in told)
        return (
            f"Of the cluster of a position, without its neighbours, all signals together tell "
            f"{self.joint_information:.2f} of {self.entropy:.2f} bits; each by itself: {parts}."
        )

    @property
    def entropy(self) -> float:
        """Bits that it takes to say which cluster a position is of."""
        shares = self.counts / max(self.counts.sum(), 1)
        there = shares[shares > 0]
        return float(-(there * np.log2(there)).sum()) + 0.0

    def table(self) -> DataFrame:
        """List what each signal tells, and how it lies on the others.

        Returns
        -------
        :
            One line for each signal: ``signal``, ``information`` [bits], ``placed`` (same, shift or
            affine; empty for the one that others are placed on), ``rows``, ``columns`` of its
            shift, and the probability ``chance`` that it agrees so well by chance.
        """
        from pandas import DataFrame

        lines = []
        for name in self:
            place = self.placements.get(name)
            lines.append(
                {
                    "signal": name,
                    "information": self.information.get(name, np.nan),
                    "placed": "" if place is None else place.kind,
                    "rows": 0.0 if place is None else place.shift[0],
                    "columns": 0.0 if place is None else place.shift[1],
                    "chance": np.nan if place is None or place.chance is None else place.chance,
                }
            )
        return DataFrame(lines)

    def apply(
        self,
        sources: Mapping[str, Source] | str | Path,
        *,
        novelty: float | None = 0.01,
        lazy: bool | None = None,
        progress: Any = None,
    ) -> Joint:
        """Find the same clusters on another scan that has the same signals, without fitting.

        Parameters
        ----------
        sources
            Signals by the names that they have here, or a file that holds them.
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
            If a signal is missing or of another kind, does not lie on the others, or the clusters
            cannot be had without fitting.

        Notes
        -----
        Each signal is prepared anew and described as in the fit; images must be taken with the same
        settings, as their values are compared with those of the clusters.
        """
        from clustem.recipes.apply import apply

        return apply(self, sources, novelty=novelty, lazy=lazy, progress=progress)

    def relabel(self, names: Mapping[int, str]) -> Joint:
        """Give clusters names: see ``Segmentation.relabel``."""
        return self._each(lambda one: one.relabel(names))

    def merge(self, clusters: Iterable[int]) -> Joint:
        """Join clusters: see ``Segmentation.merge``."""
        several = [*clusters]
        return self._each(lambda one: one.merge(several))

    def _each(self, change: Any) -> Joint:
        return replace(self, signals={name: change(one) for name, one in self.signals.items()})

    def plot(self) -> Any:
        """Draw the map.

        Returns
        -------
        :
            A matplotlib Figure; a notebook shows it.
        """
        return self.first.plot()

    def explore(self, *, sources: Mapping[str, Signal] | None = None) -> View:
        """Show the map in a notebook, linked with what each signal has under the cursor.

        Parameters
        ----------
        sources
            The raw signals by name, on the positions of the map, needed for a result loaded from
            disk.

        Returns
        -------
        :
            A view with a menu of the signals that have spectra or patterns: make it the last line
            of a cell. No server is started.

        Raises
        ------
        InputError
            If the packages of ``clustem[app]`` are missing, or a raw signal is.
        """
        shown = {name: one for name, one in self.items() if one.centers.data.ndim > 1}
        shown = shown or dict([*self.items()][:1])  # images alone: all have one map
        missing = [] if sources is None else [name for name in shown if name not in sources]
        if missing:
            raise InputError(
                "There must be a raw signal for each that has spectra or patterns",
                got=f"none for {', '.join(missing)}",
                cure="Pass all of them, by the names of this result.",
            )
        given = None if sources is None else [sources[name] for name in shown]
        return self._explored(shown, given, "Signal")

    def _named(self) -> Mapping[str, Segmentation]:
        return self.signals

    def _write(self, folder: Path) -> None:
        from clustem.recipes._joint_folder import write_joint_folder

        write_joint_folder(self, folder)
