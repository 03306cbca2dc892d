"""A trained autoencoder: made of what is kept of it, ready for rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from clustem.core import VAEInfo
from clustem.reduce._vae_motifs import Motifs, filtered
from clustem.reduce._vae_network import Network, Sizes, network, require_torch, unflat
from clustem.reduce._vae_poses import Field, Poses, posed, upright
from clustem.reduce._vae_rows import Basis, Layout, Normal

F32 = NDArray[np.float32]
AT_ONCE = 2048
"""Rows that are encoded at a time."""
_GRID, _SHOWN = 9, 6
"""Images on a side of the drawn latent plane, and rows that are shown beside what is drawn."""


def upright_of(x: F32, motifs: Motifs, field: Field) -> tuple[Poses, F32]:
    """Find the poses of patches (n, s, s), and turn them back."""
    seen = filtered(x, motifs.transfer)
    poses, _ = posed(seen, motifs.templates, field, reach=field.most_shift, candidates=3, rounds=4)
    return poses, upright(x, poses, field)


@dataclass(frozen=True)
class Machine:
    """A trained autoencoder, ready for rows."""

    layout: Layout
    normal: Normal
    model: Network
    motifs: Motifs | None
    field: Field | None
    unit: float

    @classmethod
    def of(cls, about: VAEInfo) -> Machine:
        shape, full = (tuple(int(size) for size in part) for part in (about.shape, about.full))
        sizes = Sizes(shape, about.n_components, len(about.variances))
        basis = Basis(about.factors, about.variances)
        model = network(unflat(about.weights, sizes), basis, sizes)
        motifs = field = None
        if about.templates is not None and about.transfer is not None and about.folds is not None:
            motifs = Motifs(about.templates, about.transfer, about.folds)
            field = Field(shape[0], about.turned, about.most_shift)
        normal = Normal(about.mean, about.scale, about.level)
        return cls(Layout(shape, full), normal, model, motifs, field, about.unit)

    def upright(self, x: F32) -> tuple[F32, Poses | None]:
        """Return rows turned and shifted back, and by how much."""
        if self.motifs is None or self.field is None:
            return x, None
        poses, up = upright_of(
            x.reshape(-1, *self.layout.shape) / self.unit, self.motifs, self.field
        )
        return up.reshape(len(up), -1), poses

    def encode(self, x: F32) -> tuple[F32, F32]:
        """Return mean and width of the posterior of upright rows, (n, q)."""
        torch = require_torch()
        with torch.no_grad():
            y, dose = (
                torch.from_numpy(part) for part in (self.normal.apply(x), self.normal.dose(x))
            )
            mean, width, _ = self.model.encode(y, dose)
        return mean.numpy(), width.exp().numpy()

    def decode(self, z: F32) -> F32:
        """Return what latent coordinates (n, q) stand for, in the unit of the rows."""
        torch = require_torch()
        with torch.no_grad():
            y = (self.model.decode(torch.from_numpy(z)) @ self.model.factors).numpy()
        if self.normal.level:  # a change of the logarithm of shares
            base = self.normal.scale**2 * self.normal.level
            logs = np.log(base) + y / (self.normal.scale * self.normal.level)
            shares = np.exp(logs - logs.max(axis=1, keepdims=True))
            found: F32 = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
            return found
        return self.normal.undo(y) * np.float32(self.unit)


def with_drawings(about: VAEInfo, x: F32) -> VAEInfo:
    """Add what the decoder draws: over the latent plane, and of some upright rows."""
    machine, q = Machine.of(about), about.n_components
    some = x[:: max(len(x) // 2000, 1)]
    latent = np.concatenate(
        [machine.encode(some[i : i + AT_ONCE])[0] for i in range(0, len(some), AT_ONCE)]
    )
    low, high = np.quantile(latent, (0.02, 0.98), axis=0)
    lines = np.linspace(low, high, _GRID)
    middle = np.median(latent, axis=0)
    grid = np.tile(middle, (_GRID, _GRID, 1)).astype(np.float32)
    grid[..., 0] = lines[None, :, 0]
    if q > 1:
        grid[..., 1] = lines[::-1, None, 1]
    drawn = machine.decode(grid.reshape(-1, q)).reshape(_GRID, _GRID, prod(about.shape))
    at = np.stack([lines[:, 0], lines[::-1, 1] if q > 1 else lines[:, 0]])
    order = np.argsort(latent[:, 0], kind="stable")
    chosen = order[np.linspace(0.02, 0.98 * (len(order) - 1), _SHOWN).astype(np.intp)]
    given = some[chosen] * np.float32(about.unit)
    if about.level:
        given = given / np.maximum(given.sum(axis=1, keepdims=True), 1)
    return replace(
        about,
        manifold=drawn,
        manifold_at=at.astype(np.float32),
        examples=np.stack([given, machine.decode(latent[chosen])]),
    )
