"""The files of a result, read back by other programs and compared value by value."""

import csv
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from exspy.signals import EDSSEMSpectrum, EDSTEMSpectrum, EELSSpectrum
from PIL import Image

from clustem.core import InputError, Segmentation
from clustem.report import (
    write_centers,
    write_labels,
    write_memberships,
    write_points,
    write_scores,
)

ROWS, COLUMNS, K = 5, 8, 3


def axis(name, size, scale, units="nm", offset=0.0, *, navigate=False):
    return {
        "name": name,
        "size": size,
        "scale": scale,
        "units": units,
        "offset": offset,
        "navigate": navigate,
    }


def segmentation(shape=(ROWS, COLUMNS), centers=None, scales=(21.8, 17.2), units="nm", **given):
    """Asymmetric labels 0, 1, 2 with two unassigned and one excluded position."""
    rng = np.random.default_rng(3)
    labels = (np.arange(math.prod(shape)) * K // math.prod(shape)).reshape(shape).astype(np.int16)
    labels.flat[[3, 11]] = -1
    mask = np.zeros(shape, dtype=bool)
    mask.flat[7] = True
    labels[mask] = -1
    memberships = rng.dirichlet(np.ones(K), size=shape).astype(np.float32)
    memberships = np.moveaxis(memberships, -1, 0).copy()
    memberships[:, mask] = 0
    names = ("y", "x")[-len(shape) :]
    scan = [
        axis(name, size, scale, units, offset=4.0)
        for name, size, scale in zip(names, shape, scales, strict=False)
    ]
    stack = axis("cluster", K, 1.0, "", navigate=True)
    kind = hs.signals.Signal2D if len(shape) == 2 else hs.signals.Signal1D
    centers = eds() if centers is None else centers
    given = {
        "labels": kind(labels, axes=scan),
        "memberships": kind(memberships, axes=[stack, *scan]),
        "centers": centers,
        "standard_error": centers * 0.1,
        "counts": np.bincount(labels[labels >= 0], minlength=K),
        "mask": mask,
        "points": rng.normal(size=(int((~mask).sum()), 2)).astype(np.float32),
        "feature_names": ("PC 1", "PC 2"),
        **given,
    }
    return Segmentation(**given)


def eds(kind=EDSSEMSpectrum, *, date="2016-04-01"):
    data = np.random.default_rng(0).gamma(2.0, 3.0, size=(K, 40)).astype(np.float32)
    energy = axis("Energy", 40, 0.010001, "keV", -0.472397235)
    signal = kind(data, axes=[axis("cluster", K, 1.0, "", navigate=True), energy])
    sem = kind is EDSSEMSpectrum
    instrument = f"Acquisition_instrument.{'SEM' if sem else 'TEM'}"
    for item, value in {
        f"{instrument}.beam_energy": 20.0 if sem else 200.0,
        f"{instrument}.Detector.EDS.energy_resolution_MnKa": 127.5,
        f"{instrument}.Detector.EDS.live_time": 711.5,
        "General.date": date,
        "Sample.elements": ["Fe", "O", "Pt"],
        "Sample.xray_lines": ["Fe_Ka", "Pt_La"],
    }.items():
        signal.metadata.set_item(item, value)
    return signal


def test_labels_keep_values_place_and_pixel_size(tmp_path):
    given = segmentation()
    path = write_labels(given, tmp_path / "labels.tif")
    image = tifffile.imread(path)
    assert image.dtype == np.int16
    np.testing.assert_array_equal(image, given.labels.data)
    assert not np.array_equal(np.unique(image), np.unique(np.abs(image)))  # -1 is in it
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened), given.labels.data)
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        per_pixel = [
            tags[name].value[1] / tags[name].value[0] for name in ("XResolution", "YResolution")
        ]
        assert per_pixel == pytest.approx([17.2, 21.8], rel=1e-6)
        assert "unit=nm" in file.pages[0].description
    back = hs.load(path)
    assert [(a.scale, a.units) for a in back.axes_manager.signal_axes] == [
        (pytest.approx(17.2), "nm"),
        (pytest.approx(21.8), "nm"),
    ]


@pytest.mark.parametrize(("units", "seen"), [("um", "µm"), ("µm", "µm"), ("Å", "Å"), ("", "")])
def test_units_of_the_label_map_survive(tmp_path, units, seen):
    back = hs.load(write_labels(segmentation(units=units), tmp_path / "labels.tif"))
    assert back.axes_manager[-1].units == seen


@pytest.mark.parametrize(
    ("scales", "units", "seen", "factor"),
    [((223.3, 176.0), "nm", "µm", 1e-3), ((9e7, 8e7), "nm", "m", 1e-9)],
)
def test_large_pixels_are_in_larger_units(tmp_path, scales, units, seen, factor):
    path = write_labels(segmentation(scales=scales, units=units), tmp_path / "labels.tif")
    found = hs.load(path).axes_manager
    assert found[0].units == seen
    assert [found[1].scale, found[0].scale] == pytest.approx([s * factor for s in scales], rel=1e-5)


def test_large_pixels_of_unknown_units_lose_their_size_but_not_the_map(tmp_path):
    given = segmentation(scales=(80.0, 70.0), units="steps")
    path = write_labels(given, tmp_path / "labels.tif")
    np.testing.assert_array_equal(tifffile.imread(path), given.labels.data)


def test_memberships_are_pages_of_32_bit(tmp_path):
    given = segmentation()
    path = write_memberships(given, tmp_path / "memberships.tif")
    pages = tifffile.imread(path)
    assert pages.dtype == np.float32
    np.testing.assert_array_equal(pages, given.memberships.data)
    with Image.open(path) as image:
        assert image.n_frames == K
    back = hs.load(path)
    np.testing.assert_array_equal(back.data, given.memberships.data)
    assert back.axes_manager[-1].scale == pytest.approx(21.8)


def test_memberships_of_hard_clusters_are_refused(tmp_path):
    with pytest.raises(InputError, match="hard clusters"):
        write_memberships(segmentation(memberships=None), tmp_path / "memberships.tif")


def test_a_line_scan_is_one_row(tmp_path):
    given = segmentation(shape=(13,))
    image = tifffile.imread(write_labels(given, tmp_path / "labels.tif"))
    np.testing.assert_array_equal(image.reshape(13), given.labels.data)
    pages = tifffile.imread(write_memberships(given, tmp_path / "memberships.tif"))
    np.testing.assert_array_equal(pages.reshape(K, 13), given.memberships.data)


def test_a_series_of_maps_is_refused_with_a_cure(tmp_path):
    labels = hs.signals.Signal2D(np.zeros((2, 3, 4), dtype=np.int16))
    with pytest.raises(InputError, match=r"one or two axes; got 3 axes.*inav"):
        write_labels(replace(segmentation(), labels=labels), tmp_path / "labels.tif")


def test_centers_keep_type_axes_and_metadata_and_stay_unchanged(tmp_path):
    given = segmentation()
    before = given.centers.deepcopy()
    write_centers(given, tmp_path)
    back = hs.load(tmp_path / "centers.hspy")
    assert isinstance(back, EDSSEMSpectrum)
    np.testing.assert_array_equal(back.data, given.centers.data)
    energy = back.axes_manager[-1]
    assert (energy.scale, energy.offset, energy.units) == (0.010001, -0.472397235, "keV")
    assert back.metadata.Acquisition_instrument.SEM.beam_energy == 20.0
    assert list(back.metadata.Sample.elements) == ["Fe", "O", "Pt"]
    assert given.centers.metadata.as_dictionary() == before.metadata.as_dictionary()
    assert not given.centers.tmp_parameters.as_dictionary()


def plain_msa(path: Path) -> tuple[dict[str, str], list[float]]:
    """Read an msa file without RosettaSciIO."""
    words, values = {}, []
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("#"):
            key, _, value = line.partition(":")
            words[key.lstrip("#").strip()] = value.strip()
        elif line.strip():
            values.append(float(line.split(",")[-1 if words["DATATYPE"] == "XY" else 0]))
    return words, values


@pytest.mark.parametrize(
    "order", [(EDSSEMSpectrum, EDSTEMSpectrum), (EDSTEMSpectrum, EDSSEMSpectrum)]
)
def test_msa_keeps_axis_beam_energy_and_elements_whatever_was_written_before(tmp_path, order):
    for kind in order:
        folder = tmp_path / kind.__name__
        folder.mkdir()
        given = segmentation(centers=eds(kind), names={1: "Fe: core α"})
        write_centers(given, folder)
        files = sorted((folder / "centers").iterdir())
        assert [file.name for file in files] == [
            "cluster_0.msa",
            "cluster_1_Fe-core.msa",
            "cluster_2.msa",
        ]
        for file, spectrum in zip(files, given.centers.data, strict=True):
            back = hs.load(file)
            assert type(back) is kind
            np.testing.assert_allclose(back.data, spectrum, atol=6e-7)
            energy = back.axes_manager[-1]
            assert (energy.scale, energy.offset, energy.units) == (0.010001, -0.472397235, "keV")
            instrument = "SEM" if kind is EDSSEMSpectrum else "TEM"
            microscope = back.metadata.Acquisition_instrument[instrument]
            assert microscope.beam_energy == given.centers._get_beam_energy()
            assert microscope.Detector.EDS.energy_resolution_MnKa == 127.5
            assert microscope.Detector.EDS.live_time == 711.5
            assert back.original_metadata.ELEMENTS.split() == ["Fe", "O", "Pt"]
            assert back.original_metadata.XRAYLINES.split() == ["Fe_Ka", "Pt_La"]
            words, values = plain_msa(file)
            assert float(words["XPERCHAN"]) == 0.010001
            assert float(words["BEAMKV"]) == microscope.beam_energy
            assert len(values) == int(words["NPOINTS"]) == 40
            np.testing.assert_allclose(values, spectrum, atol=6e-7)
        assert hs.load(files[1]).metadata.General.title.startswith("Fe, core")


def test_msa_is_read_by_a_fresh_program(tmp_path):
    write_centers(segmentation(), tmp_path)
    code = (
        "import sys, hyperspy.api as hs; s = hs.load(sys.argv[1]);"
        "print(type(s).__name__, s.metadata.Acquisition_instrument.SEM.beam_energy,"
        " s.axes_manager[-1].scale, s.original_metadata.ELEMENTS)"
    )
    file = str(tmp_path / "centers" / "cluster_0.msa")
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["EDSSEMSpectrum", "20.0", "0.010001", "Fe", "O", "Pt"]


@pytest.mark.parametrize(
    ("date", "written"), [("2016-04-01", "01-APR-2016"), ("14.10.2014", "14-OCT-2014"), ("?", "")]
)
def test_msa_survives_dates_of_any_form(tmp_path, date, written):
    write_centers(segmentation(centers=eds(date=date)), tmp_path)
    words, _ = plain_msa(tmp_path / "centers" / "cluster_0.msa")
    assert words["DATE"] == written


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1.0, 1e7])
def test_msa_keeps_six_digits_of_large_and_small_values(tmp_path, factor):
    centers = eds()
    centers.data = (centers.data + 1.0) * factor
    write_centers(segmentation(centers=centers), tmp_path)
    for i in range(K):
        back = hs.load(tmp_path / "centers" / f"cluster_{i}.msa")
        np.testing.assert_allclose(back.data, centers.data[i], rtol=5e-6)


def test_msa_of_energy_losses(tmp_path):
    loss = axis("Energy loss", 30, 0.25, "eV", -3.0)
    stack = axis("cluster", K, 1.0, "", navigate=True)
    centers = EELSSpectrum(np.random.default_rng(1).normal(5, 1, (K, 30)), axes=[stack, loss])
    centers.set_microscope_parameters(beam_energy=200, convergence_angle=30, collection_angle=33)
    write_centers(segmentation(centers=centers), tmp_path)
    back = hs.load(tmp_path / "centers" / "cluster_2.msa")
    assert isinstance(back, EELSSpectrum)
    np.testing.assert_allclose(back.data, centers.data[2], atol=6e-7)
    assert (back.axes_manager[-1].scale, back.axes_manager[-1].offset) == (0.25, -3.0)
    assert back.metadata.Acquisition_instrument.TEM.beam_energy == 200
    assert back.metadata.Acquisition_instrument.TEM.Detector.EELS.collection_angle == 33


def test_an_empty_cluster_has_no_msa(tmp_path):
    write_centers(segmentation(counts=np.array([30, 0, 7])), tmp_path)
    assert sorted(file.name for file in (tmp_path / "centers").iterdir()) == [
        "cluster_0.msa",
        "cluster_2.msa",
    ]


def test_patterns_are_pages_with_their_calibration(tmp_path):
    axes = [
        axis("cluster", K, 1.0, "", navigate=True),
        axis("ky", 6, 0.04, "1/Å", -0.12),
        axis("kx", 9, 0.05, "1/Å", -0.2),
    ]
    centers = hs.signals.Signal2D(np.random.default_rng(2).random((K, 6, 9)), axes=axes)
    files = write_centers(segmentation(centers=centers), tmp_path)
    assert [file.name for file in files] == ["centers.hspy", "centers.tif"]
    pages = tifffile.imread(files[1])
    assert pages.dtype == np.float32
    np.testing.assert_array_equal(pages, centers.data.astype(np.float32))
    back = hs.load(files[1])
    assert [a.scale for a in back.axes_manager.signal_axes] == pytest.approx([0.05, 0.04])


@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (13,)])
def test_points_say_where_what_and_which(tmp_path, shape):
    given = segmentation(shape=shape)
    with write_points(given, tmp_path / "points.csv").open(newline="") as file:
        header, *lines = list(csv.reader(file))
    where = ["y", "x"][-len(shape) :]
    assert header == [*where, "PC 1", "PC 2", "label", *(f"membership {i}" for i in range(K))]
    expected = []
    for index in np.ndindex(shape):
        if given.mask[index]:
            continue
        place = [4.0 + i * scale for i, scale in zip(index, (21.8, 17.2), strict=False)]
        point = given.points[len(expected)].tolist()
        degrees = [float(given.memberships.data[(i, *index)]) for i in range(K)]
        expected.append([*place, *point, float(given.labels.data[index]), *degrees])
    np.testing.assert_allclose(np.array(lines, dtype=float), expected, rtol=2e-6, atol=1e-7)
    assert all("." not in line[len(where) + 2] for line in lines)  # labels are whole numbers


def test_points_of_many_rows_are_all_there(tmp_path):
    shape = (70, 131)  # more than one block of lines
    given = segmentation(shape=shape)
    table = np.loadtxt(write_points(given, tmp_path / "points.csv"), delimiter=",", skiprows=1)
    assert len(table) == math.prod(shape) - 1
    np.testing.assert_array_equal(table[:, 4], given.labels.data[~given.mask])


def test_scores_count_clusters_and_the_rest(tmp_path):
    scores = {"objective": 0.1 + 0.2, "converged": 0.0}
    given = segmentation(scores=scores, names={0: 'oxide, "α"'})
    with write_scores(given, tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    flat = given.labels.data.ravel().tolist()
    taking_part = ROWS * COLUMNS - 1
    for i in range(K):
        line = lines[i]
        assert (line["kind"], int(line["number"]), int(line["count"])) == (
            "cluster",
            i,
            flat.count(i),
        )
        assert float(line["fraction"]) == pytest.approx(flat.count(i) / taking_part, rel=1e-5)
        assert float(line["area (nm²)"]) == pytest.approx(flat.count(i) * 21.8 * 17.2, rel=1e-5)
    assert lines[0]["name"] == 'oxide, "α"'
    assert (lines[K]["kind"], lines[K]["count"]) == ("unassigned", "2")
    assert (lines[K + 1]["kind"], lines[K + 1]["count"]) == ("excluded", "1")
    assert {line["name"]: float(line["value"]) for line in lines[K + 2 :]} == pytest.approx(scores)
    shares = [float(line["fraction"]) for line in lines[: K + 1]]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", ["core_shell.hspy", "P45_12bit_packed_8bit.bcf"])
def test_msa_of_real_files(tmp_path, data_dir, name):
    loaded = hs.load(data_dir / "real" / name)
    source = loaded[-1] if isinstance(loaded, list) else loaded
    mean = np.stack([source.data[:, ::2].mean((0, 1)), source.data[:, 1::2].mean((0, 1))])
    energy = source.axes_manager[-1]
    stack = {"name": "cluster", "size": 2, "navigate": True}
    centers = type(source)(
        mean,
        axes=[stack, energy.get_axis_dictionary()],
        metadata=source.metadata.as_dictionary(),
    )
    write_centers(segmentation(centers=centers, counts=np.array([1, 1])), tmp_path)
    back = hs.load(tmp_path / "centers" / "cluster_1.msa")
    assert type(back) is type(source)
    assert back._get_beam_energy() == source._get_beam_energy()
    assert back.original_metadata.ELEMENTS.split() == list(source.metadata.Sample.elements)
    assert (back.axes_manager[-1].scale, back.axes_manager[-1].offset) == (
        energy.scale,
        energy.offset,
    )
    np.testing.assert_allclose(back.data, mean[1], atol=6e-7)
