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

from clustem.compute._threads import cores
from clustem.compute.pulse import pulse
from clustem.model import InputError

F32 = NDArray[np.float32]
HIDDEN = (10, 15, 5)
_SIZES = (2, *HIDDEN, 1)
OUTPUT = 10.0
"""What an output of 1 stands for [ln of intensity]."""

_BLOCK = 64
"""Replicas in one block: enough that calls cost little, few enough for the cores' caches."""

_BETA = (0.9, 0.999)


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
    return OUTPUT * out[:, 0]


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

    def run(block: slice) -> slice:
        with torch.inference_mode():
            best[block], loss[block], epochs[block] = _Block(
                torch, weights[block], points, block
            ).train(plan, stop)
        return block

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the threads are ours: each has its own block in its core's cache
    try:
        with ThreadPoolExecutor(min(threads or cores(), len(blocks))) as pool:
            waiting = [pool.submit(run, block) for block in blocks]
            try:
                for done, future in enumerate(as_completed(waiting), start=1):
                    future.result()
                    pulse(done / len(blocks))
                    if progress is not None:
                        progress(done / len(blocks))
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)
    return best, loss, epochs


def require_torch() -> Any:
    """Return PyTorch, or say how to get it."""
    try:
        import torch  # noqa: PLC0415  # an extra, and seconds
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


class _Block:
    """Some networks in training, with all the arrays that one step needs."""

    def __init__(self, torch: Any, weights: F32, points: Points, block: slice) -> None:
        self.torch = torch
        self.x, self.y, self.fit, self.check = (
            torch.from_numpy(np.ascontiguousarray(part[block]))
            for part in (points.x, points.y, points.train, points.valid)
        )
        self.theta = torch.from_numpy(weights.copy())
        self.n_ceilings, self.n_clusters = points.n_ceilings, points.n_clusters
        self.mean, self.square = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self._allocate()

    def _allocate(self) -> None:
        torch, r, n = self.torch, len(self.theta), self.x.shape[2]
        self.layers = [
            self.theta[:, start : start + rows * columns].view(r, rows, columns)
            for start, rows, columns in _layout()
        ]
        self.states = [torch.empty(r, layer.shape[1], n) for layer in self.layers]
        self.errors = [torch.empty_like(state) for state in self.states]
        self.slopes = [torch.empty(layer.shape) for layer in self.layers]

    def train(self, plan: _Plan, stop: Event) -> tuple[F32, F32, NDArray[np.int64]]:
        torch, r = self.torch, len(self.theta)
        best, lowest = self.theta.clone(), torch.full((r,), torch.inf)
        since, epochs = torch.zeros(r), torch.full((r,), plan.n_epochs)
        active = torch.arange(r)
        for epoch in range(plan.n_epochs):
            if stop.is_set():
                break
            loss = self._loss(plan.monotony)
            better = loss < lowest[active]
            lowest[active[better]], best[active[better]] = loss[better], self.theta[better]
            since = torch.where(better, 0, since + 1)
            if epoch % 50 == 49:  # leave out those that have stopped
                going = since < plan.patience
                epochs[active[~going]] = epoch + 1
                if not going.any():
                    break
                if not going.all():
                    active, since = active[going], since[going]
                    self._keep(going)
                    self._loss(plan.monotony)
            self._descend()
            self._step(plan, epoch)
        return best.numpy(), lowest.numpy(), epochs.numpy()

    def _loss(self, monotony: float) -> Any:
        """Run the networks; leave the error of the outputs, return the validation loss (r,)."""
        torch, n = self.torch, self.y.shape[1]
        below = self.x
        for i, (layer, state) in enumerate(zip(self.layers, self.states, strict=True)):
            torch.bmm(layer, below, out=state)
            if i < len(HIDDEN):
                state.tanh_()
            below = state
        out = below[:, 0] * OUTPUT
        residual = out[:, :n] - self.y
        residual[:, n - self.n_ceilings :].clamp_(min=0)
        grid = out[:, n:].view(len(out), self.n_clusters, -1)
        rise = grid[:, :, 1:] - grid[:, :, :-1]
        rise.clamp_(min=0)
        error = self.errors[-1][:, 0]
        torch.mul(residual, self.fit, out=error[:, :n]).mul_(2 * OUTPUT)
        uphill = (rise > 0).to(out.dtype).mul_(monotony * OUTPUT)
        spread = error[:, n:].view(grid.shape).zero_()
        spread[:, :, 1:] += uphill
        spread[:, :, :-1] -= uphill
        return (residual.square_().mul_(self.check)).sum(1) + monotony * rise.sum((1, 2))

    def _descend(self) -> None:
        """Carry the error back through the layers."""
        torch = self.torch
        for i in range(len(self.layers) - 1, -1, -1):
            below = self.states[i - 1] if i else self.x
            torch.bmm(self.errors[i], below.transpose(1, 2), out=self.slopes[i])
            if i:
                torch.bmm(self.layers[i].transpose(1, 2), self.errors[i], out=self.errors[i - 1])
                torch.ops.aten.tanh_backward.grad_input(
                    self.errors[i - 1], self.states[i - 1], grad_input=self.errors[i - 1]
                )

    def _step(self, plan: _Plan, epoch: int) -> None:
        """One step of Adam."""
        torch, (first, second) = self.torch, _BETA
        slope = torch.cat([part.view(len(part), -1) for part in self.slopes], dim=1)
        self.mean.lerp_(slope, 1 - first)
        self.square.mul_(second).addcmul_(slope, slope, value=1 - second)
        root = self.square.sqrt().mul_((1 - second ** (epoch + 1)) ** -0.5).add_(1e-8)
        rate = plan.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / plan.n_epochs))
        self.theta.addcdiv_(self.mean, root, value=-rate / (1 - first ** (epoch + 1)))

    def _keep(self, going: Any) -> None:
        """Go on with some of the networks only."""
        for name in ("x", "y", "fit", "check", "theta", "mean", "square"):
            setattr(self, name, getattr(self, name)[going].contiguous())
        self._allocate()
