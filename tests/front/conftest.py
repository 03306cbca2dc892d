"""Results of every kind, built by hand, for figures and reports."""

import itertools
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from _session import SMALL, at_once

from clustem.app.session.state import Explorer
from clustem.core import FilterBank, PCAInfo, Segmentation, registry

LINES = {"O": [0.5249], "Fe": [6.4039, 7.058, 0.7045], "Si": [1.7397], "Ca": [3.6917, 4.0127]}


def axis(name, size, scale=1.0, units="", offset=0.0, *, navigate=False):
    given = {"name": name, "size": size, "scale": scale, "units": units}
    return {**given, "offset": offset, "navigate": navigate}


def assembled(centers, shape=(14, 22), k=3, *, soft=True, **given):
    """Cluster 0 fills the upper rows, 1 the lower left, the last the lower right corner."""
    labels = np.zeros(shape, dtype=np.int16)
    position = np.indices(shape) / np.reshape(shape, (-1, *[1] * len(shape)))
    for i in range(1, k):
        labels[(position[0] > 0.4) & (position[-1] >= (i - 1) / (k - 1))] = i
    memberships = np.full((k, *shape), 0.3 / max(k - 1, 1), dtype=np.float32)
    np.put_along_axis(memberships, labels[None].astype(int), 0.7, axis=0)
    mask = np.zeros(shape, dtype=bool)
    if soft:
        labels.flat[2:6] = -1
        mask.flat[-3:] = True
        labels[mask] = -1
    scan = [
        axis(n, s, step, "nm")
        for n, s, step in zip("yx"[-len(shape) :], shape, (21.8, 17.2), strict=False)
    ]
    stack = axis("cluster", k, navigate=True)
    kind = hs.signals.Signal2D if len(shape) == 2 else hs.signals.Signal1D
    points = (
        np.random.default_rng(5).normal(size=(int((~mask).sum()), 3)) + 4 * labels[~mask][:, None]
    )
    given = {
        "labels": kind(labels, axes=scan),
        "memberships": kind(memberships, axes=[stack, *scan]) if soft else None,
        "centers": centers,
        "standard_error": centers._deepcopy_with_new_data(np.full(centers.data.shape, 0.02)),
        "counts": np.bincount(labels[labels >= 0], minlength=k),
        "mask": mask,
        "points": points.astype(np.float32),
        "feature_names": ("PC 1", "PC 2", "PC 3"),
        "about": components(),
        **given,
    }
    return Segmentation(**given)


def components(**given):
    """What a PCA knows that kept 3 of 12 components."""
    shares = np.geomspace(0.4, 0.001, 12)
    factors = np.zeros((3, 5), dtype=np.float32)
    return PCAInfo(
        **{
            "explained_variance_ratio": shares,
            "noise_floor": 0.01,
            "n_components": 3,
            "factors": factors,
            **given,
        }
    )


def eds_centers(elements=(("O", "Si"), ("O", "Fe"), ("O", "Ca")), *, beam=15.0, listed=None):
    energy = np.arange(500) * 0.02 - 0.1
    spectra = np.full((len(elements), 500), 0.3)
    for spectrum, here in zip(spectra, elements, strict=True):
        for line in itertools.chain.from_iterable(LINES[element] for element in here):
            if line < beam:
                width = np.sqrt(0.130**2 + 0.0025 * (line - 5.8987)) / 2.355
                spectrum[:] += 5 * np.exp(-(((energy - line) / width) ** 2) / 2)
    axes = [axis("cluster", len(elements), navigate=True), axis("Energy", 500, 0.02, "keV", -0.1)]
    signal = hs.signals.Signal1D(spectra, axes=axes)
    signal.set_signal_type("EDS_SEM")
    signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", beam)
    listed = listed or sorted(set(itertools.chain.from_iterable(elements)))
    signal.metadata.set_item("Sample.elements", list(listed))
    signal.metadata.set_item("Signal.quantity", "X-rays (Counts)")
    return signal


def eels_centers(k=3, start=-10.0):
    loss = start + 0.25 * np.arange(300)
    spectra = [
        1e4 * np.exp(-((loss / 0.4) ** 2)) + 50 * np.exp(-(((loss - 20 - 4 * i) / 4) ** 2)) + 1
        for i in range(k)
    ]
    axes = [axis("cluster", k, navigate=True), axis("Energy loss", 300, 0.25, "eV", start)]
    signal = hs.signals.Signal1D(np.array(spectra), axes=axes)
    signal.set_signal_type("EELS")
    return signal


def pattern_centers(k=3):
    y, x = np.mgrid[-10:10, -14:14]
    patterns = [
        1e3 * np.exp(-(x**2 + y**2) / 3) + 40 * np.exp(-((x - 6 - i) ** 2 + (y - 4) ** 2) / 3) + 0.1
        for i in range(k)
    ]
    axes = [
        axis("cluster", k, navigate=True),
        axis("ky", 20, 0.1, "1/Å", -1.0),
        axis("kx", 28, 0.1, "1/Å", -1.4),
    ]
    return hs.signals.Signal2D(np.array(patterns), axes=axes)


def fringe_centers(k=4, wavelengths=(4.0, 3.4)):
    """Cluster 0 is background; lattice i has fringes of each spacing 60° apart."""
    angles = np.arange(0, 180, 5.0)
    responses = np.full((k, len(wavelengths), len(angles)), 0.01)
    for i, j in itertools.product(range(1, k), range(len(wavelengths))):
        away = (angles - direction_of(i) - 60 * j + 90) % 180 - 90
        responses[i, j] += (0.5 - 0.1 * j) * np.exp(-0.5 * (away / 8) ** 2)
    axes = [
        axis("cluster", k, navigate=True),
        axis("wavelength", len(wavelengths), -0.036, "nm", 0.24),
        axis("orientation", len(angles), 5.0, "°"),
    ]
    signal = hs.signals.Signal2D(responses, axes=axes)
    signal.metadata.set_item("Signal.quantity", "Fringe strength")
    return signal


def direction_of(i):
    """Direction of lattice i [°], between two filters."""
    return (13.0 + 37.0 * i) % 180


def fringes(k=4, wavelengths=(4.0, 3.4), shape=(40, 52), **given):
    filters = FilterBank(
        orientations=np.arange(0, 180, 5.0),
        wavelengths=np.array(wavelengths),
        pixel_size=0.06,
        pixel_units="nm",
    )
    known = components(noise_floor=0.0, n_components=0, before=filters)
    points = np.zeros((shape[0] * shape[1], 0))
    centers = fringe_centers(k, wavelengths)
    return assembled(centers, shape, k, soft=False, points=points, about=known, **given)


def with_image():
    image = hs.signals.Signal2D(
        np.random.default_rng(2).normal(size=(40, 52)),
        axes=[axis("y", 40, 21.8, "nm"), axis("x", 52, 17.2, "nm")],
    )
    return fringes(context=(image,))


def flat_patterns():
    """Patterns whose values span less than a decade and are large, and an empty cluster."""
    centers = pattern_centers(6)
    centers.data = 3e6 + 1e4 * centers.data / centers.data.max()
    found = assembled(centers, shape=(20, 30), k=6, soft=False)
    labels = found.labels.deepcopy()
    labels.data[labels.data == 5] = 4
    centers.data[5] = 0
    counts = np.bincount(labels.data.ravel(), minlength=6)
    mean = centers.data[:5].mean(axis=0)
    points = 1e6 * found.points
    return replace(found, labels=labels, counts=counts, mean=mean, points=points)


def many():
    k = 20
    centers = eds_centers((("O", "Si"), ("O", "Fe")) * (k // 2))
    names = {
        0: "a name that is much longer than any key has room for, by far",
        1: "$x^2$ & <b>",
        2: "石英",
    }
    return assembled(centers, shape=(40, 60), k=k, names=names)


def with_context():
    image = hs.signals.Signal2D(
        np.arange(28 * 44, dtype=np.uint8).reshape(28, 44),
        axes=[axis("y", 28, 10.9, "nm"), axis("x", 44, 8.6, "nm")],
    )
    image.metadata.General.title = "BSE"
    return assembled(eds_centers(), context=(image, image.deepcopy()))


CASES = {
    "eds": lambda **given: assembled(eds_centers(**given)),
    "eels": lambda: assembled(eels_centers(), shape=(9, 31)),
    "core loss": lambda: assembled(eels_centers(start=100.0), shape=(40, 5)),
    "patterns": lambda: assembled(pattern_centers()),
    "line": lambda: assembled(eds_centers(), shape=(37,)),
    "hard": lambda: assembled(pattern_centers(7), k=7, soft=False, points=np.zeros((308, 0))),
    "one": lambda: assembled(eds_centers((("O", "Si"),)), k=1),
    "many": many,
    "context": with_context,
    "fringes": fringes,
    "fringes on an image": with_image,
    "many fringes": lambda: fringes(16, (4.0, 3.8, 3.4, 3.0, 2.8, 2.6, 2.4), (60, 80)),
    "flat patterns": flat_patterns,
    "values": lambda: assembled(hs.signals.BaseSignal([5.0, 2.0, 3.0]).T, soft=False),
}  # fmt: skip


@pytest.fixture(scope="module")
def signals():
    samples = registry("samples")
    return {name: samples[name].step(shape=shape).signal for name, shape in SMALL.items()}


@pytest.fixture
def session(tmp_path):
    root = tmp_path / "shared"
    root.mkdir()
    found = Explorer(root, at_once)
    yield found
    found.close()


@pytest.fixture(scope="session")
def cases():
    """Functions that make a segmentation, by the kind of its centers or scan."""
    return CASES


@pytest.fixture(scope="module")
def eds():
    """Three phases of an EDS map."""
    return CASES["eds"]()
