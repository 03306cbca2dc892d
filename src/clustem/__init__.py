"""Clustem finds where things are alike in electron-microscopy data.

``clustem.segment(signal_or_path, recipe)`` does the whole journey; each stage's functions and
estimators also work on their own: ``clustem.prepare``, ``describe``, ``reduce``, ``cluster``,
``mapping``, ``eels``, ``judge``, ``report``, ``samples``.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Import on first use, so that ``clustem --help`` answers at once."""
    if name == "__version__":
        from importlib.metadata import version

        return version("clustem")
    return _load(name)
