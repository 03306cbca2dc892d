"""What all estimators share: names checked early, values in ``fit``, clear errors."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import validate_data

from clustem.cluster._markers import region_starts
from clustem.core import InputError, ParameterError, UnknownNameError, check_parameters
from clustem.core.random_state import seed_of
from clustem.passes.rows import Rows
from clustem.passes.transform import RowTransform

_MOST_DIGITS = 280.0
"""Powers of distances from 1e-280 to 1e280 leave room for their sums in float64."""
_VALUES = re.compile(r"(array=)?\[.*\]\.?", re.DOTALL)
"""All values of a matrix, which scikit-learn prints."""
Markers = NDArray[np.int_] | str | list[str] | None
"""Region of each row, 1 or more, others none; in a recipe a label image or masks of the scan."""

Starts = Annotated[int, Ge(1), Le(1000)]
"""How often a fit begins anew; the starts are drawn, and held, together."""


class _NotNumbersError(InputError, TypeError):
    """Values that are no numbers at all, for which scikit-learn wants a ``TypeError``."""


class Estimator(ClusterMixin, BaseEstimator):
    """A scikit-learn clusterer that refuses unknown parameters and says what to do instead.

    Values of parameters are checked in ``fit``, as scikit-learn asks, against the type hints of
    the constructor: a subclass calls :meth:`_checked` there, and :meth:`_validated` with its data.
    """

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Refuse unknown parameters.

        Raises
        ------
        UnknownNameError
            If there is no such parameter: the nearest known one is named.
        """
        known = cls._get_param_names()
        for name in given:
            if name not in known:
                raise UnknownNameError.among(f"parameter of {cls.__name__} called", name, known)
        made: Self = super().__new__(cls)
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # inspect would show the catch-all of __new__ instead of the constructor's parameters.
        constructor = inspect.signature(cls.__init__)
        cls.__signature__ = constructor.replace(
            parameters=list(constructor.parameters.values())[1:]
        )

    def _checked(self, *, n_rows: int | None = None) -> dict[str, Any]:
        """Return all parameters, converted to their hinted types; a ``random_state`` is an integer.

        Parameters
        ----------
        n_rows
            Number of rows to be clustered; ``n_clusters`` must not exceed it.

        Raises
        ------
        ParameterError
            If a value does not fit: what it must be, what was got, what to do.
        """
        params = check_parameters(type(self), self.get_params(deep=False))
        if "random_state" in params:
            params["random_state"] = seed_of(params["random_state"])
        if n_rows is not None and params["n_clusters"] > n_rows:
            raise ParameterError(
                f"n_clusters must be at least 1 and at most the number of rows ({n_rows})",
                got=params["n_clusters"],
                cure="Use a smaller k or a larger region.",
            )
        return params

    def _seeded(
        self, rows: Rows, params: dict[str, Any], transform: RowTransform | None = None
    ) -> NDArray[np.float64] | None:
        """Return centers (k, D) that start from the regions of ``markers``; None without markers.

        Parameters
        ----------
        rows
            Rows (n, D).
        params
            As :meth:`_checked` returns them; ``n_fixed`` is added, the number of centers that stay.
        transform
            What is done to each row first.

        Raises
        ------
        ParameterError
            If markers are not one integer per row, or have more regions than there are clusters.
        """
        n, k, given = len(rows), params["n_clusters"], params["markers"]
        params["n_fixed"] = 0
        if given is None:
            if params["fix_centers"]:
                raise ParameterError(
                    "fix_centers needs markers: the regions at whose means centers stay",
                    got="none",
                    cure="Give markers, or leave fix_centers out.",
                )
            return None
        regions, count = self._regions(given, n, k)
        params["n_fixed"] = count if params["fix_centers"] else 0
        return region_starts(
            rows, regions, k, transform=transform, random_state=params["random_state"]
        )

    @staticmethod
    def _regions(markers: Any, n: int, k: int) -> tuple[NDArray[np.intp], int]:
        """Return the region of each row (n,), -1 = none, and their number.

        Raises
        ------
        ParameterError
            If markers are not one integer per row, or have more than k regions.
        """
        given = np.asarray(markers)
        if given.shape != (n,) or given.dtype.kind not in "bui":
            raise ParameterError(
                f"markers must hold {n} integers, the region of each row",
                got=f"{given.dtype} of shape {given.shape}",
                cure="Files are for recipes: "
                "segment(..., settings={'cluster.markers': 'mask.tif'}).",
            )
        names, regions = np.unique(np.where(given > 0, given, 0), return_inverse=True)
        regions = regions - np.count_nonzero(names == 0)
        count = int(regions.max(initial=-1)) + 1
        if not 1 <= count <= k:
            raise ParameterError(
                f"markers must have at least 1 and at most n_clusters ({k}) regions",
                got=count,
                cure="Raise n_clusters, or draw fewer regions." if count else "Draw a region.",
            )
        return regions, count

    def _validated(
        self, X: Any, *, reset: bool = True, order: str | None = "C", finite: bool = True
    ) -> NDArray[Any]:
        """Return data as a matrix in memory, in its own number type.

        Parameters
        ----------
        X
            Array-like (n, D) of finite real numbers; small enough to be held in memory.
        reset
            True in ``fit``: remember the number of features. False: it must be the same as there.
        order
            Order in memory; None takes any, so nothing is ever copied.
        finite
            Whether to look for NaN and infinite values, which takes a pass over all values.

        Raises
        ------
        InputError
            If there are masked, NaN or infinite values, no rows, or another number of features, or
            the matrix is sparse.
        """
        _check_kind(X)
        try:
            out: NDArray[Any] = validate_data(
                self, X, reset=reset, dtype="numeric", order=order, ensure_all_finite=False
            )
        except (ValueError, TypeError) as error:
            kind = _NotNumbersError if isinstance(error, TypeError) else InputError
            raise kind(
                " ".join(_VALUES.sub("", str(error)).split()).rstrip("."),
                cure="Give a matrix of real numbers, one row per scan position.",
            ) from error
        if not finite:
            return out
        # A sum is finite only if all values are, unless it overflows: then look closer.
        with np.errstate(over="ignore", invalid="ignore"):
            doubtful = out.dtype.kind == "f" and not np.isfinite(out.sum())
        if doubtful and not (known := np.isfinite(out)).all():
            nan, rows = int(np.isnan(out).sum()), int((~known.all(axis=1)).sum())
            raise InputError(
                "All values must be finite numbers",
                got=f"{nan} NaN and {int((~known).sum()) - nan} inf in {rows} of {len(out)} rows",
                cure="Exclude those rows with the mask, or fill them in, before clustering.",
            )
        return out


def _check_kind(X: Any) -> None:
    """Refuse sparse and masked matrices, whose values would be taken for others."""
    if issparse(X):
        raise _NotNumbersError(
            "X must be a dense array, not a sparse one",
            got=f"{type(X).__name__} of shape {X.shape}",
            cure="Use X.toarray(), or MultinomialMixture, which takes sparse counts.",
        )
    if np.ma.isMaskedArray(X) and (masked := np.ma.getmaskarray(X)).any():
        rows = int(masked.reshape(len(masked), -1).any(axis=1).sum())
        raise InputError(
            "X must not have masked values",
            got=f"{int(masked.sum())} in {rows} of {len(masked)} rows",
            cure="Leave these rows out, X[~X.mask.any(axis=1)], or fill them, X.filled(0).",
        )


def check_spread(spread: float, p: float = 2.0) -> None:
    """Refuse rows so far apart, or so near each other, that powers of distances are no numbers.

    Parameters
    ----------
    spread
        About how far they are apart; 0 for equal rows.
    p
        The power.

    Raises
    ------
    InputError
        If sums of the powers would overflow, or vanish.
    """
    if spread == 0 or abs(np.log10(spread)) * p <= _MOST_DIGITS:
        return
    most = _MOST_DIGITS / p
    raise InputError(
        f"Rows must differ by 1e-{most:.0f} to 1e{most:.0f}, so that powers of distances are "
        "numbers",
        got=f"about {spread:.1g}",
        cure="Look for a broken value, or scale them: X / abs(X).max().",
    )


def checked_weights(given: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Return the weights of n rows as float64; all 1 for None.

    Raises
    ------
    InputError
        If they are not n finite numbers of at least 0, or all are 0.
    """
    if given is None:
        return np.ones(n)
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(
            f"sample_weight must hold {n} finite numbers of at least 0, one per row",
            got=f"shape {weights.shape}",
            cure="Leave it out to count all rows alike.",
        )
    if not weights.any():
        raise InputError(
            "sample_weight must be greater than 0 for at least one row",
            got="all zero: Found array with 0 sample(s) that count",
            cure="Leave it out to count all rows alike.",
        )
    return weights
