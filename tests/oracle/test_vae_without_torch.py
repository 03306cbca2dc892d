"""What says that PyTorch is missing."""

import sys

import numpy as np
import pytest

from clustem.core import InputError
from clustem.reduce import vae


def test_without_torch_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # import torch then raises ImportError
    with pytest.raises(InputError, match=r"pip install 'clustem\[torch\]'") as refusal:
        vae(np.zeros((200, 30)))
    assert "\n" not in str(refusal.value)
