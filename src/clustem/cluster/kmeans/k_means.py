"""k-means, exactly, in about three passes over data that need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from clustem.cluster.estimator import Estimator, Markers, Starts, checked_weights
from clustem.cluster.kmeans._full_space import nearest, squared_distances
from clustem.cluster.kmeans._sketch import Centering, RowReader, Sketch, unwrapped
from clustem.cluster.kmeans._solve import Solution, solve, solve_each
from clustem.core import InputError, ParameterError, clusterer, warn
from clustem.core.random_state import RandomState
from clustem.passes.rows import Rows
from clustem.passes.transform import RowTransform

F64 = NDArray[np.float64]
_SKETCHED = 0.6
"""Share of the work that the sketch is, for the progress report."""


@clusterer
class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Round clusters around k means, for anything from PCA scores to a 4D-STEM scan.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    n_init
        Number of k-means++ starts, at most 1000; the best one is kept.
    max_iter
        Iterations of Lloyd's algorithm at most.
    tol
        Stop when the centers' squared shift is at most this share of the mean squared distance of a
        row to the mean row. 0 iterates until no label changes.
    normalize
        What each row is divided by while it is read: ``"l2"`` its Euclidean norm, ``"l1"`` the sum
        and ``"max"`` the largest of its magnitudes; ``"zscore"`` subtracts the row's own mean
        and divides by the row's own standard deviation. None takes rows as they are.
    mask
        Boolean, one value per column, flat or in the shape of one spectrum or pattern, True =
        excluded: these values are not read, nor part of a norm.
    init
        ``"k-means++"``, or centers (k, D) in the transformed space to start from once.
    markers
        Region of each row (n,), 1 or more, others none: the first clusters start from the means of
        the regions, in their order, others from far rows. In a recipe a label image or masks.
    fix_centers
        Whether clusters with a region stay at its mean.
    random_state
        Seed of the starts and of the sample of rows. With an integer, a rerun gives the same
        result; None and numpy's generators give each fit another seed.
    threads
        Number of threads; one per usable core if None. Results do not depend on it.
    progress
        Called with the share of the work done, 0 ... 1.

    Attributes
    ----------
    labels_
        Cluster of each row, int32 (n,). Clusters are numbered by falling weight; with given
        centers or markers, as those are.
    cluster_centers_
        Means of the transformed rows, float64 (k, D); masked columns are zero.
    inertia_
        Weighted sum of squared distances to the centers, from the final labels and centers.
    n_iter_
        Iterations of the best start, in the sketch and in the full space: in each, rows find their
        nearest center and centers move. At ``max_iter``, rows then look once more.
    certified_
        Whether labels and centers are a fixed point of Lloyd's algorithm in the full space: each
        row is nearest to its own center, each center is the mean of its rows.
    n_passes_
        Number of rows read, over n. A shared sketch counts with its own pass.
    row_sums_, nearest_distances_
        Of a features' rows on disk: sums of the raw rows by cluster, which ``mapping.clusters``
        needs, and each row's distances (n, 2) to the nearest center and the next. None else.
    inertia_per_start_
        Inertia (n_init,) of each start before the best were compared in the full space: an
        upper bound, with which starts can be compared.
    n_features_in_
        Number of features D.

    Notes
    -----
    X may be an ndarray, a mapped file, a dask, HDF5 or zarr array (n, D), ``passes.rows.Rows``
    (whose rows may be patterns), or what :meth:`sketch` returns, which fits of several k can share.
    It keeps its own dtype; there is never a float copy of it.

    One pass projects the rows on the leading directions of a sample; all starts run there.
    One pass sums the rows of each cluster. From there Lloyd's algorithm goes on in the full space,
    and reads only the rows whose nearest center bounds cannot tell. Cost: about
    2 n D (r + 2 k) operations with r = 32 ... 64, and memory for n (r + k) numbers.
    Distances are decided in float64 wherever float32 could be wrong.

    References
    ----------
    Lloyd, IEEE Trans. Inf. Theory 28 (1982) 129. Elkan, Proc. 20th Int. Conf. Machine Learning
    (2003) 147.

    Examples
    --------
    >>> import numpy as np
    >>> found = KMeans(2).fit(np.array([[0, 1], [0, 2], [9, 9]], np.uint8))
    >>> found.labels_.tolist(), found.inertia_, found.certified_
    ([0, 0, 1], 0.5, True)
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 8,
        *,
        n_init: Starts = 10,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 0.0,
        normalize: Literal["l2", "l1", "max", "zscore"] | None = None,
        mask: NDArray[np.bool_] | None = None,
        init: Literal["k-means++"] | NDArray[np.float64] = "k-means++",
        markers: Markers = None,
        fix_centers: bool = False,
        random_state: RandomState = 0,
        threads: Annotated[int, Ge(1)] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.normalize = normalize
        self.mask = mask
        self.init = init
        self.markers = markers
        self.fix_centers = fix_centers
        self.random_state = random_state
        self.threads = threads
        self.progress = progress

    def fit(self, X: Any, y: object = None, sample_weight: ArrayLike | None = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the clusters.

        Parameters
        ----------
        X
            Rows (n, D) of finite real numbers, in any of the forms named in the notes.
        y
            Ignored.
        sample_weight
            Weight of each row (n,): 2 counts like two equal rows, 0 like none.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there are NaN or infinite values, or weights or mask do not fit.
        ParameterError
            If a parameter does not fit, or there are more clusters than rows.
        """
        rows = self._rows(X.source if isinstance(X, Sketch) else X, reset=True)
        params = self._checked(n_rows=rows.shape[0])
        weights = checked_weights(sample_weight, rows.shape[0])
        centers = self._given_centers(rows, params)
        report = params["progress"] or _silent
        sketch = self._shared(X) if isinstance(X, Sketch) else self._sketched(rows, params, report)
        solution = solve(
            sketch,
            params["n_clusters"],
            weights=weights,
            n_init=params["n_init"],
            centers=centers,
            n_fixed=params["n_fixed"],
            max_iter=params["max_iter"],
            tol=params["tol"],
            random_state=params["random_state"],
            progress=lambda share: report(_SKETCHED + (1.0 - _SKETCHED) * share),
        )
        self._keep(sketch, solution, _numbering(solution, weights, fixed=centers is not None))
        report(1.0)
        return self

    def fit_each(self, X: Any, numbers: Iterable[int]) -> dict[int, Self]:
        """Find clusters for each of several numbers of them; all share their passes over the rows.

        Parameters
        ----------
        X
            Rows (n, D), as for ``fit``.
        numbers
            Numbers of clusters; ``n_clusters`` does not count.

        Returns
        -------
        :
            An estimator for each number, fitted. Its starts can differ from those of ``fit`` alone,
            as all share a sketch made for the largest number.

        Raises
        ------
        InputError, ParameterError
            As for ``fit``, or if there is no number, or clusters start from given centers.

        Examples
        --------
        >>> import numpy as np
        >>> rows = np.array([[0.0], [1.0], [9.0], [11.0]])
        >>> [found.inertia_ for found in KMeans().fit_each(rows, (2, 3)).values()]
        [2.5, 0.5]
        """
        ks = sorted(set(numbers))
        if not ks or not isinstance(self.init, str) or self.markers is not None:
            raise ParameterError(
                "Several fits need numbers of clusters, and starts of their own",
                got="no number" if not ks else "given centers",
                cure="Name numbers, or call fit for each.",
            )
        found = {k: clone(self).set_params(n_clusters=k) for k in ks}
        rows = self._rows(X, reset=True)
        params = found[ks[-1]]._checked(n_rows=rows.shape[0])
        report = params["progress"] or _silent
        sketch = found[ks[-1]].sketch(rows)
        solutions = solve_each(
            sketch,
            ks,
            n_init=params["n_init"],
            max_iter=params["max_iter"],
            tol=params["tol"],
            random_state=params["random_state"],
            progress=lambda share: report(_SKETCHED + (1.0 - _SKETCHED) * share),
        )
        weights = np.ones(rows.shape[0])
        for each, solution in zip(found.values(), solutions, strict=True):
            each.n_features_in_ = self.n_features_in_
            each._keep(sketch, solution, _numbering(solution, weights, fixed=False))
        report(1.0)
        return found

    def sketch(self, X: Any) -> Sketch:
        """Make what fits of several k can share: give it to ``fit`` in place of X.

        Parameters
        ----------
        X
            Rows (n, D), as for ``fit``.

        Returns
        -------
        :
            The sketch, made for up to ``n_clusters`` clusters.
        """
        rows = self._rows(X, reset=True)
        params = self._checked(n_rows=rows.shape[0])
        return self._sketched(rows, params, params["progress"] or _silent)

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the number of the nearest center of each row.

        Parameters
        ----------
        X
            Rows (m, D), not yet transformed: each is masked and normalised as in ``fit``.

        Returns
        -------
        :
            Labels, int32 (m,).
        """
        labels: NDArray[np.int32] = self._against_centers(X, _nearest)
        return labels

    def transform(self, X: Any) -> F64:
        """Return the distance of each row to each center, as scikit-learn's k-means does.

        Parameters
        ----------
        X
            Rows (m, D), not yet transformed.

        Returns
        -------
        :
            Distances, float64 (m, k), in the transformed space.
        """
        distances: F64 = self._against_centers(X, _distances) / self._centering.gain
        return distances

    def score(self, X: Any, y: object = None, sample_weight: ArrayLike | None = None) -> float:  # noqa: ARG002  # scikit-learn's signature
        """Return the negative inertia of rows with respect to the centers."""
        squares = self.transform(X).min(axis=1) ** 2
        return -float(checked_weights(sample_weight, len(squares)) @ squares)

    def _rows(self, X: Any, *, reset: bool) -> Rows:
        """Return data as Rows, without reading or copying what is on disk."""
        if not isinstance(X, Rows) and (isinstance(X, np.ndarray) or not hasattr(X, "chunks")):
            X = self._validated(X, reset=reset, order=None, finite=False)
        rows = Rows.of(X)
        if reset:
            self.n_features_in_ = rows.shape[1]
        elif rows.shape[1] != self.n_features_in_:
            raise InputError(
                f"Rows must have {self.n_features_in_} values, as in fit",
                got=rows.shape[1],
                cure="Give rows of the same detector, cropped and binned in the same way.",
            )
        return rows

    def _sketched(
        self, rows: Rows, params: dict[str, Any], report: Callable[[float], None]
    ) -> Sketch:
        return Sketch(
            rows,
            transform=self._transform(),
            n_clusters=params["n_clusters"],
            random_state=params["random_state"],
            threads=params["threads"],
            progress=lambda share: report(_SKETCHED * share),
        )

    def _shared(self, sketch: Sketch) -> Sketch:
        if not (self._transform() or RowTransform(sketch.shape[1])).same_as(sketch.given):
            raise InputError(
                "A shared sketch must have the normalisation and the mask of the estimator",
                got=f"normalize={sketch.given.normalize!r} and {self.normalize!r}, or other masks",
                cure="Make one sketch for each way of normalising.",
            )
        return sketch.fresh()

    def _transform(self) -> RowTransform | None:
        """Return what is done to rows before clustering; None if nothing."""
        if self.normalize is None and self.mask is None:
            return None
        return RowTransform(self.n_features_in_, normalize=self.normalize, mask=self.mask)

    def _given_centers(self, rows: Rows, params: dict[str, Any]) -> F64 | None:
        seeded = self._seeded(rows, params, self._transform())
        if seeded is not None and not isinstance(params["init"], str):
            raise ParameterError(
                "Centers start from init or from markers", got="both", cure="Leave one out."
            )
        if seeded is not None:
            return seeded
        if isinstance(params["init"], str):
            return None
        shape = (params["n_clusters"], self.n_features_in_)
        centers = np.asarray(params["init"], dtype=np.float64)
        if centers.shape != shape or not np.isfinite(centers).all():
            raise ParameterError(
                f"init must be 'k-means++' or finite centers of shape {shape}",
                got=f"shape {centers.shape}",
                cure="Give one center per cluster, in the space of the transformed rows.",
            )
        return centers

    def _keep(self, sketch: Sketch, solution: Solution, order: NDArray[np.intp]) -> None:
        rank = np.argsort(order).astype(np.int32)
        self.labels_ = rank[solution.labels]
        self.cluster_centers_ = solution.centers[order]
        self._n_features_out = len(self.cluster_centers_)  # what get_feature_names_out counts
        self.inertia_ = solution.inertia
        self.n_iter_ = solution.n_iter
        self.certified_ = solution.certified
        self.n_passes_ = solution.visited / len(sketch)
        self.row_sums_, self.nearest_distances_ = solution.row_sums, solution.near
        self.inertia_per_start_ = solution.inertia_per_start
        self._centering = sketch.centering
        found = len(np.unique(self.labels_))
        if found < len(self.cluster_centers_):
            warn(
                f"Only {found} of {len(self.cluster_centers_)} clusters have rows: there are not "
                "more distinct rows. Use a smaller k.",
                ConvergenceWarning,
            )
        elif not self.certified_ and self.tol == 0:
            warn(
                f"Labels still changed after {self.n_iter_} iterations: they are not certified. "
                "Raise max_iter, or set tol to stop early on purpose.",
                ConvergenceWarning,
            )

    def _pass_of(
        self, X: Any, compare: Callable[..., NDArray[Any]]
    ) -> tuple[Rows, Callable[[NDArray[Any], NDArray[np.intp]], NDArray[Any]]]:
        """Return rows, and what compares a block of them with each center in the sketch's unit."""
        check_is_fitted(self)
        rows, transform, _ = unwrapped(self._rows(X, reset=False), self._transform())
        centering = Centering(transform, self._centering.gain, self._centering.origin)
        centers = centering.centered(self.cluster_centers_)
        return rows, partial(compare, RowReader(centering), centers)

    def _against_centers(self, X: Any, compare: Callable[..., NDArray[Any]]) -> NDArray[Any]:
        """Compare each row with each center in one pass; distances are in the sketch's unit."""
        rows, work = self._pass_of(X, compare)
        parts = list(rows.map(work, threads=self.threads))
        out = np.empty((len(rows), *parts[0][1].shape[1:]), dtype=parts[0][1].dtype)
        for where, part in parts:
            out[where] = part
        return out


def _silent(_: float) -> None:
    """Report nothing."""


def _numbering(solution: Solution, weights: F64, *, fixed: bool) -> NDArray[np.intp]:
    """Return the clusters by falling weight, of equal ones the brightest center first."""
    k = len(solution.centers)
    if fixed:
        return np.arange(k)
    counts = np.bincount(solution.labels, weights=weights, minlength=k)
    return np.lexsort((-np.sum(solution.centers**2, axis=1), -counts))


def _nearest(
    reader: RowReader, centers: F64, block: NDArray[Any], where: NDArray[np.intp]
) -> NDArray[np.int32]:
    dots, norms = reader.dots(*reader.read(block, where), centers)
    return nearest(np.einsum("ij,ij->i", centers, centers), dots, norms)


def _distances(
    reader: RowReader, centers: F64, block: NDArray[Any], where: NDArray[np.intp]
) -> F64:
    return np.sqrt(squared_distances(reader, centers, block, where))
