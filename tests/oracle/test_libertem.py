"""Scans that LiberTEM opens."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from clustem import samples, segment
from clustem.core import InputError
from clustem.io.reading import read
from clustem.passes.storage import is_dask

needs_libertem = pytest.mark.skipif(find_spec("libertem") is None, reason="needs LiberTEM")
SHAPE = 12, 14, 32, 32
READER = "lt:raw,dtype=uint16,nav_shape=12x14,sig_shape=32x32"


@pytest.fixture
def scan(tmp_path):
    data = samples.diffraction(shape=SHAPE[:2], detector=SHAPE[2:]).signal.data.astype(np.uint16)
    data.tofile(tmp_path / "scan.raw")
    return tmp_path / "scan.raw", data


@needs_libertem
def test_a_raw_file_gives_the_map_of_its_array(scan, tmp_path):
    path, data = scan
    found = read(path, reader=READER)
    assert is_dask(found.signal.data)
    np.testing.assert_array_equal(found.signal.data.compute(), data)
    np.save(tmp_path / "scan.npy", data)
    labels = [
        segment(source, "diffraction", n_clusters=4).labels.data
        for source in (found, tmp_path / "scan.npy", dataset_of(path))
    ]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[2], labels[1])


def dataset_of(path):
    from libertem.api import Context
    from libertem.executor.inline import InlineJobExecutor

    given = {"dtype": "uint16", "nav_shape": SHAPE[:2], "sig_shape": SHAPE[2:]}
    return Context(executor=InlineJobExecutor()).load("raw", path=str(path), **given)


@needs_libertem
@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("lt:raw", "missing 1 required"),
        ("lt", "could not determine"),
        ("lt:nope", "unknown filetype"),
        ("lt:raw,dtype", "must read NAME=VALUE; got 'dtype'"),
    ],
)
def test_what_it_cannot_open_is_one_line(reader, words, scan):
    with pytest.raises(InputError, match=words):
        read(scan[0], reader=reader)


def test_without_it_there_is_one_line(scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "libertem.api", None)
    with pytest.raises(InputError, match="needs LiberTEM; got none installed"):
        read(scan[0], reader=READER)
