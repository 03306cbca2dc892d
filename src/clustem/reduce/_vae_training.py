"""Training of an autoencoder: as long as rows that it does not learn from gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core.progress import tick
from clustem.reduce._vae_network import Network, Sizes, initial, network, require_torch
from clustem.reduce._vae_rows import Basis, Normal

F32 = NDArray[np.float32]
_BATCH = 128
_RATE = 2e-3
_CHECK, _PATIENCE = 50, 6
"""Steps between two looks at the held-out rows, and how many may pass without a gain."""
_WARM = 0.15
"""Share of the steps over which the weight of the prior grows to 1."""
_HELD, _MOST_HELD = 0.15, 1500
"""Share of the rows that are held out, and at most how many."""
_RUNS = 20
"""Rows are held out in so many runs, as neighbours on a scan can share pixels."""
UNUSED = 0.05
"""Information below which nobody uses a latent coordinate [nats]."""


@dataclass(frozen=True)
class Rows:
    """What a network learns from.

    Parameters
    ----------
    x
        Rows as they were read, (n, D).
    normal
        Their scale.
    basis
        Their principal components.
    scatter
        Variance of counts over that of counting, 1 or more; 1 without counts.
    """

    x: F32
    normal: Normal
    basis: Basis
    scatter: float = 1.0


@dataclass(frozen=True)
class Trained:
    """A trained network, and how well it does.

    Parameters
    ----------
    weights
        By name.
    bound
        Evidence lower bound of held-out rows [nats per row].
    linear
        That of as many principal components.
    information
        Mean information in each latent coordinate of held-out rows [nats], (q,).
    steps
        Number of steps of gradient descent.
    """

    weights: dict[str, F32]
    bound: float
    linear: float
    information: NDArray[np.float64]
    steps: int


def train(
    rows: Rows, sizes: Sizes, *, most_steps: int, seed: int, device: str, share: tuple[float, float]
) -> Trained:
    """Train a network.

    Parameters
    ----------
    rows
        What to learn from.
    sizes
        Of the network.
    most_steps
        Most steps of gradient descent.
    seed
        Of weights, batches and draws.
    device
        Where to compute.
    share
        Shares of the whole work that are done before and after, for progress.

    Returns
    -------
    :
        The weights for which the bound of held-out rows was largest; those of the start are
        principal components, so that it is never below theirs.

    Notes
    -----
    Adam, its rate falls to 0 along a cosine. The weight of the prior grows from 0.2 to 1 over the
    first 15 % of the steps. 15 % of the rows, in 20 runs, are held out.
    """
    torch = require_torch()
    rng = np.random.default_rng(seed)
    learned, held = split(len(rows.x), rng)
    model = network(initial(sizes, rows.basis, len(rows.x), rng), rows.basis, sizes, device=device)
    data = _Data.of(rows, device)
    theta = [one for name, one in model.weights.items() if name != "noise" or data.counts is None]
    for one in theta:
        one.requires_grad_()
    moments = [[torch.zeros_like(one, requires_grad=False) for one in theta] for _ in range(2)]
    steps = [torch.zeros((), device=device) for _ in theta]
    draws = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
    fixed = rng.standard_normal((len(held), sizes.n_latent)).astype(np.float32)
    linear = best = _held_out(model, data, held, fixed)
    kept, since, done = _copied(model), 0, 0
    order = np.empty(0, dtype=np.intp)
    for done in range(1, most_steps + 1):
        if len(order) < _BATCH:
            order = np.concatenate([order, rng.permutation(learned)])
        batch, order = order[:_BATCH], order[_BATCH:]
        weight = min(1.0, 0.2 + 0.8 * done / (_WARM * most_steps))
        noise = torch.randn((len(batch), sizes.n_latent), generator=draws, device=device)
        fit, prior = _bound(model, data.of_rows(batch), noise)
        for one in theta:
            one.grad = None
        (weight * prior.sum(1) - fit).mean().backward()
        rate = _RATE * 0.5 * (1 + math.cos(math.pi * done / most_steps))
        _adam(theta, moments, steps, rate)
        if done % _CHECK == 0 or done == most_steps:
            tick(share[0] + (share[1] - share[0]) * done / most_steps)
            found = _held_out(model, data, held, fixed)
            if weight == 1 and found > best:
                best, kept, since = found, _copied(model), 0
            elif weight == 1:
                since += 1
            if since >= _PATIENCE:
                break
    final = network(kept, rows.basis, sizes, device=device)
    information = _information(final, data, held)
    return Trained(kept, best, linear, information, done)


def scatter_of(x: F32, normal: Normal, basis: Basis, n_latent: int) -> float:
    """Variance of counts around so many principal components, over that of counting."""
    if not normal.level:
        return 1.0
    y = normal.apply(x)
    scores = y @ basis.factors[:n_latent].T
    rest = float(np.square(y).sum(dtype=np.float64) - np.square(scores).sum(dtype=np.float64))
    total = np.maximum(x.sum(axis=1, dtype=np.float64), 1.0)
    share = normal.mean.astype(np.float64)
    counting = float((share / normal.scale.astype(np.float64) ** 2).sum() * (1 / total).sum())
    return max(rest / max(counting, 1e-30), 1.0)


_Some = tuple[Any, Any, Any, Any, float]
"""Rows on their scale, their dose, counts, shares, and scatter: see ``_Data``."""


@dataclass(frozen=True)
class _Data:
    """Rows where they are computed with."""

    y: Any
    dose: Any
    counts: Any  # None where rows are no counts
    shares: Any  # logarithm of the mean shares, and what a score changes of it
    scatter: float

    @classmethod
    def of(cls, rows: Rows, device: str) -> _Data:
        torch, normal = require_torch(), rows.normal
        y, dose = (
            torch.as_tensor(part, device=device)
            for part in (normal.apply(rows.x), normal.dose(rows.x))
        )
        if not normal.level:
            return cls(y, dose, None, None, 1.0)
        shares = torch.as_tensor((normal.scale**2 * normal.level), device=device)
        change = torch.as_tensor(1 / (normal.scale * normal.level), device=device)
        counts = torch.as_tensor(rows.x, device=device)
        return cls(y, dose, counts, (shares.log(), change), rows.scatter)

    def of_rows(self, which: NDArray[np.intp]) -> _Some:
        index = require_torch().as_tensor(which, device=self.y.device)
        counts = None if self.counts is None else self.counts[index]
        return self.y[index], self.dose[index], counts, self.shares, self.scatter


def _bound(model: Network, rows: _Some, noise: Any) -> tuple[Any, Any]:
    """Return how well rows are described (n,), and the information in each latent (n, q).

    Both in nats; the former up to what does not depend on the network.
    """
    torch, (y, dose, counts, shares, scatter) = require_torch(), rows
    mean, width, scores = model.encode(y, dose)
    drawn = model.decode(mean + width.exp() * noise)
    prior = 0.5 * (mean.square() + (2 * width).exp() - 1) - width
    if counts is None:
        logs = model.weights["noise"]
        fit = -0.5 * ((scores - drawn).square() * (-logs).exp() + logs).sum(1)
        return fit, prior
    base, change = shares
    logits = base + (drawn @ model.factors) * change
    fit = (counts * torch.log_softmax(logits, dim=1)).sum(1)
    start = (counts * base).sum(1)  # keeps numbers small
    return (fit - start) / scatter, prior


def _held_out(model: Network, data: _Data, held: NDArray[np.intp], fixed: F32) -> float:
    """Evidence lower bound of the held-out rows, each with one draw that stays the same."""
    torch, total = require_torch(), 0.0
    with torch.no_grad():
        for first in range(0, len(held), 512):
            some = held[first : first + 512]
            noise = torch.as_tensor(fixed[first : first + 512], device=data.y.device)
            fit, prior = _bound(model, data.of_rows(some), noise)
            total += float((fit - prior.sum(1)).double().sum())
    return total / len(held)


def _information(model: Network, data: _Data, held: NDArray[np.intp]) -> NDArray[np.float64]:
    torch = require_torch()
    with torch.no_grad():
        y, dose, *_ = data.of_rows(held)
        mean, width, _ = model.encode(y, dose)
        prior = 0.5 * (mean.square() + (2 * width).exp() - 1) - width
    found: NDArray[np.float64] = prior.double().mean(0).cpu().numpy()
    return found


def split(n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which rows are learned from, and which are held out: the same for the same seed."""
    length = max(min(round(_HELD * n), _MOST_HELD) // _RUNS, 1)
    starts = np.linspace(0, n, _RUNS, endpoint=False).astype(np.intp)
    starts += rng.integers(0, max(n // _RUNS - length, 1), _RUNS)
    held = np.unique((starts[:, None] + np.arange(length)).clip(0, n - 1))
    return np.setdiff1d(np.arange(n), held), held


def _copied(model: Network) -> dict[str, F32]:
    return {name: values.detach().cpu().numpy().copy() for name, values in model.weights.items()}


def _adam(theta: list[Any], moments: list[list[Any]], steps: list[Any], rate: float) -> None:
    """One step of Adam; the class would load PyTorch's compiler, which takes a second."""
    from torch.optim.adam import adam

    with require_torch().no_grad():
        adam(
            theta,
            [one.grad for one in theta],
            moments[0],
            moments[1],
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
