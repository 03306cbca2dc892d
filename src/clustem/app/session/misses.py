"""What speaks against a result: what it misses, and whether it is as sure as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.session.outcome import Outcome
from clustem.core import Progress

if TYPE_CHECKING:
    from clustem.app.session.state import Explorer
    from clustem.judge.calibration import Calibration
    from clustem.judge.residuals import Residuals


def look(explorer: Explorer) -> None:
    """Look for counts that the clusters of the present result leave unexplained."""
    outcome = explorer.outcome
    if outcome is None:
        return

    def work(report: Progress) -> Residuals:
        from clustem.judge.residuals import residuals

        report("residuals", 0.0)
        return residuals(outcome.result)

    def show(found: Residuals) -> None:
        if explorer.outcome is outcome:
            explorer.missed = found
            explorer.say("warning" if found.candidates else "done", _sentence(found))

    explorer.start("Looking for what the map misses", work, show)


def _sentence(found: Residuals) -> str:
    return f"{found.summary[:1].upper()}{found.summary[1:]}."


def truth_of(explorer: Explorer, outcome: Outcome) -> NDArray[Any] | None:
    """Return the true labels of a sample, of the shape of a result; None where they are unknown."""
    if explorer.opened is None or explorer.opened.truth is None:
        return None
    truth = explorer.opened.truth(outcome.result)
    return truth if np.shape(truth) == outcome.result.mask.shape else None  # cropped or binned


def calibration_of(explorer: Explorer) -> Calibration | None:
    """Hold memberships of the present result against the truth of its sample, where both are."""
    outcome = explorer.outcome
    if outcome is None or outcome.result.memberships is None:
        return None
    truth = truth_of(explorer, outcome)
    if truth is None:
        return None
    from clustem.judge.calibration import calibration

    return calibration(outcome.result, truth)
