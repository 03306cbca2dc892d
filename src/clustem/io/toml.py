"""Plain values as TOML, as recipes are written and users type them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustem.core import InputError
from clustem.labelmaps.label_maps import packed

_LONGEST = 2**26
_DEEPEST = 20


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
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def from_toml(text: str, where: str) -> dict[str, Any]:
    """Read TOML of bounded size and depth.

    Parameters
    ----------
    text
        The whole text.
    where
        What is read, for the message.

    Raises
    ------
    InputError
        If it is not TOML, beyond 64 MB, or nested more than 20 deep.
    """
    try:
        if len(text) > _LONGEST:
            reason = f"{len(text) / 1e6:.0f} MB of text"
        elif _depth(content := tomllib.loads(text)) <= _DEEPEST:
            return content
        else:
            reason = f"tables nested more than {_DEEPEST} deep"
    except RecursionError:
        reason = "brackets nested too deep"
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    raise InputError(f"{where} must be TOML", got=reason, cure="Start from `clustem recipes NAME`.")


def _depth(content: Any) -> int:
    """Count how deep tables and lists lie in each other, as far as it matters."""
    depth, level = 0, [content]
    while level and depth <= _DEEPEST:
        tables = [item.values() for item in level if isinstance(item, dict)]
        lists = [item for item in level if isinstance(item, list)]
        level = [item for several in (*tables, *lists) for item in several]
        depth += 1
    return depth


def _value(value: Any) -> str:
    """Write one value; JSON's scalars and lists are TOML's."""
    if isinstance(value, np.ndarray):
        return json.dumps(packed(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
