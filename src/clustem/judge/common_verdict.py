"""What several verdicts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustem.judge.verdict import Verdict


def common_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Say what all maps of a study, or all signals of one map, say.

    Parameters
    ----------
    verdicts
        One for each map or signal.

    Returns
    -------
    :
        The doubts that all of them have, as clusters that one signal cannot tell apart, others can;
        structure if any of them has.

    Examples
    --------
    >>> from clustem.judge.verdict import verdict
    >>> from clustem.report.figures.example import example
    >>> common_verdict([verdict(example())] * 2).structure
    True
    """
    common = set.intersection(*(set(found.doubts) for found in verdicts))
    return replace(
        verdicts[0],
        structure=any(found.structure for found in verdicts),
        doubts=tuple(doubt for doubt in verdicts[0].doubts if doubt in common),
        warranted=next((found.warranted for found in verdicts if found.warranted), ""),
    )
