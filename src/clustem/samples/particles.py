"""Images of small gold particles on amorphous carbon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.samples._nanoparticle import SHARED, Atoms, crystal, decahedron, icosahedron, joined
from clustem.samples._particle_image import bright_field, dark_field
from clustem.samples._sample import Sample

_REACH = 0.165  # how far an atom reaches [nm]
_COLUMN = 0.15  # standard deviation over which atoms are counted [nm]
_CARBON = 90.0  # atoms per nm³ of amorphous carbon
_MINORITY = 0.02  # grains below this share of the particle are no facets of their own


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticlesSample(Sample):
    """A simulated image of particles and the truth about it.

    Parameters
    ----------
    atoms
        Row, column and depth of the atoms of gold [nm], (n, 3).
    atom_grains
        Grain of each, -1 on twin planes, (n,).
    angle
        How far the particles are turned in the plane of the image [°].
    """

    atoms: NDArray[np.float64]
    atom_grains: NDArray[np.int64]
    angle: float


@checked
def particles(
    *,
    kind: Literal["decahedron", "icosahedron", "crystal", "several"] = "decahedron",
    contrast: Literal["haadf", "bf"] = "haadf",
    shape: tuple[Annotated[int, Ge(32)], Annotated[int, Ge(32)]] = (256, 256),
    pixel_size: Annotated[float, Gt(0)] = 0.06,
    diameter: Annotated[float, Gt(0)] = 13.1,
    angle: float = 10.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    carbon: Annotated[float, Ge(0)] = 2.0,
    dose: Annotated[float, Gt(0)] = 400.0,
    random_state: Annotated[int, Ge(0)] = 0,
) -> ParticlesSample:
    """Simulate an image of gold particles in which every pixel's grain is known.

    Parameters
    ----------
    kind
        Decahedron along its five-fold axis, icosahedron along a two-fold axis, one crystal along
        [110], or a decahedron and smaller particles beside it.
    contrast
        Annular dark field (``"haadf"``) or bright field (``"bf"``).
    shape
        Rows and columns of the image.
    pixel_size
        Size of a pixel [nm].
    diameter
        Of the (largest) particle [nm].
    angle
        How far it is turned in the plane of the image [°].
    tilt
        How far it is tilted off its axis, about the column and the row axis [°].
    carbon
        Thickness of the carbon film [nm].
    dose
        Mean number of detected electrons per pixel where the image is bright (dark field: at the
        brightest column; bright field: beside the particle).
    random_state
        Seed of the film, the positions of smaller particles and the counting noise.

    Returns
    -------
    :
        Sample of an image, its labels 0 for the film, then the grains.

    Raises
    ------
    InputError
        If the particle does not fit into the image.

    Notes
    -----
    Dark field: atoms as Gaussians of the probe's width, their brightness like Z^1.7, and more
    slowly the deeper they lie. Bright field: a wave through slices of the projected
    potential, then the lens with defocus, spherical aberration and partial coherence. The truth
    is drawn from the atoms: a pixel near an atom belongs to the grain with most atoms around it,
    those on twin planes aside.

    Examples
    --------
    >>> sample = particles(shape=(64, 72), diameter=3.0, dose=100)
    >>> sample.signal.data.shape, sample.n_clusters, sorted(set(sample.labels.ravel().tolist()))
    ((64, 72), 6, [0, 1, 2, 3, 4, 5])
    """
    field = np.array(shape) * pixel_size
    if diameter > field.min():
        raise InputError(
            f"The particle must fit into the image, {field[0]:.3g} × {field[1]:.3g} nm",
            got=f"{diameter:g} nm",
            cure="Use a larger shape or pixel_size, or a smaller diameter.",
        )
    rng = np.random.default_rng(random_state)
    atoms = _placed(kind, diameter, field, (angle, tilt), rng)
    film = rng.uniform(size=(int(_CARBON * carbon * field.prod()), 3)) * (*field, max(carbon, 1e-6))
    film[:, 2] += atoms.positions[:, 2].max()  # the film lies below
    draw = dark_field if contrast == "haadf" else bright_field
    expected = draw(atoms.positions, film, shape, pixel_size)
    data = rng.poisson(dose * expected).astype(np.uint16)
    labels, kept = _truth(atoms, shape, pixel_size)
    names = ("background", *(f"grain {i + 1}" for i in range(kept)))
    return ParticlesSample(
        signal=_signal(data, pixel_size, f"{kind}, {contrast}"),
        labels=labels,
        names=names,
        atoms=atoms.positions,
        atom_grains=atoms.grains,
        angle=angle,
    )


def _placed(
    kind: str,
    diameter: float,
    field: NDArray[np.float64],
    pose: tuple[float, tuple[float, float]],
    rng: np.random.Generator,
) -> Atoms:
    """Make the particles and put them where they do not touch."""
    angle, tilt = pose
    build = {"decahedron": decahedron, "icosahedron": icosahedron, "crystal": crystal}
    if kind != "several":
        return build[kind](diameter).turned(angle, tilt).moved(*field / 2)
    size = min(diameter, 0.55 * float(field.min()))
    parts = [(decahedron, size), (crystal, 0.55 * size), (crystal, 0.5 * size)]
    placed: list[Atoms] = []
    taken: list[tuple[NDArray[np.float64], float]] = []
    for number, (make, width) in enumerate(parts):
        free = np.maximum(field - width, 0)
        for _ in range(2000):
            spot = width / 2 + rng.uniform(size=2) * free
            if all(np.hypot(*(spot - other)) > (width + w) / 2 for other, w in taken):
                break
        else:
            raise InputError(
                "The particles must fit beside each other",
                got=f"{size:.3g} nm in {field[0]:.3g} × {field[1]:.3g} nm",
                cure="Use a smaller diameter.",
            )
        taken.append((spot, width))
        turn = angle + 48.0 * number  # no lattice like another
        placed.append(make(width).turned(turn, tilt).moved(float(spot[0]), float(spot[1])))
    return joined(placed)


def _truth(
    atoms: Atoms, shape: tuple[int, int], pixel_size: float
) -> tuple[NDArray[np.int16], int]:
    """Grain of each pixel, 0 where there is no atom near, and the number of grains."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    pixels = np.indices(shape).reshape(2, -1).T * pixel_size
    distance, _ = cKDTree(atoms.positions[:, :2]).query(pixels)
    inside = distance.reshape(shape) <= _REACH
    amount = np.zeros((atoms.n_grains, *shape))
    own = atoms.grains != SHARED
    row, column = np.rint(atoms.positions[own, :2].T / pixel_size).astype(int)
    seen = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    np.add.at(amount, (atoms.grains[own][seen], row[seen], column[seen]), 1)
    for grain in amount:
        grain[:] = gaussian_filter(grain, _COLUMN / pixel_size, truncate=6)
    winner = amount.argmax(axis=0)
    share = np.bincount(winner[inside], minlength=atoms.n_grains) / np.count_nonzero(inside)
    kept = np.flatnonzero(share >= _MINORITY)
    number = np.full(atoms.n_grains, -1, dtype=np.int16)
    number[kept] = np.arange(1, len(kept) + 1)
    return np.where(inside, number[winner], 0).astype(np.int16), len(kept)


def _signal(data: NDArray[np.uint16], pixel_size: float, title: str) -> Any:
    import hyperspy.api as hs

    axes = [
        {"name": name, "size": size, "scale": pixel_size, "units": "nm"}
        for name, size in zip("yx", data.shape, strict=True)
    ]
    return hs.signals.Signal2D(data, axes=axes, metadata={"General": {"title": title}})
