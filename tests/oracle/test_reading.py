"""Which signal of a file is read, which files and values are refused, which texts are cleaned."""

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError
from clustem.io import _formats, reading
from clustem.io._formats import holds_events, left_on_disk, open_file
from clustem.io.reading import read


def saved(folder, data):
    np.save(folder / "scan.npy", data)
    return folder / "scan.npy"


@pytest.fixture
def several(tmp_path):
    """Path of a file of five signals: two maps, an image of each, a spectrum."""
    shapes = {"map": (3, 4, 5), "small": (2, 3, 4), "image": (3, 4), "other": (2, 3), "sum": (5,)}
    with h5py.File(tmp_path / "all.hspy", "w") as file:
        for name, shape in shapes.items():
            kind = hs.signals.Signal1D if len(shape) != 2 else hs.signals.Signal2D
            signal = kind(np.ones(shape), metadata={"General": {"title": name}})
            signal.save(tmp_path / "one.hspy", overwrite=True)
            with h5py.File(tmp_path / "one.hspy") as one:
                file.attrs.update(one.attrs)
                one.copy(f"Experiments/{name}", file.require_group("Experiments"))
    return tmp_path / "all.hspy"


def test_the_largest_signal_is_read_with_images_of_its_scan(several):
    found = read(several)
    assert found.signal.data.shape == (3, 4, 5)
    assert [image.metadata.General.title for image in found.context] == ["image"]


def test_a_kind_that_is_not_there_is_refused(several):
    with pytest.raises(InputError, match=r"signal of type EELS in all.hspy; got untyped\."):
        read(several, kind="EELS")


def test_what_holds_no_data_is_refused(tmp_path):
    (tmp_path / "empty.hspy").touch()
    (tmp_path / "byte.hspy").write_bytes(b"x")
    for name, words in (
        ("gone.hspy", "must exist"),
        (".", "a directory"),
        ("empty.hspy", "an empty file"),
        ("byte.hspy", "must be a whole file"),
    ):
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)
    with pytest.raises(InputError, match="a path or a HyperSpy signal; got ndarray"):
        read(np.ones((3, 4, 5)))


def test_one_value_anywhere_is_enough(tmp_path):
    data = np.zeros((5, 3, 4))
    data[4, 2, 3] = 1
    assert read(saved(tmp_path, data), signal_axes=1).signal.data.sum() == 1
    hs.signals.Signal1D(data).save(tmp_path / "rows.hspy", chunks=(1, 3, 4))
    for lazy in (True, False):
        assert read(tmp_path / "rows.hspy", lazy=lazy).signal.data.shape == (5, 3, 4)


def test_zeros_on_a_line_are_refused_and_a_spectrum_of_zeros_is_not(tmp_path):
    with pytest.raises(InputError, match="zeros only"):
        read(saved(tmp_path, np.zeros((5, 4))), signal_axes=1)
    assert read(saved(tmp_path, np.zeros(4)), signal_axes=1).signal.data.shape == (4,)


def test_the_search_for_a_value_ends_after_what_is_promised(tmp_path, monkeypatch):
    data = np.zeros((4, 3, 5))
    monkeypatch.setattr(reading, "_LOOKED", data.nbytes)
    with pytest.raises(InputError, match="zeros only"):
        read(saved(tmp_path, data), signal_axes=1)
    longer = np.zeros((5, 3, 5))
    assert read(saved(tmp_path, longer), signal_axes=1).signal.data.shape == (5, 3, 5)


def test_clean_texts_leave_the_signal_as_it_is_others_keep_its_variance():
    signal = hs.signals.Signal1D(np.ones((3, 4, 5)), metadata={"General": {"title": "map"}})
    signal.metadata.set_item("Signal.Noise_properties.variance", 2.5)
    signal.axes_manager[0].name = "x"
    assert read(signal).signal is signal
    signal.axes_manager[1].units = "n\0m"
    found = read(signal).signal
    assert found.axes_manager[1].units == "nm"
    assert found.metadata.Signal.Noise_properties.variance == 2.5
    signal.axes_manager[1].units = "nm"
    signal.metadata.General.title = "ma\0p"
    assert read(signal).signal.metadata.General.title == "map"


def test_files_beyond_a_size_stay_on_disk(tmp_path, monkeypatch):
    path = saved(tmp_path, np.ones((3, 4)))
    size = path.stat().st_size
    for large, expected in ((size, False), (size - 1, True)):
        monkeypatch.setattr(_formats, "_LARGE", large)
        assert left_on_disk(path, lazy=None) is expected
        assert left_on_disk(path, lazy=not expected) is not expected


def test_a_folder_is_as_large_as_its_files_together(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.0").write_bytes(b"x" * 100)
    monkeypatch.setattr(_formats, "_LARGE", 199)
    assert left_on_disk(tmp_path, lazy=None)
    monkeypatch.setattr(_formats, "_LARGE", 200)
    assert not left_on_disk(tmp_path, lazy=None)


def test_short_lists_of_events_are_kept_as_such(tmp_path, monkeypatch):
    path = tmp_path / "map.PTS"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(_formats, "_FEW", 100)
    assert holds_events(path, lazy=None)
    assert not holds_events(path, lazy=True)
    assert not holds_events(saved(tmp_path, np.ones(3)), lazy=None)
    monkeypatch.setattr(_formats, "_FEW", 99)
    assert not holds_events(path, lazy=None)


def test_two_readers_that_can_open_a_file_are_named(tmp_path, monkeypatch):
    np.save(tmp_path / "scan.mrc.npy", np.ones((3, 4)))
    path = (tmp_path / "scan.mrc.npy").rename(tmp_path / "scan.mrc")
    opened = {"MRC": ["a"], "MRCZ": ["b"]}

    def load(_, *, reader=None, **__):
        if reader not in opened:
            raise OSError
        return opened[reader]

    monkeypatch.setattr(_formats, "load_signals", load)
    with pytest.raises(InputError, match=", which all can"):
        _formats._loaded(path, None, lazy=False)
    del opened["MRC"]
    assert _formats._loaded(path, None, lazy=False) == (["b"], "MRCZ")
    del opened["MRCZ"]
    with pytest.raises(InputError, match="none of MRC"):
        _formats._loaded(path, None, lazy=False)


def test_a_reader_that_is_named_reads(tmp_path):
    data = np.arange(60.0).reshape(3, 4, 5)
    found = open_file(saved(tmp_path, data), lazy=None, reader="numpy")[0].data
    assert not isinstance(found, np.memmap)
    assert (found == data).all()
