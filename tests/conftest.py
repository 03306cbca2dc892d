"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

DATA = Path(
    os.environ.get("CLUSTEM_DATA", Path(__file__).parents[1].parent / "shared" / "data")
).resolve()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real and simulated files; without it the test is skipped and counted."""
    if not DATA.is_dir():
        pytest.skip(f"no data folder at {DATA}: set CLUSTEM_DATA")
    return DATA
