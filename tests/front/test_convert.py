"""A scan written once into a format that is fast to read by blocks."""

import errno
import sys

import hyperspy.api as hs
import numpy as np
import pytest

from clustem import samples
from clustem.cli import main
from clustem.core import OutputError, quiet
from clustem.io import _formats, convert
from clustem.io.blockfile import write_blo
from clustem.io.reading import read
from clustem.passes.storage import is_dask, stored


@pytest.fixture(scope="module")
def blockfile(tmp_path_factory):
    signal = samples.diffraction(shape=(8, 9), detector=(32, 32), dtype="uint8").signal
    return write_blo(signal, tmp_path_factory.mktemp("scans") / "scan.blo")


@pytest.mark.parametrize("ending", [".zspy", ".hspy", ".npy"])
def test_values_axes_and_metadata_stay(ending, blockfile, tmp_path, capsys, monkeypatch):
    target = tmp_path / f"out{ending}"
    monkeypatch.setattr(sys, "argv", ["clustem", "convert", str(blockfile), "-o", str(target)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    said = capsys.readouterr()
    assert said.out == f"{target}: 8 × 9 × 32 × 32 uint8, 73.7 kB\n"
    assert not said.err
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    known, found = read(blockfile).signal, read(target).signal
    np.testing.assert_array_equal(found.data, known.data)
    if ending != ".npy":
        for one, other in zip(known.axes_manager._axes, found.axes_manager._axes, strict=True):
            assert (one.scale, one.offset, one.units) == (other.scale, other.offset, other.units)
        instruments = (s.metadata.Acquisition_instrument.as_dictionary() for s in (known, found))
        assert next(instruments) == next(instruments)


def test_chunks_cut_no_pattern(blockfile, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "scan_chunks", lambda *_, **__: (1, 4, 32, 32))
    shares = []
    path, scan = convert.convert(
        blockfile, tmp_path / "out.zspy", progress=lambda _, share: shares.append(share)
    )
    assert scan.signal.data.shape == (8, 9, 32, 32)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert read(path, lazy=True).signal.data.chunks[2:] == ((32,), (32,))


@pytest.mark.parametrize("ending", [".zspy", ".hspy"])
def test_few_patterns_are_read_with_few_others(ending, blockfile, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_CHUNK", 3 * 32 * 32)  # one byte each
    path, _ = convert.convert(blockfile, tmp_path / f"out{ending}")
    assert stored(read(path, lazy=True).signal.data).unit == (1, 3, 32, 32)


@pytest.mark.parametrize("ending", [".zspy", ".hspy", ".npy"])
def test_a_full_disk_leaves_nothing(ending, blockfile, tmp_path, monkeypatch):
    name = "_write_npy" if ending == ".npy" else "_write_signal"
    write = getattr(convert, name)

    def full(*args):
        write(*args)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(convert, name, full)
    with pytest.raises(OutputError, match="a full disk"):
        convert.convert(blockfile, tmp_path / f"out{ending}")
    assert not [*tmp_path.iterdir()]


def test_room_is_asked_for_first(blockfile, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_SPARE", 10**18)
    with pytest.raises(OutputError, match=r"room for 0\.00 GB; .* which is compressed"):
        convert.convert(blockfile, tmp_path / "out.npy")
    assert not [*tmp_path.iterdir()]


def test_what_exists_stays_and_other_formats_are_refused(blockfile, tmp_path):
    with pytest.raises(OutputError, match=r"must end in .*Name it out\.zspy"):
        convert.convert(blockfile, tmp_path / "out.tif")
    (tmp_path / "out.hspy").write_text("mine")
    with pytest.raises(OutputError, match="must not exist yet"):
        convert.convert(blockfile, tmp_path / "out.hspy")
    assert (tmp_path / "out.hspy").read_text() == "mine"
    made, _ = convert.convert(blockfile)
    assert made == blockfile.with_suffix(".zspy")


@pytest.mark.parametrize("ending", ["hspy", "zspy"])
def test_what_is_large_when_unpacked_stays_on_disk(ending, tmp_path, monkeypatch):
    path = tmp_path / f"zeros.{ending}"
    data = np.zeros((60, 60, 300), dtype=np.uint16)
    data[0, 0, 0] = 1
    with quiet():
        hs.signals.Signal1D(data).save(path)
    assert not is_dask(read(path).signal.data)
    monkeypatch.setattr(_formats, "_DENSE", data.nbytes - 1)
    assert is_dask(read(path).signal.data)
    assert not is_dask(read(path, lazy=False).signal.data)
