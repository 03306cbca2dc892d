"""Parameters checked from type hints: the one source for Python, TOML, CLI and widgets."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import numpy as np

from clustem.model.errors import ParameterError, UnknownNameError

F = TypeVar("F", bound=Callable[..., Any])
_WORDS = {
    int: "an integer",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "none",
    Any: "any value",
}
_BOUNDS = {
    "ge": "of at least {}",
    "gt": "greater than {}",
    "le": "at most {}",
    "lt": "less than {}",
}


@dataclass(frozen=True)
class Parameter:
    """A keyword-only parameter of a step: its name, type hint and default.

    ``required`` parameters have no default.
    """

    name: str
    hint: Any
    default: Any
    required: bool

    @property
    def description(self) -> str:
        """What a value must be, in words.

        Examples
        --------
        >>> from annotated_types import Ge
        >>> Parameter("k", Annotated[int, Ge(1)], 2, required=False).description
        'an integer of at least 1'
        """
        return _describe(self.hint)

    def check(self, value: object) -> Any:
        """Return ``value`` converted to the hinted type.

        Raises
        ------
        ParameterError
            If it cannot be: what it must be, what was got, what to do.
        """
        from pydantic import ValidationError  # noqa: PLC0415  # 60 ms

        plain = value.item() if isinstance(value, np.generic) else value
        ambiguous = isinstance(plain, bool) and bool not in _leaves(self.hint)
        try:
            if not ambiguous:
                return _adapter(self.hint).validate_python(plain)
        except ValidationError:
            if plain == "none" and type(None) in _leaves(self.hint):  # TOML has no word for it
                return None
        raise ParameterError(
            f"{self.name} must be {self.description}",
            got=_short(value),
            cure="Give such a value."
            if self.required
            else f"Leave it out for the default, {self.default!r}.",
        )


def parameters_of(step: Callable[..., Any]) -> dict[str, Parameter]:
    """List the parameters of a function or estimator class.

    Of a function these are its keyword-only arguments (what comes before is data);
    of a class, all arguments of its constructor.

    Parameters
    ----------
    step
        Function or class with type hints.

    Returns
    -------
    :
        Parameters by name, in the order of the signature.

    Examples
    --------
    >>> def blur(signal, *, width: int = 3): ...
    >>> list(parameters_of(blur))
    ['width']
    """
    target = step.__init__ if inspect.isclass(step) else inspect.unwrap(step)
    hints = typing.get_type_hints(target, include_extras=True)
    kinds = inspect.Parameter
    is_data: set[object] = {kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD}
    if not inspect.isclass(step):
        is_data |= {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}
    found = {}
    for name, given in inspect.signature(target).parameters.items():
        if given.kind in is_data or name == "self":
            continue
        required = given.default is inspect.Parameter.empty
        default = None if required else given.default
        found[name] = Parameter(name, hints.get(name, Any), default, required)
    return found


def check_parameters(
    step: Callable[..., Any], given: Mapping[str, object], *, where: str = ""
) -> dict[str, Any]:
    """Check the given parameters of a step and convert them to their hinted types.

    Parameters
    ----------
    step
        Function or estimator class.
    given
        Values by name; only these are checked and returned.
    where
        Name of the step in messages, for example ``"reduce.pca"``.

    Returns
    -------
    :
        The converted values.

    Raises
    ------
    UnknownNameError
        If a name is not a parameter of the step.
    ParameterError
        If a value does not fit.
    """
    known = parameters_of(step)
    label = where or step.__name__
    for name in given:
        if name not in known:
            raise UnknownNameError.among(f"parameter of {label} called", name, known)
    return {name: known[name].check(value) for name, value in given.items()}


def _has(name: str) -> Callable[[Any], bool]:
    return lambda value: hasattr(value, name)


_DATA: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "signal": (
        _has("axes_manager"), "a HyperSpy signal", "Wrap an array: hs.signals.Signal1D(array)."
    ),
    "table": (_has("rows"), "a Table", "Make one, say clustem.describe.spectra(signal)."),
    "partition": (
        _has("table"), "a Partition", "Make one: Partition.from_estimator(estimator, table)."
    ),
    "projection": (_has("centers"), "a Projection", "Take that of a result: found.projection."),
    "estimator": (
        lambda value: hasattr(value, "fit") and not isinstance(value, type),
        "an estimator",
        "Make one: clustem.cluster.KMeans(3).",
    ),
    "make": (
        lambda value: value is None or callable(value),
        "a function that returns an estimator for a number of clusters",
        "The class itself will do: clustem.cluster.KMeans.",
    ),
    "ks": (
        lambda value: isinstance(value, Iterable) and not isinstance(value, str),
        "several numbers of clusters",
        "Say range(2, 11) or [4, 6, 8].",
    ),
    "results": (
        lambda value: isinstance(value, Mapping),
        "results by number of clusters",
        "Write {2: first, 3: second}.",
    ),
}  # fmt: skip
"""By the name of an argument: whether it is one, what it must be, and how to get it."""


def check_data(given: Mapping[str, object]) -> None:
    """Check arguments that are data by their names; names that are not known may be anything.

    Raises
    ------
    ParameterError
        If one is something else.

    Examples
    --------
    >>> check_data({"signal": [1, 2]})
    Traceback (most recent call last):
    clustem.model.errors.ParameterError: signal must be a HyperSpy signal; got list. ...
    """
    for name, value in given.items():
        fits, what, cure = _DATA.get(name, (None, "", ""))
        if fits is not None and not fits(value):
            got = _short(value) if isinstance(value, str | int | float) else type(value).__name__
            raise ParameterError(f"{name} must be {what}", got=got, cure=cure)


def checked(function: F) -> F:
    """Check a function's keyword-only arguments from its type hints at each call.

    Data that come before are checked by their names: see :func:`check_data`.

    Examples
    --------
    >>> from annotated_types import Ge
    >>> @checked
    ... def blur(signal, *, width: Annotated[int, Ge(1)] = 3):
    ...     return width
    >>> blur(None, width=0)
    Traceback (most recent call last):
    clustem.model.errors.ParameterError: width must be an integer of at least 1; got 0. ...
    """
    signature = inspect.signature(function)
    data = [name for name, p in signature.parameters.items() if p.kind != p.KEYWORD_ONLY]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        inputs = {name: value for name, value in kwargs.items() if name in data}
        settings = {name: value for name, value in kwargs.items() if name not in data}
        settings = check_parameters(function, settings)
        check_data({**dict(zip(data, args, strict=False)), **inputs})
        return function(*args, **inputs, **settings)

    return cast("F", wrapper)


@functools.lru_cache(maxsize=512)
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415  # 60 ms

    return TypeAdapter(
        _plain(hint), config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    )


def _plain(hint: Any) -> Any:
    """Replace array types, which pydantic does not know, by a check that it is an array."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is np.ndarray:
        from pydantic import BeforeValidator  # noqa: PLC0415  # 60 ms

        return Annotated[np.ndarray, BeforeValidator(_array)]
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(arg) for arg in args)]  # noqa: UP007  # built at run time
    if origin is Annotated:
        return Annotated[(_plain(args[0]), *args[1:])]
    return hint


def _array(value: object) -> object:
    """Make an array of a list, as TOML has them."""
    return np.asarray(value) if isinstance(value, list | tuple) else value


def _leaves(hint: Any) -> set[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _leaves(args[0])
    if origin is Literal:
        return {type(arg) for arg in args}
    if origin in (Union, types.UnionType):
        return set().union(*(_leaves(arg) for arg in args))
    return {bool} if hint is Any else {hint}


def _describe(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([_describe(args[0]), _bounds(args[1:])]).strip()
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arg) for arg in args)
    if origin is tuple and args[-1:] != (Ellipsis,):
        return f"{len(args)} values ({', '.join(_describe(arg) for arg in args)})"
    if origin is not None:
        kinds = {
            np.ndarray: "an array",
            dict: "a table",
            Mapping: "a table",
            Callable: "a function",
        }
        return kinds.get(origin) or f"a list ({_describe(args[0])}, ...)"
    return _WORDS.get(hint, f"a {getattr(hint, '__name__', hint)}")


def _bounds(rules: tuple[Any, ...]) -> str:
    return " and ".join(
        text.format(f"{getattr(rule, name):g}")
        for rule in rules
        for name, text in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
