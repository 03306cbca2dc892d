"""Fields for a step's parameters, from the type hints that also make the command line."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.core import Entry, Parameter
from clustem.io.toml import from_text

_AUTOMATIC = "automatic"


@dataclass(frozen=True)
class Hint:
    """What a type hint allows.

    Parameters
    ----------
    plain
        Types of plain values among int, float, str and bool.
    words
        Values of literals.
    optional
        Whether None is allowed.
    other
        Whether there is more: tuples, arrays, tables.
    low, high
        Bounds of numbers, None where open.
    """

    plain: frozenset[type]
    words: tuple[Any, ...]
    optional: bool
    other: bool
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hint: Any) -> Hint:
        """Take a type hint apart.

        Examples
        --------
        >>> from annotated_types import Ge
        >>> found = Hint.of(Annotated[int, Ge(1)] | Literal["auto"])
        >>> found.plain == {int}, found.words, found.low
        (True, ('auto',), 1)
        """
        leaves = list(_leaves(hint))
        plain = {leaf for leaf, _ in leaves if leaf in (int, float, str, bool)}
        words = tuple(word for leaf, _ in leaves for word in _words(leaf))
        optional = any(leaf is type(None) for leaf, _ in leaves) or None in words
        known = {int, float, str, bool, type(None)}
        other = any(leaf not in known and get_origin(leaf) is not Literal for leaf, _ in leaves)
        rules = [rule for _, found in leaves for rule in found]
        return cls(
            frozenset(plain),
            tuple(word for word in words if word is not None),
            optional,
            other,
            _bound(rules, ("ge", "gt")),
            _bound(rules, ("le", "lt")),
        )


def editable(entry: Entry) -> dict[str, Parameter]:
    """Return the parameters that a user sets: all but functions."""
    return {
        name: p
        for name, p in entry.parameters.items()
        if not any(get_origin(leaf) is Callable for leaf, _ in _leaves(p.hint))
    }


def editor(parameter: Parameter, value: Any, key: str, tip: str = "") -> Field:
    """Return the field for one parameter.

    Parameters
    ----------
    parameter
        Name, type hint and default.
    value
        What it is now.
    key
        Key of the field.
    tip
        What the parameter means.
    """
    hint = Hint.of(parameter.hint)
    about = f"{tip}\n({parameter.description}; default {_shown(parameter.default) or 'automatic'})"
    name = parameter.name
    given: dict[str, Any] = {"tip": about.strip(), "name": name}
    if hint.plain == {bool} and not (hint.words or hint.optional or hint.other):
        return fields.check(key, name, bool(value), **given)
    if hint.words and not hint.plain and not hint.other:
        options = [(word, str(word)) for word in hint.words]
        if hint.optional:
            options.insert(0, (None, "none"))
        return fields.choice(key, name, options, value, **given)
    numeric = hint.plain and hint.plain <= {int, float}
    if numeric and not (hint.words or hint.optional or hint.other or isinstance(value, str)):
        whole = hint.plain == {int}
        step = 1 if whole else "any"
        return fields.number(key, name, value, step=step, **_bounds(hint, whole=whole), **given)
    empty = _AUTOMATIC if hint.optional else ""
    return fields.entry(key, name, _shown(value), placeholder=empty, **given)


def parse(text: Any, parameter: Parameter) -> Any:
    """Read what was typed, as the command line would: TOML where it can be, else text.

    Parameters
    ----------
    text
        A text of a field, or a value that is one already.
    parameter
        Whose value it is; an empty text is None where that is allowed, else the default.

    Examples
    --------
    >>> spans = Parameter("rows", tuple[float, float] | str | None, None, required=False)
    >>> parse("[3, 9]", spans), parse("3:9", spans), parse(" ", spans)
    ([3, 9], '3:9', None)
    """
    if not isinstance(text, str):
        return text
    if not text.strip():
        return None if Hint.of(parameter.hint).optional else parameter.default
    return from_text(text)


@lru_cache(maxsize=256)
def descriptions(step: Callable[..., Any]) -> Mapping[str, str]:
    """Read what a docstring says about each parameter.

    Examples
    --------
    >>> from clustem.prepare import rebin
    >>> sorted(descriptions(rebin))
    ['channels', 'scan', 'signal']
    """
    found: dict[str, str] = {}
    names: list[str] = []
    lines = inspect.cleandoc(step.__doc__ or "").splitlines()
    inside = False
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if set(after.strip()) == {"-"}:
            inside = line.strip() == "Parameters"
        elif not inside or not line.strip() or set(line) == {"-"}:
            continue
        elif not line.startswith(" "):
            names = [name.strip(" *") for name in line.split(":")[0].split(",")]
        else:
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: re.sub(r"``([^`]*)``", r"\1", text) for name, text in found.items()}


def _leaves(hint: Any, rules: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _leaves(args[0], (*rules, *args[1:]))
    elif origin in (Union, types.UnionType):
        for arg in args:
            yield from _leaves(arg, rules)
    else:
        yield hint, rules


def _words(leaf: Any) -> tuple[Any, ...]:
    return get_args(leaf) if get_origin(leaf) is Literal else ()


def _bound(rules: list[Any], names: tuple[str, str]) -> float | None:
    for rule in rules:
        for name in names:
            found = getattr(rule, name, None)
            if found is not None:
                return float(found) if isinstance(found, float) else found
    return None


def _bounds(hint: Hint, *, whole: bool) -> dict[str, Any]:
    """Bounds for a browser, which knows closed ones only."""
    found = {"min": hint.low, "max": hint.high} if whole else {}
    return {name: value for name, value in found.items() if value is not None}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return f"[{', '.join(_shown(part) for part in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
