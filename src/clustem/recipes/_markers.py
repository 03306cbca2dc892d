"""Regions that clusters start from: read from files, kept in the recipe, laid on the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, InputError, Segmentation
from clustem.labelmaps.label_maps import as_labels, matched, on_shape, overlaps, packed
from clustem.recipes.recipe import Recipe

_WHAT = "Markers"


def with_markers_inside(recipe: Recipe) -> Recipe:
    """Put the regions that a recipe names by files into it, so that it can be repeated anywhere.

    Raises
    ------
    InputError
        If a file cannot be read, or masks overlap.
    """
    steps = {key: dict(params) for key, params in recipe.steps.items()}
    for (stage, _), params in steps.items():
        if stage == "cluster" and params.get("markers") is not None:
            params["markers"] = packed(_image(params["markers"]))
    return replace(recipe, steps=steps)


def on_rows(text: str, features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the regions on the scan, and of each row (n,), 0 = none.

    Raises
    ------
    InputError
        If the shape is not the scan's, nor one that is binned to it, or a region is left out.
    """
    image, _ = on_shape(
        _image(text),
        features.mask.shape,
        what="Markers must have the shape of the scan, or be binned to it by whole factors",
        cure="Draw them on the scan as it is cropped and binned.",
    )
    regions = image[~features.mask]
    lost = sorted({*np.unique(image).tolist()} - {*np.unique(regions).tolist(), 0})
    if lost:
        raise InputError(
            "Every region of the markers must hold positions that take part",
            got=f"region {lost[0]}, all of it excluded",
            cure="Draw it elsewhere, or loosen the masks.",
        )
    return image, regions


def named(segmentation: Segmentation, image: NDArray[np.int64]) -> tuple[Segmentation, str]:
    """Name clusters by the region that most overlaps with them, where they have no name.

    Returns
    -------
    :
        The segmentation, and a note of which region went where.
    """
    numbers = np.unique(image[image > 0])
    place = np.full(int(numbers.max()) + 1, -1)
    place[numbers] = np.arange(len(numbers))
    regions = np.where(image > 0, place[np.maximum(image, 0)], -1)
    labels = segmentation.labels.data
    counts = overlaps(regions, labels, (len(numbers), segmentation.n_clusters))
    pairs = matched(counts[:-1, :-1])
    names = {cluster: f"region {numbers[i]}" for i, cluster in pairs.items()}
    notes = [
        f"{100 * counts[i, cluster] / counts[i].sum():.0f} % of region {numbers[i]} in {cluster}"
        for i, cluster in sorted(pairs.items())
    ]
    for i in sorted({*range(len(numbers))} - {*pairs}):
        into = int(counts[i].argmax())
        went = f"most of it in {into}" if into < segmentation.n_clusters else "it is unassigned"
        notes.append(f"region {numbers[i]} has no cluster of its own, {went}")
    return replace(segmentation, names={**names, **segmentation.names}), ", ".join(notes)


def _image(given: Any) -> NDArray[np.int64]:
    """Label image of the regions: 1 or more, 0 = none."""
    if isinstance(given, list | tuple) or (
        isinstance(given, np.ndarray) and given.dtype.kind == "U"
    ):
        masks = [as_labels(str(path), what=_WHAT) != 0 for path in given]
        shapes = {mask.shape for mask in masks}
        if len(shapes) != 1 or (np.sum(masks, axis=0) > 1).any():
            raise InputError(
                "Masks of markers must be of one shape and not overlap",
                got=" and ".join(map(str, sorted(shapes))) if len(shapes) > 1 else "an overlap",
                cure="Draw regions apart from each other.",
            )
        image: NDArray[np.int64] = np.sum([(i + 1) * m for i, m in enumerate(masks)], axis=0)
    else:
        image = as_labels(given, what=_WHAT)
        if (image < 0).any():  # of a label map: its cluster 0 would be taken for no region
            raise InputError(
                "Markers must be 0 where there is no region",
                got=f"{image.min()}",
                cure="Add 1 to a label map.",
            )
    if not image.any():
        raise InputError(
            "Markers must have a region, values of 1 or more",
            got="none",
            cure="Draw one; 0 means no region.",
        )
    return image
