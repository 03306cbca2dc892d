"""Import what the first image and run need, once, while the user still looks around."""

from __future__ import annotations

import logging
import threading
from importlib import import_module

from clustem.core import registry
from clustem.physics.xray_lines import lines_of
from clustem.recipes.recipe import STAGES

_NEEDED = ("hyperspy.api", "exspy", "zarr", "clustem.samples", "clustem.recipes")
_ONE = threading.Lock()
_LOG = logging.getLogger(__name__)


def warm_up() -> None:
    """Import all that is slow to import; who comes second waits for the first.

    Two threads that import packages with circular imports at once see halves of them.
    """
    with _ONE:
        for name in _NEEDED:
            try:
                import_module(name)
            except ImportError:
                _LOG.debug("no %s", name)
        for stage in STAGES:
            _ = len(registry(stage))  # the form of a recipe lists all steps
        lines_of(["O"])
