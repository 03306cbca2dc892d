"""What a message advises is not there already."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

from clustem import samples, segment
from clustem.cluster import GaussianMixture
from clustem.core import InputError, Step
from clustem.prepare import remove_background
from clustem.recipes import Recipe
from clustem.report.figures.thickness_map import thickness_map
from clustem.report.page._findings import warnings_of


def test_an_empty_cluster_is_not_told_to_lower_a_threshold_of_zero(eds):
    counts = np.array([len(eds.points), 0, 0])
    none = replace(eds, labels=eds.labels._deepcopy_with_new_data(np.zeros_like(eds.labels.data)))
    for threshold, advised in ((0.5, True), (0.0, False)):
        history = [Step("mapping", "clusters", {"threshold": threshold})]
        (said, *_) = [
            text for text in warnings_of(replace(none, history=history, counts=counts))
            if "is empty" in text
        ]  # fmt: skip
        assert ("lower threshold" in said) == advised


def test_fewer_components_are_advised_and_not_a_pca_that_ran_already():
    rows = np.random.default_rng(0).normal(size=(30, 40))
    with pytest.warns(UserWarning, match=r"\(n_components of reduce\.pca\)\.$"):
        GaussianMixture(2, covariance_type="tied").fit(rows)


def test_a_larger_share_of_vacuum_is_advised_than_the_recipe_has():
    spectra = np.exp(-np.linspace(0, 1, 200)) * np.ones((2, 3, 1), dtype=np.float32)
    spectra[0, 0] = np.nan
    signal = hs.signals.Signal1D(spectra)
    signal.set_signal_type("EELS")
    signal.axes_manager[-1].offset, signal.axes_manager[-1].units = 300.0, "eV"
    given = Recipe.named("eels-shape").steps["prepare", "vacuum"]
    with pytest.raises(InputError) as refused:
        remove_background(signal, window=(310.0, 350.0))
    assert str(given["share"]) not in str(refused.value)


def test_a_model_that_ran_in_vain_is_not_advised():
    wedge = samples.eels(shape=(4, 8)).signal
    found = segment(wedge, "eels", n_clusters=2, settings={"eels.zero_loss": False})
    with pytest.raises(InputError, match=r"Run eels\.zero_loss"):
        thickness_map(found)
    ran = replace(found, history=[*found.history, Step("eels", "zero_loss", note="no model: few.")])
    with pytest.raises(InputError, match=r"It ran, with no model: few\.") as refused:
        thickness_map(ran)
    assert "Run eels" not in str(refused.value)
