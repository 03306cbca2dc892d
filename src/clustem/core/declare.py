"""What a step is: a decorator says its stage, and for a preparation what it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar

from clustem.core.parameters import checked

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

Kind = Literal["geometry", "values", "scan mask", "signal mask"]
"""What a preparation makes.

``"geometry"``: a signal with another shape, axes or calibration, its counts still raw counts.
``"values"``: a signal of the same shape with other values; centers still come from the raw one.
``"scan mask"`` and ``"signal mask"``: boolean, of the shape of the scan or of one spectrum or
pattern in array order, True = excluded.
"""

STAGES = ("prepare", "describe", "reduce", "cluster", "mapping", "eels", "edits")
"""Stages whose steps are declared, in the order in which a recipe runs them."""


@dataclass(frozen=True)
class Declaration:
    """What a step is.

    Parameters
    ----------
    stage
        Stage that it belongs to, for example ``"reduce"``.
    kind
        What a preparation makes; None for other stages.
    again
        What does to other features what a reduction has learned: called with the features and the
        :class:`~clustem.core.about.Info` that the reduction left. None where nothing is learned.
    """

    stage: str
    kind: Kind | None = None
    again: Callable[[Any, Any], Any] | None = None


def declaration_of(step: object) -> Declaration | None:
    """Return what a function or class was declared to be; None if it was not."""
    found = getattr(step, "__declaration__", None)
    return found if isinstance(found, Declaration) else None


def preparation(*, kind: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function as a preparation: Signal -> Signal or mask.

    Parameters
    ----------
    kind
        What it makes: see :data:`Kind`.

    Examples
    --------
    >>> @preparation(kind="values")
    ... def double(signal, *, factor: int = 2):
    ...     return factor * signal
    >>> declaration_of(double).kind
    'values'
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        return _declared(checked(function), Declaration("prepare", kind))

    return declare


def descriptor(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a function as a descriptor: Signal -> Features."""
    return _declared(checked(function), Declaration("describe"))


def reduction(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a function as a reduction that learns nothing: Features -> Features."""
    return _declared(checked(function), Declaration("reduce"))


def learned_reduction(
    again: Callable[[Any, Any], Any],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function as a reduction that learns from the rows it is given.

    Parameters
    ----------
    again
        Does the same to other features: see :class:`Declaration`.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        return _declared(checked(function), Declaration("reduce", again=again))

    return declare


def clusterer(estimator: C) -> C:
    """Declare a scikit-learn estimator as a clusterer: Features -> Clustering."""
    return _declared(estimator, Declaration("cluster"))


def mapping(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a function as a mapping: Clustering -> Segmentation."""
    return _declared(checked(function), Declaration("mapping"))


def analysis(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a function as an analysis of energy losses: Segmentation -> Segmentation."""
    return _declared(checked(function), Declaration("eels"))


def edit(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a function as an edit that a recipe can repeat: Segmentation -> Segmentation."""
    return _declared(checked(function), Declaration("edits"))


T = TypeVar("T")


def _declared(step: T, declared: Declaration) -> T:
    thing: Any = step  # functions and classes take attributes; their types do not say so
    thing.__declaration__ = declared
    return step
