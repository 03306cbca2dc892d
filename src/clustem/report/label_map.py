"""A map of clusters as a signal of HyperSpy that knows names and colors."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy._signals.lazy import LazySignal
from hyperspy.signals import Signal2D
from numpy.typing import NDArray

from clustem.core import Segmentation, axes_of, title_of
from clustem.report.figures.pyplot import plot_map

SIGNAL_TYPE = "clustem_labels"
"""Signal type of maps of clusters; the package's ``hyperspy_extension.yaml`` names it, too."""


class LabelMap(Signal2D):
    """Map of clusters: their numbers, -1 where there is none.

    HyperSpy makes one of a file that it saved of another. ``metadata.Clustem`` holds ``names``,
    ``color_index`` (places in the palette) and ``excluded`` (1 where a position took no part).
    """

    _signal_type = SIGNAL_TYPE

    def plot(self, ax: Any = None, **given: Any) -> Any:
        """Draw the clusters in their colors, with names, shares and a scale bar.

        Parameters
        ----------
        ax
            Axes of matplotlib to draw into; None makes a figure of pyplot.
        **given
            Of HyperSpy's ``Signal2D.plot``, which then draws the numbers.

        Returns
        -------
        :
            The figure; None if HyperSpy draws.
        """
        if given or self.axes_manager.navigation_dimension:
            return super().plot(**given)
        return plot_map(self._as_segmentation(), ax)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of positions of each cluster, (k,)."""
        labels = np.asarray(self.data)
        k = max(len(self._known("names")), int(labels.max(initial=-1)) + 1)
        return np.bincount(labels[labels >= 0], minlength=k)

    def _as_segmentation(self) -> Segmentation:
        """Return as much of a result as its map needs."""
        counts = self.counts
        k = len(counts)
        nothing = Signal2D(np.ones((k, 1, 1)))
        here = self
        if self._lazy:
            here = self.deepcopy()
            here.compute(show_progressbar=False)
        labels, excluded = here.data, np.asarray(self._known("excluded"))
        mask = excluded.astype(bool) if excluded.shape == labels.shape else labels < -1
        color_index = [int(place) for place in self._known("color_index")]
        return Segmentation(
            labels=here,
            memberships=None,
            centers=nothing,
            standard_error=nothing,
            counts=counts,
            mask=mask,
            points=np.empty((labels.size, 0), dtype=np.float32),
            names={i: str(name) for i, name in enumerate(self._known("names")) if name},
            color_index=tuple(color_index) if len(color_index) == k else (),
        )

    def _known(self, name: str) -> Any:
        return self.metadata.get_item(f"Clustem.{name}", [])


class LazyLabelMap(LazySignal, LabelMap):
    """Map of clusters that is left on disk."""

    plot = LabelMap.plot


def label_map(result: Segmentation) -> LabelMap:
    """Make the map of a result a signal that HyperSpy draws in its colors.

    Parameters
    ----------
    result
        Clusters on a scan of two axes.

    Returns
    -------
    :
        The map, with names and colors in its metadata.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> label_map(example().relabel({0: "rutile"})).counts
    array([12, 11])
    """
    metadata = {
        "General": {"title": title_of(result.labels)},
        "Signal": {"signal_type": SIGNAL_TYPE, "quantity": "Number of the cluster"},
        "Clustem": {
            "names": [result.names.get(i, "") for i in range(result.n_clusters)],
            "color_index": list(result.color_index),
            "excluded": result.mask.astype(np.uint8),
        },
    }
    return LabelMap(np.asarray(result.labels.data), axes=axes_of(result.labels), metadata=metadata)
