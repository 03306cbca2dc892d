"""Color clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from annotated_types import Ge

from clustem.core import ParameterError, Segmentation, edit


@edit
def recolor(
    segmentation: Segmentation, *, color_index: list[Annotated[int, Ge(0)]]
) -> Segmentation:
    """Give each cluster a place in the palette.

    Parameters
    ----------
    segmentation
        A result.
    color_index
        Place of each cluster's color, (k,), all different.

    Returns
    -------
    :
        The result in these colors.

    Raises
    ------
    ParameterError
        If there is not one color for each cluster.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> recolor(found, color_index=[3, 2, 1, 0]).color_index
    (3, 2, 1, 0)
    """
    if len(color_index) != segmentation.n_clusters or len(set(color_index)) != len(color_index):
        raise ParameterError(
            f"color_index must be {segmentation.n_clusters} different places in the palette, "
            "one per cluster",
            got=color_index,
            cure="Give each cluster its own.",
        )
    return replace(segmentation, color_index=tuple(color_index))
