"""Memory of the explorer: claimed before it is taken, given back, refused in one line."""

import gc
import platform
import subprocess
import sys
import time
import weakref
import zipfile

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from _session import at_once, finished

from clustem.app.session import memory, opened, pictures
from clustem.app.session.jobs import Jobs
from clustem.app.session.memory import Budget, Room
from clustem.app.session.opened import Opened
from clustem.app.session.state import Explorer
from clustem.core import InputError, contents

ARENAS = """
import ctypes, threading
from clustem.app.session.memory import share_one_arena
libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
{begin}
together = threading.Barrier(6)
def take():
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
[one.start() for one in threads]
[one.join() for one in threads]
file = ctypes.c_void_p(libc.fopen(b"{path}", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""
DATA = np.random.default_rng(4).poisson(3, (9, 13, 40)).astype(np.uint16)


@pytest.fixture
def session(tmp_path):
    root = tmp_path / "shared"
    root.mkdir()
    found = Explorer(root, at_once, Budget(4e6, 2e6))
    yield found
    found.close()


def refused(session, name):
    session.open_path(name)
    assert session.jobs.wait(300)
    assert session.message.kind == "error"
    return session.message.text


def test_claims_end_with_what_holds_them():
    budget = Budget(10e9, 6e9)
    first = budget.claim(4e9, "one.bcf")
    assert budget.left() == 6e9
    assert budget.left((first,)) == 2e9  # of this session
    other = budget.claim(5e9, "two.bcf")
    with pytest.raises(InputError, match=r"three\.bcf needs 3 GB of memory; got 1 GB that"):
        budget.claim(3e9, "three.bcf")
    first.held_by_a_circle = first
    del first  # as a closed page leaves it
    third = budget.claim(3e9, "three.bcf")
    assert budget.left() == 2e9
    assert (other.n_bytes, third.n_bytes) == (5e9, 3e9)


def test_what_has_gathered_is_given_back_before_the_next_job(monkeypatch):
    sizes, looks = iter((3e8, 2.5e8, 2.5e8, 3.4e8, 3.4e8, 3.6e8, 2.6e8, 2.6e8)), []
    monkeypatch.setattr(memory, "held", lambda: next(sizes))
    monkeypatch.setattr(memory, "give_back", lambda: looks.append(1))
    budget = Budget(10e9, 6e9)
    assert [(budget.full(), len(looks)) for _ in range(3)] == [(False, 1), (False, 1), (False, 2)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
@pytest.mark.parametrize("shared", [True, False])
def test_all_threads_take_memory_from_one_arena(tmp_path, shared):
    code = ARENAS.format(path=tmp_path / "info.xml", begin="share_one_arena()" if shared else "")
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ((tmp_path / "info.xml").read_text().count("<heap nr=") == 1) == shared


def test_by_default_half_of_what_is_free_and_half_of_that_for_a_session(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 12e9)
    assert (Budget.of_machine().total, Budget.of_machine().each) == (6e9, 3e9)
    assert Budget.of_machine(2e9, 5e9).each == 2e9
    monkeypatch.setattr(memory, "free_memory", lambda: 0.0)
    assert Budget.of_machine().total == 1e9


def test_what_does_not_fit_stays_on_disk(session):
    signal = hs.signals.Signal1D(DATA)
    signal.save(session.root / "map.hspy", chunks=(2, 13, 40))
    session.open_path("map.hspy")
    assert not finished(session).opened.on_disk
    whole = session.picture
    session.budget.each = 10_000  # 3.7 kB are drawn, 9.4 kB the data
    session.open_path("map.hspy")
    assert finished(session).opened.on_disk
    np.testing.assert_array_equal(session.picture.values, whole.values)
    gc.collect()
    assert session.budget.left() < 4e6 - 32 * 9 * 13  # what is drawn is counted


def test_what_is_closed_is_given_back_soon(session, monkeypatch):
    """Signals are circles: without a look for them they stay until Python looks by itself."""
    monkeypatch.setattr(memory, "_LATER", 0.1)
    for name in ("one", "two"):
        hs.signals.Signal1D(DATA).save(session.root / f"{name}.hspy")
    gc.disable()
    try:
        session.open_path("one.hspy")
        held = weakref.ref(finished(session).opened.signal)
        session.open_path("two.hspy")
        finished(session)
        end = time.monotonic() + 20
        while held() is not None and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        gc.enable()
    assert held() is None


@pytest.mark.parametrize("failing", [True, False])
def test_a_job_holds_nothing_once_it_has_ended(failing):
    class Data:
        pass

    held, ended = [], []

    def work(_):
        data = Data()
        held.append(weakref.ref(data))
        if failing:
            raise ValueError("no clusters")
        return 1

    jobs = Jobs(at_once)
    gc.disable()
    try:
        jobs.start("a run", work, ended.append, lambda error: ended.append(str(error)))
        assert jobs.wait(20)
        jobs.close()
        assert held[0]() is None
    finally:
        gc.enable()
    assert ended == (["no clusters"] if failing else [1])


@pytest.mark.parametrize("chunks", [(2, 5, 40), (3, 13, 20), None])
def test_a_large_scan_is_seen_in_part_first(session, monkeypatch, chunks):
    if chunks is None:
        np.save(session.root / "map.npy", DATA)
    else:
        hs.signals.Signal1D(DATA).save(session.root / "map.hspy", chunks=chunks)
    monkeypatch.setattr(pictures, "_AT_FIRST", DATA.nbytes / 2)
    monkeypatch.setattr(pictures, "_SELDOM", 0)
    monkeypatch.setattr(opened, "_MEMORY", 0)
    seen = []
    session.param.watch(lambda event: seen.append(event.new), "picture")
    session.open_path("map.npy" if chunks is None else "map.hspy")
    finished(session)
    exact = DATA.sum(axis=2)
    first = seen[0]
    assert 0.02 < first.part < 0.5
    assert "% read" in first.title
    right = first.values == exact
    assert first.part - 0.01 <= right.mean() < 0.9  # others are as their neighbours
    assert set(first.values.ravel()) <= set(exact.ravel())
    assert session.picture.part == 1
    np.testing.assert_array_equal(session.picture.values, exact)


def test_a_scan_of_too_many_positions(session, monkeypatch):
    """Honest files may pack well: how many positions are drawn is looked at in any case."""
    monkeypatch.setattr(contents, "_RATIO", 1e9)
    path = session.root / "large.hspy"
    hs.signals.Signal1D(np.ones((3, 4, 5), dtype=np.uint8)).save(path)
    with h5py.File(path, "r+") as file:
        experiment = file["Experiments/__unnamed__"]
        del experiment["data"]
        shape = (30_000, 20_000, 4)
        made = experiment.create_dataset("data", shape, "u1", chunks=(64, 64, 4))
        made[:2, :2] = 1
        for i, size in enumerate(shape):
            experiment[f"axis-{i}"].attrs["size"] = size
    before = memory.held()
    text = refused(session, "large.hspy")
    assert text.startswith("large.hspy needs 19.2 GB of memory; got 2 MB that")
    assert "\n" not in text
    assert memory.held() - before < 2e8


def test_images_and_archives_that_unpack_to_more(session):
    image = np.zeros((1600, 1500), dtype=np.uint8)
    tifffile.imwrite(session.root / "image.tif", image, compression="zlib")
    assert (session.root / "image.tif").stat().st_size < 20_000
    assert "image.tif needs 2.4 MB" in refused(session, "image.tif")
    with zipfile.ZipFile(session.root / "map.prz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.npy", bytes(2**22))
    assert "map.prz needs 4.19 MB" in refused(session, "map.prz")
    assert session.opened is None


def test_files_that_stay_open_count(session):
    for name in ("one.npy", "two.npy", "three.npy"):
        np.save(session.root / name, np.ones((150, 200, 2), dtype=np.uint8))  # 0.96 MB are drawn
    for name in ("one.npy", "two.npy"):
        session.open_path(name, beside=True)
        finished(session)
    assert "three.npy needs 960 kB" in _refused_beside(session, "three.npy")
    session.open_path("three.npy")  # in their place
    assert finished(session).opened.label == "three.npy"


def _refused_beside(session, name):
    session.open_path(name, beside=True)
    assert session.jobs.wait(300)
    return session.message.text


def test_a_file_of_another_process_is_counted_when_it_is_there(data_dir):
    path = data_dir / "real" / "P45_12bit_packed_8bit.bcf"
    with pytest.raises(InputError, match=r"needs 15\.6 MB of memory"):
        Opened.file(path, path.name, room=Room(Budget(9e6, 9e6)))
    room = Room(Budget(9e7, 9e7))
    assert Opened.file(path, path.name, room=room).signal.data.nbytes == 75 * 100 * 2048


def test_nothing_starts_while_the_server_holds_too_much(session, monkeypatch):
    hs.signals.Signal1D(DATA).save(session.root / "map.hspy")
    session.open_path("map.hspy")
    finished(session).choose("eds")
    monkeypatch.setattr(memory, "held", lambda: 5e6)
    session.run()
    assert session.jobs.wait(100)
    assert "may take 4 MB of memory; got" in session.message.text
    assert session.outcome is None
