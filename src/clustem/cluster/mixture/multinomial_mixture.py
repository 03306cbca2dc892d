"""Mixtures of multinomials: clusters of counts by their shape, whatever their total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, sparray, spmatrix
from sklearn.exceptions import ConvergenceWarning

from clustem.cluster._neighbours import Coupling, softmax
from clustem.cluster.estimator import Estimator, Markers, Starts
from clustem.cluster.mixture._borders import scattered
from clustem.cluster.mixture._counts import Counts, Fit, counts_of, em
from clustem.cluster.mixture._held_out import Choice, assigned, choose, fitted_part, settled
from clustem.cluster.mixture._levels import hierarchy
from clustem.cluster.mixture._parts import Parts
from clustem.cluster.mixture._search import LARGE, from_regions, search
from clustem.cluster.mixture._signals import F64, TINY, Counted, Detector
from clustem.core import InputError, RandomState, clusterer, record, warn
from clustem.passes.picked_rows import picked
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse


@clusterer
class MultinomialMixture(Estimator):
    """Clusters of counts by their shape: thickness, dose and dead time drop out.

    Given its cluster, the counts of a position are multinomial with the position's own total. With
    neighbours, a Potts prior draws positions to the cluster of those around them, which makes maps
    of a few counts per position possible.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    connectivity
        Weights between neighbouring rows, sparse (n, n), symmetric, as in scikit-learn's
        ``AgglomerativeClustering``; or the mask of a scan, True = excluded, whose positions have
        those around them as neighbours; None for none. Recipes give the mask.
    coupling
        How much a neighbour of weight 1 counts: it makes a cluster ``exp(coupling)`` times as
        likely. ``"auto"`` takes what explains held-out counts best. 0 leaves neighbours out.
    intensity
        ``"free"``: only the shape counts; ``"shared"``: the total of a row does, too (Poisson).
    overdispersion
        Whether the shapes of a cluster's positions scatter around its own (Dirichlet-multinomial),
        as the composition of a real phase does. ``"auto"`` asks held-out counts.
    prior
        Number of counts of the mean shape that each cluster's shape is drawn towards.
    markers
        Region of each row (n,), 1 or more, others none: the first clusters start from the counts
        in the regions. In a recipe a label image or masks.
    n_init
        Number of k-means starts at each level of pooled positions.
    max_iter
        Most steps of EM.
    tol
        Stop when memberships change by less than this on average.
    random_state
        Seed of the starts and of the held-out counts.

    Attributes
    ----------
    labels_
        Cluster of each row, int32 (n,).
    memberships_
        Posterior probabilities, float64 (n, k); rows sum to one.
    shapes_
        Shapes p, float64 (k, D), each with sum 1.
    cluster_centers_
        Mean rows, weighted by the memberships, float64 (k, D).
    weights_
        Share of each cluster, (k,).
    sizes_
        Sum of its memberships, (k,).
    coupling_
        The coupling that took effect.
    concentrations_
        Concentration of each cluster's Dirichlet distribution, (k,), in counts: the variance of N
        counts is ``1 + (N - 1) / (1 + concentration)`` times the multinomial one. None without
        overdispersion.
    held_out_gain_, held_out_error_
        Log-likelihood of held-out counts above that of one shape for all, and its standard error:
        clusters that are no more than noise gain nothing.
    objective_
        Free energy, a bound on the log-posterior; EM raises it, but for the last digits where
        neighbours change at once.
    n_iter_, converged_
        Steps of the best start, and whether memberships came to rest.
    fitted_rows_
        Numbers of the rows that clusters were fitted to (m,), the others were assigned; None if to
        all.
    n_features_in_
        Number of features D.

    Notes
    -----
    ``ln P(x|k) = Σ_d x_d ln p_kd + const``; ``p_kd ∝ Σ_i r_ik x_id + prior b_d`` with the
    mean shape b. Neighbours enter the E-step as a mean field. Positions are pooled with their
    neighbours, pair by pair, until cells hold hundreds of counts; k-means in the chi-square metric
    starts there, memberships are handed down to the halves of each cell, and the start of the
    highest free energy wins. Starts see 70 % of the counts; the others choose what is ``"auto"``.

    With neighbours, a position near a border is pure or a mixture of both sides, and belongs to the
    larger part; shapes are fitted with its counts split between them. Memberships are then the
    shares of 100 Gibbs samples. Cost: non-zero values × k for each step; memory: these values.

    Rows whose counts take more than 4 GiB, and whose neighbours are given as a mask or not at all,
    are read in bands: clusters are fitted to eight and more bands of lines, evenly spread over the
    scan, and all positions are assigned to them band by band, the 16 lines around each included.

    References
    ----------
    A. Dempster, N. Laird, D. Rubin, J. R. Stat. Soc. B 39 (1977) 1.
    G. Celeux, F. Forbes, N. Peyrard, Pattern Recognition 36 (2003) 131 (mean field).
    S. Geman, D. Geman, IEEE Trans. Pattern Anal. 6 (1984) 721 (Gibbs sampling).
    A. Neufeld et al., J. Mach. Learn. Res. 25 (2024) 57 (held-out counts).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shapes = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    >>> truth = np.repeat([0, 1], [30, 50])
    >>> X = rng.poisson(20 * shapes[truth])
    >>> np.bincount(MultinomialMixture(2).fit(X).labels_).tolist() in ([30, 50], [50, 30])
    True
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
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
        self.n_clusters = n_clusters
        self.connectivity = connectivity
        self.coupling = coupling
        self.intensity = intensity
        self.overdispersion = overdispersion
        self.prior = prior
        self.markers = markers
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Fit clusters to rows of counts.

        Parameters
        ----------
        X
            Counts (n, D), whole numbers of at least 0: array-like, scipy sparse, or ``Rows``.
        y
            Not used.

        Raises
        ------
        InputError
            If these are no counts, all are zero, the connectivity has another size, or they need
            more memory than is free.
        """
        source = self._source(X, reset=True)
        params = self._checked(n_rows=source.shape[0])
        k, seed = params["n_clusters"], params["random_state"]
        regions = None
        if params["markers"] is not None:
            regions, _ = self._regions(params["markers"], source.shape[0], k)
        parts = Parts.of(source, params["connectivity"], k)
        some, graph = parts.some(regions)
        rows = self._loaded(source, some, reset=True)
        counts = self._learned(rows, graph, params)
        part = fitted_part(counts, seed)
        start = search(hierarchy(part), k, n_init=params["n_init"], seed=seed)
        if regions is not None:
            start = from_regions(start, part, regions[some])
        part, counts = self._weighed(start, part, counts)
        choice = self._choice(start, part, counts, params)
        del part  # as much memory as the counts
        self.coupling_ = choice.coupling
        self.held_out_gain_ = float(choice.gain.sum())
        self.held_out_error_ = float(np.sqrt(len(choice.gain)) * choice.gain.std())
        if "auto" in (params["coupling"], params["overdispersion"]):
            record(
                f"by held-out counts: coupling {self.coupling_:g}, overdispersion {choice.scatter}",
                coupling=self.coupling_,
                overdispersion=choice.scatter,
            )
        fit = em(
            start.memberships,
            counts,
            coupling=self.coupling_,
            max_iter=params["max_iter"],
            tol=params["tol"],
        )
        self._seed = seed
        self._fit = settled(fit, counts, self.coupling_, scatter=choice.scatter, seed=seed)
        self._keep_clusters(counts)
        self.fitted_rows_: NDArray[np.intp] | None = None
        if parts.whole:
            self._keep(self._fit.memberships, rows.T @ self._fit.memberships)
        else:
            self.fitted_rows_ = some
            record(f"clusters fitted to {len(some)} of {source.shape[0]} rows", fitted=len(some))
            self._keep(*self._assigned(parts))
        if not self.converged_:
            warn(
                f"Memberships still changed after max_iter={params['max_iter']} steps. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
            )
        return self

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the cluster of each row (n,), without neighbours."""
        return np.asarray(self.predict_proba(X).argmax(axis=1), dtype=np.int32)

    def predict_proba(self, X: Any) -> F64:
        """Return posterior probabilities (n, k) of rows, without neighbours."""
        fits = self._log_likelihoods(X) + np.log(np.maximum(self.weights_, TINY))
        found = np.empty_like(fits)
        softmax(fits, found)
        return found

    def assign(self, X: Any, *, connectivity: Any = None) -> F64:
        """Return posterior probabilities (n, k) of rows of another scan, as :meth:`fit` does.

        Parameters
        ----------
        X
            Counts (n, D), as for :meth:`fit`.
        connectivity
            Weights between neighbouring rows (n, n); None for none.

        Returns
        -------
        :
            Memberships; those of the fitted rows are ``memberships_``.

        Raises
        ------
        InputError
            As :meth:`fit`.
        """
        source = self._source(X, reset=False)
        return self._assigned(Parts.of(source, connectivity, self.n_clusters))[0]

    def score_samples(self, X: Any) -> F64:
        """Return the log-likelihood (n,) of rows, that of the mean shape left out."""
        fits = self._log_likelihoods(X)
        found: F64 = np.logaddexp.reduce(fits + np.log(self.weights_), axis=1)
        return found

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002  # scikit-learn's signature
        """Return the mean log-likelihood of a row, that of the mean shape left out."""
        return float(self.score_samples(X).mean())

    def held_out_gains(self, X: Any, ks: Iterable[int]) -> Iterator[tuple[int, F64]]:
        """Ask how well several numbers of clusters explain counts that are held out.

        Parameters
        ----------
        X
            Counts (n, D), as for :meth:`fit`.
        ks
            Numbers of clusters.

        Yields
        ------
        :
            Number of clusters, and log-likelihood (m,) of 30 % of the counts, given the others,
            above that of one shape. Beyond 20,000 rows with neighbours, these are pooled to m; of
            rows that do not fit in memory, some are asked.

        Raises
        ------
        InputError
            As :meth:`fit`.
        """
        source = self._source(X, reset=True)
        params = self._checked()
        parts = Parts.of(source, params["connectivity"], self.n_clusters)
        some, graph = parts.some()
        rows = self._loaded(source, some, reset=True)
        counts = self._learned(rows, graph, params)
        seed, part = params["random_state"], fitted_part(counts, params["random_state"])
        levels, whole = hierarchy(part), hierarchy(counts)
        while min(len(levels), len(whole)) > 1 and len(levels[0].totals) > LARGE:
            levels, whole = levels[1:], whole[1:]
        for k in ks:
            start = search(levels, k, n_init=params["n_init"], seed=seed)
            part, every = self._weighed(start, levels[0], whole[0])
            yield k, self._choice(start, part, every, params).gain

    @staticmethod
    def _choice(start: Fit, part: Counts, counts: Counts, params: dict[str, Any]) -> Choice:
        return choose(
            start,
            part,
            counts,
            coupling=0.0 if counts.graph is None else params["coupling"],
            scatter=params["overdispersion"],
            seed=params["random_state"],
        )

    def _learned(self, rows: Any, graph: Any, params: dict[str, Any]) -> Counts:
        """Return counts without the channels that hold none."""
        totals = np.asarray(rows.sum(axis=0), dtype=np.float64).ravel()
        self._used = np.flatnonzero(totals)
        mean, shared = totals[self._used] / totals.sum(), params["intensity"] == "shared"
        whole = slice(0, len(mean))
        self._signals: tuple[Detector, ...] = (Counted(whole, mean, params["prior"], shared),)
        return counts_of(self._described(rows), graph, self._signals)

    def _weighed(
        self,
        start: Fit,  # noqa: ARG002  # of several signals
        part: Counts,
        counts: Counts,
    ) -> tuple[Counts, Counts]:
        """Return counts, signals that tell nothing left out: there is one signal."""
        return part, counts

    def _described(self, rows: Any) -> Any:
        """Return the columns of rows that the fit has seen; the values are shared if possible."""
        width = rows.shape[1]
        if len(self._used) == width:
            return rows
        place = np.full(width, -1, dtype=rows.indices.dtype)
        place[self._used] = np.arange(len(self._used))
        columns = place[rows.indices]
        if (columns < 0).any():
            return rows[:, self._used]
        return csr_array((rows.data, columns, rows.indptr), shape=(rows.shape[0], len(self._used)))

    def _keep(self, memberships: F64, sums: F64) -> None:
        """Keep memberships (n, k), and the sums of all counts by cluster, (D, k)."""
        self._fit = replace(self._fit, memberships=memberships)
        self.memberships_ = memberships
        self.labels_ = memberships.argmax(axis=1).astype(np.int32)
        self.sizes_ = np.maximum(memberships.sum(axis=0), np.finfo(np.float64).tiny)
        self.cluster_centers_ = sums.T / self.sizes_[:, None]

    def _keep_clusters(self, counts: Counts) -> None:  # noqa: ARG002  # of others
        """Keep what rows that were fitted tell of the clusters."""
        fit = self._fit
        self.weights_, self.concentrations_ = fit.weights, None
        self.objective_, self.n_iter_ = fit.energy, fit.n_iter
        self.converged_ = fit.converged
        if fit.concentrations is not None:
            self.concentrations_ = fit.concentrations[:, 0]
        self._keep_shapes()

    def _keep_shapes(self) -> None:
        self.shapes_ = np.zeros((len(self._fit.weights), self.n_features_in_))
        self.shapes_[:, self._used] = self._fit.shapes

    def _assigned(self, parts: Parts) -> tuple[F64, F64]:
        """Return memberships (n, k) in the clusters as they are, and sums of counts (D, k)."""
        n, width = parts.rows.shape
        memberships = np.empty((n, len(self._fit.weights)))
        sums = np.zeros((width, memberships.shape[1]))
        for here, inside, graph in parts.bands():
            numbers = np.arange(here.start, here.stop)
            rows = self._loaded(parts.rows, numbers)
            counts = counts_of(self._described(rows), graph, self._signals)
            found = assigned(self._fit, counts, self.coupling_, seed=self._seed)[inside]
            memberships[numbers[inside]] = found
            sums += rows[inside].T @ found
        return memberships, sums

    def _log_likelihoods(self, X: Any) -> F64:
        """Log-likelihood (n, k) of rows, that of the mean shape left out."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        source = self._source(X, reset=False)
        parts, found = Parts.of(source, None, self.n_clusters), []
        for here, _, _ in parts.bands():
            rows = self._loaded(source, np.arange(here.start, here.stop))
            rows = self._described(rows)
            found.append(scattered(self._fit, counts_of(rows, None, self._signals)))
        return np.concatenate(found)

    def _source(self, X: Any, *, reset: bool) -> Any:
        """Return what counts (n, D) are read from: Rows, or a sparse matrix."""
        if issparse(X) or hasattr(X, "to_scipy_sparse"):  # scipy's, or the package sparse's
            found: Any = csr_array(X if issparse(X) else X.to_scipy_sparse())
        elif isinstance(X, Rows):
            found = X
        else:
            return Rows(self._validated(X, reset=reset))
        if reset:
            self.n_features_in_ = found.shape[1]
        elif found.shape[1] != self.n_features_in_:
            raise InputError(
                f"Rows must have {self.n_features_in_} features as in fit",
                got=found.shape[1],
                cure="Describe the new scan as the fitted one.",
            )
        return found

    def _loaded(self, source: Any, numbers: NDArray[np.intp], *, reset: bool = False) -> Any:
        """Load some rows of counts as sparse rows (m, D) of floating-point numbers."""
        some = picked(source, numbers)
        if isinstance(some, Rows):
            rows = sparse(some)
        else:
            rows = csr_array(some, dtype=np.float64, copy=True)
            rows.sum_duplicates()
        values = self._counted(rows)
        wrong = ~np.isfinite(values) | (values < 0) | (values != np.rint(values))
        if wrong.any():
            raise InputError(
                f"{type(self).__name__} needs counts, whole numbers of at least 0",
                got=f"{values[wrong][0]:g}",
                cure="Use prepare.counts and no step that changes values after it, or "
                "GaussianMixture (eels-shape).",
            )
        rows.eliminate_zeros()
        if reset and not rows.nnz:
            raise InputError(
                "There must be counts", got="only zeros", cure="Check the file and the mask."
            )
        return rows.astype(self._dtype_of(values))

    @staticmethod
    def _dtype_of(counts: Any) -> type[np.floating[Any]]:
        """Return the shortest type that holds counts, and sums of a thousand of them, exactly."""
        return np.float32 if counts.max(initial=0) < 2**14 else np.float64

    def _counted(self, rows: Any) -> Any:
        """Return the values that must be counts."""
        return rows.data
