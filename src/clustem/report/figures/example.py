"""A tiny segmentation and a tiny movie for the docstrings' examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustem.core import FilterBank, PCAInfo, Segmentation, VAEInfo
from clustem.mapping import Tracks


def example() -> Segmentation:
    """Two phases on a map of 4 × 6 pixels, one pixel unassigned, spectra of 32 channels."""
    import hyperspy.api as hs

    memberships = np.zeros((2, 4, 6), dtype=np.float32)
    memberships[0, :, :3], memberships[1, :, 3:] = 0.9, 0.8
    memberships[:, 2, 3] = 0.5
    labels = np.where(memberships[0] > 0.5, 0, 1).astype(np.int16)
    labels[2, 3] = -1
    channels = np.arange(32)
    spectra = np.stack([9 * np.exp(-((channels - peak) ** 2) / 8) + 1 for peak in (9, 20)])
    centers = hs.signals.Signal1D(spectra)
    centers.axes_manager[-1].name, centers.axes_manager[-1].units = "Energy", "keV"
    labels_signal, memberships_signal = map(hs.signals.Signal2D, (labels, memberships))
    for signal in (labels_signal, memberships_signal):
        for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
            axis.name, axis.units, axis.scale = name, "nm", 5.0
    return Segmentation(
        labels=labels_signal,
        memberships=memberships_signal,
        centers=centers,
        standard_error=centers.deepcopy() * 0.05,
        counts=np.array([12, 11]),
        mask=np.zeros(labels.shape, dtype=bool),
        points=np.moveaxis(memberships, 0, -1).reshape(-1, 2),
        feature_names=("PC 1", "PC 2"),
        scores={"converged": 1.0},
        about=PCAInfo(
            explained_variance_ratio=np.array([0.6, 0.2, 0.01]),
            noise_floor=0.0,
            n_components=2,
            factors=np.eye(2, 32, dtype=np.float32),
        ),
    )


def example_learned() -> Segmentation:
    """Two clusters on a map of 4 × 6 pixels, of images of 5 × 5 pixels in a latent plane."""
    whole = example()
    shape = whole.mask.shape
    rows, columns = np.indices((5, 5))
    lines = np.linspace(-1, 1, 3, dtype=np.float32)
    drawn = np.exp(-((rows - 2) ** 2) / 3 - (columns - 2 - lines[:, None, None, None]) ** 2 / 3)
    grid = np.broadcast_to(drawn[None, :, 0], (3, 3, 5, 5)).reshape(3, 3, 25).astype(np.float32)
    known = VAEInfo(
        width=np.full((*shape, 2), 0.2, dtype=np.float32),
        shape=np.array([5, 5]),
        full=np.array([5, 5]),
        mean=np.zeros(25, np.float32),
        scale=np.ones(25, np.float32),
        factors=np.eye(2, 25, dtype=np.float32),
        variances=np.ones(2, np.float32),
        weights=np.zeros(1, np.float32),
        n_components=2,
        angle=np.linspace(0, 350, 24, dtype=np.float32).reshape(shape),
        fold=np.full(shape, 3, dtype=np.int16),
        manifold=grid,
        manifold_at=np.stack([lines, lines[::-1]]),
        examples=np.stack([grid[0], grid[0] * np.float32(0.9)]),
    )
    return replace(whole, feature_names=("VAE 1", "VAE 2"), about=known)


def example_frames() -> tuple[Segmentation, Segmentation]:
    """Two frames of 4 × 6 pixels: a lattice that turns by 10° beside background."""
    import hyperspy.api as hs

    found, frames = example(), []
    angles = np.arange(0, 180, 10.0)
    for turn in (60, 70):
        away = (angles - turn + 90) % 180 - 90
        response = np.exp(-0.5 * (away / 12) ** 2)
        centers = hs.signals.Signal2D(np.stack([response, 0.01 * np.ones(18)])[:, None])
        filters = FilterBank(wavelengths=np.array([5.0]), orientations=angles)
        frames.append(
            replace(
                found,
                centers=centers,
                standard_error=centers.deepcopy() * 0.05,
                memberships=None,
                points=np.empty((24, 0), dtype=np.float32),
                feature_names=(),
                names={0: "lattice 1", 1: "background"},
                about=filters,
            )
        )
    return frames[0], frames[1]


def example_tracks() -> Tracks:
    """Follow the lattice through two frames."""
    return Tracks.of(example_frames())
