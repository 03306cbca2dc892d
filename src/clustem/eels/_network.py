"""Many small networks trained at once: the arithmetic of one is that of all, in one product."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustem.core import InputError
from clustem.core.progress import tick
from clustem.passes.threads import cores

F32 = NDArray[np.float32]
HIDDEN = (10, 15, 5)
_SIZES = (2, *HIDDEN, 1)
OUTPUT = 10.0
"""What an output of 1 stands for [ln of intensity]."""

_BLOCK = 64
"""Replicas in one block: enough that calls cost little, few enough for the cores' caches."""


@dataclass
class Points:
    """What the networks learn from; the first axis is that of the replicas.

    Attributes
    ----------
    x
        Inputs and a 1, float32 (R, 3, n + g): n points with targets, then a grid of g points in
        region II, cluster after cluster.
    y
        Targets, float32 (R, n).
    train, valid
        Weights of the squared residuals, float32 (R, n); a point has one of them.
    n_ceilings
        How many of the n points, at their end, only say what the output must not exceed.
    n_clusters
        Number of clusters in the grid.
    """

    x: F32
    y: F32
    train: F32
    valid: F32
    n_ceilings: int
    n_clusters: int


def initial(n_replicas: int, rng: np.random.Generator) -> F32:
    """Draw first weights, float32 (R, P).

    The hinges of the first layer's units lie all over the range of energies. Each hidden layer has
    one unit more, which always says 1, and so carries the biases of the next layer; its own
    weights have no gradient.
    """
    layers = []
    for i, (fan_in, fan_out) in enumerate(pairwise(_SIZES)):
        hidden = i < len(HIDDEN)
        weights = np.zeros((n_replicas, fan_out + hidden, fan_in + 1))
        if i == 0:
            steep = 2 * rng.standard_normal((n_replicas, fan_out, fan_in))
            weights[:, :fan_out, :fan_in] = steep
            weights[:, :fan_out, fan_in] = steep[:, :, 0] * rng.uniform(
                -1, 1, (n_replicas, fan_out)
            )
        else:
            scale = 1.2 / math.sqrt(fan_in)
            weights[:, :fan_out, :fan_in] = rng.uniform(
                -scale, scale, (n_replicas, fan_out, fan_in)
            )
            weights[:, :fan_out, fan_in] = rng.uniform(-0.3, 0.3, (n_replicas, fan_out))
        if hidden:
            weights[:, fan_out, fan_in] = 20.0  # tanh(20) is 1 in float32, its slope 0
        layers.append(weights.reshape(n_replicas, -1))
    return np.concatenate(layers, axis=1).astype(np.float32)


def forward(weights: F32, x: F32) -> F32:
    """Return outputs (R, n) of networks with weights (R, P) at inputs and a 1, (3, n)."""
    out: Any = x
    for i, (start, rows, columns) in enumerate(_layout()):
        layer = weights[:, start : start + rows * columns].reshape(-1, rows, columns)
        out = layer @ out
        if i < len(HIDDEN):
            out = np.tanh(out)
    found: F32 = OUTPUT * out[:, 0]
    return found


def train(
    weights: F32,
    points: Points,
    *,
    n_epochs: int,
    learning_rate: float,
    monotony: float,
    patience: int,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> tuple[F32, F32, NDArray[np.int64]]:
    """Train all networks.

    Parameters
    ----------
    weights
        First weights (R, P).
    points
        What to learn from.
    n_epochs
        Steps of Adam, each with all points.
    learning_rate
        Of the first step; it falls to 0 along a cosine.
    monotony
        Weight of the penalty on outputs that rise in region II.
    patience
        A network stops after as many epochs without a lower validation loss.
    threads
        Number of threads; one per usable core if None.
    progress
        Called with the share of the networks that are trained.

    Returns
    -------
    weights, loss, epochs
        Of each network (R, P), (R,), (R,): the weights where the validation loss was lowest, that
        loss, and how many epochs it was trained.

    Raises
    ------
    InputError
        If PyTorch is not installed.
    """
    torch = require_torch()
    plan = _Plan(n_epochs, learning_rate, monotony, patience)
    blocks = [slice(i, i + _BLOCK) for i in range(0, len(weights), _BLOCK)]
    best = np.empty_like(weights)
    loss = np.empty(len(weights), dtype=np.float32)
    epochs = np.empty(len(weights), dtype=np.int64)
    stop = Event()

    def alone() -> None:
        """Let this thread of ours have no threads of its own; those of others keep theirs."""
        torch.get_num_threads()  # PyTorch sets its number at the first call in a thread
        threadpool_limits(1, user_api="openmp")

    def run(block: slice) -> None:
        best[block], loss[block], epochs[block] = _trained(weights, points, block, plan, stop)

    with ThreadPoolExecutor(min(threads or cores(), len(blocks)), initializer=alone) as pool:
        waiting = [pool.submit(run, block) for block in blocks]
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                tick(done / len(blocks))
                if progress is not None:
                    progress(done / len(blocks))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return best, loss, epochs


def require_torch() -> Any:
    """Return PyTorch, or say how to get it."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "A zero-loss model is trained with PyTorch, which must be installed",
            got=f"{type(error).__name__} on import torch",
            cure="Run: pip install 'clustem[torch]'.",
        ) from error
    return torch


def _layout() -> list[tuple[int, int, int]]:
    """Where each layer's weights begin, and their rows and columns."""
    found, start = [], 0
    for i, (fan_in, fan_out) in enumerate(pairwise(_SIZES)):
        rows, columns = fan_out + (i < len(HIDDEN)), fan_in + 1
        found.append((start, rows, columns))
        start += rows * columns
    return found


@dataclass(frozen=True)
class _Plan:
    n_epochs: int
    learning_rate: float
    monotony: float
    patience: int


def _trained(
    weights: F32, points: Points, block: slice, plan: _Plan, stop: Event
) -> tuple[F32, F32, NDArray[np.int64]]:
    """Train the networks of a block: see :func:`train`."""
    torch = require_torch()
    given = [
        torch.from_numpy(np.ascontiguousarray(part[block]))
        for part in (points.x, points.y, points.train, points.valid)
    ]
    theta = torch.from_numpy(weights[block].copy()).requires_grad_()
    moments = [torch.zeros_like(theta, requires_grad=False) for _ in range(2)]
    steps = torch.zeros(())
    r = len(theta)
    best, lowest = theta.detach().clone(), torch.full((r,), torch.inf)
    since, epochs = torch.zeros(r), torch.full((r,), plan.n_epochs)
    active = torch.arange(r)
    for epoch in range(plan.n_epochs):
        if stop.is_set():
            break
        fit, check = _losses(theta, given, points, plan.monotony)
        better = check < lowest[active]
        lowest[active[better]], best[active[better]] = check[better], theta.detach()[better]
        since = torch.where(better, 0, since + 1)
        if epoch % 50 == 49:  # leave out those that have stopped
            going = since < plan.patience
            epochs[active[~going]] = epoch + 1
            if not going.any():
                break
            if not going.all():
                active, since = active[going], since[going]
                given, moments = ([part[going] for part in parts] for parts in (given, moments))
                theta = theta.detach()[going].requires_grad_()
                fit, _ = _losses(theta, given, points, plan.monotony)
        theta.grad = None
        fit.sum().backward()
        rate = plan.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / plan.n_epochs))
        with torch.no_grad():
            _adam(theta, moments, steps, rate)
    return best.numpy(), lowest.numpy(), epochs.numpy()


def _adam(theta: Any, moments: list[Any], steps: Any, rate: float) -> None:
    """One step of Adam; the class would load PyTorch's compiler, which takes a second."""
    from torch.optim.adam import adam

    adam(
        [theta],
        [theta.grad],
        [moments[0]],
        [moments[1]],
        [],
        [steps],
        fused=True,
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=rate,
        weight_decay=0.0,
        eps=1e-8,
        maximize=False,
    )


def _losses(theta: Any, given: list[Any], points: Points, monotony: float) -> tuple[Any, Any]:
    """Loss of each network over the points that it learns from, and over the others, (r,)."""
    torch, (out, y, train, valid) = require_torch(), given
    sizes = [rows * columns for _, rows, columns in _layout()]
    layers = zip(_layout(), theta.split(sizes, dim=1), strict=True)
    for i, ((_, rows, columns), layer) in enumerate(layers):
        out = torch.bmm(layer.view(-1, rows, columns), out)
        if i < len(HIDDEN):
            out = out.tanh_()
    out = OUTPUT * out[:, 0]
    n = y.shape[1]
    targets, ceilings = (out[:, :n] - y).split([n - points.n_ceilings, points.n_ceilings], dim=1)
    square = torch.cat([targets, ceilings.relu()], dim=1).square()
    grid = out[:, n:].view(len(out), points.n_clusters, -1)
    rise = monotony * grid.diff(dim=2).relu().sum((1, 2))
    return (square * train).sum(1) + rise, (square.detach() * valid).sum(1) + rise.detach()
