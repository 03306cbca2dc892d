"""Nothing of the process stays changed, and threads do not get each other's messages."""

import logging
import threading
import warnings

import numpy  # noqa: F401  # loads BLAS
import pytest
from threadpoolctl import threadpool_info

from clustem.core import collecting, quiet, record, recording, warn
from clustem.passes.threads import one_blas_thread


def overlapping(first, second):
    """Run two functions in threads: second starts in the middle of first and ends after it."""
    inside, over = threading.Event(), threading.Event()
    failures = []

    def run(function, *events):
        try:
            function(*events)
        except BaseException as error:  # noqa: BLE001  # shown in the main thread
            failures.append(error)

    one = threading.Thread(target=run, args=(first, inside, over))
    two = threading.Thread(target=run, args=(second, inside, over))
    one.start(), two.start()
    one.join(10), two.join(10)
    assert not failures, failures


def test_overlapping_threads_leave_logging_and_warnings_as_they_were():
    before, disabled = list(warnings.filters), logging.root.manager.disable

    def first(inside, over):
        with quiet():
            inside.set()
        over.set()

    def second(inside, over):
        assert inside.wait(10)
        with quiet():
            assert over.wait(10)

    overlapping(first, second)
    assert logging.root.manager.disable == disabled
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)


def test_only_the_quiet_thread_is_silent(caplog):
    logger = logging.getLogger("hyperspy.test")

    def first(inside, over):
        with quiet():
            logger.error("dropped")
            inside.set()
            assert over.wait(10)

    def second(inside, over):
        assert inside.wait(10)
        logger.error("kept")
        over.set()

    logging.getLogger("hyperspy").propagate = True
    overlapping(first, second)
    assert [entry.message for entry in caplog.records] == ["kept"]


def test_each_thread_collects_its_own_warnings_and_notes():
    heard = {}

    def first(inside, over):
        with collecting() as said, recording() as noted:
            warn("of the first")
            record("first note", k=1)
            inside.set()
            assert over.wait(10)
        heard["first"] = said, noted.note, noted.found

    def second(inside, over):
        assert inside.wait(10)
        with collecting() as said, recording() as noted:
            warn("of the second")
            record("second note", k=2)
        heard["second"] = said, noted.note, noted.found
        over.set()

    overlapping(first, second)
    assert heard["first"] == (["of the first"], "first note", {"k": 1})
    assert heard["second"] == (["of the second"], "second note", {"k": 2})


def test_warnings_outside_are_pythons():
    with pytest.warns(UserWarning, match="as usual"):
        warn("as usual")
    record("nobody runs a step")  # does nothing


def test_overlapping_threads_leave_blas_its_threads():
    def limits():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = limits()

    def first(inside, over):
        with one_blas_thread():
            inside.set()
        over.set()

    def second(inside, over):
        assert inside.wait(10)
        with one_blas_thread():
            assert over.wait(10)
            assert set(limits()) == {1}

    overlapping(first, second)
    assert limits() == before
