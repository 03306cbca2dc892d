"""Expectation and maximization of Gaussian mixtures, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.mixture._densities import (
    F64,
    Components,
    Flags,
    Kind,
    Where,
    normalised,
    posteriors,
    search,
    sorts_out,
)
from clustem.cluster.mixture._frame import Coordinates, copied, scatter_of, weighted_sums
from clustem.cluster.mixture._kernels import weighted_squares
from clustem.cluster.mixture._triangle import Lower, Triangle, blocks
from clustem.cluster.mixture._workers import Workers
from clustem.core.progress import tick

NOT_EMPTY = 10 * float(np.finfo(np.float64).eps)
"""What is added to the size of each component."""
_NONE = 1e-14
"""Membership below which a row is left out of sums of products."""
_SAME = 1e-10
"""Change of memberships below which a component stays as it is."""


@dataclass(frozen=True)
class Expected:
    """What rows are expected to be under given components.

    Parameters
    ----------
    memberships
        Posterior probabilities (n, k).
    density
        Log-densities (n,) in data units.
    bounds, exact
        Upper bounds of the log-densities under each component (n, k), and which of them are exact;
        None where all components are looked at for all rows.
    """

    memberships: F64
    density: F64
    bounds: F64 | None = None
    exact: Flags | None = None


class Steps:
    """The two steps of a mixture on fixed rows.

    Parameters
    ----------
    x
        Rows in their coordinates, float32 or float64 (n, D).
    space
        The coordinates.
    kind
        Shape of the covariances.
    shrinkage
        How far every full covariance is drawn towards the common one within components; ``"auto"``:
        only those of components with no more members than dimensions, by ``D / (members + D)``;
        with no more rows than dimensions the common one is drawn towards a sphere in the same way.

    Notes
    -----
    With full covariances in more than 128 dimensions, a component of which no membership has
    changed is not made again, and rows are not compared with it again.
    """

    def __init__(
        self, x: NDArray[Any], space: Coordinates, kind: Kind, *, shrinkage: float | Literal["auto"]
    ) -> None:
        self.x, self.space, self.kind, self.shrinkage = x, space, kind, shrinkage
        self.shape, self.dtype = x.shape, x.dtype
        self._lazy = sorts_out(kind, x.shape[1])
        self._scatter: Lower | None = None

    def expect(
        self, pool: Workers, parts: Components, guess: Where, last: Expected | None = None
    ) -> Expected:
        """Find what rows are under components.

        Parameters
        ----------
        pool
            Threads.
        parts
            The components.
        guess
            The component (n,) that is looked at first for each row; right ones save work.
        last
            What was found with the components of the step before; used up.
        """
        shape = (len(self.x), len(parts.weights))
        memberships, density = np.empty(shape), np.empty(len(self.x))
        if not self._lazy:

            def one(part: slice) -> None:
                memberships[part], density[part] = posteriors(self.x[part], parts, self.kind)

            pool.run(one, blocks(self.x.shape))
            return Expected(memberships, density - self.space.log_volume)
        if last is None or last.bounds is None or last.exact is None:
            bounds, exact = np.full(shape, np.inf), np.zeros(shape, dtype=bool)
        else:
            bounds, exact = last.bounds, last.exact
            bounds[:, parts.fresh], exact[:, parts.fresh] = np.inf, False
        order = np.argsort(guess, kind="stable")  # blocks of one component: large products

        def some(part: slice) -> None:
            where = order[part]
            above, sure = bounds[where], exact[where]
            search(self.x, where, parts, guess[where], above, sure)
            bounds[where], exact[where] = above, sure
            found = normalised(np.where(sure, above, -np.inf), parts)
            memberships[where], density[where] = found

        pool.run(some, blocks(self.x.shape))
        return Expected(memberships, density - self.space.log_volume, bounds, exact)

    def maximize(
        self, pool: Workers, memberships: F64, before: Components | None = None
    ) -> Components:
        """Return the components of largest likelihood for memberships (n, k).

        Parameters
        ----------
        pool
            Threads.
        memberships
            Of all rows, (n, k).
        before
            The components of the step before; used up.

        Raises
        ------
        numpy.linalg.LinAlgError
            If a covariance has no inverse.
        """
        fresh = self._fresh(memberships, before)
        means = np.zeros((memberships.shape[1], self.x.shape[1]))
        if before is not None:
            memberships = np.where(fresh, memberships, before.made_of)
            means[...] = before.means
        size = memberships.sum(axis=0) + NOT_EMPTY
        means[fresh] = weighted_sums(pool, self.x, memberships[:, fresh]) / size[fresh, None]
        k, D = means.shape
        parts = Components(
            weights=size / size.sum(),
            means=means,
            factors=before.factors if before else [],
            variances=np.empty((k, 1 if self.kind == "spherical" else D)),
            log_norm=before.log_norm if before else np.empty(k),
            drawn=self._drawn(size, before),
            made_of=memberships,
            fresh=fresh,
        )
        {"full": self._full, "tied": self._tied}.get(self.kind, self._round)(pool, parts, size)
        return parts

    def _fresh(self, memberships: F64, before: Components | None) -> Flags:
        """Which components are not those of the step before."""
        if before is None or not self._lazy or not before.factors:
            return np.ones(memberships.shape[1], dtype=bool)
        changed = (np.abs(memberships - before.made_of) > _SAME).any(axis=0)
        if changed.any():
            changed |= before.drawn > 0  # towards what is common, which has changed
        return np.asarray(changed, dtype=bool)

    def _drawn(self, size: F64, before: Components | None) -> F64:
        """How far covariances are drawn; a component that once was too small stays drawn."""
        D = self.shape[1]
        if self.kind != "full":
            return np.zeros(len(size))
        if self.shrinkage != "auto":
            return np.full(len(size), self.shrinkage)
        small = size <= D
        if before is not None:
            small |= before.drawn > 0
        return np.where(small, D / (size + D), 0.0)

    def _full(self, pool: Workers, parts: Components, size: F64) -> None:
        """Make the covariances that are fresh, one at a time."""
        drawn, factors = parts.drawn, parts.factors or [Triangle([], [])] * len(size)
        common = self._common(pool, parts) if drawn[parts.fresh].any() else None
        for j in np.flatnonzero(parts.fresh):
            tick()
            covariance = self._products(pool, parts, j)
            covariance.scale((1 - drawn[j]) / size[j])
            if common is not None:
                covariance.add(common, drawn[j])
            factors[j], parts.log_norm[j] = self._factored(pool, covariance)
            del covariance  # before there is another
        parts.factors[:] = factors

    def _products(self, pool: Workers, parts: Components, j: np.intp) -> Lower:
        """Sum of the products of rows less the mean of a component, by membership."""
        active = np.flatnonzero(parts.made_of[:, j] > _NONE)
        center = parts.means[j].astype(self.x.dtype)
        root = np.sqrt(parts.made_of[active, j]).astype(self.x.dtype)[:, None]

        def weighted(part: slice, out: NDArray[Any]) -> None:
            np.take(self.x, active[part], axis=0, out=out, mode="clip")  # else it is buffered
            out -= center
            out *= root[part]

        total = Lower.zeros(len(center))
        total.add_products(pool, len(active), weighted, self.x.dtype)
        return total

    def _tied(self, pool: Workers, parts: Components, size: F64) -> None:  # noqa: ARG002  # as others
        factor, parts.log_norm[:] = self._factored(pool, self._common(pool, parts))
        parts.factors[:] = [factor]

    def _common(self, pool: Workers, parts: Components) -> Lower:
        """Scatter of all rows around the means of their components: no pass is needed."""
        n, D = self.shape
        if self._scatter is None:
            self._scatter = scatter_of(pool, self.x)
        between, common = Lower.zeros(D), Lower.zeros(D)
        means = parts.means * np.sqrt(parts.weights)[:, None]
        between.add_products(pool, len(means), copied(means), means.dtype)
        common.add(self._scatter)
        common.add(between, -1.0)
        if self.shrinkage == "auto" and n <= D:  # singular: towards a sphere in data units
            assert self.space.unit is not None  # noqa: S101  # ellipsoids are sought in a frame
            drawn = D / (n + D)
            mean = self.space.variance - float(np.square(self.space.unturned(means)).sum()) / D
            common.scale(1 - drawn)
            common.add(self.space.unit, drawn * mean)
        return common

    def _factored(self, pool: Workers, covariance: Lower) -> tuple[Triangle, float]:
        """Add the ridge; return the Cholesky factor and the log-density at the mean."""
        assert self.space.unit is not None  # noqa: S101  # ellipsoids are sought in a frame
        covariance.add(self.space.unit, self.space.ridge)
        factor, log_det = covariance.factor(pool, self.dtype)
        return factor, -0.5 * (covariance.size * float(np.log(2 * np.pi)) + log_det)

    def _round(self, pool: Workers, parts: Components, size: F64) -> None:
        """Axes along the features, or none at all."""
        k, D = parts.means.shape
        variance = self._squares(pool, parts) / size[:, None] + self.space.ridge
        if self.kind == "spherical":
            variance = variance.mean(axis=1, keepdims=True)
        if not (variance > 0).all():
            raise np.linalg.LinAlgError
        parts.variances[:] = variance
        spread = np.broadcast_to(variance, (k, D))
        parts.log_norm[:] = -0.5 * (D * np.log(2 * np.pi) + np.log(spread).sum(axis=1))

    def _squares(self, pool: Workers, parts: Components) -> F64:
        """Sum of the squares of rows less the means of components, by membership, (k, D)."""
        total = np.zeros(parts.means.shape)

        def one(part: slice) -> F64:
            squares = np.zeros(parts.means.shape)
            weighted_squares(self.x[part], parts.made_of[part], parts.means, squares)
            return squares

        for _, squares in pool.map(one, blocks(self.x.shape)):
            total += squares
        return total
