"""How many groups with gaps between them some rows hold, whatever clusters an estimator makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core.eigh import eigh
from clustem.judge._components import FEW, Mixture, Steps, grow
from clustem.judge._gaps import Groups, joined
from clustem.judge._neighbourhoods import Regions, neighbourhoods

F64 = NDArray[np.float64]
_PLANE = 8
"""Dimensions up to which each component may have a covariance of its own."""


@dataclass(frozen=True)
class Structure:
    """What some rows hold.

    Parameters
    ----------
    groups
        Groups with gaps between them.
    mixture
        The mixture that they were joined from.
    bics
        Its criterion by number of components.
    regions
        Regions of close neighbours.
    share
        Share of the rows that would tell as much if they were independent.
    """

    groups: Groups
    mixture: Mixture
    bics: dict[int, float]
    regions: Regions
    share: float = 1.0

    @property
    def rows(self) -> int:
        """Number of independent rows."""
        return round(self.share * len(self.groups.labels))


def structure(
    rows: F64,
    most: int,
    *,
    random_state: int,
    share: float = 1.0,
    report: Callable[[float], None] | None = None,
) -> Structure:
    """Describe rows (n, d) by normal distributions, and join those without a gap between them.

    Parameters
    ----------
    rows
        Float64 (n, d).
    most
        Most components to try.
    random_state
        Seed.
    share
        Share of the rows that would tell as much if they were independent.
    report
        Called with the share of work done.
    """
    report = report or (lambda _: None)
    sphered, units = _sphered(rows)
    regions = neighbourhoods(sphered[:, -_PLANE:], share)  # of many dimensions, the widest
    tied = grow(
        Steps(sphered, "tied", share),
        most,
        units=units,
        random_state=random_state,
        report=lambda share: report(0.6 * share),
    )
    chosen = min(tied, key=_bic)
    own = sphered if sphered.shape[1] <= _PLANE else _discriminant(sphered, chosen)
    if own.shape[1]:
        here = [Steps(own, "tied", share).run(one.memberships, 1) for one in [chosen]]
        units_here = units if own is sphered else np.eye(own.shape[1])
        full = grow(
            Steps(own, "full", share),
            min(most, chosen.size + 3),
            units=units_here,
            random_state=random_state,
            known=tied,
            report=lambda share: report(0.6 + 0.3 * share),
        )
        chosen = min([*here, *full], key=_bic)
        sphered = own
    tied_only = chosen.kind == "tied"
    groups = joined(sphered, chosen.labels, chosen.within, few=FEW, tied=tied_only, share=share)
    report(1.0)
    return Structure(groups, chosen, {one.size: one.bic for one in tied}, regions, share)


def _bic(mixture: Mixture) -> float:
    return mixture.bic


def _sphered(rows: F64) -> tuple[F64, F64]:
    """Turn rows so that their covariance is the unit matrix; return them and what turns them back.

    Directions in which nothing varies are left out.
    """
    centered, n = rows - rows.mean(axis=0), len(rows)
    few = n < rows.shape[1]  # then the products of rows are the smaller matrix
    products = centered @ centered.T if few else centered.T @ centered
    values, vectors = eigh(products / n)
    kept = values > 1e-12 * values.max()
    vectors, spread = vectors[:, kept], np.sqrt(values[kept])
    return np.sqrt(n) * vectors if few else centered @ vectors / spread, np.diag(spread)


def _discriminant(rows: F64, mixture: Mixture) -> F64:
    """Coordinates (n, q) that tell the components apart best, with unit covariance within them."""
    inverse = np.linalg.inv(np.linalg.cholesky(mixture.within))
    means = (mixture.means - mixture.weights @ mixture.means) @ inverse.T
    vectors = eigh((means.T * mixture.weights) @ means)[1]
    count = min(mixture.size - 1, _PLANE)
    out = rows @ inverse.T @ vectors[:, ::-1][:, :count]
    return np.asarray(out - out.mean(axis=0))
