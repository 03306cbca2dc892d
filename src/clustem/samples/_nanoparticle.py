"""Atoms of small gold particles: positions and the grain that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import cos, pi, radians, sin, sqrt, tan

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
LATTICE = 0.4078
"""Lattice constant of gold [nm]."""

SHARED = -1
"""Grain of atoms on a twin plane, which belong to both sides."""


@dataclass(frozen=True)
class Atoms:
    """Positions (n, 3) as row, column, depth [nm] about the center, and grains (n,)."""

    positions: F64
    grains: NDArray[np.int64]
    n_grains: int

    def turned(self, angle: float, tilt: tuple[float, float]) -> Atoms:
        """Tilt about the column and the row axis, then turn in the image plane [°]."""
        a, b, c = radians(angle), radians(tilt[0]), radians(tilt[1])
        about_column = [[cos(b), 0, sin(b)], [0, 1, 0], [-sin(b), 0, cos(b)]]
        about_row = [[1, 0, 0], [0, cos(c), sin(c)], [0, -sin(c), cos(c)]]
        about_depth = [[cos(a), -sin(a), 0], [sin(a), cos(a), 0], [0, 0, 1]]
        turn = np.array(about_depth) @ np.array(about_row) @ np.array(about_column)
        return Atoms(self.positions @ turn.T, self.grains, self.n_grains)

    def moved(self, row: float, column: float, *, first: int = 0) -> Atoms:
        """Move in the image plane [nm] and count grains from ``first``."""
        grains = np.where(self.grains == SHARED, SHARED, self.grains + first)
        return Atoms(self.positions + np.array([row, column, 0.0]), grains, self.n_grains)


def joined(parts: list[Atoms]) -> Atoms:
    """Put particles into one picture; their grains are numbered one after the other."""
    first = np.cumsum([0, *(part.n_grains for part in parts)])
    placed = [part.moved(0, 0, first=int(n)) for part, n in zip(parts, first, strict=False)]
    return Atoms(
        np.concatenate([part.positions for part in placed]),
        np.concatenate([part.grains for part in placed]),
        int(first[-1]),
    )


def decahedron(diameter: float) -> Atoms:
    """Five tetrahedra around a common edge along the depth axis, each strained to 72°.

    The outer edges are cut off to (100) faces, as they are in particles of gold.

    Parameters
    ----------
    diameter
        Of the circle through the corners of the pentagon [nm].
    """
    edge = LATTICE / sqrt(2)
    height = diameter / 2 * cos(pi / 5)
    layers = int(height / (LATTICE / 2))
    face = layers // 6
    positions, grains = [], []
    for i in range(layers + 1):  # rows of atoms at right angles to the outer face
        half = np.arange(i + 1) - i / 2
        depths = np.arange(layers + face - i + 1) - (layers + face - i) / 2
        u, v = np.meshgrid(half * edge, depths * edge, indexing="ij")
        outward = np.full(u.size, i * LATTICE / 2)
        positions.append(np.stack([outward, u.ravel(), v.ravel()], axis=1))
        border = np.zeros(u.shape, dtype=bool)
        border[[0, -1]] = True
        grains.append(border.ravel())
    one = np.concatenate(positions)
    one[:, 1] *= tan(pi / 5) * sqrt(2)  # 70.53° between twin planes of a perfect crystal
    border = np.concatenate(grains)
    found, owner = [], []
    for grain in range(5):
        turn = 2 * pi * grain / 5
        c, s = cos(turn), sin(turn)
        keep = ~border | (one[:, 1] > 0) | ((one[:, 0] == 0) & (grain == 0))  # twin planes once
        part = one[keep]
        row, column = part[:, 0] * c - part[:, 1] * s, part[:, 0] * s + part[:, 1] * c
        found.append(np.stack([row, column, part[:, 2]], axis=1))
        owner.append(np.where(border[keep], SHARED, grain))
    return Atoms(np.concatenate(found), np.concatenate(owner), 5)


def crystal(diameter: float) -> Atoms:
    """One truncated octahedron seen along [110]."""
    n = int(diameter / LATTICE) + 2
    cell = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    corners = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1)
    points = (corners.reshape(-1, 1, 3) + cell).reshape(-1, 3) * LATTICE
    size = np.abs(points)
    inside = (size.max(axis=1) <= 0.45 * diameter) & (size.sum(axis=1) <= 0.72 * diameter)
    axes = np.array([[0, 0, 1], [1, -1, 0], [1, 1, 0]], dtype=float)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    positions = points[inside] @ axes.T
    return Atoms(positions, np.zeros(len(positions), dtype=np.int64), 1)


def icosahedron(diameter: float) -> Atoms:
    """Twenty tetrahedra around a common corner, seen along a two-fold axis.

    Opposite tetrahedra are one lattice, so there are ten grains.
    """
    gold = (1 + sqrt(5)) / 2
    shell = []
    for a in (-1, 1):
        for b in (-gold, gold):
            shell += [(0, a, b), (a, b, 0), (b, 0, a)]
    corners = np.array(shell, dtype=float)
    near = [
        trio
        for trio in combinations(range(12), 3)
        if all(np.linalg.norm(corners[i] - corners[j]) < 2.1 for i, j in combinations(trio, 2))
    ]
    layers = max(1, int(diameter / 2 / (LATTICE / sqrt(2) * 0.951)))
    step = diameter / 2 / layers / np.linalg.norm(corners[0])
    weights = [
        (i - j, j - k, k)
        for i in range(layers + 1)
        for j in range(i + 1)
        for k in range(j + 1)
    ]  # fmt: skip
    w = np.array(weights, dtype=float)
    inner = (w > 0).all(axis=1)
    middles = np.array([corners[list(trio)].sum(axis=0) for trio in near])
    number: dict[int, int] = {}
    for i, middle in enumerate(middles):
        other = int(np.argmin(np.linalg.norm(middles + middle, axis=1)))
        number[i] = number[other] if other in number else len(set(number.values()))
    positions = np.concatenate([w @ corners[list(trio)] for trio in near]) * step
    grains = np.concatenate([np.where(inner, number[i], SHARED) for i in range(len(near))])
    _, once = np.unique(np.round(positions, 4), axis=0, return_index=True)
    return Atoms(positions[once], grains[once], 10)
