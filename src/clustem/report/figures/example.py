"""A tiny segmentation and a tiny movie for the docstrings' examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustem.core import FilterBank, PCAInfo, Segmentation
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


def example_tracks() -> Tracks:
    """Two frames of 4 × 6 pixels: a lattice that turns by 10° beside background."""
    import hyperspy.api as hs

    found, tracks = example(), Tracks()
    angles = np.arange(0, 180, 10.0)
    for turn in (60, 70):
        away = (angles - turn + 90) % 180 - 90
        response = np.exp(-0.5 * (away / 12) ** 2)
        centers = hs.signals.Signal2D(np.stack([response, 0.01 * np.ones(18)])[:, None])
        filters = FilterBank(wavelengths=np.array([5.0]), orientations=angles)
        tracks.add(replace(found, centers=centers, about=filters))
    return tracks
