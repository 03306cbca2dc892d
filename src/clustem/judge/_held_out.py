"""How many clusters explain counts that were held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import clone

from clustem.core import Features, PatchGrid
from clustem.judge._borders import places_of
from clustem.judge._fits import with_few_starts
from clustem.judge._intensity import Intensity
from clustem.judge._smooth import Surface, smooth_intensity_gain, split
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse

F64 = NDArray[np.float64]
_SAME, _CLEAR = 2.0, 4.0
"""Standard errors up to which two numbers of clusters explain alike, and from which on not."""
_WORSE = 2
"""Numbers of clusters, one after the other, that are worse than the best: enough."""
_VARIES = 0.05
"""Relative spread of the intensity that is worth a word."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Log-likelihood of held-out counts, by number of clusters.

    Parameters
    ----------
    gains
        Log-likelihood of each position (n,), by number of clusters.
    counts
        Number of counts.
    spread
        Relative spread of the intensity, counting noise left out.
    smooth
        Log-likelihood of held-out counts whose shape follows a smooth surface over the scan.
    by_shape
        The smallest number that explains held-out counts as well as the best one, by their shape
        alone; None where this is all that was asked.
    """

    gains: Mapping[int, F64]
    counts: float
    spread: float
    smooth: float = -np.inf
    by_shape: int | None = None

    @property
    def k(self) -> int:
        """The number of clusters; 1 where a trend, or the intensity alone, is all there is."""
        return 1 if self.trend else self.best

    @property
    def trend(self) -> Literal["", "smooth", "intensity"]:
        """What explains held-out counts better than clusters: a smooth surface, or one shape."""
        if self.best > 1 and self.smooth > float(self.gains[self.best].sum()):
            return "smooth"
        return "intensity" if self.by_shape == 1 < self.best else ""

    @property
    def best(self) -> int:
        """The smallest number that explains held-out counts as well as the best one."""
        best = max(self.gains, key=lambda k: float(self.gains[k].sum()))
        return min(k for k in self.gains if self.worse(k, best) < (_SAME if k == 1 else 1.0))

    def worse(self, k: int, than: int) -> float:
        """How much worse one number explains them than another, in standard errors."""
        difference = self.gains[than] - self.gains[k]
        error = float(np.sqrt(len(difference)) * difference.std())
        return float(difference.sum()) / error if error > 0 else 0.0

    def columns(self, ks: tuple[int, ...]) -> dict[str, F64]:
        """Log-likelihood per count against that of the smallest number, and its error, over k."""
        first = self.gains[min(self.gains)]
        rise = {k: gain - first for k, gain in self.gains.items()}
        error = {k: np.sqrt(len(d)) * d.std() for k, d in rise.items()}
        return {
            "held-out": np.array(
                [rise[k].sum() / self.counts if k in rise else np.nan for k in ks]
            ),
            "held-out: error": np.array(
                [error[k] / self.counts if k in error else np.nan for k in ks]
            ),
        }

    @property
    def confidence(self) -> Literal["low", "medium", "high"]:
        """How clearly the best number is better than its neighbours."""
        k, last = self.k, max(self.gains)
        if self.trend:
            return "medium"
        if k == last and last > 1:
            return "low"
        others = [self.worse(other, k) for other in self.gains if abs(other - k) == 1]
        nearest = min(others, default=0.0)
        return "high" if nearest > _CLEAR else "medium" if nearest > _SAME else "low"

    @property
    def alternatives(self) -> tuple[int, ...]:
        """Other numbers that explain held-out counts about as well, the best first."""
        k = self.k
        close = {other: self.worse(other, k) for other in self.gains if other != k}
        return tuple(sorted((o for o, w in close.items() if w < _CLEAR), key=close.__getitem__)[:3])

    @property
    def reason(self) -> str:
        """What held-out counts say, in one sentence."""
        k = self.k
        if self.trend == "smooth":
            return (
                f"a trend, no groups: shapes that follow a smooth surface over the scan explain "
                f"held-out counts better than {self.best} clusters do"
            )
        if self.trend:
            return (
                "thickness or dose only: one shape explains held-out counts, while the intensity "
                f"varies by {100 * self.spread:.0f} %"
            )
        others = [o for o in (k - 1, k + 1) if o in self.gains]
        worse = " and ".join(f"{o} by {self.worse(o, k):.1f}" for o in others)
        compared = f"worse in standard errors: {worse}" if worse else "no other was tried"
        if k > 1:
            most = "; it is the largest number tried" if k == max(self.gains) else ""
            return f"{k} shapes explain held-out counts ({compared}){most}"
        if self.spread > _VARIES:
            return (
                "thickness or dose only: one shape explains held-out counts "
                f"({compared}), while the intensity varies by {100 * self.spread:.0f} %"
            )
        return f"no structure at this dose: one shape explains held-out counts ({compared})"


def held_out(
    features: Features,
    make: Callable[[int], Any],
    ks: tuple[int, ...],
    *,
    every: bool,
    report: Callable[[float], None],
    random_state: int = 0,
) -> HeldOut:
    """Fit most of the counts with each number of clusters, and predict the others.

    Parameters
    ----------
    features
        Rows (n, D) of counts.
    make
        Makes an unfitted estimator for k clusters that has ``held_out_gains``.
    ks
        Numbers of clusters, rising.
    every
        Whether to go on when larger numbers only get worse.
    report
        Called with the share of work done.
    random_state
        Seed of the split that a smooth surface is fitted to.

    References
    ----------
    A. Neufeld et al., J. Mach. Learn. Res. 25 (2024) 57.
    """
    several = issparse(features.rows)  # of several signals: not all of them need be counts
    rows = features.rows if several else sparse(Rows.of(features.rows))
    estimator = with_few_starts(make(ks[-1]))
    shared = estimator.get_params().get("intensity") == "shared"
    by_shape = None
    if shared:
        plain = HeldOut(dict(_free(estimator).held_out_gains(rows, ks[:3])), 1.0, 0.0)
        by_shape = plain.best
    gains: dict[int, F64] = {}
    best, missed = -np.inf, 0
    for k, gain in estimator.held_out_gains(rows, ks):
        gains[k] = gain
        report(len(gains) / len(ks))
        missed = 0 if gain.sum() > best else missed + 1
        best = max(best, float(gain.sum()))
        if missed == _WORSE and not every:
            break
    totals = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
    spread = Intensity(totals, counted=True).spread
    smooth = -np.inf
    on_map = bool(features.scans) and len(features.shape) == 2
    if not several and on_map and 1 in gains and features.find(PatchGrid) is None:
        places = places_of(features, np.arange(rows.shape[0]))
        smooth = _smooth(estimator, rows, places, gains, random_state)
    return HeldOut(gains, max(float(totals.sum()), 1.0), spread, smooth, by_shape)


def _smooth(
    estimator: Any, rows: Any, places: F64, gains: Mapping[int, F64], random_state: int
) -> float:
    """Log-likelihood of held-out counts that follow a surface; none where clusters add to it.

    Above that of all counts' mean shape, as that of clusters: the shape of one cluster is that of
    the counts that are not held out.
    """
    known, rest = split(rows, random_state)
    surface = Surface.of(known, rest, places)
    found = surface.gain + float(gains[1].sum())
    if estimator.get_params().get("intensity") == "shared":
        totals = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
        found += smooth_intensity_gain(totals, places, random_state)
    best = max(gains, key=lambda k: float(gains[k].sum()))
    if best == 1 or found <= float(gains[best].sum()):
        return found
    fitted = clone(estimator).set_params(n_clusters=best).fit(known)
    return -np.inf if surface.leaves(fitted.labels_) else found


def _free(estimator: Any) -> Any:
    """Return a copy that looks at shapes only."""
    return clone(estimator).set_params(intensity="free")
