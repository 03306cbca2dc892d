"""Mixtures of what several detectors saw at the same positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, sparray, spmatrix

from clustem.cluster._neighbours import Coupling, softmax
from clustem.cluster.estimator import Markers, Starts
from clustem.cluster.mixture._borders import scattered
from clustem.cluster.mixture._counts import Counts, Fit, counts_of, maximize
from clustem.cluster.mixture._noise import noise_of
from clustem.cluster.mixture._signals import F64, TINY, Counted, Detector, Measured
from clustem.cluster.mixture.multinomial_mixture import MultinomialMixture
from clustem.core import InputError, ParameterError, RandomState, clusterer

Kind = Literal["counts", "rates", "values"]
_HEEDED = 0.01
"""Information below which a signal is left out: clusters follow its noise so far [bits]."""
_PARTS = (1.0, 0.5, 0.25, 0.1, 0.05)
"""Parts of the log-likelihood of which posteriors are taken, as it may be too sure."""


@dataclass(frozen=True, eq=False)
class SignalMeans:
    """What one of several signals shows of clusters.

    Attributes
    ----------
    cluster_centers_
        Mean rows, (k, d).
    sizes_
        Sum of the memberships of each cluster, (k,).
    """

    cluster_centers_: F64
    sizes_: F64


@dataclass(frozen=True, eq=False)
class CountedMeans(SignalMeans):
    """What counts show of clusters.

    Attributes
    ----------
    shapes_
        Shapes, (k, d), each with sum 1.
    """

    shapes_: F64


@clusterer
class JointMixture(MultinomialMixture):
    """Clusters of what several detectors saw: each counts by what it tells.

    Given its cluster, what the detectors saw at a position is independent, so that their
    log-likelihoods add up: counts are multinomial, as in ``MultinomialMixture``; other values are
    normal, with one covariance for all clusters.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    widths
        Number of columns of each signal, one signal after the other; None for one signal.
    kinds
        What each signal holds: ``"counts"``, of which only the shape tells; ``"rates"``, counts
        whose total tells, too; or ``"values"``, with noise. None for counts.
    weights
        What the log-likelihood of each signal is multiplied by; 1 is what it tells by itself. None
        for 1.
    connectivity, coupling, overdispersion, prior, markers, n_init, max_iter, tol, random_state
        As for ``MultinomialMixture``. Values need the connectivity: their noise is that between
        neighbours.
    intensity
        That of signals without kinds.

    Attributes
    ----------
    labels_, memberships_, cluster_centers_, weights_, sizes_, coupling_
        As of ``MultinomialMixture``.
    information_
        What each signal by itself tells about the cluster of a position, without its neighbours,
        (s,) [bits]: the mutual information of the clusters and its own posterior.
    joint_information_
        What all of them tell [bits].
    shapes_
        As of ``MultinomialMixture``; only there for one signal of counts.
    held_out_gain_, held_out_error_, objective_, n_iter_, converged_, n_features_in_
        As of ``MultinomialMixture``.

    Notes
    -----
    A signal whose shapes, fitted to one half of the positions, tell less than 0.01 bits of the
    other half is left out. The covariance of values is that within the clusters, so that a detector
    whose values vary for other reasons tells less. Coarse cells, held-out counts, mixed positions
    and neighbours are as in ``MultinomialMixture``; of values, 70 % and noise are fitted and the
    rest is held out.

    References
    ----------
    J. Leiner et al., J. Am. Stat. Assoc. (2023) (values that are held out).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.repeat([0, 1, 2], 40)
    >>> one = rng.poisson(20 * np.array([[0.8, 0.2], [0.2, 0.8], [0.2, 0.8]])[truth])
    >>> other = rng.poisson(20 * np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]])[truth])
    >>> fitted = JointMixture(3, widths=[2, 2]).fit(np.hstack([one, other]))
    >>> fitted.labels_.shape, fitted.information_.round(1).tolist()
    ((120,), [0.9, 0.9])
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
        widths: list[int] | None = None,
        kinds: list[Kind] | None = None,
        weights: list[float] | None = None,
        connectivity: sparray | spmatrix | NDArray[np.float64] | None = None,
        coupling: Coupling | Literal["auto"] = "auto",
        intensity: Literal["free", "shared"] = "free",
        overdispersion: bool | Literal["auto"] = "auto",
        prior: Annotated[float, Gt(0)] = 100.0,
        markers: Markers = None,
        n_init: Starts = 10,
        max_iter: Annotated[int, Ge(1)] = 200,
        tol: Annotated[float, Ge(0)] = 1e-3,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(
            n_clusters,
            connectivity=connectivity,
            coupling=coupling,
            intensity=intensity,
            overdispersion=overdispersion,
            prior=prior,
            markers=markers,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            random_state=random_state,
        )
        self.widths = widths
        self.kinds = kinds
        self.weights = weights

    def of_signal(self, number: int) -> SignalMeans:
        """Return what one signal shows of each cluster, after :meth:`fit`.

        Parameters
        ----------
        number
            Which signal, counted from 0.
        """
        columns = self._columns[number]
        means = np.asarray(self.cluster_centers_)[:, columns]
        if self._turns[number] is not None:
            return SignalMeans(means, self.sizes_)
        return CountedMeans(means, self.sizes_, self._shapes_of(number))

    def _shapes_of(self, number: int) -> F64:
        columns, kept = self._columns[number], self._kept[number]
        shapes = np.zeros((len(self._fit.weights), columns.stop - columns.start))
        shapes[:, kept] = self._fit.shapes[:, self._signals[number].where]
        return shapes

    def _learned(self, rows: Any, graph: Any, params: dict[str, Any]) -> Counts:
        self._columns, kinds, weights = self._layout(rows.shape[1], params)
        self._turns: list[tuple[F64, F64] | None] = []
        self._kept: list[NDArray[np.intp]] = []
        signals: list[Detector] = []
        first = 0
        for columns, kind, weight in zip(self._columns, kinds, weights, strict=True):
            own = rows[:, columns]
            if kind == "values":
                values = own.toarray()
                center, turn, variance = noise_of(values, graph)
                where = slice(first, first + turn.shape[1] + 1)
                self._turns.append((center, turn))
                self._kept.append(np.arange(values.shape[1]))
                signals.append(Measured(where, variance, weight))
            else:
                totals = np.asarray(own.sum(axis=0), dtype=np.float64).ravel()
                used = np.flatnonzero(totals)
                where = slice(first, first + len(used))
                self._turns.append(None)
                self._kept.append(used)
                mean = totals[used] / totals.sum()
                signals.append(Counted(where, mean, params["prior"], kind == "rates", weight))
            first = where.stop
        self._signals = tuple(signals)
        return counts_of(self._described(rows), graph, self._signals)

    def _layout(
        self, width: int, params: dict[str, Any]
    ) -> tuple[list[slice], list[Kind], list[float]]:
        """Return the columns, kind and weight of each signal."""
        widths = [width] if params["widths"] is None else [int(w) for w in params["widths"]]
        alone: Kind = "rates" if params["intensity"] == "shared" else "counts"
        kinds = [alone] * len(widths) if params["kinds"] is None else list(params["kinds"])
        weights = [1.0] * len(widths) if params["weights"] is None else list(params["weights"])
        if sum(widths) != width or min(widths) < 1:
            raise ParameterError(
                f"widths must be whole numbers of at least 1 whose sum is the number of columns "
                f"({width})",
                got=widths,
                cure="Give one width for each signal.",
            )
        if not len(kinds) == len(weights) == len(widths):
            raise ParameterError(
                "There must be one kind and one weight for each signal",
                got=f"{len(widths)} widths, {len(kinds)} kinds, {len(weights)} weights",
                cure="Leave kinds and weights out, or give one for each.",
            )
        if not all(np.isfinite(w) and w >= 0 for w in weights) or not any(weights):
            raise ParameterError(
                "Weights must be finite, at least 0, and not all 0",
                got=weights,
                cure="1 lets a signal count by what it tells.",
            )
        ends = np.cumsum([0, *widths])
        columns = [slice(a, b) for a, b in pairwise(ends.tolist())]
        return columns, kinds, weights

    def _described(self, rows: Any) -> Any:
        parts = []
        every = zip(self._columns, self._turns, self._kept, strict=True)
        for columns, turn, kept in every:
            own = rows[:, columns]
            if turn is None:
                parts.append(own[:, kept])
                continue
            center, turned = turn
            values = (own.toarray() - center) @ turned
            parts.append(_dense(np.column_stack([values, np.ones(len(values))])))
        return csr_array(hstack(parts, format="csr"))

    def _weighed(self, start: Fit, part: Counts, counts: Counts) -> tuple[Counts, Counts]:
        told = _information(start, part)[0]
        if not (told > _HEEDED).any():
            return part, counts
        self._signals = tuple(
            signal if bits > _HEEDED else replace(signal, weight=0.0)
            for signal, bits in zip(counts.signals, told, strict=True)
        )
        return replace(part, signals=self._signals), replace(counts, signals=self._signals)

    @staticmethod
    def _dtype_of(counts: Any) -> type[np.floating[Any]]:  # noqa: ARG004  # values stand beside them
        return np.float64

    def _counted(self, rows: Any) -> Any:
        columns, kinds, _ = self._layout(rows.shape[1], self._checked())
        values = [
            rows[:, c].data for c, kind in zip(columns, kinds, strict=True) if kind != "values"
        ]
        for c, kind in zip(columns, kinds, strict=True):
            if kind == "values" and not np.isfinite(rows[:, c].data).all():
                raise InputError(
                    "All values must be finite numbers",
                    got="NaN or inf",
                    cure="Exclude those rows with the mask, or fill them in, before clustering.",
                )
        return np.concatenate([*values, np.zeros(0)])

    def _keep_shapes(self) -> None:
        if len(self._columns) == 1 and self._turns[0] is None:
            self.shapes_ = self._shapes_of(0)

    def _keep_clusters(self, counts: Counts) -> None:
        super()._keep_clusters(counts)
        self.information_, self.joint_information_ = _information(self._fit, counts)


def _dense(values: F64) -> csr_array:
    """Return rows of which all columns are there, zeros too."""
    n, width = values.shape
    columns = np.tile(np.arange(width, dtype=np.int32), n)
    starts = np.arange(0, n * width + 1, width, dtype=np.int32)
    return csr_array((values.ravel(), columns, starts), shape=(n, width))


def _alone(fit: Fit, counts: Counts, number: int) -> F64:
    """Log-likelihood (n, k) of rows as one signal has it."""
    signal = counts.signals[number]
    wide = None if fit.concentrations is None else fit.concentrations[:, [number]]
    one = replace(
        fit,
        shapes=fit.shapes[:, signal.where],
        rates=fit.rates[:, [number]],
        concentrations=wide,
        precisions=(fit.precisions[number],),
    )
    return scattered(one, counts.of_signal(number))


def _information(fit: Fit, counts: Counts) -> tuple[F64, float]:
    """Information about clusters (s,) in each signal, and in all of them [bits].

    Shapes are fitted to one half of the positions and held against the other, as shapes fit the
    noise of their own.
    """
    n, k = fit.memberships.shape
    fits = np.zeros((len(counts.signals), n, k))
    for part in (slice(0, None, 2), slice(1, None, 2)):
        others = np.ones(n, dtype=bool)
        others[part] = False
        if not others.any() or others.all():
            return np.zeros(len(counts.signals)), 0.0
        again = maximize(fit.memberships[others], counts.of_rows(counts.rows[others]))
        again = replace(again, concentrations=fit.concentrations)
        here = counts.of_rows(counts.rows[part])
        for i in range(len(fits)):
            fits[i, part] = _alone(again, here, i)
    alone = [_told(each, fit) for each in fits]
    return np.array(alone), _told(fits.sum(axis=0), fit)


def _told(fits: F64, fit: Fit) -> float:
    """Return what a posterior of log-likelihoods (n, k) tells of the clusters [bits].

    Shapes that were fitted to few positions are too sure: posteriors are also taken of parts of the
    log-likelihood, and the one that tells most counts. Noise tells nothing in any of them.
    """
    logs = np.log(np.maximum(fit.weights, TINY))
    bits = [0.0]
    found = np.empty_like(fits)
    for part in _PARTS:
        softmax(part * fits + logs, found)
        rise = np.log2(np.maximum(found, TINY)) - logs / np.log(2)
        bits.append(float((fit.memberships * rise).sum(axis=1).mean()))
    return max(bits)
