"""Clusters of an image's pixels back on the image, with particles that touch cut apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Lt
from numpy.typing import NDArray

from clustem.core import Clustering, InputError, ParticleMap, Segmentation, map_of, mapping, record
from clustem.labelmaps.apart import apart
from clustem.mapping.clusters import clusters


@mapping
def particles(
    clustering: Clustering,
    *,
    neck: Annotated[float, Ge(0), Le(1)] = 0.85,
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.5,
    min_size: Annotated[int, Ge(0)] = 25,
) -> Segmentation:
    """Draw the map of an image's clusters and cut particles apart that touch.

    Parameters
    ----------
    clustering
        Clusters of the pixels of an image.
    neck
        Two parts are one particle if the neck between them is at least this wide [width of the
        narrower part]; 0 cuts nothing.
    threshold, min_size
        As in ``clusters``.

    Returns
    -------
    :
        As ``clusters`` gives; it knows its :class:`ParticleMap`. The cluster that takes most of
        the image's border is the background, all others are particles.

    Raises
    ------
    InputError
        If the scan has another number of axes than two.

    Notes
    -----
    ``judge.regions`` measures the particles, and ``regions.csv`` lists them: place, equivalent
    diameter, circularity.

    Examples
    --------
    >>> from clustem.cluster import KMeans
    >>> from clustem.describe import texture
    >>> from clustem.samples import support
    >>> features = texture(support(shape=(96, 128), n_particles=4, diameter=8.0).signal)
    >>> found = particles(Clustering.from_estimator(KMeans(2).fit(features.rows), features))
    >>> found.find(ParticleMap).particles.max()
    np.int32(4)
    """
    features = clustering.features
    if features.mask.ndim != 2:
        raise InputError(
            "Particles are those of an image",
            got=f"{features.mask.ndim} axes",
            cure="Use mapping.clusters.",
        )
    found = clusters(clustering, threshold=threshold, min_size=min_size)
    labels = found.labels.data
    background = _background(labels)
    numbers = np.zeros(labels.shape, dtype=np.int32)
    for cluster in range(found.n_clusters):
        if cluster != background:
            here = apart(labels == cluster, neck=neck)
            numbers = np.where(here > 0, here + numbers.max(), numbers)
    n = int(numbers.max())
    sizes = np.bincount(numbers.ravel(), minlength=1)[1:]
    middle = 2 * np.sqrt(float(np.median(sizes)) / np.pi) if n else 0.0
    record(f"{n} particles, median diameter {middle:.3g} px", particles=n)
    names = {background: "background"} if found.n_clusters > 1 else {}
    if found.n_clusters == 2:
        names[1 - background] = "particles"
    image = features.source.data
    return replace(
        found,
        names=names,
        about=ParticleMap(particles=numbers, before=found.about),
        points=found.points[:, :0],
        feature_names=(),
        context=(map_of(np.asarray(image, dtype=np.float32), found.labels), *found.context),
    )


def _background(labels: NDArray[np.int16]) -> int:
    """Cluster that takes most of the border, of equals the first."""
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    return int(np.bincount(border[border >= 0], minlength=1).argmax())
