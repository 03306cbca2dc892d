"""Gaussian mixtures of rows that are not kept: one pass over them for each step."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.cluster._neighbours import mean_field
from clustem.cluster.mixture._course import Course
from clustem.cluster.mixture._densities import F64, Components, Kind, log_densities, posteriors
from clustem.cluster.mixture._frame import Coordinates
from clustem.cluster.mixture._grid import Grid
from clustem.cluster.mixture._kernels import weighted_squares
from clustem.cluster.mixture._potts import ROUNDS, Potts, free_energy
from clustem.cluster.mixture._steps import NOT_EMPTY, Steps
from clustem.cluster.mixture._triangle import Lower
from clustem.cluster.mixture._workers import Workers
from clustem.core.progress import tick
from clustem.passes.block_sums import BlockSums
from clustem.passes.rows import Rows

_LOG = logging.getLogger(__name__)
_BAND = 2**22
"""Numbers of rows that are worked on at a time where rows have neighbours."""
_ROUNDS = 4
"""Rounds of the mean field in each step; so far neighbours reach."""


@dataclass(frozen=True)
class _Sums:
    """What the next components are made of.

    Parameters
    ----------
    size
        Sums of the memberships (k,).
    rows
        Sums of the rows (k, D).
    products
        Of rows less the means of the last components: (k, D, D) for ``"full"``, the squares (k, D)
        for ``"diag"`` and ``"spherical"``, none for ``"tied"``.
    bound
        Sum of the log-densities of the rows, or of the free energies.
    """

    size: F64
    rows: F64
    products: F64
    bound: float


class RowSteps(Steps):
    """The steps of a mixture whose rows are read again for each.

    Parameters
    ----------
    rows
        The rows.
    space
        Their coordinates.
    scatter
        Mean of their products there.
    kind, shrinkage
        As for :class:`Steps`.
    """

    def __init__(
        self,
        rows: Rows,
        space: Coordinates,
        scatter: Lower,
        kind: Kind,
        *,
        shrinkage: float | Literal["auto"],
    ) -> None:
        few = space.enter(rows.take(np.zeros(1, dtype=np.intp)), np.zeros(1, dtype=np.intp))
        super().__init__(few, space, kind, shrinkage=shrinkage)
        self._rows, self.shape, self._scatter, self._lazy = rows, rows.shape, scatter, False
        self._sums: _Sums | None = None

    def made_of(self, pool: Workers, memberships: F64) -> Components:
        """Return the components of given memberships (n, k)."""
        k, D = memberships.shape[1], self.shape[1]
        none = np.empty(0)
        blank = Components(none, np.zeros((k, D)), [], none, none, none, none, none.astype(bool))
        return self._made(pool, self._pass(blank, memberships), blank)

    def course(self, pool: Workers, parts: Components, *, max_iter: int, tol: float) -> Course:
        """Go on from components, without neighbours, until the likelihood rests.

        Parameters
        ----------
        pool
            Threads.
        parts
            Components to start from.
        max_iter, tol
            As for the estimator.
        """
        bound, converged, n_iter = -np.inf, False, 0
        while not converged and n_iter < max_iter:
            tick()
            n_iter += 1
            sums = self._pass(parts)
            before, bound = bound, sums.bound / len(self._rows)
            parts = self._made(pool, sums, parts)
            converged = abs(bound - before) < tol
            _LOG.debug("step %d: mean log-likelihood %.8g", n_iter, bound)
        memberships = np.empty((len(self._rows), len(parts.weights)))
        density = 0.0
        work = lambda block, where: posteriors(self.space.enter(block, where), parts, self.kind)  # noqa: E731  # one line
        for where, (found, log_density) in self._rows.map(work):
            memberships[where] = found
            density += float(log_density.sum()) - len(where) * self.space.log_volume
        return Course(parts, memberships, density / len(self._rows), n_iter, converged)

    def course_on(
        self, grid: Grid, coupling: float, pool: Workers, parts: Components, **stop: Any
    ) -> Course:
        """Go on from components, with neighbours, until the free energy rests.

        Parameters
        ----------
        grid
            The neighbours.
        coupling
            What a neighbour means.
        pool, parts, **stop
            As for :meth:`course`.
        """
        k = len(parts.weights)
        field: NDArray[Any] = np.empty((len(self._rows), k), dtype=np.float32)
        sums = self._pass_on(grid, 0.0, parts, field, field)
        parts = self._made(pool, sums, parts)
        other, bound, converged, n_iter = np.empty_like(field), -np.inf, False, 0
        while not converged and n_iter < stop["max_iter"]:
            tick()
            n_iter += 1
            sums = self._pass_on(grid, coupling, parts, field, other)
            field, other = other, field
            before, bound = bound, sums.bound / len(field)
            parts = self._made(pool, sums, parts)
            converged = abs(bound - before) < stop["tol"]
            _LOG.debug("step %d: mean free energy %.8g", n_iter, bound)
        del field, other
        memberships, density = assigned_on(grid, coupling, self._rows, self.space, parts, self.kind)
        return Course(parts, memberships, density, n_iter, converged)

    def _pass(self, parts: Components, given: F64 | None = None) -> _Sums:
        """Sum all rows by what they are under components, or by given memberships."""
        k, D = parts.means.shape
        space, kind = self.space, self.kind

        def one(block: NDArray[Any], where: NDArray[np.intp]) -> BlockSums:
            z = space.enter(block, where)
            if given is None:
                found, density = posteriors(z, parts, kind)
            else:
                found, density = given[where], np.zeros(len(z))
            sums = _sums_of(z, found, parts.means, kind)
            total = np.array([density.sum() - len(z) * space.log_volume])
            return BlockSums(
                np.zeros(1, np.intp), *(each.reshape(1, -1) for each in (*sums, total))
            )

        shapes = [(k,), (k, D), _shape_of_products(kind, k, D), (1,)]
        totals = [np.zeros((1, int(np.prod(shape)))) for shape in shapes]
        for _, sums in self._rows.map(one):
            sums.add_to(*totals)
        size, rows, products, bound = (
            total.reshape(shape) for total, shape in zip(totals, shapes, strict=True)
        )
        return _Sums(size, rows, products, float(bound[0]))

    def _pass_on(
        self,
        grid: Grid,
        coupling: float,
        parts: Components,
        field: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> _Sums:
        """Let the mean field come nearer to rest, and sum all rows by it; it goes to ``out``."""
        k, D = parts.means.shape
        shapes = [(k,), (k, D), _shape_of_products(self.kind, k, D)]
        totals, bound = [np.zeros(shape) for shape in shapes], 0.0
        reach = _ROUNDS if coupling else 0
        for here, inside, graph in grid.bands(_BAND // D, reach):
            z, evidence = _evidence(self._rows, here, self.space, parts, self.kind)
            if coupling:
                start = field[here].astype(np.float64)
                found = mean_field(evidence, graph, coupling, start, rounds=_ROUNDS)
                edges = graph.indptr, graph.indices, graph.data
                span = inside.start, inside.stop
                bound += free_energy(evidence, *edges, coupling, found, *span)
                bound -= (inside.stop - inside.start) * self.space.log_volume
            else:
                found = _memberships(evidence, parts)
            own = slice(here.start + inside.start, here.start + inside.stop)
            out[own] = found[inside]
            sums = _sums_of(z[inside], found[inside], parts.means, self.kind)
            for total, more in zip(totals, sums, strict=True):
                np.add(total, more, out=total)
        return _Sums(totals[0], totals[1], totals[2], bound)

    def _made(self, pool: Workers, sums: _Sums, before: Components) -> Components:
        """Return the components of largest likelihood for sums."""
        size = sums.size + NOT_EMPTY
        means = sums.rows / size[:, None]
        moved = means - before.means
        products = sums.products
        if self.kind == "full":
            products = products - sums.size[:, None, None] * moved[:, :, None] * moved[:, None, :]
        elif self.kind != "tied":
            products = np.maximum(products - sums.size[:, None] * moved**2, 0.0)
        self._sums = replace(sums, products=products)
        k, D = means.shape
        parts = Components(
            weights=size / size.sum(),
            means=means,
            factors=[],
            variances=np.empty((k, 1 if self.kind == "spherical" else D)),
            log_norm=np.empty(k),
            drawn=self._drawn(size, before if before.factors else None),
            made_of=np.empty((0, k)),
            fresh=np.ones(k, dtype=bool),
        )
        {"full": self._full, "tied": self._tied}.get(self.kind, self._round)(pool, parts, size)
        return parts

    def _products(self, pool: Workers, parts: Components, j: np.intp) -> Lower:  # noqa: ARG002  # as there
        assert self._sums is not None  # noqa: S101  # a pass came before
        return Lower.of(self._sums.products[j])

    def _squares(self, pool: Workers, parts: Components) -> F64:  # noqa: ARG002  # as there
        assert self._sums is not None  # noqa: S101  # as above
        return self._sums.products


def assigned_on(
    grid: Grid, coupling: float, rows: Rows, space: Coordinates, parts: Components, kind: Kind
) -> tuple[F64, float]:
    """Return the memberships (n, k) of rows with neighbours, and the mean log-density of a row.

    Parameters
    ----------
    grid, coupling
        The neighbours and what they mean.
    rows, space, parts, kind
        Rows, their coordinates, the components and the shape of their covariances.
    """
    out, density = np.empty((len(rows), len(parts.weights))), 0.0
    for here, inside, graph in grid.bands(_BAND // rows.shape[1], ROUNDS):
        tick()
        _, evidence = _evidence(rows, here, space, parts, kind)
        alone = _memberships(evidence, parts)
        found = mean_field(evidence, graph, coupling, alone, rounds=ROUNDS)
        out[here.start + inside.start : here.start + inside.stop] = found[inside]
        prior = Potts(graph, coupling).log_prior(found)
        density += float(np.logaddexp.reduce((evidence + prior)[inside], axis=1).sum())
    return out, density / len(rows) - space.log_volume


def _evidence(
    rows: Rows, here: slice, space: Coordinates, parts: Components, kind: Kind
) -> tuple[NDArray[Any], F64]:
    """Return consecutive rows in their coordinates, and their log-densities (m, k) there."""
    numbers = np.arange(here.start, here.stop)
    z = space.enter(rows.take(numbers), numbers)
    return z, log_densities(z, parts, kind)


def _memberships(evidence: F64, parts: Components) -> F64:
    found = evidence + np.log(parts.weights)
    found -= found.max(axis=1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(axis=1, keepdims=True)
    return found


def _sums_of(z: NDArray[Any], found: F64, means: F64, kind: Kind) -> tuple[F64, F64, F64]:
    """Sum memberships, rows, and the products of rows less the means."""
    k, D = means.shape
    products = np.zeros(_shape_of_products(kind, k, D))
    if kind == "full":
        for j in range(k):
            weighted = (z - means[j].astype(z.dtype)) * np.sqrt(found[:, j, None]).astype(z.dtype)
            products[j] = weighted.T @ weighted
    elif kind != "tied":
        weighted_squares(z, np.ascontiguousarray(found), means, products)
    return found.sum(axis=0), (found.T.astype(z.dtype) @ z).astype(np.float64), products


def _shape_of_products(kind: Kind, k: int, D: int) -> tuple[int, ...]:
    return {"full": (k, D, D), "tied": (0,)}.get(kind, (k, D))
