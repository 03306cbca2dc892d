"""The reliability curve against one that is counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from clustem.core import InputError, like
from clustem.judge import calibration
from clustem.report.figures.example import example
from clustem.report.figures.reliability import reliability
from clustem.report.page.plan import plan_truth

TRUTH = np.array([[5, 5, 5, 7, 7, 7]] * 3 + [[7, 7, 7, -1, -1, -1]])


def result():
    found = example()
    labels = np.array([[0, 0, 0, 1, 1, 1]] * 4, dtype=np.int16)
    labels[0, 0] = -1
    first = np.where(np.arange(6) < 3, 0.92, 0.36) * np.ones((4, 6))
    stack = np.stack([first, 0.96 - first]).astype(np.float32)  # they need not add up to 1
    return replace(
        found,
        labels=like(found.labels, labels),
        memberships=like(found.memberships, stack),
        mask=np.zeros((4, 6), dtype=bool),
    )


def test_the_curve_is_the_one_counted_by_hand():
    found = calibration(result(), TRUTH)
    # 0.6 on the right: all 9 of 7; 0.92 on the left: 8 of 5 and, in the last row, 3 of 7
    np.testing.assert_allclose(found.sure, [0.6, 0.92], rtol=1e-6)
    np.testing.assert_allclose(found.right, [1, 8 / 11])
    assert found.counts.tolist() == [9, 11]
    assert found.error == pytest.approx((9 * 0.4 + 11 * (0.92 - 8 / 11)) / 20, rel=1e-5)


def test_the_report_shows_it_where_the_truth_is_known():
    assert "reliability" in [figure.name for figure in plan_truth(result(), TRUTH, ())]
    hard = replace(result(), memberships=None)
    assert "reliability" not in [figure.name for figure in plan_truth(hard, TRUTH, ())]
    (dots,) = reliability(result(), TRUTH).axes[0].collections
    np.testing.assert_allclose(dots.get_offsets(), [[0.6, 1], [0.92, 8 / 11]], rtol=1e-6)
    with pytest.raises(InputError, match="Only memberships can be calibrated; got hard clusters"):
        calibration(hard, TRUTH)
