"""The energy axis against published numbers, simulated truth and calibrated files."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, UnknownNameError
from clustem.physics.shared_lines import shared_lines
from clustem.physics.xray_lines import fwhm, lines_of
from clustem.prepare.energy_axis import energy_axis
from clustem.prepare.fit_energy_axis import fit_energy_axis
from clustem.samples.eds import eds

# The calibration of the map in J. F. Einsle's notebook to Tominaga et al. (2020), seed of this test
POSITIONS = [
    *(61.53875302126492, 134.6019377596175, 158.4803980341089, 183.7301799809466),
    *(378.82160357616567, 460.418498378688, 599.2288712118474, 649.2463557351163),
]
ENERGIES = [0.5249, 1.2536, 1.4865, 1.7397, 3.6917, 4.5109, 5.8987, 6.4039]
SPOILED = [(1.05, 0.15), (1.04, -0.1), (0.95, -0.15), (0.96, 0.15), (1.0, 0.0)]
MINERALS = ["O", "Na", "Mg", "Al", "Si", "Ca", "Ti", "Fe"]


@pytest.fixture(scope="module")
def scan():
    """Sum spectrum of the sample, as a scan of one pixel: it is summed once."""
    signal = eds().signal
    total = signal.data.sum(axis=(0, 1), dtype=np.uint64)
    small = signal.inav[:1, :1].deepcopy()
    small.data = total[np.newaxis, np.newaxis]
    return small


def spoil(signal, scale=1.0, offset=0.0):
    """Return the signal with a wrong axis."""
    wrong = signal.deepcopy()
    wrong.axes_manager[-1].scale *= scale
    wrong.axes_manager[-1].offset += offset
    return wrong


def bare(counts, scale, offset, *, beam_energy=None, elements=()):
    """Spectrum with hardly any metadata."""
    signal = hs.signals.Signal1D(counts)
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units = scale, offset, "keV"
    if beam_energy:
        signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", beam_energy)
    if elements:
        signal.metadata.set_item("Sample.elements", list(elements))
    return signal


def largest_error(found, scale, offset, channels):
    """Largest distance of two axes over all channels [channels]."""
    at = np.array([0, channels - 1])
    return np.abs(found.scale * at + found.offset - (scale * at + offset)).max() / scale


def test_published_fit():
    scale, offset = fit_energy_axis(POSITIONS, ENERGIES)
    assert scale == pytest.approx(0.010005163218867979, rel=1e-15)
    assert offset == pytest.approx(-0.0955406166979197, rel=1e-14)


def test_published_energies_are_those_of_the_table():
    named = ["O", "Mg", "Al", "Si", "Ca", "Ti", "Mn", "Fe"]
    assert [line.energy for line in lines_of(named, low=0.3) if line.name == "Ka"] == ENERGIES


def test_uncertain_positions_count_less():
    channel = np.array([50.0, 200, 400, 700])
    energy = 0.01 * channel + 0.1
    assert fit_energy_axis(channel, energy) == pytest.approx((0.01, 0.1), rel=1e-12)
    moved = channel + np.array([0, 0, 0, 8])
    scale, _ = fit_energy_axis(moved, energy, sigma=[0.1, 0.1, 0.1, 1000])
    assert scale == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize(
    ("positions", "energies", "settings", "message"),
    [
        ([1, 2], [1], {}, "same length"),
        ([1], [1], {}, "two different positions"),
        ([5, 5], [1, 2], {}, "two different positions"),
        ([1, np.nan], [1, 2], {}, "finite"),
        ([1, 2], [1, 2], {"sigma": [1, 0]}, "above 0"),
    ],
)
def test_fit_refuses(positions, energies, settings, message):
    with pytest.raises(InputError, match=message):
        fit_energy_axis(positions, energies, **settings)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("scale", "offset"), SPOILED)
def test_a_spoiled_axis_is_recovered(scan, scale, offset, named):
    wrong = spoil(scan, scale, offset)
    if not named:
        del wrong.metadata.Sample
    found = energy_axis(wrong)
    assert largest_error(found, 0.01, -0.0955, 1024) < 0.2
    assert found.error < 0.003
    axis = found.signal.axes_manager[-1]
    assert (axis.scale, axis.offset) == (found.scale, found.offset)
    assert len(found.residuals) >= 8


@pytest.mark.parametrize("named", [True, False])
def test_few_counts(scan, named):
    rng = np.random.default_rng(3)
    share = 20_000 / scan.data.sum()
    for scale, offset in SPOILED[::2]:
        thin = rng.binomial(scan.data[0, 0].astype(np.int64), share)
        wrong = bare(thin, 0.01 * scale, -0.0955 + offset, beam_energy=10.0)
        found = energy_axis(wrong, elements=scan.metadata.Sample.elements if named else None)
        assert largest_error(found, 0.01, -0.0955, 1024) < 2


def test_pairing_shows_everything(scan):
    found = energy_axis(spoil(scan, 1.03, 0.05))
    signal, pairing, residuals = found
    assert signal is found.signal
    positions = [pair.position for pair in pairing]
    assert positions == sorted(positions)
    for pair in pairing:
        assert pair.used <= bool(pair.line)
        if pair.line:
            at = found.scale * pair.position + found.offset
            assert pair.residual == pytest.approx(pair.energy - at, abs=1e-12)
    assert np.array_equal(residuals, [pair.residual for pair in pairing if pair.used])
    used = {pair.line for pair in pairing if pair.used}
    assert {"Mg_Ka", "Al_Ka", "Si_Ka", "Ca_Ka", "Ti_Ka", "Mn_Ka", "Fe_Ka"} <= used
    stray = [0.01 * pair.position - 0.0955 for pair in pairing if not pair.line]
    for energy in (1.098, 2.0505):  # Ga and Pt of the cutting are in no list of elements
        assert np.abs(np.array(stray) - energy).min() < 0.02
    assert "Fe_Ka" in str(found)
    assert "Fe_Ka" in found.note


def test_excluded_lines_are_not_used(scan):
    found = energy_axis(scan, exclude_lines=["Fe_La", "Mn_Ka"])
    used = {pair.line for pair in found.pairing if pair.used}
    assert not used & {"Fe_La", "Mn_Ka"}
    assert "Fe_Ka" in used


def test_missing_elements_do_no_harm(scan):
    others = ["C", "Ga", "P", "Pt", "S", "Na", "K", "Cl", "Cr", "Ni", "Cu", "Zn", "Zr", "Ba"]
    listed = [*scan.metadata.Sample.elements, *others]
    found = energy_axis(spoil(scan, 0.96, 0.1), elements=listed)
    assert largest_error(found, 0.01, -0.0955, 1024) < 0.5


def test_overlapping_lines():
    """O-K between the L lines of Ti and Fe, Pt-M on P-K, Kb of K on Ca-K."""
    energy = -0.2 + 0.01 * np.arange(1100)
    counts = 400 * np.exp(-energy.clip(0) / 3) * (energy > 0.1)
    heights = {"O": 9e4, "Ti": 4e4, "Fe": 5e4, "P": 1e4, "Pt": 3e4, "K": 2e4, "Ca": 3e4}
    for line in lines_of(heights, low=0.2, high=10):
        sigma = float(fwhm(line.energy)) / 2.3548
        height = heights[line.element] * line.weight * 0.01 / sigma
        counts += 0.4 * height * np.exp(-((energy - line.energy) ** 2) / (2 * sigma**2))
    noisy = np.random.default_rng(0).poisson(counts)
    for scale, offset in SPOILED[::2]:
        wrong = bare(noisy, 0.01 * scale, -0.2 + offset, beam_energy=15.0)
        found = energy_axis(wrong, elements=list(heights))
        assert largest_error(found, 0.01, -0.2, 1100) < 0.4


def test_a_noise_peak_at_zero_is_no_line(scan):
    counts = scan.data[0, 0].astype(np.int64).copy()
    energy = 0.01 * np.arange(1024) - 0.0955
    counts += np.random.default_rng(0).poisson(6e5 * np.exp(-(energy**2) / (2 * 0.02**2)))
    for scale, offset in SPOILED[::2]:
        found = energy_axis(
            bare(counts, 0.01 * scale, -0.0955 + offset, beam_energy=10.0),
            elements=scan.metadata.Sample.elements,
        )
        assert largest_error(found, 0.01, -0.0955, 1024) < 0.2


def test_units_and_laziness(scan):
    wrong = spoil(scan, 1.02, 0.05)
    axis = wrong.axes_manager[-1]
    axis.scale, axis.offset, axis.units = axis.scale * 1000, axis.offset * 1000, "eV"
    before = (wrong.data.copy(), axis.scale, axis.offset)
    found = energy_axis(wrong.as_lazy())
    assert found.signal._lazy
    assert found.signal.axes_manager[-1].scale == pytest.approx(1000 * found.scale)
    assert found.signal.axes_manager[-1].units == "eV"
    assert found.scale == pytest.approx(0.01, abs=2e-6)
    assert (axis.scale, axis.offset) == before[1:]
    assert np.array_equal(wrong.data, before[0])
    assert found.signal.metadata.Sample.elements == wrong.metadata.Sample.elements


def test_noise_is_no_evidence():
    rng = np.random.default_rng(1)
    for level in (3, 300, 30_000):
        counts = rng.poisson(level * np.exp(-np.arange(1024) / 400))
        for elements in (["O", "Al", "Si", "Fe"], None):
            with pytest.raises(InputError, match="peaks are needed"):
                energy_axis(bare(counts, 0.01, -0.1), elements=elements)


@pytest.mark.parametrize(
    "elements", [["Cu", "Zn", "Au"], ["Ni"], ["Na", "K", "Cl"], ["Cr", "Ni", "Co", "V"]]
)
def test_wrong_elements_are_refused(scan, elements):
    for scale, offset in SPOILED[::2]:
        with pytest.raises(InputError, match="Name the elements"):
            energy_axis(spoil(scan, scale, offset), elements=elements)


def test_lines_close_together_are_refused():
    energy = 0.01 * np.arange(1000)
    counts = np.full(1000, 50.0)
    for center, height in ((1.2536, 4000), (1.4865, 9000), (1.7397, 7000)):
        counts += height * np.exp(-((energy - center) ** 2) / (2 * 0.033**2))
    scan = bare(np.random.default_rng(0).poisson(counts), 0.01, 0.0)
    with pytest.raises(InputError, match="apart"):
        energy_axis(scan, elements=["Mg", "Al", "Si"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 1.0, "offset": 0.0}, "must be known roughly"),
        ({"units": "nm"}, "must be known roughly"),
    ],
)
def test_an_uncalibrated_axis_is_refused(scan, change, message):
    wrong = scan.deepcopy()
    for name, value in change.items():
        setattr(wrong.axes_manager[-1], name, value)
    with pytest.raises(InputError, match=message):
        energy_axis(wrong)


def test_bad_input_is_refused(scan):
    with pytest.raises(UnknownNameError, match="element 'Xx'"):
        energy_axis(scan, elements=["Fe", "Xx"])
    with pytest.raises(UnknownNameError, match="X-ray line 'Fe_Kx'"):
        energy_axis(scan, exclude_lines=["Fe_Kx"])
    with pytest.raises(InputError, match="needs spectra"):
        energy_axis(hs.signals.Signal2D(np.ones((4, 5))))
    with pytest.raises(InputError, match="need lines between"):
        energy_axis(scan, elements=["H"])
    negative = spoil(scan)
    negative.data = negative.data.astype(float) - 5
    with pytest.raises(InputError, match="from counts"):
        energy_axis(negative)


@pytest.mark.data
@pytest.mark.parametrize("elements", [MINERALS, None])
def test_simulated_minerals(data_dir, elements):
    """Known axis and lines of another features: what differs must not depend on the start."""
    with np.load(data_dir / "simulated" / "eds_minerals.npz") as file:
        counts, energy = file["data"].sum(axis=(0, 1), dtype=np.int64), file["energy_keV"]
    found = [
        energy_axis(bare(counts, 0.01 * scale, energy[0] + offset), elements=elements)
        for scale, offset in SPOILED[::2]
    ]
    for one in found:
        assert largest_error(one, found[-1].scale, found[-1].offset, 980) < 0.2
        # the file's lines lie on 0.0100102 keV a channel, and those of doublets at their mean
        assert largest_error(one, (10 - 0.2) / 979, 0.2, 980) < 0.5
        assert np.abs(one.residuals).max() < 0.02


@pytest.mark.data
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "P45_8bit_compressed_80keV_range.bcf",
        "P45_12bit_packed_8bit.bcf",
        "core_shell.hspy",
        "bare_core.hspy",
    ],
)
def test_calibrated_files(data_dir, name, named):
    loaded = hs.load(data_dir / "real" / name)
    signal = loaded[-1] if isinstance(loaded, list) else loaded
    axis = signal.axes_manager[-1]
    signal = bare(
        signal.data.sum(axis=(0, 1), dtype=np.int64),
        axis.scale,
        axis.offset,
        beam_energy=20.0 if name.startswith("P45") else 200.0,
        elements=[str(e) for e in signal.metadata.Sample.elements] if named else (),
    )
    for scale, offset in SPOILED[::2]:
        found = energy_axis(spoil(signal, scale, offset))
        for energy in (0.5, 2.0, 6.4):
            there = (energy - found.offset) / found.scale - (energy - axis.offset) / axis.scale
            assert abs(there) < 2


LINES = {"O": 0.525, "Na": 1.041, "Al": 1.487, "Si": 1.74, "K": 3.312, "Ca": 3.69, "Fe": 6.404}


def counted(scale, shares, seed, *, stretch=1.0, shift=0.0):
    """A spectrum of seven lines on a bremsstrahlung background, and its axis as it is told."""
    energy = np.arange(-0.2, 10, scale)
    mean = 0.02 * np.where(energy > 0.15, np.exp(-energy / 4), 0)
    for place, share in zip(LINES.values(), shares, strict=True):
        width = np.sqrt(0.045**2 + 0.0024 * place) / 2.355
        at = (energy - place * stretch - shift) / width
        mean = mean + share * np.exp(-0.5 * at**2) / width * scale
    return np.random.default_rng(seed).poisson(2e6 * mean / mean.sum()), energy


@pytest.mark.parametrize(("own", "other"), [(0.01, 0.02), (0.02, 0.01), (0.01, 0.01)])
def test_shared_lines_are_laid_over_each_other_to_parts_of_a_channel(own, other):
    shares = np.array([0.3, 0.06, 0.2, 1.0, 0.1, 0.04, 0.03])
    for seed, (stretch, shift) in enumerate([(1.004, 0.0075), (0.997, -0.012), (1.0, 0.03)]):
        one = counted(own, shares * [1, 2, 0.7, 1, 1.3, 1, 0.6], seed)
        two = counted(other, shares, seed + 50, stretch=stretch, shift=shift)
        found = shared_lines(*one, *two)
        moved = found.stretch * np.array([0.5, 1.7, 3.7]) + found.shift
        told = stretch * np.array([0.5, 1.7, 3.7]) + shift
        np.testing.assert_allclose(moved, told, atol=0.003)


def test_spectra_of_other_compositions_stay_where_they_are():
    rng = np.random.default_rng(5)
    for seed in range(12):
        one = counted(0.01, rng.dirichlet(np.full(7, 0.6)), seed)
        two = counted((0.01, 0.02)[seed % 2], rng.dirichlet(np.full(7, 0.6)), seed + 50)
        assert shared_lines(*one, *two)[:2] == (1.0, 0.0)


@pytest.mark.data
def test_lines_of_two_scans_of_a_field_lie_on_each_other(data_dir):
    spectra = []
    for name in ("P45_12bit_packed_8bit.bcf", "P45_8bit_compressed_80keV_range.bcf"):
        signal = hs.load(data_dir / "real" / name)[-1]
        spectra.append((signal.data.sum(axis=(0, 1)), signal.axes_manager[-1].axis))
    found = shared_lines(*spectra[0], *spectra[1])
    # centers of fitted Gaussians in both files [keV]
    first = np.array([0.5253, 1.0464, 1.4924, 1.7458, 3.3212, 6.4052])
    second = np.array([0.5347, 1.0587, 1.5062, 1.7604, 3.3430, 6.4381])
    assert np.abs(found.stretch * first + found.shift - second).max() < 0.003  # 0.033 before
