"""By how much patches are turned and shifted against templates: searched, not guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core.progress import tick
from clustem.reduce._vae_network import require_torch

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_COARSE = 20
"""Edge of a patch where poses are looked for on a grid [px]."""
_TURNS = 36
"""Angles of that grid."""
_NEAR = 2
"""Steps between two angles that are the same maximum."""
_CLOSE = 0.75
"""Share of the best pose's gain from which on another one is refined, too."""
_AT_ONCE = 128
_STEP = 1.5
"""Largest step of the grid of shifts, in its pixels."""
_MOST_TURN, _MOST_SHIFT = 0.12, 1.0
"""Largest change of angle [rad] and shift [px] in one step of a refinement."""


@dataclass(frozen=True)
class Poses:
    """How patches lie.

    Parameters
    ----------
    turn
        Angle by which the motif is turned [rad], from columns toward rows, (n,).
    shift
        Row and column by which it is shifted [px], (n, 2).
    template
        Number of the template that it is most like, (n,).
    """

    turn: F64
    shift: F64
    template: NDArray[np.intp]

    def take(self, which: Any) -> Poses:
        """Return some of them."""
        return Poses(self.turn[which], self.shift[which], self.template[which])


@dataclass(frozen=True)
class Field:
    """Which poses there can be.

    Parameters
    ----------
    side
        Edge of a patch [px].
    turned
        Whether motifs are turned.
    most_shift
        Largest shift along rows or columns [px].
    """

    side: int
    turned: bool
    most_shift: float

    @property
    def weight(self) -> F32:
        """Weight of each pixel of an upright patch: 0 outside of what all poses show, (s, s)."""
        row, column = np.indices((self.side, self.side)) - (self.side - 1) / 2
        outer = self.side / 2
        radius = np.hypot(row, column) if self.turned else np.maximum(abs(row), abs(column))
        fall = max(self.most_shift, 1.0)
        weight = np.clip((outer - radius) / fall, 0, 1)
        found: F32 = (weight * weight * (3 - 2 * weight)).astype(np.float32)
        return found if self.turned or self.most_shift else np.ones_like(found)

    @property
    def bins(self) -> int:
        """Pixels along each side that the grid search joins."""
        return max(round(self.side / _COARSE), 1)

    def grid(self, reach: float) -> tuple[F64, F64]:
        """Return the angles and the shifts (m, 2) that are tried."""
        turns = 2 * np.pi * np.arange(_TURNS) / _TURNS if self.turned else np.zeros(1)
        count = int(np.ceil(2 * reach / (_STEP * self.bins))) if reach else 0
        steps = np.linspace(-reach, reach, count + 1) if count else np.zeros(1)
        return turns, np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def upright(patches: F32, poses: Poses, field: Field) -> F32:
    """Turn and shift patches (n, s, s) back, weighted; what lies outside of them is 0."""
    out = np.empty_like(patches)
    for first in range(0, len(patches), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        out[some] = _read_at(patches[some], poses.turn[some], poses.shift[some])
    out *= field.weight
    return out


def _read_at(images: F32, turn: F64, shift: F64) -> F32:
    """Read images at coordinates that are turned, then shifted, by cubic convolution."""
    torch = require_torch()
    side = images.shape[-1]
    half = (side - 1) / 2
    c, s, down, across = (
        torch.from_numpy(part.astype(np.float32))[:, None, None]
        for part in (np.cos(turn), np.sin(turn), shift[:, 0] / half, shift[:, 1] / half)
    )
    axes = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    row, column = (torch.from_numpy(part) for part in axes)
    with torch.no_grad():  # column and row of the source, -1 ... 1
        grid = torch.empty((len(turn), side, side, 2))
        grid[..., 0] = c * column - s * row + across
        grid[..., 1] = s * column + c * row + down
        given = torch.from_numpy(np.ascontiguousarray(images))[:, None]
        given = given.expand(len(turn), 1, side, side)
        out = torch.nn.functional.grid_sample(
            given, grid, mode="bicubic", padding_mode="zeros", align_corners=True
        )
    found: F32 = out[:, 0].numpy()
    return found


def search(
    patches: F32, templates: F32, field: Field, *, reach: float, candidates: int = 1
) -> tuple[list[Poses], F64]:
    """Look for the best templates and poses of each patch on a grid.

    Parameters
    ----------
    patches
        Array (n, s, s).
    templates
        Array (k, s, s), 0 outside of their field.
    field, reach
        Which poses there can be; the largest shift that is tried [px].
    candidates
        How many poses to list, each of another template or angle than those before.

    Returns
    -------
    :
        Poses, the best first, and by how much each lowers the sum of squares, (candidates, n).
    """
    torch = require_torch()
    turns, shifts = field.grid(reach)
    k, t, m = len(templates), len(turns), len(shifts)
    bank = _bank(templates, turns, shifts, field)
    half = torch.from_numpy(0.5 * np.square(bank).sum(axis=1))
    flat = torch.from_numpy(np.ascontiguousarray(bank.T))
    places = np.empty((candidates, len(patches)), dtype=np.intp)
    gains = np.empty((candidates, len(patches)))
    near = np.minimum(np.arange(t), t - np.arange(t)) <= _NEAR
    ring = torch.from_numpy(near[(np.arange(t)[:, None] - np.arange(t)) % t])
    with torch.no_grad():
        for first in range(0, len(patches), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            seen = torch.from_numpy(_binned(patches[some], field.bins))
            scores = (seen @ flat - half).view(len(seen), k * t, m)
            best, at = scores.max(dim=2)
            for i in range(candidates):
                top, pose = best.max(dim=1)
                places[i, some] = (pose * m + at.gather(1, pose[:, None])[:, 0]).numpy()
                gains[i, some] = 2 * top.double().numpy()
                for template in range(k if i + 1 < candidates else 0):
                    of_it = pose // t == template
                    part = best[of_it, template * t : (template + 1) * t]
                    part[ring[pose[of_it] % t]] = -torch.inf
                    best[of_it, template * t : (template + 1) * t] = part
            tick()
    found = []
    for place in places:
        turn, shift = np.divmod(place, m)
        found.append(Poses(turns[turn % t], shifts[shift], turn // t))
    return found, gains * field.bins**2


def posed(
    patches: F32, templates: F32, field: Field, *, reach: float, candidates: int, rounds: int
) -> tuple[Poses, F32]:
    """Find template and pose of each patch; of several candidates the best after refinement.

    Parameters
    ----------
    patches, templates, field, reach, candidates
        As for :func:`search`.
    rounds
        As for :func:`refined`.

    Returns
    -------
    :
        Poses and upright patches.
    """
    tried, gains = search(patches, templates, field, reach=reach, candidates=candidates)
    best, kept = refined(patches, tried[0], templates, field, rounds=rounds)
    left = _left(kept, templates, best)
    for one, gain in zip(tried[1:], gains[1:], strict=True):
        near = np.flatnonzero(gain > _CLOSE * gains[0])
        if not len(near):
            continue
        other, up = refined(patches[near], one.take(near), templates, field, rounds=rounds)
        rest = _left(up, templates, other)
        better = rest < left[near]
        where = near[better]
        kept[where], left[where] = up[better], rest[better]
        best.turn[where], best.shift[where] = other.turn[better], other.shift[better]
        best.template[where] = other.template[better]
    return best, kept


def _left(up: F32, templates: F32, poses: Poses) -> F64:
    """By how much the sum of squares of each patch falls short of what a template explains."""
    found = np.empty(len(up))
    for first in range(0, len(up), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        drawn = templates[poses.template[some]]
        found[some] = (drawn * (drawn - 2 * up[some])).sum(axis=(1, 2), dtype=np.float64)
    return found


def _bank(templates: F32, turns: F64, shifts: F64, field: Field) -> F32:
    """Return templates in all poses of the grid, binned, (k · turns · shifts, pixels)."""
    n = len(turns) * len(shifts)
    turn, shift = np.repeat(turns, len(shifts)), np.tile(shifts, (len(turns), 1))
    c, s = np.cos(turn), np.sin(turn)  # the pose that undoes this one
    row, column = -(c * shift[:, 0] - s * shift[:, 1]), -(s * shift[:, 0] + c * shift[:, 1])
    back = np.stack([row, column], -1)
    found = []
    for template in templates:
        for first in range(0, n, _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            drawn = _read_at(template[None], -turn[some], back[some])
            found.append(_binned(drawn, field.bins))
    return np.concatenate(found)


def _binned(images: F32, step: int) -> F32:
    """Average step × step pixels and flatten; what is left over at the end is cut."""
    size = images.shape[-1] // step
    if step > 1:
        cut = images[:, : size * step, : size * step]
        images = cut.reshape(-1, size, step, size, step).mean(axis=(2, 4))
    return np.ascontiguousarray(images.reshape(len(images), -1), dtype=np.float32)


def refined(
    patches: F32, poses: Poses, templates: F32, field: Field, *, rounds: int
) -> tuple[Poses, F32]:
    """Improve poses by least squares against the template of each patch.

    Parameters
    ----------
    patches
        Array (n, s, s).
    poses
        Where to start.
    templates
        What upright patches are to look like, (k, s, s).
    field
        Which poses there can be.
    rounds
        Number of steps of the Gauss-Newton method.

    Returns
    -------
    :
        Poses and upright patches.
    """
    solvers = solvers_of(templates, field)
    turn, shift = poses.turn.copy(), poses.shift.copy()
    out = np.empty_like(patches)
    for first in range(0, len(patches), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        here = poses.take(some)
        for _ in range(rounds):
            rest = upright(patches[some], here, field) - templates[here.template]
            change = np.empty((len(rest), 3))
            for k in np.unique(here.template):
                of_k = here.template == k
                change[of_k] = rest[of_k].reshape(-1, field.side**2) @ solvers[k].T
            here = moved(here, change, field)
        turn[some], shift[some] = here.turn, here.shift
        out[some] = upright(patches[some], here, field)
    return Poses(turn, shift, poses.template.copy()), out


def solvers_of(targets: F32, field: Field) -> F64:
    """Return what makes angle and shift of a difference from each target, (n, 3, pixels)."""
    weight = field.weight
    down, across = np.gradient(targets / np.maximum(weight, 0.05), axis=(1, 2)) * weight
    row, column = np.indices((field.side, field.side)) - (field.side - 1) / 2
    parts = [
        (down * column - across * row) * field.turned,
        down * (field.most_shift > 0),
        across * (field.most_shift > 0),
    ]
    slopes = np.stack(parts, axis=1).reshape(len(targets), 3, -1).astype(np.float64)
    square = slopes @ slopes.transpose(0, 2, 1)
    lift = 1e-3 * np.trace(square, axis1=1, axis2=2)[:, None, None] / 3 + 1e-12
    found: F64 = np.linalg.solve(square + lift * np.eye(3), slopes)
    return found


def moved(poses: Poses, change: F64, field: Field) -> Poses:
    """Take a step: change of angle [rad], row and column [px] of upright patches, (n, 3)."""
    turn = poses.turn - np.clip(change[:, 0], -_MOST_TURN, _MOST_TURN)
    step = np.clip(change[:, 1:], -_MOST_SHIFT, _MOST_SHIFT)
    c, s = np.cos(poses.turn), np.sin(poses.turn)
    shift = poses.shift - np.stack(
        [c * step[:, 0] + s * step[:, 1], -s * step[:, 0] + c * step[:, 1]], -1
    )
    reach = field.most_shift + min(field.most_shift, 1.0)
    return Poses(turn, np.clip(shift, -reach, reach), poses.template)
