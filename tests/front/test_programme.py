"""The tools that look for faults work, and find one where there is one."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from clustem.io.reading import read

TOOLS = Path(__file__).parents[2] / "tools"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forked children with limits")


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return import_module("fuzz")


def test_files_made_by_hand_are_whole(fuzz, tmp_path):
    """What no reader opens before it is damaged tests nothing."""
    shapes = {
        path.suffix: read(path).signal.data.shape for path in fuzz.fuzz_seeds.by_hand(tmp_path)
    }
    assert shapes == {
        ".dm3": (5, 16),
        ".mrc": (6, 5, 16),
        ".ser": (6, 5, 16),
        ".mib": (2, 3, 5, 16),
        ".xml": (5, 16),
        ".csv": (16,),
    }


@LINUX
def test_some_damaged_files_end_in_order(tmp_path):
    command = [sys.executable, "-W", "ignore", TOOLS / "fuzz.py", "--keep", tmp_path / "kept"]
    options = ["--opens", "12", "--runs", "1", "--seconds", "60", "--seed", "3"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "info status" in done.stdout
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, ""),
        ({"status": 2, "errors": "clustem: The input must exist."}, ""),
        ({"status": 2, "errors": "clustem: a\nclustem: b"}, "more than one line"),
        ({"errors": "clustem: note: few rows"}, ""),
        ({"status": 1, "errors": "Traceback"}, "traceback"),
        ({"status": -11}, "crash by SIGSEGV"),
        ({"seconds": 21.0}, "hang"),
        ({"memory": 3_000_000_000}, "3.0 GB"),
        ({"leftovers": ("out",)}, "left out"),
    ],
)
def test_a_fault_is_told(given, fault, fuzz):
    ended = fuzz.Ended(0, 0.1, 1000, "", "")._replace(**given)
    assert ended.fault.startswith(fault)
    assert bool(ended.fault) == bool(fault)


def test_the_same_seed_makes_the_same_damage(fuzz):
    import random

    content = bytes(range(256)) * 9
    made = [fuzz.mutated(content, random.Random(seed), b"other") for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert content not in made
