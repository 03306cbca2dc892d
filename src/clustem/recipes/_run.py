"""A recipe's steps one by one, and what is in hand between two of them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import replace
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
    Step,
    is_signal,
    like,
    record,
    recording,
    versions,
)
from clustem.judge.novelty import typical
from clustem.judge.purity import purity
from clustem.passes.scratch import computed_once
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._markers import named, on_rows
from clustem.recipes.recipe import AUTO, Recipe, kind_of, takes_masks

if TYPE_CHECKING:
    from clustem.judge.choose_k import KChoice

_MOST = 10
"""Largest number of clusters that ``n_clusters = "auto"`` tries."""
_LOG = logging.getLogger(__name__)


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
        masks = self._described_masks() if takes_masks(entry) else {}
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
        return {"masks": self.masks} if takes_masks(entry) else {}

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
            ks = range(1, min(_MOST, features.rows.shape[0]) + 1)
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


def steps_of(recipe: Recipe, stages: Iterable[str]) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    """Go through the recipe's steps of some stages, in order, with their parameters."""
    wanted = set(stages)
    for entry, parameters in zip(recipe.entries(), recipe.steps.values(), strict=True):
        if entry.stage in wanted:
            yield entry, parameters


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


def _in_words(mask: NDArray[np.bool_]) -> str:
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:12]
    return f"{np.count_nonzero(mask)} of {mask.size} excluded, sha256 {digest}"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | dict | None)
