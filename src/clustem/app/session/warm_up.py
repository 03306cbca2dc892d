"""Import what the first run needs, once, while the user still looks around."""

from __future__ import annotations

import logging
import threading
from importlib import import_module

_NEEDED = ("hyperspy.api", "exspy", "clustem.samples", "clustem.cluster", "clustem.recipes")
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
