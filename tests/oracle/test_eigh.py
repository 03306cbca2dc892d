"""Eigenvalues where LAPACK's divide and conquer gives up."""

import numpy as np
import pytest

from clustem.cluster import GustafsonKessel
from clustem.core.eigh import eigh


@pytest.fixture
def giving_up(monkeypatch):
    def refuse(_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(np.linalg, "eigh", refuse)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_qr_iterations_take_over(giving_up, shape):
    matrices = np.random.default_rng(0).normal(size=(*shape, 5, 5))
    matrices = matrices + np.swapaxes(matrices, -1, -2)
    values, vectors = eigh(matrices)
    assert (np.diff(values) >= 0).all()
    turned = vectors * values[..., None, :] @ np.swapaxes(vectors, -1, -2)
    np.testing.assert_allclose(turned, matrices, atol=1e-12)


def test_ellipsoids_are_found_all_the_same(monkeypatch, giving_up):
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(at, 1, (80, 3)) for at in (-8, 0, 8)])
    found = GustafsonKessel(3, random_state=0).fit(rows)
    monkeypatch.undo()
    usual = GustafsonKessel(3, random_state=0).fit(rows)
    np.testing.assert_array_equal(found.labels_, usual.labels_)
