"""Clusters of an image's pixels back on the image: one per lattice that the filters resolve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from clustem.core import Clustering, FilterBank, InputError, Segmentation, map_of, mapping, numbered
from clustem.mapping._every_pixel import at_every_pixel
from clustem.mapping._lattices import Fringe, lattices
from clustem.mapping._outline import outlined
from clustem.mapping.clusters import clusters
from clustem.passes.rows import Rows

_ROUNDS = 3  # of averaging and assigning, after clusters were joined or dropped
_FAINT, _NONE = 0.4, 0.15  # of the strongest mean response: no lattice's own, and none at all
_TURN, _SPACING = 4.0, 0.05  # directions [°] and spacings [share] of one lattice agree to this


@mapping
def facets(
    clustering: Clustering,
    *,
    width: Annotated[float, Ge(0)] = 1.25,
    alike: Annotated[float, Gt(0), Le(1)] = 0.9,
    outline: bool = True,
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.5,
    min_size: Annotated[int, Ge(0)] = 0,
) -> Segmentation:
    """Draw the map of an image's clusters, joined or left out where they are no lattice's own.

    Parameters
    ----------
    clustering
        Clusters of the pixels of an image, described by ``describe.gabor``.
    width
        A cluster stays if a circle of this radius fits into it somewhere [envelopes]; 0 keeps all.
    alike
        Clusters whose mean responses have this cosine or more are one lattice, and joined; so
        are those whose direction and spacing agree, and those that show none. 1 keeps all. Only
        for normalized features.
    outline
        Whether the outline of facets against the background moves to where the phase of their
        fringes ends, which is sharper than the filters. Only for normalized features.
    threshold, min_size
        As in ``project``; only memberships are compared with the threshold.

    Returns
    -------
    :
        As ``project`` gives, clusters named background or by their lattice's direction, and again
        numbered by falling size. Fuzzy partitions and
        partitions without an envelope come out as ``project`` draws them.

    Raises
    ------
    InputError
        If the features is not of an image.

    Notes
    -----
    With more clusters than lattices, k-means splits facets by the strength of their fringes
    (thickness, tilt) and films by their noise. Shares of a lattice have cosines above 0.93, twins
    below 0.7; grains that are turned by less than about 5° cannot be told from shares.
    The most alike are joined first, and their mean is compared with the others again.

    Where two facets meet, or a facet ends, a filter sees both sides, and with enough clusters
    k-means gives this seam a cluster of its own. It is as wide as the filter, not a facet. The
    thinnest cluster is dropped and its pixels go to the nearest of the others, until
    all are wide enough; then means and labels change in three rounds of Lloyd's algorithm. So the
    facets stay as they are when k grows beyond their number.

    Where only every so many pixels were described, all this is done with those, and the map of
    all pixels is drawn at the end, from features interpolated between them.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import gabor
    >>> image = np.sin(2 * np.pi * np.arange(64) / 5) * np.ones((48, 1)); image[:, 30:] = 0
    >>> features = gabor(hs.signals.Signal2D(image), orientations=4, wavelengths=[5.0])
    >>> found = KMeans(3, random_state=0).fit(np.asarray(features.rows))
    >>> facets(Clustering.from_estimator(found, features)).n_clusters
    2
    """
    features = clustering.features
    if features.mask.ndim != 2:
        raise InputError(
            "Facets are those of an image", got=f"{features.mask.ndim} axes", cure="Use project."
        )
    bank = features.find(FilterBank)
    envelope, step = (0.0, 1) if bank is None else (bank.envelope / bank.step, bank.step)
    min_size = -(-min_size // step**2)  # positions are described pixels until the end
    if clustering.memberships is not None or not envelope:
        return _named(clusters(clustering, threshold=threshold, min_size=min_size))
    labels = _resolved(clustering, width * envelope, alike)
    kept = _kept(clustering, labels)
    found = clusters(kept, threshold=threshold, min_size=min_size)
    if bank is not None and bank.normalized and alike < 1:
        lattice = _agreeing(found)
        if lattice.max() + 1 < kept.n_clusters:
            kept = _kept(clustering, lattice[kept.labels])
            found = clusters(kept, threshold=threshold, min_size=min_size)
    asked_for = {}
    if kept.n_clusters < clustering.n_clusters:
        asked_for = {"clusters asked for": float(clustering.n_clusters)}
    outline = outline and bank is not None and bank.normalized
    if bank is not None and bank.step > 1:
        found = at_every_pixel(found, bank, lattices(found).background if outline else None)
    elif outline and bank is not None and bank.image is not None:
        sharp = _sharpened(kept, found, bank)
        found = clusters(sharp, threshold=threshold, min_size=min_size)
    return _named(replace(found, scores={**found.scores, **asked_for}))


def _kept(clustering: Clustering, labels: NDArray[np.intp]) -> Clustering:
    """Return a clustering with fewer clusters, numbered by falling size."""
    order = numbered(labels, int(labels.max()) + 1)
    number = np.empty(len(order), dtype=np.int16)
    number[order] = np.arange(len(order), dtype=np.int16)
    kept = replace(clustering, labels=number[labels], order=order)
    if kept.n_clusters == clustering.n_clusters:
        return kept
    rows = Rows.of(clustering.features.rows)
    means = _means(rows, kept.labels, kept.n_clusters)
    return replace(kept, estimator=_Nearest(means), order=np.arange(len(means)))


def _agreeing(found: Segmentation) -> NDArray[np.intp]:
    """Lattice of each cluster: one for all without any, and where direction and spacing agree."""
    turned = lattices(found)
    lattice = np.arange(found.n_clusters)
    for j in range(found.n_clusters):
        for i in range(j):
            if turned.background[i] or turned.background[j]:
                alike = bool(turned.background[i] and turned.background[j])
            else:
                gap = abs(turned.directions[i] - turned.directions[j]) % 180
                alike = min(gap, 180 - gap) <= _TURN and _share_a_spacing(turned.fringes, i, j)
            if alike:
                lattice[j] = lattice[i]
                break
    return np.asarray(np.unique(lattice, return_inverse=True)[1], dtype=np.intp)


def _share_a_spacing(fringes: tuple[tuple[Fringe, ...], ...], i: int, j: int) -> bool:
    """Whether the strongest fringes of two clusters have one spacing, if they have any."""
    if not fringes[i] or not fringes[j]:
        return True
    return abs(fringes[i][0].spacing / fringes[j][0].spacing - 1) <= _SPACING


def _sharpened(clustering: Clustering, found: Segmentation, bank: FilterBank) -> Clustering:
    """Move the outline of the facets; what they lose goes to the largest background."""
    background = lattices(found).background
    if background.all() or not background.any():
        return clustering
    labels = found.labels.data.astype(np.intp)
    lattice = np.where((labels < 0) | background[labels], -1, labels)
    spacing = float(bank.wavelengths.max())
    moved = outlined(lattice, np.asarray(bank.image, dtype=np.float64), spacing=spacing)
    film = int(np.flatnonzero(background)[0])  # clusters are numbered by falling size
    rest = np.where(lattice >= 0, film, labels)
    new = np.where(moved >= 0, moved, rest)[~found.mask]
    order = numbered(new, clustering.n_clusters)
    number = np.empty(len(order), dtype=np.int16)
    number[order] = np.arange(len(order), dtype=np.int16)
    return replace(clustering, labels=number[new], order=np.asarray(clustering.order)[order])


@dataclass(frozen=True)
class _Nearest:
    """Means (k, D) of the clusters that are left, in the place of the estimator."""

    cluster_centers_: NDArray[np.float64]

    def transform(self, rows: Any) -> NDArray[np.float32]:
        """Distances (n, k) of rows."""
        return np.sqrt(_distances(Rows.of(rows), self.cluster_centers_))


def _named(found: Segmentation) -> Segmentation:
    """Name clusters by their lattice's direction, the others background; add the image."""
    bank = found.find(FilterBank)
    if bank is None:
        return found
    context = found.context
    if bank.image is not None and bank.step == 1:  # to be shown beside the map
        context = (map_of(bank.image, found.labels), *context)
    names = lattices(found).names()
    found = replace(found, points=found.points[:, :0], feature_names=())  # filters are no axes
    about = replace(bank, image=None, mask=None) if found.about is bank else found.about
    return replace(found, names=names, context=context, about=about)


def _resolved(clustering: Clustering, radius: float, alike: float) -> NDArray[np.intp]:
    """Labels (n,) after clusters of one lattice were joined, and those too thin have gone."""
    rows, features, k = (
        Rows.of(clustering.features.rows),
        clustering.features,
        clustering.n_clusters,
    )
    labels = clustering.labels.astype(np.intp)
    bank = features.find(FilterBank)
    if bank is not None and bank.normalized:
        labels = _joined(_means(rows, labels, k), np.bincount(labels, minlength=k), alike)[labels]
    joined = int(labels.max()) + 1
    distances = _distances(rows, _means(rows, labels, joined))
    alive = np.arange(joined)
    if joined < k:
        labels = distances.argmin(axis=1)
    while len(alive) > 1:
        reach = _reach(features.on_scan(labels, fill=-1), len(alive))
        if reach.min() >= radius:
            break
        alive = np.delete(alive, reach.argmin())
        labels = distances[:, alive].argmin(axis=1)
    if len(alive) == k:
        return labels
    for _ in range(_ROUNDS):
        labels = _distances(rows, _means(rows, labels, len(alive))).argmin(axis=1)
    _, labels = np.unique(labels, return_inverse=True)
    return labels.astype(np.intp)


def _joined(means: NDArray[np.float64], sizes: NDArray[np.intp], alike: float) -> NDArray[np.intp]:
    """Find the lattice of each cluster: the most alike are joined first, films at the end."""
    lattice = np.arange(len(means))
    strength = np.sqrt((means**2).sum(axis=1))
    sums, sizes = means * sizes[:, None], sizes.copy()
    empty = strength < _NONE * strength.max()
    while alike < 1:
        length = np.sqrt((sums**2).sum(axis=1))
        cosines = np.triu(sums @ sums.T / np.maximum(np.outer(length, length), 1e-30), 1)
        cosines[empty] = cosines[:, empty] = 0  # what leaks into a film has a direction, too
        i, j = np.unravel_index(cosines.argmax(), cosines.shape)
        if cosines[i, j] < alike:
            weak = length / sizes < _FAINT * strength.max()
            films = np.flatnonzero((weak | empty) & (lattice == np.arange(len(lattice))))
            lattice[np.isin(lattice, films)] = films[:1]
            break
        lattice[lattice == j] = i
        sums[i], sizes[i] = sums[i] + sums[j], sizes[i] + sizes[j]
        sums[j] = 0
    labels: NDArray[np.intp] = np.unique(lattice, return_inverse=True)[1]
    return labels


def _means(rows: Rows, labels: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Mean row (k, D) of each cluster."""

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> NDArray[np.float64]:
        chosen = (labels[where] == np.arange(k)[:, None]).astype(np.float32)
        return np.asarray(chosen @ block, dtype=np.float64)

    total = np.zeros((k, rows.shape[1]))
    for _, part in rows.map(one):
        total += part
    means: NDArray[np.float64] = total / np.maximum(np.bincount(labels, minlength=k), 1)[:, None]
    return means


def _distances(rows: Rows, centers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Squared distances (n, k)."""
    out = np.empty((len(rows), len(centers)), dtype=np.float32)
    flat = centers.astype(np.float32).T
    squares = (flat**2).sum(axis=0)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
        lengths = np.einsum("ij,ij->i", block, block)[:, None]
        out[where] = np.maximum(lengths + squares - 2 * (block @ flat), 0)

    for _ in rows.map(one):
        pass
    return out


def _reach(labels: NDArray[np.intp], k: int) -> NDArray[np.float64]:
    """Radius (k,) of the largest circle in each cluster [px]; the image's border is no limit."""
    from scipy.ndimage import distance_transform_edt

    seam = np.zeros(labels.shape, dtype=bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    seam[1:] |= down
    seam[:-1] |= down
    seam[:, 1:] |= right
    seam[:, :-1] |= right
    inside = distance_transform_edt(~seam) if seam.any() else np.full(labels.shape, np.inf)
    out = np.zeros(k)
    taking_part = labels >= 0
    np.maximum.at(out, labels[taking_part], inside[taking_part])
    return out
