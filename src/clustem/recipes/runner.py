"""The only runner: a recipe's steps on a scan, what two runs begin with in common done once."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    Entry,
    Features,
    Fitted,
    Info,
    InputError,
    Masks,
    ParameterError,
    PatchGrid,
    Progress,
    Scan,
    Segmentation,
    Signal,
    Step,
    is_data,
    is_signal,
    like,
    parameter_hints,
    record,
    recording,
    versions,
)
from clustem.io.reading import read
from clustem.judge.lineage import lineage
from clustem.judge.novelty import typical
from clustem.judge.purity import purity
from clustem.passes.scratch import computed_once
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._few_counts import counts_of_a_position, for_few_counts
from clustem.recipes._markers import named, on_rows, with_markers_inside
from clustem.recipes.recipe import AUTO, BEFORE, STAGES, Recipe, kind_of

if TYPE_CHECKING:
    from clustem.judge.choose_k import KChoice

MOST = 10
"""Largest number of clusters that ``n_clusters = "auto"`` tries."""
_LOG = logging.getLogger(__name__)


def open_scan(
    recipe: Recipe,
    source: Any,
    *,
    lazy: bool | None = None,
    stack: bool = False,
    reader: str | None = None,
    plain: bool = False,
) -> Scan:
    """Open what a recipe takes.

    Parameters
    ----------
    recipe
        The recipe.
    source
        Path of a file, a HyperSpy signal, or a scan.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    stack
        Whether a stack of images is meant, not one image.
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open.
    plain
        Whether signals need not be HyperSpy's: see ``io.reading.read``.

    Raises
    ------
    InputError
        If it cannot be read, or is a stack where one image is meant.
    """
    axes = {"spectra": 1, "patterns": 2, "image": 2}.get(recipe.data)
    scan = read(source, kind=recipe.signal, lazy=lazy, signal_axes=axes, reader=reader, plain=plain)
    if recipe.data != "image":
        return scan
    n = n_frames(scan.signal)
    if n == 1 and not stack:
        return Scan.of(scan.signal.inav[0], context=scan.context, path=scan.path)
    if n > 1 and not stack:
        movie = ("describe", "gabor") in recipe.steps
        raise InputError(
            f"The recipe {recipe.name} takes one image",
            got=f"a stack of {n}",
            cure="Segment all of them: clustem run FILE, or clustem.segment_movie(...)."
            if movie
            else "Save one of them to a file of its own: signal.inav[0].save(...).",
        )
    return scan


@contextmanager
def on_workers(client: Any) -> Iterator[None]:
    """Have the workers of a dask client read what is left on disk; None changes nothing."""
    if client is None:
        yield
    else:
        with client.as_current():
            yield


def n_frames(signal: Signal) -> int:
    """Count the images of a stack; 0 if it is none. Colors of one image are no stack."""
    data, manager = signal.data, signal.axes_manager
    colors = data.ndim == 3 and data.shape[-1] in (3, 4) and min(data.shape[:2]) > 4
    if colors or manager.navigation_dimension != 1 or manager.signal_dimension != 2:
        return 0
    return int(manager.navigation_size)


class Run:
    """What is in hand between two steps.

    Parameters
    ----------
    scan
        What to work on.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.raw = self.working = scan.signal
        self.masks = Masks()
        self.features: Features | None = None
        self.clustering: Clustering | None = None
        self.segmentation: Segmentation | None = None
        self.history: list[Step] = []
        self.computed: Path | None = None  # where to keep what preparations compute
        self._fitted: dict[int, Any] = {}  # estimators for several k that were fitted together
        self._regions: NDArray[np.int64] | None = None  # that clusters started from, on the scan
        self.why = ""  # this recipe runs and not the one that was given
        self.asks = False  # whether the number of clusters is judged when it is given
        self.in_doubt: int | None = None  # how many clusters to make where the data do not tell
        self.fitted: Fitted | None = None  # clusters of another scan that this one gets
        self._choices: dict[str, tuple[Features, KChoice]] = {}  # shared by all that fork from here

    def fork(self) -> Run:
        """Return a copy that can go another way from here."""
        other = copy(self)
        other.history = list(self.history)
        return other

    def steps(self, recipe: Recipe, stages: Iterable[str], progress: Progress | None) -> None:
        """Run the recipe's steps of some stages, in order."""
        chosen = [*steps_of(recipe, stages)]
        for i, (entry, parameters) in enumerate(chosen):
            if progress is not None:
                progress(entry.label, i / len(chosen))
            self.step(entry, parameters)

    def step(self, entry: Entry, parameters: Mapping[str, Any]) -> None:
        """Run one step and write its line of history."""
        start = time.perf_counter()
        given = dict(parameters)
        masks = self._described_masks() if _takes_masks(entry) else {}
        with recording() as said:
            getattr(self, f"_{entry.stage}")(entry, given)
        defaults = {name: p.default for name, p in entry.parameters.items() if not p.required}
        full = {**defaults, **parameters}
        if self.clustering is not None and full.get("n_clusters") == AUTO:
            full["n_clusters"] = self.clustering.n_clusters
        seed = full.get("random_state")
        self.history.append(
            Step(
                entry.stage,
                entry.name,
                {key: value for key, value in full.items() if _is_plain(value)},
                masks=masks,
                found=said.found,
                version=versions()["clustem"],
                seed=seed if isinstance(seed, int) else None,
                seconds=round(time.perf_counter() - start, 4),
                note=said.note,
            )
        )
        _LOG.info("%s %.2f s", entry.label, self.history[-1].seconds)

    def step_or_resume(
        self, entry: Entry, parameters: Mapping[str, Any], key: str, kept: Checkpoints | None
    ) -> None:
        """Fit a clusterer and keep it, or take what a killed run has fitted."""
        if kept is None:
            self.step(entry, parameters)
        elif not self._resume(entry, parameters, key, kept):
            self.step(entry, parameters)
            if self.clustering is not None:
                kept.keep(key, self.clustering.estimator, self.history[-1])

    def _resume(
        self, entry: Entry, parameters: Mapping[str, Any], key: str, kept: Checkpoints
    ) -> bool:
        """Take a clusterer that a killed run has fitted; whether there is one."""
        step = kept.step(key)
        if step is None:
            return False
        given, features = dict(parameters), self.needed_features()
        if "n_clusters" in step.parameters:
            given["n_clusters"] = step.parameters["n_clusters"]
        if given.get("markers") is not None:
            self._regions, given["markers"] = on_rows(given["markers"], features)
        estimator = entry.step(**given, **self.neighbours(entry, given))
        if not kept.load(key, estimator):
            return False
        self.clustering = Clustering.from_estimator(estimator, features)
        self.history.append(step)
        return True

    def fit_together(self, recipe: Recipe, ks: Iterable[int]) -> None:
        """Fit several numbers of clusters in common passes, where the estimator can."""
        for entry, parameters in steps_of(recipe, ("cluster",)):
            if hasattr(entry.step, "fit_each") and parameters.get("markers") is None:
                estimator = entry.step(**parameters)
                self._fitted = estimator.fit_each(self.needed_features().rows, ks)

    def choice(
        self, recipe: Recipe, ks: Iterable[int], *, scored: Literal["all", "chosen"] = "all"
    ) -> KChoice:
        """Ask how many clusters the rows have, and how good those of a recipe are at several k.

        Raises
        ------
        ParameterError
            If the clusters start from markers, or the recipe has no cluster step.
        """
        for entry, parameters in steps_of(recipe, ("cluster",)):
            return self._choice(entry, parameters, ks, scored=scored)
        raise ParameterError("A recipe must cluster", got=recipe.name, cure="Add a cluster step.")

    def result(self, recipe: Recipe) -> Segmentation:
        """Wrap up what the last step made, and repeat the recipe's edits."""
        if self.segmentation is None:
            raise InputError(
                "A recipe must end in a mapping step",
                got=f"{recipe.name} without one",
                cure="Add [mapping.clusters].",
            )
        shape = self.segmentation.mask.shape
        others = tuple(image for image in self.scan.context if image.data.shape == shape)
        found = replace(
            self.segmentation,
            fitted=self.fitted,
            context=(*self.segmentation.context, *others),
            history=tuple(self.history),
            origin={"path": str(self.scan.path or ""), "digest": self.scan.digest},
            recipe=replace(recipe, edits=()),  # each edit adds itself
        )
        for edit in recipe.edits:
            found = found.edit(edit["do"], **{k: v for k, v in edit.items() if k != "do"})
        return found

    def needed_features(self) -> Features:
        """Return the features; refuse to go on without."""
        if self.features is None:
            raise InputError(
                "A recipe must describe before it reduces or clusters",
                got="no describe step",
                cure="Add [describe.spectra].",
            )
        return self.features

    def _given_masks(self, entry: Entry) -> dict[str, Masks]:
        return {"masks": self.masks} if _takes_masks(entry) else {}

    def _described_masks(self) -> dict[str, str]:
        known = {"scan": self.masks.scan, "signal": self.masks.signal}
        return {name: _in_words(mask) for name, mask in known.items() if mask is not None}

    def _prepare(self, entry: Entry, parameters: dict[str, Any]) -> None:
        kind = kind_of(entry)
        found = entry.step(self.working, **self._given_masks(entry), **parameters)
        if kind in ("scan mask", "signal mask"):
            mask = np.asarray(found, dtype=bool)
            self.masks = self.masks.added(kind, mask)
            record(f"{np.count_nonzero(mask)} of {mask.size} excluded")
            return
        self.working = found if is_signal(found) else found.signal
        if kind == "geometry":
            self.raw = self.working

    def _describe(self, entry: Entry, parameters: dict[str, Any]) -> None:
        self._compute_once()
        found = entry.step(self.working, **self._given_masks(entry), **parameters)
        self.features = found.with_source(self.raw) if found.source is self.working else found

    def _compute_once(self) -> None:
        """Compute what lazy preparations make now, not again in each pass."""
        data = computed_once(self.working.data, file=self.computed)
        if data is not self.working.data:
            same = self.raw is self.working
            self.working = like(self.working, data, copy_variance=True)
            self.raw = self.working if same else self.raw

    def _reduce(self, entry: Entry, parameters: dict[str, Any]) -> None:
        self.features = entry.step(self.needed_features(), **parameters)

    def _choice(
        self,
        entry: Entry,
        parameters: Mapping[str, Any],
        ks: Iterable[int],
        *,
        scored: Literal["all", "chosen"],
    ) -> KChoice:
        from clustem.judge.choose_k import choose_k  # imports scikit-learn

        if parameters.get("markers") is not None:
            raise ParameterError(
                "Clusters that start from markers are as many as their regions",
                got="a choice of their number",
                cure="Leave the markers out.",
            )
        features = self.needed_features()
        given = dict(parameters)
        if hasattr(entry.step, "held_out_gains"):
            given |= self.neighbours(entry, parameters)
        elif "coupling" in entry.parameters:
            given["coupling"] = 0  # a sample of the rows has no neighbours
        make: Callable[[int], Any] = lambda k: entry.step(**{**given, "n_clusters": k})  # noqa: E731  # one line
        return choose_k(features, make, ks, scored=scored)

    def _chosen(self, entry: Entry, parameters: Mapping[str, Any]) -> int:
        """Ask how many clusters to make; in doubt take the recipe's own number, if it has one."""
        try:
            found = self._judged(entry, parameters)
        except InputError:
            if self.in_doubt is None:
                raise
            return self.in_doubt  # the clusterer says what it needs
        in_doubt = found.confidence == "low" and self.in_doubt is not None
        k = min(self.in_doubt or found.k, found.n_rows) if in_doubt else found.k
        _record_choice(found, k, in_doubt=in_doubt)
        return k

    def _judged(self, entry: Entry, parameters: Mapping[str, Any]) -> KChoice:
        """Ask how many clusters the rows have, once for the same rows and clusterer."""
        features = self.needed_features()
        asked = {name: value for name, value in parameters.items() if name != "n_clusters"}
        key = f"{id(features)} {entry.name} {asked!r}"
        if key not in self._choices:
            ks = range(1, min(MOST, features.rows.shape[0]) + 1)
            found = self._choice(entry, asked, ks, scored="chosen")
            self._choices[key] = features, found  # kept, so that no other gets its id
        return self._choices[key][1]

    def _cluster(self, entry: Entry, parameters: dict[str, Any]) -> None:
        features = self.needed_features()
        if self.why:
            record(self.why)
        if parameters.get("markers") is not None:
            self._regions, parameters["markers"] = on_rows(parameters["markers"], features)
            if parameters.get("n_clusters") == AUTO:
                parameters["n_clusters"] = len(np.unique(self._regions[self._regions > 0]))
        elif parameters.get("n_clusters") == AUTO:
            parameters["n_clusters"] = self._chosen(entry, parameters)
        elif self.asks and "n_clusters" in parameters:
            with suppress(InputError):  # too few rows to judge; the clusterer says what it needs
                _record_choice(self._judged(entry, parameters), int(parameters["n_clusters"]))
        parameters |= self.neighbours(entry, parameters)
        estimator = self._fitted.get(parameters.get("n_clusters", 0))
        if estimator is None:
            estimator = entry.step(**parameters)
            estimator.fit(features.rows)
        self.clustering = Clustering.from_estimator(estimator, features)

    def _mapping(self, entry: Entry, parameters: dict[str, Any]) -> None:
        if self.clustering is None:
            raise InputError(
                "A recipe must cluster before it maps", got="no cluster step", cure="Add one."
            )
        self.segmentation = entry.step(self.clustering, **parameters)
        record(f"{100 * self.segmentation.unassigned_fraction:.2f} % unassigned")
        if self.fitted is None and _same_numbers(self.segmentation, self.clustering):
            self.fitted = self.learned(self.described(), self.clustering.features.about)
        self.segmentation = _as_sure_as_pure(self.segmentation, self.fitted)
        if self._regions is not None:
            self.segmentation, note = named(self.segmentation, self._regions)
            record(note)

    def learned(self, described: Mapping[str, Any], about: Info | None) -> Fitted:
        """Return what other scans need to get the same clusters.

        Parameters
        ----------
        described
            Parameters that the descriptor chose by itself.
        about
            What is known about the features of one scan.
        """
        clustering = self.clustering
        if clustering is None:
            raise InputError("A recipe must cluster", got="no cluster step", cure="Add one.")
        k = clustering.n_clusters
        asked = clustering.memberships is not None and not self._enough(k)
        shares = purity(clustering) if asked else np.ones(k)
        number = np.empty(k, dtype=np.intp)
        number[clustering.order] = np.arange(k)
        return Fitted(
            clustering.estimator, number, shares, described, about, typical=typical(clustering)
        )

    def _enough(self, k: int) -> bool:
        """Whether it is certain that more than k clusters explain the rows no better."""
        found = next(
            (step.found["warranted"] for step in self.history if "warranted" in step.found), None
        )
        return found is not None and found["confidence"] == "high" and found["k"] <= k

    def neighbours(self, entry: Entry, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the neighbours on the scan for a clusterer that takes them and was given none."""
        features, known = self.needed_features(), entry.parameters
        patches = features.find(PatchGrid) is not None and features.mask.ndim == 1  # on no grid
        given = parameters.get("connectivity") is not None
        if "connectivity" not in known or given or patches:
            return {}
        if parameters.get("coupling", known["coupling"].default) == 0:
            return {}
        return {"connectivity": features.mask}

    def described(self) -> dict[str, Any]:
        """Return the parameters that the descriptor chose by itself."""
        return {
            name: step.found[name]
            for step in self.history
            if step.stage == "describe"
            for name, value in step.parameters.items()
            if value in ("auto", None) and name in step.found
        }

    def _eels(self, entry: Entry, parameters: dict[str, Any]) -> None:
        if self.segmentation is None:
            raise InputError(
                f"A recipe must map before {entry.label}",
                got="no mapping step",
                cure="Add [mapping.clusters].",
            )
        self.segmentation = entry.step(self.segmentation, **parameters)


class Runner:
    """Runs on one scan; each step's outcome may be kept under a hash of all that led to it.

    Parameters
    ----------
    scan
        What to work on.
    keep
        How many steps' outcomes are kept; most share their arrays with each other.
    checkpoints
        Where long steps leave what they have made, for a run that goes on after this one is killed.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> runner = Runner(Scan.of(eds(shape=(20, 24)).signal), keep=24)
    >>> first = runner.run(Recipe.named("eds"))
    >>> other = runner.run(Recipe.named("eds").with_settings({"cluster.n_clusters": 3}))
    >>> other.n_clusters, runner.done  # clustering and map again, nothing else
    (3, 7)
    """

    def __init__(
        self, scan: Scan, *, keep: int = 0, checkpoints: Checkpoints | None = None
    ) -> None:
        self.scan, self._checkpoints = scan, checkpoints
        self.done = 0
        self._keep = keep
        self._kept: OrderedDict[str, Run] = OrderedDict()
        self._why = ""  # another recipe runs than the one given

    def run(
        self,
        recipe: Recipe,
        *,
        stages: Iterable[str] = STAGES,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Run a recipe from where an earlier run went another way.

        Parameters
        ----------
        recipe
            What to run.
        stages
            Whose steps to run. Only a run of all of them says whether a number of clusters that
            the recipe brings along is warranted; the user's own is not questioned.
        progress
            Called with the step and the share of steps done, 0 ... 1.
        """
        whole, stages = self.whole(recipe), tuple(stages)
        run = self.upto(whole, stages, progress, ask=stages == STAGES and own_number(whole))
        return replace(run.result(whole), before=None)

    def sweep(
        self,
        recipe: Recipe,
        ks: Iterable[int],
        *,
        shared: bool = False,
        progress: Progress | None = None,
    ) -> dict[int, Segmentation]:
        """Run a recipe up to the map at several numbers of clusters, what comes before once.

        Parameters
        ----------
        recipe
            What to run; its edits name clusters of one k and are left out.
        ks
            Numbers of clusters.
        shared
            Whether all fits share their passes, where the estimator can: that is faster, and its
            starts can differ from those of :meth:`run`.
        progress
            As for :meth:`run`.

        Returns
        -------
        :
            The result for each k; clusters keep their color from k to k.

        Raises
        ------
        InputError
            If there is no k, or the recipe has no such parameter.
        """
        plain = self.whole(replace(recipe, edits=()))
        chosen = {k: plain.with_settings({"cluster.n_clusters": k}) for k in sorted(set(ks))}
        if not chosen:
            raise ParameterError("A sweep needs a k", got="none", cure="Give a range such as 2:10.")
        results = {}
        common = self.upto(plain, BEFORE, part_of(progress, "", 0, len(chosen))) if shared else None
        if common is not None:
            common = common.fork()
            common.fit_together(chosen[max(chosen)], chosen)
        for i, (k, recipe_of_k) in enumerate(chosen.items()):
            part = part_of(progress, f"k = {k}: ", i, len(chosen))
            if common is None:
                run = self.upto(recipe_of_k, (*BEFORE, "cluster", "mapping"), part)
            else:
                run = common.fork()
                run.steps(recipe_of_k, ("cluster", "mapping"), part)
            results[k] = replace(run.result(recipe_of_k), before=None)
        return in_lasting_colors(results)

    def choice(
        self, recipe: Recipe, ks: Iterable[int], *, progress: Progress | None = None
    ) -> KChoice:
        """Ask which of several numbers of clusters the rows have: see ``judge.choose_k``.

        Raises
        ------
        InputError
            If the clusters start from markers.
        """
        whole = self.whole(recipe)
        run = self.upto(whole, BEFORE, progress)
        if progress is not None:
            progress("judge.choose_k", 0.5)
        return run.choice(whole, ks)

    def raw(self, recipe: Recipe) -> Signal:
        """Return the signal that centers come from: the scan, cropped and binned, raw counts."""
        return self.upto(self.whole(recipe), ("prepare",), None).raw

    def whole(self, recipe: Recipe) -> Recipe:
        """Return the recipe that runs: for few counts where it says so, and with its markers."""
        found, self._why = for_few_counts(recipe, lambda: self._counts)
        return with_markers_inside(found)

    @cached_property
    def _counts(self) -> float | None:
        return counts_of_a_position(self.scan)

    def upto(
        self,
        recipe: Recipe,
        stages: Iterable[str],
        progress: Progress | None,
        *,
        ask: bool = False,
    ) -> Run:
        """Run the steps of some stages; what an earlier run did alike is not done again.

        Parameters
        ----------
        recipe, stages, progress
            As for :meth:`run`.
        ask
            Whether to judge a number of clusters that the recipe names.
        """
        steps = [*steps_of(recipe, stages)]
        keys = _keys(steps, ask=ask, in_doubt=recipe.in_doubt)
        kept = self._kept
        known = next((i for i in range(len(keys), 0, -1) if keys[i - 1] in kept), 0)
        run = kept[keys[known - 1]].fork() if known else Run(self.scan)
        run.why, run.asks, run.in_doubt = self._why, ask, recipe.in_doubt
        for key in keys[:known]:
            if key in kept:  # the first steps of an old run are forgotten before its last
                kept.move_to_end(key)
        for i, (key, (entry, parameters)) in enumerate(zip(keys, steps, strict=True)):
            if i < known:
                continue
            if progress is not None:
                progress(entry.label, i / len(steps))
            self._step(run, entry, parameters, key)
            self.done += 1
            self._keep_as(key, run)
        return run

    def _step(self, run: Run, entry: Entry, parameters: Mapping[str, Any], key: str) -> None:
        """Run a step, or take what a killed run has made of it."""
        if self._checkpoints is None:
            run.step(entry, parameters)
            return
        run.computed = self._checkpoints.file(key, ".npy")
        if entry.stage == "cluster":
            run.step_or_resume(entry, parameters, key, self._checkpoints)
        else:
            run.step(entry, parameters)

    def clear(self) -> None:
        """Forget all outcomes; another thread may be looking for one."""
        self._kept = OrderedDict()

    def _keep_as(self, key: str, run: Run) -> None:
        if not self._keep:
            return
        self._kept[key] = run.fork()
        self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)


def steps_of(recipe: Recipe, stages: Iterable[str]) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    """Go through the recipe's steps of some stages, in order, with their parameters."""
    wanted = set(stages)
    for entry, parameters in zip(recipe.entries(), recipe.steps.values(), strict=True):
        if entry.stage in wanted:
            yield entry, parameters


def in_lasting_colors(results: dict[int, Segmentation]) -> dict[int, Segmentation]:
    """Let clusters keep their color from k to k."""
    found = lineage(results)
    return {
        k: result
        if found.colors[k] == result.color_index
        else replace(result.edit("recolor", color_index=list(found.colors[k])), before=None)
        for k, result in results.items()
    }


def part_of(progress: Progress | None, name: str, i: int, n: int) -> Progress | None:
    """Report the i-th of n runs as a part of them all."""
    if progress is None:
        return None
    return lambda step, share: progress(f"{name}{step}", (i + share) / n)


def own_number(recipe: Recipe) -> bool:
    """Whether the number of clusters is the one that the recipe comes with."""
    if recipe.name not in Recipe.names():
        return False
    own, given = (
        [
            parameters.get("n_clusters")
            for (stage, _), parameters in r.steps.items()
            if stage == "cluster"
        ]
        for r in (Recipe.named(recipe.name), recipe)
    )
    return own == given


def _same_numbers(found: Segmentation, clustering: Clustering) -> bool:
    """Whether most positions of each cluster are in the map what they are in the clustering."""
    if found.n_clusters != clustering.n_clusters or found.mask is not clustering.features.mask:
        return False
    drawn = found.labels.data[~found.mask]
    for i in range(clustering.n_clusters):
        here = drawn[clustering.labels == i]
        here = here[here >= 0]
        if len(here) and np.bincount(here).argmax() != i:
            return False
    return True


def _as_sure_as_pure(found: Segmentation, fitted: Fitted | None) -> Segmentation:
    """Lower the memberships in clusters that hold several groups to the share of the largest."""
    if fitted is None or found.memberships is None or (fitted.purity == 1).all():
        return found
    record(purity=[round(float(share), 4) for share in fitted.purity])
    data = np.asarray(found.memberships.data)
    lowered = data * fitted.purity.reshape(-1, *[1] * (data.ndim - 1)).astype(data.dtype)
    return replace(found, memberships=like(found.memberships, lowered))


def _record_choice(found: KChoice, k: int, *, in_doubt: bool = False) -> None:
    """Write down whether k clusters are warranted, in one sentence."""
    sentence = found.sentence(k)
    if in_doubt and k != found.k:
        sentence += f" {k} is the number of the recipe."
    evidence = {
        "sentence": sentence,
        "k": found.k,
        "confidence": found.confidence,
        "others": list(found.alternatives),
        "reason": found.reason,
        "trend": found.trend,
    }
    record(n_clusters=k, warranted=evidence)


def _keys(
    steps: list[tuple[Entry, Mapping[str, Any]]], *, ask: bool, in_doubt: int | None
) -> list[str]:
    """Hash each step together with all that lies before it; the input is always one scan."""
    digest, keys = hashlib.sha256(), []
    for entry, parameters in steps:
        content: list[Any] = [entry.label, dict(parameters)]
        if entry.stage == "cluster":
            content += [ask, in_doubt]
        digest.update(json.dumps(content, sort_keys=True, default=str).encode())
        keys.append(digest.hexdigest())
    return keys


def _takes_masks(entry: Entry) -> bool:
    return any(is_data(hint) for hint in parameter_hints(entry.step).values())


def _in_words(mask: NDArray[np.bool_]) -> str:
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:12]
    return f"{np.count_nonzero(mask)} of {mask.size} excluded, sha256 {digest}"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | dict | None)
