"""Plain values as TOML, as recipes are written and users type them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustem.labelmaps.label_maps import packed


def toml_table(name: str, values: Mapping[str, Any], *, one_of_many: bool = False) -> str:
    """Write one table, ``[name]`` or, of an array of tables, ``[[name]]``; None is left out."""
    lines = [f"{key} = {_value(value)}\n" for key, value in values.items() if value is not None]
    head = f"[[{name}]]" if one_of_many else f"[{name}]"
    return f"{head}\n{''.join(lines)}"


def from_text(text: str) -> Any:
    """Read a value that somebody typed: TOML where it can be, else the text itself.

    Examples
    --------
    >>> from_text("[2, 3]"), from_text("true"), from_text("2:9")
    ([2, 3], True, '2:9')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _value(value: Any) -> str:
    """Write one value; JSON's scalars and lists are TOML's."""
    if isinstance(value, np.ndarray):
        return json.dumps(packed(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
