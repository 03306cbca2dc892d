"""Clustem finds where things are alike in electron-microscopy data.

``clustem.segment(signal_or_path, recipe)`` does the whole journey; each room's functions and
estimators also work on their own: ``clustem.prepare``, ``describe``, ``reduce``, ``cluster``,
``judge``, ``reproject``, ``eels``, ``report``, ``samples``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clustem._compare import compare
    from clustem.recipes import Recipe, segment, segment_movie, sweep, views
    from clustem.segmentation import Segmentation

    __version__: str

__all__ = [
    "Recipe",
    "Segmentation",
    "__version__",
    "compare",
    "segment",
    "segment_movie",
    "sweep",
    "views",
]

_HOME = {
    "Recipe": "clustem.recipes",
    "Segmentation": "clustem.segmentation",
    "compare": "clustem._compare",
    "segment": "clustem.recipes",
    "segment_movie": "clustem.recipes",
    "sweep": "clustem.recipes",
    "views": "clustem.recipes",
}
_ROOMS = ("cluster", "describe", "judge", "prepare", "recipes", "reduce", "report", "reproject")
_ROOMS += ("eels", "samples")


def __getattr__(name: str) -> object:
    """Import on first use, so that ``clustem --help`` answers at once."""
    if name == "__version__":
        return import_module("importlib.metadata").version("clustem")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _ROOMS:
        return import_module(f"clustem.{name}")
    raise AttributeError(f"module 'clustem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_ROOMS])
