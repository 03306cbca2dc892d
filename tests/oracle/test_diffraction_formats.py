"""4D-STEM files come back as they were written, in whole patterns, or are refused."""

import logging
import subprocess
import sys
import warnings

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError
from clustem.io import _formats
from clustem.io._formats import _whole_patterns, open_file
from clustem.io.blockfile import write_blo
from clustem.passes.chunks import scan_chunks
from clustem.passes.rows import Rows
from clustem.physics.detector import pixel_pitch
from clustem.samples import diffraction

DATA = np.random.default_rng(6).integers(0, 255, (5, 7, 24, 24), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """HyperSpy tells about signal types of packages that are not installed."""
    caplog.set_level(logging.CRITICAL, "hyperspy")


def written(folder, kind, data=DATA):
    path = folder / f"scan.{kind}"
    signal = hs.signals.Signal2D(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of axes without units
        if kind == "npy":
            np.save(path, data)
        elif kind == "mib":
            _write_mib(path, data)
        else:
            signal.save(path, overwrite=True)
    return path


def _write_mib(path, data):
    """A Merlin file: per frame a header of 384 bytes and big-endian counts, bottom row first."""
    rows, columns = data.shape[-2:]
    with path.open("wb") as file:
        for i, frame in enumerate(data.reshape(-1, rows, columns)):
            head = f"MQ1,{i + 1:06d},00384,01,{columns:04d},{rows:04d},U16,   1x1,01,"
            stamp = f"2024-05-06 10:00:{i % 60:02d}.000000000,0.001000,0,0,0,1.2E+2,"
            tail = f"MQ1A,2024-05-06T10:00:{i % 60:02d}.000000000Z,1000000ns,12,"
            file.write((head + stamp + tail).ljust(384).encode())
            file.write(frame[::-1].astype(">u2").tobytes())
    header = {
        "Frames per Trigger (Number)": data.shape[1],
        "Frames in Acquisition (Number)": data.shape[0] * data.shape[1],
    }
    lines = "".join(f"{name}:\t{value}\n" for name, value in header.items())
    path.with_suffix(".hdr").write_text(f"HDR\t\n{lines}End\t\n")


@pytest.mark.parametrize("lazy", [None, True, False])
@pytest.mark.parametrize("kind", ["blo", "npy", "hspy", "zspy", "emd", "mib"])
def test_a_scan_comes_back(kind, lazy, tmp_path):
    if kind == "zspy":
        pytest.importorskip("zarr", reason="needs zarr 2")
    signal, *others = open_file(written(tmp_path, kind), lazy=lazy)
    assert not others
    assert signal.axes_manager.navigation_shape == (7, 5)
    assert signal.axes_manager.signal_shape == (24, 24)
    assert bool(signal._lazy) == bool(lazy)
    found = np.asarray(Rows(signal.data, row_ndim=2))
    assert (found.reshape(DATA.shape) == DATA).all()
    if lazy:
        assert signal.data.chunks[-2:] == ((24,), (24,))


@pytest.mark.parametrize("kind", ["blo", "npy"])
def test_what_can_be_mapped_is_not_read(kind, tmp_path):
    signal = open_file(written(tmp_path, kind), lazy=None)[0]
    assert isinstance(signal.data, np.memmap)
    assert not signal.data.flags.writeable


@pytest.mark.parametrize("lazy", [None, True])
def test_a_truncated_blockfile_is_refused(lazy, tmp_path):
    path = written(tmp_path, "blo")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"must hold the 5 × 7 patterns.*got 33 of 35"):
        open_file(path, lazy=lazy)


@pytest.mark.parametrize("lazy", [None, True])
def test_patterns_of_one_pixel_stay_patterns(lazy, tmp_path):
    signal = open_file(written(tmp_path, "blo", DATA[..., :1, :1]), lazy=lazy)[0]
    assert signal.data.shape == (5, 7, 1, 1)


@pytest.mark.parametrize("lazy", [None, True])
def test_of_a_blockfile_the_reader_reads_the_header_alone(lazy, tmp_path, monkeypatch):
    asked, load = [], _formats.load_signals
    monkeypatch.setattr(
        _formats, "load_signals", lambda path, **how: asked.append(how) or load(path, **how)
    )
    open_file(written(tmp_path, "blo"), lazy=lazy)
    assert asked == [{"lazy": True}]
    open_file(written(tmp_path, "blo"), lazy=lazy, reader="Blockfile")
    assert asked[1]["reader"] == "Blockfile"


@pytest.mark.parametrize("lazy", [None, True])
def test_a_line_of_patterns(lazy, tmp_path):
    for kind, data in (("blo", DATA[:1]), ("blo", DATA[:, :1])):
        signal = open_file(written(tmp_path, kind, data), lazy=lazy)[0]
        assert signal.axes_manager.navigation_dimension == 1
        found = np.asarray(Rows(signal.data, row_ndim=2))
        assert (found.reshape(-1, 24, 24) == data.reshape(-1, 24, 24)).all()


def test_an_array_of_three_axes_is_told_apart_by_the_caller(tmp_path):
    path = written(tmp_path, "npy", DATA[0])
    assert open_file(path, lazy=None, signal_axes=2)[0].axes_manager.navigation_shape == (7,)
    assert open_file(path, lazy=None, signal_axes=1)[0].axes_manager.navigation_shape == (24, 7)
    assert open_file(path, lazy=None)[0].axes_manager.navigation_dimension == 0


def test_an_array_in_the_order_of_fortran(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, np.asfortranarray(DATA))
    for lazy in (None, True):
        rows = Rows(open_file(path, lazy=lazy)[0].data, row_ndim=2)
        assert (np.asarray(rows).reshape(DATA.shape) == DATA).all()


def test_a_file_that_changes_is_another_array(tmp_path):
    path = written(tmp_path, "npy")
    first = open_file(path, lazy=True)[0].data
    same = open_file(path, lazy=True)[0].data
    np.save(path, DATA[:4])
    other = open_file(path, lazy=True)[0].data
    assert first.name == same.name != other.name


def test_a_lazy_scan_travels_as_a_path(tmp_path):
    import cloudpickle

    lazy = open_file(written(tmp_path, "npy"), lazy=True)[0].data
    sent = cloudpickle.dumps(lazy)
    assert len(sent) < DATA.nbytes / 2
    assert (cloudpickle.loads(sent).compute(scheduler="synchronous") == DATA).all()


def test_chunks_are_pieces_of_the_file():
    u1, u2 = np.dtype("u1"), np.dtype("u2")
    assert scan_chunks((181, 172, 144, 144), u1) == (9, 172, 144, 144)
    assert scan_chunks((181, 172, 512, 512), u2) == (1, 64, 512, 512)
    assert scan_chunks((4000, 512, 512), u2) == (64, 512, 512)
    assert scan_chunks((5, 7, 24, 24), u1) == (5, 7, 24, 24)
    assert scan_chunks((1, 1, 9000, 9000), u2) == (1, 1, 9000, 9000)


def test_a_written_blockfile_keeps_counts_scan_and_angles(tmp_path):
    sample = diffraction(shape=(8, 11), detector=(32, 32))
    path = tmp_path / "scan.blo"
    path.write_bytes(b"an earlier one")
    signal = open_file(write_blo(sample.signal, path), lazy=None)[0]
    assert (signal.data == sample.signal.data).all()
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == pytest.approx(
        sample.signal.metadata.Acquisition_instrument.TEM.beam_energy, rel=1e-5
    )
    axes = signal.axes_manager.navigation_axes
    assert [(axis.size, axis.scale, axis.units) for axis in axes] == [
        (11, 2.5, "nm"),
        (8, 2.5, "nm"),
    ]
    for units in ("mrad", "1/Å", "1/nm"):
        assert pixel_pitch(signal, units) == pytest.approx(
            pixel_pitch(sample.signal, units),
            rel=1e-3,  # the format rounds pixels per cm
        )


@pytest.mark.parametrize(
    ("dtype", "detector"), [("uint16", (32, 32)), ("uint8", (32, 34)), ("uint16", (32, 34))]
)
def test_patterns_that_the_format_does_not_hold_are_refused(dtype, detector, tmp_path):
    signal = diffraction(shape=(8, 11), detector=detector, dtype=dtype).signal
    with pytest.raises(
        InputError, match=f"square uint8 patterns; got {dtype} .*32 × {detector[1]}"
    ):
        write_blo(signal, tmp_path / "scan.blo")
    assert not (tmp_path / "scan.blo").exists()


def test_merlin_s_patterns_are_read_by_pieces_of_the_file(tmp_path, monkeypatch):
    """Its reader would cut them where dask does."""
    path = written(tmp_path, "mib")
    monkeypatch.setattr(_formats, "scan_chunks", lambda shape, _: (2, *shape[1:]))
    with dask.config.set({"array.chunk-size": "4kiB"}):
        data = open_file(path, lazy=True)[0].data
    assert data.chunks == ((2, 2, 1), (7,), (24,), (24,))
    assert (data.compute() == DATA).all()


@pytest.mark.parametrize(("ndim", "again"), [(4, True), (2, False)])
def test_signals_of_one_shape_only_are_read_by_pieces(ndim, again, tmp_path, monkeypatch):
    """One of two signals is cut; both are read again where the same pieces fit both."""
    calls = []

    def load(*_, **how):
        calls.append(how)
        cut = da.from_array(DATA, chunks=(5, 7, 12, 24))
        other = da.from_array(DATA[(0,) * (4 - ndim)], chunks=-1)
        return [hs.signals.Signal2D(data).as_lazy() for data in (cut, other)], "MIB"

    monkeypatch.setattr(_formats, "_loaded", load)
    open_file(written(tmp_path, "mib"), lazy=True)
    assert [how.get("chunks") for how in calls] == [None, *[DATA.shape] * again]


@pytest.mark.parametrize("cut", [(12, 24), (24, 12), (12, 12), (24, 24)])
def test_no_chunk_cuts_a_pattern_in_any_direction(cut):
    lazy = hs.signals.Signal2D(da.from_array(DATA, chunks=(2, 7, *cut))).as_lazy()
    assert _whole_patterns(lazy).data.chunks == ((2, 2, 1), (7,), (24,), (24,))


def test_a_program_that_opens_a_blockfile_first_logs_nothing(tmp_path):
    """HyperSpy is imported while the file is read, and would tell of an unknown type of signal."""
    write_blo(diffraction(shape=(8, 8), detector=(24, 24)).signal, tmp_path / "scan.blo")
    code = "from clustem.io.reading import read; read('scan.blo', plain=True)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
