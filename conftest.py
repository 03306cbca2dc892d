"""What holds for tests and docstrings alike."""

from importlib.util import find_spec

import pytest

_TRAINED = "clustem.eels", "clustem.reduce.vae"


def pytest_collection_modifyitems(items):
    """Skip, and count, the examples that train networks where PyTorch is not installed."""
    if find_spec("torch") is not None:
        return
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.startswith(_TRAINED):
            item.add_marker(pytest.mark.skip(reason="needs PyTorch: pip install 'clustem[torch]'"))
