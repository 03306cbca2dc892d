"""What somebody may try who means harm: bombs in containers, forged paths, many at once."""

import contextlib
import gzip
import json
import struct
import threading
import zipfile
import zlib

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from _session import at_once

from clustem.app.session import memory
from clustem.app.session.memory import Budget
from clustem.app.session.state import Explorer

pytestmark = pytest.mark.filterwarnings("ignore")  # what readers say of such files
MOST = 3e8
"""Memory that a bomb may take before it is refused [bytes]."""


@pytest.fixture
def session(tmp_path):
    root = tmp_path / "shared"
    root.mkdir()
    found = Explorer(root, at_once, Budget(4e8, 2e8))
    yield found
    found.close()


def zspy_of_zeros(path):
    """A zip file whose arrays are declared a thousand times larger than they are packed."""
    store = path.with_name("store.zspy")
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(store)
    about = next(p for p in store.rglob(".zarray") if p.parent.name == "data")
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "shape": [40_000, 40_000, 2048]}))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part in store.rglob("*"):
            file.write(part, part.relative_to(store))


def zspy_with_a_large_note(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open(".zattrs", "w", force_zip64=True) as stream:
            for _ in range(100):
                stream.write(b" " * 2**20)
        file.writestr("../../evil.txt", "x")


def hdf5_of_one_chunk(path):
    """One chunk of 3 GB: it would be unpacked to see a single spectrum."""
    hs.signals.Signal1D(np.ones((3, 4, 5), dtype=np.uint8)).save(path)
    with h5py.File(path, "r+") as file:
        experiment = file["Experiments/__unnamed__"]
        del experiment["data"]
        shape = (1500, 2000, 1000)
        made = experiment.create_dataset("data", shape, "u1", chunks=shape, compression="gzip")
        made.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(2**20), 9))
        for i, size in enumerate(shape):
            experiment[f"axis-{i}"].attrs["size"] = size


def hdf5_with_a_link(path):
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("/etc/passwd", "/x")


def tif_of_zeros(path):
    tile = np.zeros((1024, 1024), dtype=np.uint16)
    tiles = (tile for _ in range(144))
    tifffile.imwrite(
        path, tiles, shape=(12 * 1024, 12 * 1024), dtype=np.uint16, tile=(1024, 1024),
        compression="zlib",
    )  # fmt: skip


def png_of_zeros(path):
    """Chunks of a PNG by hand: 60,000 x 60,000 pixels of which none is there."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(2**22), 9))
        + chunk(b"IEND", b"")
    )


def prz_of_zeros(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("data.npy",):
            with file.open(name, "w", force_zip64=True) as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": (250, 2**20)}
                np.lib.format.write_array_header_1_0(stream, header)
                for _ in range(250):
                    stream.write(bytes(2**20))


def npy_that_lies(path):
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5, 10**3)}
        np.lib.format.write_array_header_1_0(stream, header)


def bruker_of_nothing(path):
    head = bytearray(b"AAMVHFSS" + bytes(400))
    head[0x128:0x12C] = struct.pack("<I", 2**20)
    path.write_bytes(bytes(head) + b"\xff" * 4096)


def blockfile_that_lies(path):
    path.write_bytes(b"IMGBLO" + bytes(1) + b"\xff" * 600)


def mrc_that_lies(path):
    head = bytearray(1024)
    head[:16] = struct.pack("<4i", 50_000, 50_000, 50_000, 2)
    head[208:212] = b"MAP "
    path.write_bytes(bytes(head) + bytes(4096))


def gzip_by_another_name(path):
    path.write_bytes(gzip.compress(bytes(2**26)))


BOMBS = {
    "zeros.zspy": zspy_of_zeros,
    "note.zspy": zspy_with_a_large_note,
    "chunk.hspy": hdf5_of_one_chunk,
    "link.h5": hdf5_with_a_link,
    "zeros.tif": tif_of_zeros,
    "zeros.png": png_of_zeros,
    "zeros.prz": prz_of_zeros,
    "lies.npy": npy_that_lies,
    "nothing.bcf": bruker_of_nothing,
    "lies.blo": blockfile_that_lies,
    "lies.mrc": mrc_that_lies,
    "gzip.emd": gzip_by_another_name,
    "gzip.pts": gzip_by_another_name,
    "gzip.dm4": gzip_by_another_name,
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_is_one_line(name, session, tmp_path):
    path = tmp_path / name
    BOMBS[name](path)
    assert path.stat().st_size < 5e6
    before = memory.held()
    session.open_upload(path, name)
    assert session.jobs.wait(300)
    text = session.message.text
    assert session.message.kind == "error", text
    assert "; got " in text
    assert "\n" not in text
    assert str(tmp_path) not in text
    assert memory.held() - before < MOST
    assert not (tmp_path.parent / "evil.txt").exists()
    assert session.opened is None


PATHS = (
    "../secret.npy", "/etc/hostname", "a/../../secret.npy", "way_out.npy", "folder_out/secret.npy",
    "..\\secret.npy", "x\0.npy", "~/secret.npy", "file:///etc/hostname", "", ".", "loop.npy",
    "\u202e../secret.npy", "%2e%2e/secret.npy", "....//secret.npy", "a" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_path_leads_out(path, session, tmp_path):
    secret = tmp_path / "secret.npy"
    np.save(secret, np.ones((4, 5, 6)))
    (session.root / "way_out.npy").symlink_to(secret)
    (session.root / "folder_out").symlink_to(tmp_path)
    (session.root / "loop.npy").symlink_to(session.root / "loop.npy")
    session.open_path(path)
    assert session.jobs.wait(100)
    assert session.opened is None
    assert session.message.kind == "error"
    assert str(tmp_path) not in session.message.text


def test_ten_sessions_at_once(tmp_path):
    """Each sees its own file, and nothing stays when they end."""
    budget, threads = Budget(2e9, 1e9), threading.active_count()
    for i in range(10):
        np.save(tmp_path / f"{i}.npy", np.full((5, 6, 7 + i), i + 1, dtype=np.uint8))
    with contextlib.ExitStack() as stack:
        sessions = [Explorer(tmp_path, at_once, budget) for _ in range(10)]
        for one in sessions:
            stack.callback(one.close)
        for i, one in enumerate(sessions):
            one.open_path(f"{i}.npy")
        for i, one in enumerate(sessions):
            assert one.jobs.wait(300)
            assert one.background.wait(300)
            assert one.opened.label == f"{i}.npy"
            one.look(*one.opened.frame.middle(2, 3))
            assert one.reading.values.tolist() == [i + 1] * (7 + i)
        assert len({one.temporary for one in sessions}) == 10
        budget.total = sum(one.opened.claim.n_bytes for one in sessions) + 100
        sessions[0].open_path("1.npy", beside=True)
        assert sessions[0].jobs.wait(100)
        assert "that this session may still take" in sessions[0].message.text
    assert not any(one.temporary.exists() for one in sessions)
    for thread in threading.enumerate():
        if thread.name == "clustem":
            thread.join(20)
    assert threading.active_count() <= threads + 1  # the helper that tries files
