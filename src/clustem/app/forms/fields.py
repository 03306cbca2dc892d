"""Fields of forms, as plain values that ``form.js`` draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Field = dict[str, Any]
"""What ``form.js`` draws, as JSON: its kind, its key and what that kind needs."""


class View(Protocol):
    """A form: what it shows, and what happens when the user changes it."""

    def fields(self) -> list[Field]:
        """Describe the form."""
        ...

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        ...


def text(words: str, *, key: str = "", tag: str = "p", **more: Any) -> Field:
    """Return a line of text; ``role="alert"`` has it read out at once."""
    return _field("text", key, text=words, tag=tag, **more)


def facts(rows: Iterable[tuple[str, str]], key: str = "facts") -> Field:
    """Return pairs of a name and a value."""
    return _field("facts", key, rows=[list(row) for row in rows])


def button(
    key: str, label: str, *, style: str = "", tip: str = "", disabled: bool = False, **more: Any
) -> Field:
    """Return a button; ``value`` goes with its message, ``pressed`` says it is held."""
    return _field("button", key, label=label, style=style, tip=tip, disabled=disabled, **more)


def check(key: str, label: str, value: bool, *, tip: str = "", **more: Any) -> Field:  # noqa: FBT001
    """Return a box to tick."""
    return _field("check", key, label=label, value=bool(value), tip=tip, **more)


def choice(
    key: str, label: str, options: Sequence[tuple[Any, str]], value: Any, **more: Any
) -> Field:
    """Return a menu of pairs of a value and its text; with ``menu=True`` it forgets the choice."""
    return _field("choice", key, label=label, options=_pairs(options), value=value, **more)


def listing(
    key: str, label: str, options: Sequence[tuple[Any, str]], value: Any, *, opens: str, rows: int
) -> Field:
    """Return a list; what is double-clicked sends ``opens``."""
    return _field(
        "listing",
        key,
        label=label,
        options=_pairs(options),
        value=value,
        opens=opens,
        rows=rows,
        quiet=True,
    )


def radio(
    key: str, label: str, options: Sequence[tuple[Any, ...]], value: Any, **more: Any
) -> Field:
    """Return buttons of which one is held; options are value, text and perhaps a tip."""
    return _field("radio", key, label=label, options=_pairs(options), value=value, **more)


def number(key: str, label: str, value: float | None, **more: Any) -> Field:
    """Return a field for a number; ``min``, ``max`` and ``step`` bound it."""
    return _field("number", key, label=label, value=value, **more)


def entry(key: str, label: str, value: str, **more: Any) -> Field:
    """Return a field for text."""
    return _field("entry", key, label=label, value=value, **more)


def slider(
    key: str, label: str, value: float, *, low: float, high: float, step: float, unit: str = "",
    **more: Any,
) -> Field:  # fmt: skip
    """Return a slider; ``unit`` follows its number."""
    given = {"value": value, "min": low, "max": high, "step": step, "unit": unit}
    return _field("slider", key, label=label, **given, **more)


def elements(key: str, chosen: Sequence[str], **more: Any) -> Field:
    """Return a periodic table that opens over the page; a click sends the symbol."""
    return _field("elements", key, chosen=list(chosen), **more)


def progress(value: float, label: str, key: str = "progress") -> Field:
    """Return a bar, 0 ... 1."""
    return _field("progress", key, value=value, label=label)


def row(fields: Iterable[Field], *, style: str = "", key: str = "", **more: Any) -> Field:
    """Return fields side by side."""
    return _field("row", key, fields=list(fields), style=style, **more)


def group(key: str, title: str, fields: Iterable[Field], **more: Any) -> Field:
    """Return fields under a title that folds them away; ``open`` says how it begins."""
    return _field("group", key, title=title, fields=list(fields), **more)


def _field(kind: str, key: str, **given: Any) -> Field:
    known = {name: value for name, value in given.items() if value not in ("", False)}
    return {"is": kind, **({"key": key} if key else {}), **known, **_kept(given)}


def _kept(given: dict[str, Any]) -> dict[str, Any]:
    """Keep values that are empty or false on purpose."""
    return {name: given[name] for name in ("value", "pressed") if name in given}


def _pairs(options: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(option) for option in options]
