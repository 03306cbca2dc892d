"""The simulated scan is what its fields say."""

import hashlib

import numpy as np
import pytest

from clustem.core import InputError, ParameterError
from clustem.io.blockfile import write_blo
from clustem.samples import diffraction
from clustem.samples._diffraction_pattern import Detector, reflections

SAMPLE = diffraction(shape=(30, 36), detector=(56, 64), dtype="uint16", counts=20000.0)


def test_the_same_seed_gives_the_same_scan():
    again = diffraction(shape=(30, 36), detector=(56, 64), dtype="uint16", counts=20000.0)
    digests = {hashlib.sha256(s.signal.data.tobytes()).digest() for s in (SAMPLE, again)}
    assert len(digests) == 1
    other = diffraction(
        shape=(30, 36), detector=(56, 64), dtype="uint16", counts=20000.0, random_state=1
    )
    assert (other.labels != SAMPLE.labels).any()


def test_labels_shares_and_names_agree():
    assert SAMPLE.labels.shape == (30, 36)
    assert sorted(np.unique(SAMPLE.labels)) == list(range(SAMPLE.n_clusters))
    assert SAMPLE.names[-1] == f"defect in grain {SAMPLE.host}"
    np.testing.assert_allclose(SAMPLE.abundance.sum(axis=-1), 1, rtol=1e-6)
    assert (SAMPLE.abundance.argmax(axis=-1) == SAMPLE.labels).mean() > 0.97


def test_the_defect_lies_in_its_host():
    host, defect = SAMPLE.host, SAMPLE.n_clusters - 1
    around = [
        SAMPLE.labels[r + a, c + b]
        for r, c in np.argwhere(SAMPLE.labels == defect)
        for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))
        if 0 <= r + a < 30 and 0 <= c + b < 36
    ]
    others = [label for label in around if label != defect]
    assert np.mean(np.array(others) == host) > 0.7


def test_the_beam_is_where_the_sample_says():
    center, radius = SAMPLE.center, SAMPLE.radius
    vacuum = SAMPLE.signal.data[SAMPLE.labels == 0].mean(axis=0)
    row, column = np.indices(vacuum.shape)
    inside = np.hypot(row - center[0], column - center[1]) <= radius + 2
    weight = vacuum * inside
    found = [(grid * weight).sum() / weight.sum() for grid in (row, column)]
    np.testing.assert_allclose(found, center, atol=0.02)
    axes = SAMPLE.signal.axes_manager.signal_axes
    assert axes[0].value2index(0.0) == round(center[1])
    assert axes[1].value2index(0.0) == round(center[0])


def test_the_beam_fades_with_thickness_and_electrons_are_kept():
    center, thickness = SAMPLE.center, SAMPLE.thickness
    row, column = np.indices((56, 64))
    inside = np.hypot(row - center[0], column - center[1]) <= 1
    beam = SAMPLE.signal.data[..., inside].mean(axis=-1)
    pure = SAMPLE.abundance.max(axis=-1) > 0.99
    crystal = pure & (SAMPLE.labels > 0)
    assert np.corrcoef(np.exp(-thickness[crystal]), beam[crystal])[0, 1] > 0.99
    total = SAMPLE.signal.data.sum(axis=(2, 3))
    assert total[SAMPLE.labels == 0].mean() == pytest.approx(20000, rel=0.03)
    assert (total <= 20500).all()


def test_counts_are_poisson():
    plain = diffraction(shape=(8, 200), detector=(32, 32), dtype="uint16", counts=4000.0)
    vacuum = plain.signal.data[plain.abundance[..., 0] > 0.999].astype(float)
    mean, variance = vacuum.mean(axis=0), vacuum.var(axis=0, ddof=1)
    bright = mean > 1
    ratio = variance[bright] / mean[bright]
    assert ratio.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / len(vacuum) / bright.sum()))


def test_a_narrow_detector_saturates():
    assert diffraction(shape=(8, 9), detector=(32, 32), counts=1e5).signal.data.max() == 255


def test_descan_moves_the_patterns():
    moving = diffraction(shape=(10, 12), detector=(48, 48), descan=6.0, counts=1e5, dtype="uint16")
    shift, center = moving.shift, moving.center
    assert np.ptp(shift[..., 0]) > 3
    row, column = np.indices((48, 48))
    for index in ((0, 0), (2, 11), (9, 1)):
        at = np.array(center) + shift[index]
        inside = np.hypot(row - at[0], column - at[1]) <= 3.5
        weight = moving.signal.data[index] * inside
        found = [(grid * weight).sum() / weight.sum() for grid in (row, column)]
        np.testing.assert_allclose(found, at, atol=0.15)


def test_spots_lie_on_a_lattice_and_the_defect_adds_to_them():
    plane = Detector.sized((96, 96), reach=1.0, disc=0.05)
    perfect = reflections(plane, zone=0, turn=0.3)
    lengths = np.sort(np.hypot(*perfect.vectors.T))
    np.testing.assert_allclose(lengths[:4], 1 / 3.9, rtol=1e-9)
    np.testing.assert_allclose(lengths[4:8], np.sqrt(2) / 3.9, rtol=1e-9)
    disturbed = reflections(plane, zone=0, turn=0.3, defect=True)
    half_way = np.abs(np.hypot(*disturbed.vectors.T) - np.sqrt(0.5) / 3.9) < 1e-9
    assert np.count_nonzero(half_way) == 4
    assert len(disturbed.vectors) > 2 * len(perfect.vectors)


def test_a_tilt_breaks_friedels_symmetry():
    plane = Detector.sized((96, 96), reach=1.0, disc=0.05)
    spots = reflections(plane, zone=0, turn=0.0)
    level, tilted = spots.intensities(np.array([[0.0, 0.0], [0.0, 4e-3]]), 0.02508)
    on_row = (abs(spots.vectors[:, 0]) < 1e-9) & (abs(spots.vectors[:, 1]) < 0.8)
    right = on_row & (spots.vectors[:, 1] > 0.3)
    left = on_row & (spots.vectors[:, 1] < -0.3)
    assert level[right].sum() == pytest.approx(level[left].sum())
    assert tilted[right].sum() > 1.2 * tilted[left].sum()


def test_what_cannot_be_simulated_or_written_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="counts must be"):
        diffraction(counts=0)
    with pytest.raises(InputError, match="square uint8 patterns; got uint16 patterns of 56 × 64"):
        write_blo(SAMPLE.signal, tmp_path / "scan.blo")
