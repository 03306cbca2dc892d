"""Principal components, weighted for counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from clustem.core import Features, InputError, PCAInfo, learned_reduction, record
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.rows import Rows
from clustem.passes.threads import one_blas_thread
from clustem.reduce._rank import check_rank

Block = NDArray[Any]
Where = NDArray[np.intp]
_SHOWN = 30  # components on a scree plot
_GRAM_CHANNELS = 4096  # up to here the channel Gram matrix is small and exact
_EIGH_CHANNELS = 1500  # up to here LAPACK is faster than Lanczos


def _projected(features: Features, about: PCAInfo) -> Features:
    """Return scores on components that are known, of the same rows or of others."""
    names = tuple(f"PC {i + 1}" for i in range(about.n_components))
    return features.with_rows(_scores(Rows.of(features.rows), about), names=names, about=about)


@learned_reduction(_projected)
def pca(
    features: Features | NDArray[Any],
    *,
    n_components: Annotated[int, Ge(1)] | Literal["auto"] = "auto",
    weights: Literal["auto", "poisson", "none"] = "auto",
    scores: Literal["weighted", "loadings"] = "weighted",
    max_components: Annotated[int, Ge(1), Le(200)] = 20,
    random_state: RandomState = 0,
) -> Features:
    """Reduce rows to their scores on the principal components.

    Parameters
    ----------
    features
        Features, possibly not in memory, or an array (n, D).
    n_components
        Number of components r; ``"auto"`` takes those above the noise floor.
    weights
        ``"poisson"``: weights for counting noise, no centering; ``"none"``: ordinary centered
        PCA; ``"auto"``: the first for integer rows, the second for others.
    scores
        ``"weighted"``: scores in units of the noise; ``"loadings"``: in counts, as HyperSpy's.
        The same without weights.
    max_components
        Most that ``"auto"`` takes.
    random_state
        Seed of the randomized method, used above 4096 channels only; None or a generator as in
        scikit-learn.

    Returns
    -------
    :
        Features with scores, float32 (n, r). Their :class:`PCAInfo` knows the shares of variance of
        up to 30 components, the noise floor in the same unit, and the factors.

    Raises
    ------
    InputError
        If values are NaN or infinite, or negative with Poisson weights.
    ParameterError
        If more components are asked for than there are rows or channels.

    Notes
    -----
    Weighted rows are ``x_ij / sqrt(g_i h_j / N)`` with the totals g of each row, h of each channel
    and N of all: counting noise then has variance 1 everywhere. With γ = D/n, a component of
    variance ℓ shows as the eigenvalue ``n (1 + ℓ)(1 + γ/ℓ)``, and the share of signal in its scores
    is ``(ℓ² - γ) / (ℓ² + ℓ)``. The noise floor is the eigenvalue where that is one half:
    components below it would add more noise to the distances between rows than they tell.
    Without weights the noise variance is what the components above it leave of the total.
    Costs one pass over the rows for the Gram matrix (n D² multiplications) and one for the scores.

    References
    ----------
    M. R. Keenan and P. G. Kotula, Surf. Interface Anal. 36 (2004) 203.
    F. Benaych-Georges and R. R. Nadakuditi, J. Multivar. Anal. 111 (2012) 120.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.describe import spectra
    >>> rng = np.random.default_rng(0)
    >>> mean = 5 * np.eye(2)[rng.integers(0, 2, (20, 30))].repeat(8, axis=-1)
    >>> pca(spectra(hs.signals.Signal1D(rng.poisson(mean)))).rows.shape
    (600, 2)
    """
    features = Features.of(features)
    rows = Rows.of(features.rows)
    most = min(rows.shape)
    if n_components != "auto":
        check_rank(n_components, rows)
    is_poisson = weights == "poisson" or (weights == "auto" and rows.dtype.kind in "bui")
    wanted = min(most, max(_SHOWN, 0 if n_components == "auto" else n_components))
    if rows.shape[1] <= _GRAM_CHANNELS:
        weighting, gram = _gram(rows, is_poisson=is_poisson)
        values, vectors = _eigenpairs(gram, wanted)
    else:
        weighting, values, vectors = _randomized(
            rows, wanted, seed_of(random_state), is_poisson=is_poisson
        )
    floor = _noise_floor(weighting, len(rows), values)
    above = int(np.count_nonzero(values > floor))
    r = int(np.clip(above, 1, max_components)) if n_components == "auto" else n_components
    r = min(r, vectors.shape[1])
    vectors = vectors[:, :r] * _signs(vectors[:, :r])
    factors = vectors.T if weighting.scale is None else vectors.T * weighting.scale
    unit = weighting.variance or 1.0
    record(n_components=r, noise_floor=floor / unit)
    about = PCAInfo(
        explained_variance_ratio=values / unit,
        noise_floor=floor / unit,
        n_components=r,
        factors=factors.astype(np.float32),
        scale=weighting.scale,
        mean=weighting.mean,
        in_counts=scores == "loadings",
    )
    return _projected(features, about)


@dataclass
class _Weighting:
    """How rows are weighted (counts) or centered (others), and their total variance."""

    scale: NDArray[np.float64] | None  # sqrt(h/N) of each channel, 0 where empty
    mean: NDArray[np.float64] | None
    variance: float
    n_used: int  # channels that are not empty

    @classmethod
    def of_counts(cls, total: NDArray[np.float64], squares: NDArray[np.float64]) -> _Weighting:
        """Weigh by channel totals (D,); squares (D,) are those of rows with unit counts."""
        if not total.any():
            raise InputError(
                "PCA needs rows with counts",
                got="only zeros",
                cure="Check the region of interest and the mask.",
            )
        share = total / total.sum()
        variance = float(squares @ _inverse(share))
        return cls(np.sqrt(share), None, variance, int(np.count_nonzero(total)))

    def apply(self, block: Block, where: Where) -> NDArray[np.float32]:
        """Return a block's rows weighted or centered."""
        if self.scale is None or self.mean is not None:
            return _shifted(block, where, np.asarray(self.mean))
        x = _counts(block, where)
        x *= _inverse_root(x.sum(axis=1, dtype=np.float64))[:, None]
        x *= _inverse(self.scale)
        return x


def _gram(rows: Rows, *, is_poisson: bool) -> tuple[_Weighting, NDArray[np.float64]]:
    """Second moments (D, D) of the weighted rows, in one pass: channels are scaled afterwards."""
    width = rows.shape[1]
    shift = np.zeros(width) if is_poisson else rows.pilot_mean()

    def one(block: Block, where: Where) -> tuple[NDArray[np.float64], Where, NDArray[np.float32]]:
        if is_poisson:
            x = _counts(block, where)
            total = x.sum(axis=0, dtype=np.float64)
            x *= _inverse_root(x.sum(axis=1, dtype=np.float64))[:, None]
            used = np.flatnonzero(total)
            if len(used) > 0.7 * width:
                used = np.arange(width)
            else:  # a sparse map: the copy costs less than it saves
                x = x[:, used]
            return total, used, x.T @ x
        x = _shifted(block, where, shift)
        return x.sum(axis=0, dtype=np.float64), np.arange(width), x.T @ x

    total, gram = np.zeros(width), np.zeros((width, width))
    for _, (part, used, product) in rows.map(one):
        total += part
        if len(used) < width:
            gram[np.ix_(used, used)] += product
        else:
            gram += product
    if is_poisson:
        weighting = _Weighting.of_counts(total, gram.diagonal())
        weight = _inverse(np.asarray(weighting.scale))
        gram *= weight[:, None]
        gram *= weight
        return weighting, gram
    delta = total / len(rows)
    gram -= len(rows) * np.outer(delta, delta)
    return _Weighting(None, shift + delta, float(np.trace(gram)), width), gram


def _eigenpairs(
    gram: NDArray[np.float64], wanted: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest eigenvalues, falling, and their vectors as columns."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh

    used = np.flatnonzero(gram.diagonal())
    if len(used) == 0:
        return np.zeros(wanted), np.eye(len(gram), wanted)
    inner = gram if len(used) == len(gram) else gram[np.ix_(used, used)]
    size, k = len(used), min(wanted, len(used))
    with one_blas_thread():  # two threads gain nothing, and can stall
        if size <= _EIGH_CHANNELS or k >= size:
            values, inside = eigh(inner, subset_by_index=[size - k, size - 1], check_finite=False)
        else:
            values, inside = eigsh(inner, k=k, v0=np.ones(size), tol=1e-9)
    order = np.argsort(-values, kind="stable")
    vectors = np.zeros((len(gram), k))
    vectors[used] = inside[:, order]
    return np.maximum(values[order], 0), vectors


def _randomized(
    rows: Rows, wanted: int, seed: int, *, is_poisson: bool
) -> tuple[_Weighting, NDArray[np.float64], NDArray[np.float64]]:
    """Subspace iteration: each round is one pass with two thin products per block."""
    weighting = _wide_weighting(rows, is_poisson=is_poisson)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((rows.shape[1], min(wanted + 10, *rows.shape))))[0]
    for _ in range(4):
        narrow = basis.astype(np.float32)

        def one(
            block: Block, where: Where, narrow: NDArray[np.float32] = narrow
        ) -> NDArray[np.float32]:
            x = weighting.apply(block, where)
            return x.T @ (x @ narrow)

        image = np.zeros(basis.shape)
        for _, part in rows.map(one):
            image += part
        basis, upper = np.linalg.qr(image)
    left, values, _ = np.linalg.svd(upper)
    return weighting, values[:wanted], (basis @ left)[:, :wanted]


def _wide_weighting(rows: Rows, *, is_poisson: bool) -> _Weighting:
    shift = np.zeros(rows.shape[1]) if is_poisson else rows.pilot_mean()

    def one(block: Block, where: Where) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = _counts(block, where) if is_poisson else _shifted(block, where, shift)
        total = x.sum(axis=0, dtype=np.float64)
        if is_poisson:
            x *= _inverse_root(x.sum(axis=1, dtype=np.float64))[:, None]
        return total, np.einsum("ij,ij->j", x, x, dtype=np.float64)

    total, squares = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for _, (part, square) in rows.map(one):
        total += part
        squares += square
    if is_poisson:
        return _Weighting.of_counts(total, squares)
    delta = total / len(rows)
    variance = float(np.sum(squares - len(rows) * delta**2))
    return _Weighting(None, shift + delta, variance, rows.shape[1])


def _noise_floor(weighting: _Weighting, n: int, values: NDArray[np.float64]) -> float:
    """Eigenvalue from which on scores hold more signal than noise (see Notes of ``pca``)."""
    width = weighting.n_used
    ratio = width / n
    strength = (1 + np.sqrt(1 + 8 * ratio)) / 2
    edge = float(n * (1 + strength) * (1 + ratio / strength))
    if weighting.scale is not None:
        return edge
    floor = 0.0
    for r, value in enumerate(values):  # what the components above leave of the trace is noise
        rest = max(weighting.variance - float(values[:r].sum()), 0.0)
        floor = edge * rest / max((n - r) * (width - r), 1)
        if value <= floor:
            break
    return floor


def _scores(rows: Rows, about: PCAInfo) -> NDArray[np.float32]:
    weight = 1.0 if about.scale is None else _inverse(about.scale**2)
    narrow = np.ascontiguousarray((about.factors * weight).T, dtype=np.float32)

    def one(block: Block, where: Where) -> NDArray[np.float32]:
        if about.mean is not None:
            return _shifted(block, where, about.mean) @ narrow
        found = block.astype(np.float32, copy=False) @ narrow
        if not about.in_counts:
            found *= _inverse_root(block.sum(axis=1, dtype=np.float64))[:, None]
        return found

    out = np.empty((len(rows), narrow.shape[1]), dtype=np.float32)
    for where, found in rows.map(one):
        out[where] = found
    return out


def _counts(block: Block, where: Where) -> NDArray[np.float32]:
    """Copy a block of counts to float32, checked on the way."""
    x = block.astype(np.float32)
    _refuse_not_finite(x, where)
    if block.dtype.kind in "if" and x.min() < 0:
        raise InputError(
            "Poisson weights need counts of 0 or more",
            got=f"{x.min():g}",
            cure="Take weights='none', or do not subtract a background first.",
        )
    return x


def _shifted(block: Block, where: Where, shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Subtract near the mean in the block's own precision, then go to float32."""
    x = np.subtract(block, shift, dtype=np.float64 if block.dtype.itemsize > 2 else np.float32)
    x = x.astype(np.float32, copy=False)
    _refuse_not_finite(x, where)
    return x


def _refuse_not_finite(x: NDArray[np.float32], where: Where) -> None:
    if not np.isfinite(x.sum()) and not np.isfinite(x).all():
        bad = where[~np.isfinite(x).all(axis=1)]
        raise InputError(
            "PCA needs finite values",
            got=f"NaN or infinity in row {bad[0]} and {len(bad) - 1} more",
            cure="Exclude these positions with a mask.",
        )


def _inverse(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.divide(1, values, out=np.zeros(values.shape), where=values > 0).astype(np.float32)


def _inverse_root(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return _inverse(np.sqrt(values))


def _signs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the largest value of each column positive."""
    largest = np.abs(vectors).argmax(axis=0)
    return np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
