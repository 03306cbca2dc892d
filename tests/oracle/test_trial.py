"""What a trial in a child process may take, and which process makes it."""

import os
import resource
import signal
import sys
import time

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError
from clustem.io import trial

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are no trials elsewhere")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Path of a small file that was not tried before, in a process of one thread."""
    monkeypatch.setattr(trial, "_tried", set())
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(tmp_path / "map.hspy")
    return tmp_path / "map.hspy"


def read_by(monkeypatch, reader):
    from rsciio import hspy

    monkeypatch.setattr(hspy, "file_reader", reader)


def test_time_and_memory_grow_with_the_file():
    job = trial._Job("map.bcf", None, None, 10**9)
    assert (job.seconds, job.memory) == (115, 10**10)


def test_an_array_that_numpy_maps_needs_no_trial(tmp_path, monkeypatch):
    for name in ("_forked", "_asked"):
        monkeypatch.setattr(trial, name, lambda _: pytest.fail("a child was started"))
    np.save(tmp_path / "scan.npy", np.ones((3, 4, 5)))
    assert trial.try_out(tmp_path / "scan.npy") is None


def test_a_child_reads_nothing_that_is_typed(small, monkeypatch):
    def asking(*_, **__):
        if os.read(0, 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        return []

    read_by(monkeypatch, asking)
    (ours, typed), kept = os.pipe(), os.dup(0)
    os.write(typed, b"typed")
    os.dup2(ours, 0)
    try:
        assert trial.try_out(small) is None
    finally:
        os.dup2(kept, 0)
        for end in (ours, typed, kept):
            os.close(end)


def test_a_small_file_may_take_what_is_promised(small, monkeypatch):
    read_by(monkeypatch, lambda *_, **__: [] if len(np.empty(1_700_000_000, "u1")) else None)
    assert trial.try_out(small) is None


def test_a_lower_limit_of_the_machine_holds(small, monkeypatch):
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        taken = int(file.read().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, taken + 5 * 10**8))
    read_by(monkeypatch, lambda *_, **__: [np.empty(10**9, "u1")])
    with pytest.raises(InputError, match="of memory for it"):
        trial.try_out(small)


@pytest.mark.parametrize(("size", "lazy"), [(16 * 10**6, False), (16 * 10**6 + 1, True)])
def test_small_files_are_read_whole_of_others_the_first_block(size, lazy, small, monkeypatch):
    asked, blocks = [], []

    def reader(*_, lazy, **__):
        asked.append(lazy)
        rows = da.ones((1, 3)).map_blocks(lambda x: blocks.append(1) or x, meta=np.ones((1, 3)))
        return [{"data": rows if lazy else np.ones((1, 3)), "axes": [], "metadata": {}}]

    read_by(monkeypatch, reader)
    assert trial._open(trial._Job(str(small), None, None, size)) == 0
    assert asked == [lazy]
    assert any(blocks) == lazy


def test_a_child_that_nobody_waits_for_is_ended(small, monkeypatch):
    children, waitpid = [], os.waitpid

    def interrupted(child, options):
        children.append(child)
        if len(children) == 1:
            raise KeyboardInterrupt
        return waitpid(child, options)

    monkeypatch.setattr(trial, "_in_child", lambda _: time.sleep(60))
    monkeypatch.setattr(trial.os, "waitpid", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trial._forked(trial._Job(str(small), None, None, 1000))
    with pytest.raises(ChildProcessError):
        waitpid(children[0], os.WNOHANG)


def test_a_helper_is_replaced_once(monkeypatch):
    calls = []

    def broken():
        calls.append(1)
        raise BrokenPipeError

    monkeypatch.setattr(trial, "_running", broken)
    assert trial._asked(trial._Job("map.hspy", None, None, 1000)) is None
    assert len(calls) == 2


def test_a_helper_serves_and_ends_with_the_process_that_started_it(monkeypatch):
    at_exit, helpers = [], []
    monkeypatch.setattr(trial.atexit, "register", at_exit.append)
    monkeypatch.setattr(trial, "_helper", None)
    monkeypatch.setattr(trial, "_owner", 0)
    try:
        trial.start_helper()
        helpers.append(trial._helper)
        assert at_exit == [trial._stop]
        trial.start_helper()
        assert trial._helper is helpers[0]
        trial._owner = -1  # as a forked child sees it
        trial._stop()
        assert helpers[0].poll() is None
        trial.start_helper()
        helpers.append(trial._helper)
        assert at_exit == [trial._stop]
        trial._stop()
        assert [helper.poll() for helper in helpers] == [None, -signal.SIGKILL]
    finally:
        for helper in filter(None, helpers):
            helper.kill()
            helper.communicate()
