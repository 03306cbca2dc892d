"""Several scans, one set of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    ClustemError,
    InputError,
    Progress,
    Scan,
    Segmentation,
    Signal,
    title_of,
)
from clustem.recipes import _joint
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._few_counts import counts_of_a_position, for_few_counts
from clustem.recipes._movie import follow, is_followed
from clustem.recipes._run import Run
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.open_scan import n_frames, open_scan
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import on_workers, own_number, part_of
from clustem.recipes.study import Study

_IN_MEMORY = 2**29
"""Size of all maps beyond which they are left on disk [bytes]."""


def segment_study(
    sources: Sequence[Any] | Any,
    recipe: str | Path | Recipe,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    reader: str | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    skip_broken: bool = False,
    resume: str | Path | None = None,
) -> Study:
    """Run a recipe on several scans, in one fit.

    Parameters
    ----------
    sources
        Paths, signals or scans, as for ``segment``; or one that is a series: a stack of images, or
        scans along a further axis, time, tilt or temperature.
    recipe, n_clusters, settings, lazy, client, progress, anyway
        As for ``segment``. Maps beyond 0.5 GB together are left on disk.
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open.
    skip_broken
        Whether files that cannot be read are left out, instead of refused.
    resume
        As for ``segment``: the fit is kept, and what preparations compute of large maps.

    Returns
    -------
    :
        The results, with the same clusters in all.

    Raises
    ------
    InputError
        If a scan cannot be read or does not go with the others: which, and the cure.

    Notes
    -----
    Calibration, dead pixels, gains and vacuum are found for each scan by itself. Energy axes are
    brought to the coarsest of them where they differ, counts kept (``prepare.resample_energy``), of
    EDS after the lines that maps share are laid over each other. Channels that one scan leaves out
    are left out of all. One fit sees the rows of all scans; those of scans that lie on disk are
    read block by block. Each scan is then assigned to the clusters as by ``Segmentation.apply``.
    Images whose lattices are described (``describe.gabor``) are fitted one after the other, each
    lattice with one number in all: see :func:`segment_movie`.
    """
    chosen = Recipe.of(recipe, n_clusters=n_clusters, settings=settings)
    chosen = replace(chosen, edits=())
    with on_workers(client):
        return _segment(
            _Sources.of(sources, chosen, lazy=lazy, reader=reader),
            chosen,
            lazy=lazy if client is None or lazy is False else True,
            reader=reader,
            progress=progress,
            anyway=anyway,
            skip_broken=skip_broken,
            resume=None if resume is None else Path(resume),
        )


def is_series(scan: Scan, recipe: Recipe) -> bool:
    """Whether a signal is a stack of images, or scans along a further axis."""
    if recipe.data == "image":
        return n_frames(scan.signal) > 1
    return int(scan.signal.axes_manager.navigation_dimension) > 2


def _segment(
    given: _Sources,
    chosen: Recipe,
    *,
    lazy: bool | None,
    reader: str | None,
    progress: Progress | None,
    anyway: bool,
    skip_broken: bool,
    resume: Path | None,
) -> Study:
    skipped: dict[str, str] = {}
    opened: list[tuple[str, float, Scan]] = []
    lazily = lazy if lazy is not None else given.leave_on_disk(chosen, reader)
    for title, at, source in zip(given.titles, given.at, given.sources, strict=True):
        try:
            with _joint.naming(title):
                scan = open_scan(chosen, source, lazy=lazily, reader=reader)
                if not anyway and not is_followed(chosen):
                    refuse_misfit(chosen, scan)
        except ClustemError as error:
            if not skip_broken:
                raise
            skipped[title] = str(error)
            continue
        opened.append((title, at, scan))
    if not opened:
        raise InputError(
            "A study needs scans that can be read", got="none", cure="See what is said of each."
        )
    scans = [scan for _, _, scan in opened]
    _joint.refuse_other_kind(scans)
    if not given.series:
        _refuse_twins(opened)
    titles = tuple(title for title, _, _ in opened)
    if is_followed(chosen):
        maps = follow(scans, titles, chosen, progress=progress, anyway=anyway)
    else:
        kept = None if resume is None else Checkpoints(resume, *scans)
        maps = _in_one_fit(scans, titles, chosen, progress, kept)
    return Study(maps, titles, tuple(at for _, at, _ in opened), given.along, skipped)


def _in_one_fit(
    scans: Sequence[Scan],
    titles: Sequence[str],
    recipe: Recipe,
    progress: Progress | None,
    kept: Checkpoints | None,
) -> tuple[Segmentation, ...]:
    """Prepare scans alike, fit them together, and assign each."""
    chosen, why = for_few_counts(recipe, lambda: _fewest(scans))
    runs = [Run(scan) for scan in scans]
    if kept is not None:
        for i, run in enumerate(runs):
            run.computed = kept.file(f"{i} {chosen.to_toml()}", ".npy")
    described, spectrum = _prepared(runs, chosen, titles, part_of(progress, "", 0, 3))
    joint = Run(scans[0])
    joint.why, joint.asks, joint.in_doubt = why, own_number(chosen), chosen.in_doubt
    fitted, learned = _joint.learn(runs, chosen, joint, part_of(progress, "", 1, 3), kept)
    fitted = replace(fitted, described=described, spectrum=spectrum)
    maps: list[Segmentation] = []
    for i, run in enumerate(runs):
        if progress is not None:
            progress(f"map {i + 1} of {len(runs)}", 2 / 3 + i / len(runs) / 3)
        known = len(run.history)
        maps.append(_joint.map_with(run, chosen, fitted))
        maps[-1] = replace(
            maps[-1],
            history=(*run.history[:known], *learned, *maps[-1].history[known + 1 :]),
        )
    return tuple(replace(one, names=maps[0].names) for one in maps)


def _prepared(
    runs: Sequence[Run], recipe: Recipe, titles: Sequence[str], progress: Progress | None
) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """Prepare and describe scans alike; return what was chosen, and whose lines others follow."""
    for i, run in enumerate(runs):
        if progress is not None:
            progress(f"prepare {titles[i]}", i / len(runs))
        with _joint.naming(titles[i]):
            _joint.prepare(run, recipe, geometry=True)
    spectrum = None
    if recipe.data != "image" and len(runs) > 1:
        wanted = _joint.common_channels(runs)
        spectrum = wanted.spectrum
        for i, run in enumerate(runs):
            with _joint.naming(titles[i]):
                _joint.to_channels(run, wanted, i)
    for title, run in zip(titles, runs, strict=True):
        with _joint.naming(title):
            _joint.prepare(run, recipe, geometry=False)
    hidden = _joint.signal_mask_of(runs)
    _joint.describe(runs, recipe, hidden, {})
    chosen = [run.described() for run in runs]
    common = {name: min(each[name] for each in chosen if name in each) for name in chosen[0]}
    if any(each != common for each in chosen):
        for run in runs:
            run.history = [step for step in run.history if step.stage != "describe"]
        _joint.describe(runs, recipe, hidden, common)
    return common, spectrum


@dataclass(frozen=True)
class _Sources:
    """Scans by name, and where they stand in a series."""

    sources: tuple[Any, ...]
    titles: tuple[str, ...]
    at: tuple[float, ...]
    along: tuple[str, str]
    series: bool = False

    @classmethod
    def of(cls, given: Any, recipe: Recipe, *, lazy: bool | None, reader: str | None) -> _Sources:
        """Name scans by their files or titles, or by their place in a series."""
        if not isinstance(given, list | tuple):
            scan = open_scan(recipe, given, lazy=lazy, stack=True, reader=reader)
            return cls._series(scan, recipe)
        known = [_title(source, i) for i, source in enumerate(given)]
        titles = [
            f"{title} ({known[: i + 1].count(title)})" if known.count(title) > 1 else title
            for i, title in enumerate(known)
        ]
        numbers = tuple(float(i + 1) for i in range(len(given)))
        return cls(tuple(given), tuple(titles), numbers, ("map", ""))

    @classmethod
    def _series(cls, scan: Scan, recipe: Recipe) -> _Sources:
        """Cut a series along its slowest axis."""
        if not is_series(scan, recipe):
            return cls((scan,), (_title(scan, 0),), (1.0,), ("map", ""))
        signal = scan.signal
        n = signal.axes_manager.navigation_dimension
        if n > 3:
            raise InputError(
                "A series is made of scans with one or two axes",
                got=f"{n} axes",
                cure="Take one series of the data: signal.inav[..., 0].",
            )
        axis = signal.axes_manager.navigation_axes[-1]
        unit = _known(axis.units)
        name = (_known(axis.name) if unit else "") or "map"
        at = [float(value) for value in axis.axis] if unit else [i + 1.0 for i in range(axis.size)]
        rest = (slice(None),) * (n - 1)
        scans = tuple(
            Scan.of(signal.inav[(*rest, i)], path=scan.path) for i in range(int(axis.size))
        )
        titles = tuple(f"{name} {value:.6g}{f' {unit}' if unit else ''}" for value in at)
        return cls(scans, titles, tuple(at), (name, unit), series=True)

    def leave_on_disk(self, recipe: Recipe, reader: str | None) -> bool | None:
        """Whether all maps together are too large for memory, if they are as the first one."""
        paths = [source for source in self.sources if isinstance(source, str | Path)]
        if len(paths) < 2:
            return None
        try:
            first = open_scan(recipe, paths[0], lazy=True, reader=reader)
        except ClustemError:
            return None  # it is broken, and will be named
        return True if first.signal.data.nbytes * len(paths) > _IN_MEMORY else None


def _title(source: Any, number: int) -> str:
    if isinstance(source, str | Path):
        return Path(source).stem
    signal: Signal = source.signal if isinstance(source, Scan) else source
    return title_of(signal) or f"map {number + 1}"


def _known(word: Any) -> str:
    """Return a name or unit of an axis; empty if it has none."""
    text = str(word)
    return "" if word is None or text == "None" or "undefined" in text else text


def _refuse_twins(opened: Sequence[tuple[str, float, Scan]]) -> None:
    """Refuse a scan that is there twice."""
    seen: dict[str, str] = {}
    for title, _, scan in opened:
        if scan.digest == "lazy":
            continue
        if scan.digest in seen:
            raise InputError(
                "Each map of a study must be another",
                got=f"the same data in {seen[scan.digest]} and {title}",
                cure="Leave one out.",
            )
        seen[scan.digest] = title


def _fewest(scans: Sequence[Scan]) -> float | None:
    """Return the counts of a position in the scan that has fewest; None if one holds none."""
    found = [counts_of_a_position(scan) for scan in scans]
    known = [one for one in found if one is not None]
    return float(np.min(known)) if len(known) == len(found) else None
