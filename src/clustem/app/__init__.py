"""The explorer: clustering in a browser.

``session`` holds state and logic: it knows no widgets and is tested without a browser. ``plots``
and ``forms`` bind it to figures and fields, ``web`` serves the page. Nothing here is imported
before ``clustem serve`` asks for it.
"""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
"""Folder of style sheets, scripts and the page."""
