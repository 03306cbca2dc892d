"""How many clusters, and which of them a lower dose would keep, on real scans and on a wedge."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe
from clustem.cluster import GustafsonKessel, KMeans
from clustem.describe import spectra
from clustem.io.reading import read
from clustem.judge import choose_k, stability, verdict
from clustem.judge._agreement import agreement
from clustem.prepare import normalize
from clustem.reduce import pca, smooth


def described(signal):
    """Describe and reduce spectra as the EDS recipe does."""
    return smooth(pca(spectra(signal), n_components="auto", weights="poisson"), sigma=0.6)


def wedge(thickness, seed=0):
    """One phase, 400 counts at thickness 1."""
    profile = 1 + 8 * np.exp(-0.5 * ((np.arange(30) - 9) / 2) ** 2)
    profile *= 400 / profile.sum()
    counts = np.random.default_rng(seed).poisson(thickness[..., np.newaxis] * profile)
    return hs.signals.Signal1D(counts.astype(np.uint16))


ROW, COLUMN = (axis / 36 for axis in np.indices((31, 37)))


@pytest.mark.parametrize(
    ("thickness", "normalize"),
    [(0.3 + 1.4 * COLUMN, "l1"), (0.3 + 1.4 * COLUMN, None), (np.exp(-2.5 * COLUMN) + ROW, "l1")],
)
def test_a_wedge_of_one_phase_has_no_structure_beyond_intensity(thickness, normalize):
    data = spectra(wedge(thickness))
    found = choose_k(
        data, lambda k: KMeans(k, normalize=normalize), range(1, 6), scored="chosen", repeats=1
    )
    assert found.k == 1
    assert found.reason.startswith("no structure beyond intensity, which varies by")


def test_a_wedge_that_was_normalised_before_has_no_structure_beyond_intensity():
    scan = normalize(wedge(0.3 + 1.4 * COLUMN))
    found = choose_k(spectra(scan), KMeans, range(1, 6), scored="chosen", repeats=1)
    assert found.reason.startswith("no structure beyond intensity, which was normalised")


def test_auto_finds_a_second_phase_under_the_same_wedge():
    signal = wedge(0.3 + 1.4 * COLUMN)
    second = np.zeros((31, 37), dtype=bool)
    second[9:22, 15:] = True
    signal.data[second] = np.roll(signal.data[second], 9, axis=-1)
    recipe = Recipe.from_toml(
        '[describe.spectra]\n[cluster.KMeans]\nn_clusters = "auto"\nnormalize = "l1"\n'
        "[mapping.clusters]\n"
    )
    found = clustem.segment(signal, recipe)
    assert found.n_clusters == 2
    assert clustem.compare(found, second.astype(int)).ari == 1
    assert (
        "2 clusters are warranted (high confidence): 2 groups have a gap"
        in verdict(found).warranted
    )


@pytest.mark.data
def test_particles_in_shells_are_no_single_phase(data_dir):
    """Phases that mix without a gap: cores in shells on a support."""
    data = described(read(data_dir / "real" / "core_shell.hspy", kind="EDS").signal)
    found = choose_k(data, KMeans, range(1, 5), scored="chosen", repeats=1, sample=1024)
    assert found.k == 3
    assert found.confidence == "low"
    assert "phases that mix" in found.reason


@pytest.mark.data
def test_thinning_foretells_which_clusters_survive_at_a_fifth_of_the_dose(data_dir):
    """The same field at 617 and at 122 counts per pixel, six clusters: three of them hold."""
    names = ("P45_8bit_compressed_80keV_range.bcf", "P45_12bit_packed_8bit.bcf")
    high, low = (read(data_dir / "real" / name, kind="EDS").signal for name in names)
    share = float(low.data.sum() / high.data.sum())
    assert 0.19 < share < 0.21
    estimator = GustafsonKessel(n_clusters=6, m=1.25, shrinkage=0.5, n_init=3)
    data = described(high)
    foretold = stability(data, estimator, described, by="thinning", share=share, repeats=1)
    seen = agreement(foretold.labels, estimator.fit(described(low).rows).labels_).jaccard
    assert np.corrcoef(foretold.clusters, seen)[0, 1] > 0.95
    assert np.abs(foretold.clusters - seen).max() < 0.15
    lasts = foretold.clusters > 0.6
    assert lasts.sum() == 3
    assert seen[lasts].min() > 0.7
    assert seen[~lasts].max() < 0.6
