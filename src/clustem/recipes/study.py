"""The result that a user holds of several scans with one set of clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    InputError,
    Segmentation,
    Signal,
    UnknownNameError,
    elements_of,
    instrument,
    stack_of_maps,
    stack_of_rows,
    type_of,
)
from clustem.judge.area_share import area_share
from clustem.mapping.tracks import Tracks
from clustem.passes.scratch import scratch
from clustem.physics.line_shares import line_shares
from clustem.recipes._in_folder import InFolder
from clustem.recipes._joint import Channels

if TYPE_CHECKING:
    from pandas import DataFrame

    from clustem.app.notebook import View
    from clustem.recipes.segment import Source


@dataclass(frozen=True, eq=False, repr=False)
class Study(InFolder, Sequence[Segmentation]):
    """Several scans with one set of clusters: a sequence of their results.

    Parameters
    ----------
    maps
        Result of each scan; clusters have the same numbers, colors and names in all.
    titles
        Name of each scan.
    at
        Where each scan stands in a series: its time, tilt or temperature; its number if it is in
        none.
    along
        Name and unit of ``at``.
    skipped
        What could not be read, and why.

    Raises
    ------
    InputError
        If there is no map, or not one title for each.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> given = {"shape": (24, 30)}
    >>> scans = [samples.eds(random_state=i, **given).signal for i in range(2)]
    >>> study = segment(scans, "eds", n_clusters=4)
    >>> len(study), study.centers.data.shape, study[1].n_clusters
    (2, (4, 1024), 4)
    """

    maps: tuple[Segmentation, ...]
    titles: tuple[str, ...]
    at: tuple[float, ...] = ()
    along: tuple[str, str] = ("map", "")
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.maps or len(self.maps) != len(self.titles):
            raise InputError(
                "A study needs at least one map and one title for each",
                got=f"{len(self.maps)} maps, {len(self.titles)} titles",
                cure="Give clustem.segment a list of scans.",
            )
        if not self.at:
            object.__setattr__(self, "at", tuple(float(i + 1) for i in range(len(self.maps))))

    @overload
    def __getitem__(self, index: int) -> Segmentation: ...
    @overload
    def __getitem__(self, index: slice) -> Study: ...
    def __getitem__(self, index: int | slice) -> Segmentation | Study:
        """Return the result of one scan, or a study of some."""
        if isinstance(index, slice):
            return replace(
                self, maps=self.maps[index], titles=self.titles[index], at=self.at[index]
            )
        return self.maps[index]

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.maps)

    def __iter__(self) -> Iterator[Segmentation]:
        """Go through the results of the scans."""
        return iter(self.maps)

    def __repr__(self) -> str:
        return f"<Study, {self.n_clusters} clusters on {len(self)} maps>"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return str(self.table().to_html())

    @property
    def n_clusters(self) -> int:
        """Number of clusters k."""
        return self.maps[0].n_clusters

    @property
    def names(self) -> Mapping[int, str]:
        """Names that the user gave to clusters, by number."""
        return self.maps[0].names

    @property
    def color_index(self) -> tuple[int, ...]:
        """Place in the palette of each cluster's color, (k,)."""
        return self.maps[0].color_index

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of positions of each cluster in all maps, (k,)."""
        total: NDArray[np.int64] = np.sum([one.counts for one in self.maps], axis=0)
        return total

    @cached_property
    def centers(self) -> Signal:
        """Mean raw row of each cluster over all maps (k | signal axes)."""
        first = self.maps[0].centers
        total = np.zeros(first.data.shape)
        for one in self.maps:
            total += one.centers.data * one.counts.reshape(-1, *[1] * (total.ndim - 1))
        weights = np.maximum(self.counts, 1).reshape(-1, *[1] * (total.ndim - 1))
        return stack_of_rows((total / weights).astype(np.float32), first)

    @cached_property
    def labels(self) -> Signal:
        """Label maps of all scans (map | row, column), int16, -1 = unassigned or excluded.

        Raises
        ------
        InputError
            If the scans have several shapes.
        """
        shapes = {one.mask.shape for one in self.maps}
        if len(shapes) > 1:
            raise InputError(
                "Maps of one stack must have the same shape",
                got=" and ".join(str(shape) for shape in sorted(shapes)[:2]),
                cure="Take them one by one: study[0].labels.",
            )
        out = scratch((len(self), *shapes.pop()), np.int16)
        for page, one in zip(out, self.maps, strict=True):
            page[...] = one.labels.data
        step = self.at[1] - self.at[0] if len(self) > 1 else 1.0
        even = np.allclose(np.diff(self.at), step, rtol=1e-6, atol=0) and step != 0
        axis = {
            "name": self.along[0],
            "units": self.along[1],
            "offset": self.at[0] if even else 0.0,
            "scale": step if even else 1.0,
        }
        return stack_of_maps(out, self.maps[0].labels, axis=axis)

    @cached_property
    def tracks(self) -> Tracks | None:
        """Size, direction and turn of each lattice in each map; None of other data."""
        bank = self.maps[0].lattice
        if bank is None or self.maps[0].centers.data.ndim != 3:
            return None
        return Tracks.of(self.maps)

    def name_of(self, cluster: int) -> str:
        """Name of a cluster: the user's, or ``cluster 0``, ``cluster 1``, ..."""
        return self.maps[0].name_of(cluster)

    def relabel(self, names: Mapping[int, str]) -> Study:
        """Give clusters names in all maps: see ``Segmentation.relabel``."""
        return self._each(lambda one: one.relabel(names))

    def _each(self, change: Any) -> Study:
        return replace(self, maps=tuple(change(one) for one in self.maps))

    def apply(
        self,
        source: Source,
        *,
        novelty: float | None = 0.01,
        lazy: bool | None = None,
        progress: Any = None,
    ) -> Segmentation:
        """Find the same clusters on another scan, without fitting: see ``Segmentation.apply``."""
        from clustem.recipes.apply import apply

        return apply(self, source, novelty=novelty, lazy=lazy, progress=progress)

    def whole(self) -> Segmentation:
        """Return the first map's result with the centers of all."""
        shape = (-1, *[1] * (self.centers.data.ndim - 1))
        weights = self.counts.reshape(shape) / max(self.counts.sum(), 1)
        mean = (self.centers.data * weights).sum(axis=0).astype(np.float32)
        return replace(self.maps[0], centers=self.centers, mean=mean)

    def table(self) -> DataFrame:
        """List what each cluster takes of each map.

        Returns
        -------
        :
            One line for each map and cluster: ``map``, its place in the series, ``cluster``,
            ``name``, ``positions``, ``share`` of those that take part, ``low`` and ``high`` of its
            95 % interval, ``area`` in squared units of the scan where these are known, ``counts`` a
            position, ``novel`` share of the map that no cluster explains. Of lattices also
            ``direction`` and ``turn`` since the first map [°], and ``strength`` of the mean
            response; of X-ray spectra of known elements the share ``lines Si`` of the counts in
            lines that are those of silicon (``physics.line_shares``), which is no composition.

        Notes
        -----
        Intervals are those of the share in the specimen around the map, as far as the map stands
        for it: see ``judge.area_share``.
        """
        from pandas import DataFrame

        from clustem.report.layout.extent import area_of

        lines, tracks = [], self.tracks
        of_lattices = {}
        if tracks is not None:
            of_lattices = {
                "direction": tracks.directions,
                "turn": tracks.turns,
                "strength": tracks.strength,
            }
        for t, (title, at, one) in enumerate(zip(self.titles, self.at, self.maps, strict=True)):
            shares, low, high = area_share(one)
            area, unit = area_of(one) or (np.nan, "")
            novel = np.nan if one.novel is None else float(one.novel[~one.mask].mean())
            lines_of = _line_shares(one.centers)
            for i in range(self.n_clusters):
                mean = float(np.asarray(one.centers.data[i], dtype=np.float64).sum())
                lines.append(
                    {
                        "map": title,
                        self.along[0] if self.along[0] != "map" else "number": at,
                        "cluster": i,
                        "name": self.name_of(i),
                        "positions": int(one.counts[i]),
                        "share": shares[i],
                        "low": low[i],
                        "high": high[i],
                        "area": one.counts[i] * area,
                        "unit": unit,
                        "counts": mean if one.counts[i] and not of_lattices else np.nan,
                        "novel": novel,
                        **{name: values[t, i] for name, values in of_lattices.items()},
                        **{f"lines {name}": shares[i] for name, shares in lines_of.items()},
                    }
                )
        return DataFrame(lines)

    def plot(self) -> Any:
        """Draw the maps side by side at one scale.

        Returns
        -------
        :
            A matplotlib Figure; a notebook shows it.
        """
        from clustem.report.figures.study_maps import study_maps

        return study_maps(self.maps, self.titles)

    def explore(self, *, sources: Sequence[Signal] | None = None) -> View:
        """Show the maps in a notebook, one at a time, linked with what lies under the cursor.

        Parameters
        ----------
        sources
            The raw signals in the order of the maps, needed for a study loaded from disk.

        Returns
        -------
        :
            A view with a menu of the maps: make it the last line of a cell. No server is started.

        Raises
        ------
        InputError
            If the packages of ``clustem[app]`` are missing, or a raw signal is.
        """
        return self._explored(self._named(), sources, "Map")

    def _named(self) -> Mapping[str, Segmentation]:
        return {f"{i + 1}: {title}": self.maps[i] for i, title in enumerate(self.titles)}

    def _write(self, folder: Path) -> None:
        from clustem.recipes._study_folder import write_study_folder

        write_study_folder(self, folder)


def _line_shares(centers: Signal) -> dict[str, NDArray[np.float64]]:
    """Return the share of each element in the X-ray lines of mean spectra (k,); none of others."""
    elements, channels = elements_of(centers), Channels.of(centers)
    if not elements or not type_of(centers).startswith("EDS") or channels.kev is None:
        return {}
    energy = channels.kev * np.asarray(centers.axes_manager.signal_axes[0].axis, dtype=np.float64)
    width = float(instrument(centers, "Detector.EDS.energy_resolution_MnKa", 130.0))
    try:
        found = line_shares(centers.data, energy, elements, resolution=width)
    except UnknownNameError:  # no element that has lines
        return {}
    return dict(zip(elements, found.T, strict=True))
