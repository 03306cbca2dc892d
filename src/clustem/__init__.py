"""Clustem finds where things are alike in electron-microscopy data."""

from importlib.metadata import version as _version

__version__ = _version("clustem")
