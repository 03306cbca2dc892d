"""Positions without any counts are in no cluster, and do not take one."""

import pytest

import clustem
from clustem import samples


@pytest.mark.filterwarnings("ignore::UserWarning")  # k is not what the data supports
@pytest.mark.parametrize("seed", [5, 6, 7])
@pytest.mark.parametrize("recipe", ["eds", "eds-fuzzy"])
def test_a_dead_spectrum_takes_no_cluster(recipe, seed):
    signal = samples.eds(shape=(9, 8), random_state=seed).signal
    dead = signal.data.copy()
    dead[5, 6] = 0
    dead = signal._deepcopy_with_new_data(dead)
    found = clustem.segment(dead, recipe, n_clusters=4)
    assert found.counts.min() > 1
    if recipe == "eds-fuzzy":
        assert found.labels.data[5, 6] == -1
