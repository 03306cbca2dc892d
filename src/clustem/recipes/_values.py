"""Values that people type."""

from __future__ import annotations

import tomllib
from typing import Any


def from_text(text: str) -> Any:
    """Read a value: TOML where it can be, else the text itself.

    Examples
    --------
    >>> from_text("[2, 3]"), from_text("true"), from_text("2:9")
    ([2, 3], True, '2:9')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
