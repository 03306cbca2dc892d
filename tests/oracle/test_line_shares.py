"""Shares of X-ray lines against spectra of known content."""

import numpy as np
import pytest

import clustem
from clustem import samples
from clustem.core import InputError
from clustem.physics.line_shares import line_shares
from clustem.physics.xray_lines import fwhm, lines_of

ENERGY = 0.01 * np.arange(-20, 1000)


def spectrum(content, resolution=130.0):
    """Counts in the lines of each shell, on a background that falls."""
    out = np.where(ENERGY > 0.1, 40 * np.exp(-ENERGY / 3), 0.0)  # below, detectors see nothing
    for family, counts in content.items():
        lines = [one for one in lines_of([family.split("_")[0]]) if one.family == family]
        total = sum(line.weight for line in lines)
        for line in lines:
            sigma = float(fwhm(line.energy, resolution)) / 2.35482
            bell = np.exp(-0.5 * ((ENERGY - line.energy) / sigma) ** 2)
            out += counts * line.weight / total * bell * 0.01 / (sigma * np.sqrt(2 * np.pi))
    return out


@pytest.mark.parametrize("resolution", [130.0, 145.0])
def test_counts_in_lines_are_told_apart(resolution):
    content = {"O_K": 3000, "Al_K": 900, "Si_K": 5000, "Ti_K": 700, "V_K": 400, "Fe_K": 1500}
    mean = spectrum(content, resolution)  # V Ka lies on Ti Kb, O Ka on lines of Ti, V and Fe
    found = line_shares(mean, ENERGY, ["O", "Al", "Si", "Ti", "V", "Fe"], resolution=resolution)
    told = np.array([*content.values()]) / sum(content.values())
    np.testing.assert_allclose(found, told, atol=0.003)
    drawn = np.random.default_rng(0).poisson(np.tile(mean, (4, 1)))
    found = line_shares(drawn, ENERGY, ["O", "Al", "Si", "Ti", "V", "Fe"], resolution=resolution)
    np.testing.assert_allclose(found, np.tile(told, (4, 1)), atol=0.02)


def test_lines_that_are_not_there_are_none():
    found = line_shares(spectrum({"Si_K": 2000, "O_K": 500}), ENERGY, ["O", "Si", "Cu", "Au"])
    np.testing.assert_allclose(found, [0.2, 0.8, 0, 0], atol=0.01)
    assert np.isnan(line_shares(np.zeros(len(ENERGY)), ENERGY, ["Si"])).all()
    with pytest.raises(InputError, match="one energy for each channel"):
        line_shares(np.ones(10), ENERGY, ["Si"])


def test_a_study_lists_them():
    scans = [samples.eds(shape=(20, 24), random_state=i).signal for i in range(2)]
    elements = scans[0].metadata.Sample.elements
    study = clustem.segment(scans, "eds", n_clusters=3)
    table = study.table()
    lines = table[[f"lines {element}" for element in elements]].to_numpy()
    np.testing.assert_allclose(lines[table["positions"] > 0].sum(axis=1), 1)
    apart = np.abs(lines[:3] - lines[3:])  # the same clusters in both maps
    assert apart.max() < 0.05
    assert np.abs(lines[0] - lines[1]).max() > 0.1
