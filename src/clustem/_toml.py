"""Plain values as TOML, the way recipes are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustem.compute.label_maps import packed


def table(name: str, values: Mapping[str, Any], *, one_of_many: bool = False) -> str:
    """Write one table, ``[name]`` or, of an array of tables, ``[[name]]``; None is left out."""
    lines = [f"{key} = {_value(value)}\n" for key, value in values.items() if value is not None]
    head = f"[[{name}]]" if one_of_many else f"[{name}]"
    return f"{head}\n{''.join(lines)}"


def _value(value: Any) -> str:
    """Write one value; JSON's scalars and lists are TOML's."""
    if isinstance(value, np.ndarray):
        return json.dumps(packed(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
