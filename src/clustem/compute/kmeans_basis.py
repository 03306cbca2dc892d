"""The directions in which a sample of rows varies most."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute._threads import one_blas_thread

_MARGIN = 8
_PANEL = 4096
_GRAM_TILE = 192
_POWER_STEPS = 4


def leading_directions(
    sample: NDArray[np.float32], width: int, threads: int
) -> NDArray[np.float32]:
    """Return an orthonormal basis (K, width) of the directions in which the sample varies most."""
    wide = sample.shape[1] > len(sample)
    matrix = _products(sample if wide else np.ascontiguousarray(sample.T), threads)
    vectors = _top_eigenvectors(matrix, width)
    basis = _in_panels(sample, vectors, threads) if wide else vectors
    return _orthonormal(basis).astype(np.float32)


def _products(x: NDArray[np.float32], threads: int) -> NDArray[np.float64]:
    """Return ``x @ x.T`` in tiles that do not depend on the number of threads."""
    spans = [slice(i, i + _GRAM_TILE) for i in range(0, len(x), _GRAM_TILE)]
    out = np.zeros((len(x), len(x)))

    def one(pair: tuple[slice, slice]) -> None:
        product = x[pair[0]] @ x[pair[1]].T
        out[pair[0], pair[1]] = product
        out[pair[1], pair[0]] = product.T

    _each(one, list(itertools.combinations_with_replacement(spans, 2)), threads)
    return out


def _top_eigenvectors(matrix: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the vectors of the largest eigenvalues, by subspace iteration."""
    with one_blas_thread():
        if 4 * count > len(matrix):
            return np.asarray(np.linalg.eigh(matrix)[1][:, ::-1][:, :count])
        guess = np.random.default_rng(0).standard_normal((len(matrix), count + _MARGIN))
        for _ in range(_POWER_STEPS):
            guess, _ = np.linalg.qr(matrix @ guess)
        _, turn = np.linalg.eigh(guess.T @ (matrix @ guess))
        return np.asarray((guess @ turn)[:, ::-1][:, :count])


def _in_panels(
    sample: NDArray[np.float32], vectors: NDArray[np.float64], threads: int
) -> NDArray[np.float64]:
    """Return ``sample.T @ vectors``."""
    out = np.empty((sample.shape[1], vectors.shape[1]))
    small = vectors.astype(np.float32)

    def one(start: int) -> None:
        out[start : start + _PANEL] = sample[:, start : start + _PANEL].T @ small

    _each(one, range(0, len(out), _PANEL), threads)
    return out


def _orthonormal(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the columns orthonormal; those that depend on earlier ones become zero."""
    with one_blas_thread():
        norms = np.linalg.norm(basis, axis=0)
        basis = basis / np.where(norms > 0.0, norms, 1.0)
        for _ in range(2):
            values, turn = np.linalg.eigh(basis.T @ basis)
            keep = values > 1e-6
            scaled = np.where(keep, turn / np.sqrt(np.where(keep, values, 1.0)), 0.0)
            basis = basis @ scaled
    return basis


def _each(function: Callable[[Any], None], items: Iterable[Any], threads: int) -> None:
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(function, items):
            pass
