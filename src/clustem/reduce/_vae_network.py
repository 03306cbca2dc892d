"""Encoder and decoder of a small variational autoencoder, as functions of their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustem.core import InputError
from clustem.passes.threads import one_blas_thread
from clustem.reduce._vae_rows import Basis

F32 = NDArray[np.float32]
Weights = dict[str, Any]
_HIDDEN = 64
_FILTERS = (8, 16, 16)
_KERNELS = {1: ((9, 4), (9, 4), (5, 2)), 2: ((5, 2), (3, 2), (3, 2))}
"""Width and stride of the filters of each layer, for spectra and for images."""
_LEAST = 0.01
"""Least variance of the signal along a latent coordinate at the start, in units of the noise."""


@dataclass(frozen=True)
class Sizes:
    """What the sizes of all weights follow from.

    Parameters
    ----------
    shape
        Of a row: (channels,) or (rows, columns).
    n_latent
        Number of latent coordinates q.
    n_basis
        Number of components that the decoder draws with, r.
    """

    shape: tuple[int, ...]
    n_latent: int
    n_basis: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight by name, in the order in which they are kept."""
        found: dict[str, tuple[int, ...]] = {}
        inner, before = self.shape, 1
        for i, (filters, (width, stride)) in enumerate(
            zip(_FILTERS, _KERNELS[len(self.shape)], strict=True)
        ):
            found[f"filters {i}"] = (filters, before, *[width] * len(self.shape))
            found[f"filters {i} offset"] = (filters,)
            inner = tuple((size - 1) // stride + 1 for size in inner)
            before = filters
        q, r = self.n_latent, self.n_basis
        seen = before * math.prod(inner) + r + 1
        found |= {"hidden": (seen, _HIDDEN), "hidden offset": (_HIDDEN,)}
        found |= {"latent": (_HIDDEN, 2 * q), "latent offset": (2 * q,), "linear": (r, q)}
        found |= {"drawn 0": (q, _HIDDEN), "drawn 0 offset": (_HIDDEN,)}
        found |= {"drawn 1": (_HIDDEN, _HIDDEN), "drawn 1 offset": (_HIDDEN,)}
        found |= {"drawn 2": (_HIDDEN, r), "drawn 2 offset": (r,), "straight": (q, r)}
        return found | {"noise": (r,)}


def initial(sizes: Sizes, basis: Basis, n: int, rng: np.random.Generator) -> dict[str, F32]:
    """Draw first weights: those of probabilistic principal components, which are optimal among
    linear ones, and a network beside them that says nothing yet.

    References
    ----------
    J. Lucas et al., Don't blame the ELBO!, NeurIPS 32 (2019).
    """  # noqa: D205  # one sentence
    q = sizes.n_latent
    found: dict[str, F32] = {}
    for name, shape in sizes.shapes().items():
        fan_in = math.prod(shape[1:]) if name.startswith("filters") else shape[0]
        quiet = name.endswith("offset") or name in ("latent", "drawn 2", "noise")
        values = rng.standard_normal(shape) * math.sqrt(1.5 / fan_in)
        found[name] = (np.zeros(shape) if quiet else values).astype(np.float32)
    variance = basis.variances.astype(np.float64)
    signal = np.maximum(basis.signal(n)[:q], _LEAST)
    linear, straight = np.zeros((len(variance), q)), np.zeros((q, len(variance)))
    linear[:q] = np.diag(np.sqrt(signal) / (1 + signal))
    straight[:, :q] = np.diag(np.sqrt(signal))
    found["linear"], found["straight"] = linear.astype(np.float32), straight.astype(np.float32)
    found["latent offset"][q:] = -0.5 * np.log1p(signal)
    noise = np.concatenate([np.ones(q), np.maximum(variance[q:], 0.1)])
    found["noise"] = np.log(noise).astype(np.float32)
    return found


def flat(weights: dict[str, F32]) -> F32:
    """Join all weights in one vector."""
    return np.concatenate([values.ravel() for values in weights.values()])


def unflat(vector: F32, sizes: Sizes) -> dict[str, F32]:
    """Take a vector apart into weights.

    Raises
    ------
    InputError
        If it is of another network.
    """
    shapes = sizes.shapes()
    if vector.size != sum(math.prod(shape) for shape in shapes.values()):
        raise InputError(
            "The weights of an autoencoder must be those of its sizes",
            got=f"{vector.size} numbers",
            cure="Run the recipe again.",
        )
    found, start = {}, 0
    for name, shape in shapes.items():
        end = start + math.prod(shape)
        found[name] = vector[start:end].reshape(shape)
        start = end
    return found


@dataclass(frozen=True)
class Network:
    """An autoencoder in PyTorch.

    Parameters
    ----------
    weights
        Tensors by name.
    factors
        What the decoder draws with, tensor (r, D).
    spread
        Standard deviations along them, tensor (r,).
    sizes
        Their sizes.
    """

    weights: Weights
    factors: Any
    spread: Any
    sizes: Sizes

    def encode(self, y: Any, dose: Any) -> tuple[Any, Any, Any]:
        """Return mean and logarithm of the width of the posterior, (n, q), and scores (n, r).

        Parameters
        ----------
        y
            Rows on their scale, (n, D).
        dose
            Logarithm of relative counts, (n, 1).
        """
        torch, w = require_torch(), self.weights
        convolve = getattr(torch.nn.functional, f"conv{len(self.sizes.shape)}d")
        scores = y @ self.factors.T
        rms = self.spread.square().sum().div(y.shape[1]).add(1).sqrt()
        out = (y / rms).reshape(len(y), 1, *self.sizes.shape)
        for i, (width, stride) in enumerate(_KERNELS[len(self.sizes.shape)]):
            out = convolve(
                out, w[f"filters {i}"], w[f"filters {i} offset"], stride=stride, padding=width // 2
            )
            out = torch.nn.functional.leaky_relu(out, 0.1)
        out = torch.cat([out.flatten(1), scores / self.spread, dose], dim=1)
        out = torch.tanh(out @ w["hidden"] + w["hidden offset"])
        out = out @ w["latent"] + w["latent offset"]
        change, width = out.split(self.sizes.n_latent, dim=1)
        return scores @ w["linear"] + change, width.clamp(-8, 2), scores

    def decode(self, z: Any) -> Any:
        """Return the scores (n, r) that latent coordinates (n, q) stand for."""
        torch, w = require_torch(), self.weights
        out = torch.tanh(z @ w["drawn 0"] + w["drawn 0 offset"])
        out = torch.tanh(out @ w["drawn 1"] + w["drawn 1 offset"])
        out = self.spread * (out @ w["drawn 2"] + w["drawn 2 offset"])
        return z @ w["straight"] + out


def network(weights: dict[str, F32], basis: Basis, sizes: Sizes, *, device: str = "cpu") -> Network:
    """Make a network of weights."""
    torch = require_torch()
    tensors = {name: torch.tensor(values, device=device) for name, values in weights.items()}
    spread = np.sqrt(np.maximum(basis.variances, 1e-6))
    return Network(
        tensors,
        torch.tensor(basis.factors, device=device),
        torch.tensor(spread, device=device),
        sizes,
    )


def require_torch() -> Any:
    """Return PyTorch, or say how to get it."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "An autoencoder is trained and used with PyTorch, which must be installed",
            got=f"{type(error).__name__} on import torch",
            cure="Run: pip install 'clustem[torch]'.",
        ) from error
    return torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: small networks gain nothing from more, and sums keep their order."""
    require_torch().get_num_threads()  # PyTorch sets its number at the first call in a thread
    with one_blas_thread(), threadpool_limits(1, user_api="openmp"):
        yield


def device_of() -> str:
    """Return ``"cuda"`` where PyTorch finds a card, else ``"cpu"``."""
    return "cuda" if require_torch().cuda.is_available() else "cpu"
