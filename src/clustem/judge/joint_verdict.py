"""Whether several signals of one scan support their map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustem.core import Segmentation
from clustem.judge.verdict import Verdict, verdict


def joint_verdict(results: Sequence[Segmentation]) -> Verdict:
    """Say of a map what all its signals say: clusters that one cannot tell apart, others can.

    Parameters
    ----------
    results
        Results with the same map, one for each signal.

    Returns
    -------
    :
        The doubts that all of them have; structure if any of them has.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> joint_verdict([example(), example()]).structure
    True
    """
    verdicts = [verdict(one) for one in results]
    common = set.intersection(*(set(found.doubts) for found in verdicts))
    return replace(
        verdicts[0],
        structure=any(found.structure for found in verdicts),
        doubts=tuple(doubt for doubt in verdicts[0].doubts if doubt in common),
        warranted=next((found.warranted for found in verdicts if found.warranted), ""),
    )
