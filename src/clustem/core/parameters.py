"""Parameters checked from type hints: the one source for Python, TOML, CLI and widgets."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin

import numpy as np
from annotated_types import Interval

from clustem.core.errors import InputError, ParameterError, UnknownNameError

P = ParamSpec("P")
R = TypeVar("R")
_LIMIT = 2**63  # of integers, as NumPy has them
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
        from pydantic import ValidationError

        plain = value.item() if isinstance(value, np.generic) else value
        ambiguous = isinstance(plain, bool) and bool not in _leaves(self.hint)
        try:
            if not ambiguous:
                return _adapter(self.hint).validate_python(plain)
        except ValidationError:
            nothing = isinstance(plain, str) and plain == "none"  # TOML has no word for it
            if nothing and type(None) in _leaves(self.hint):
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

    Of a function these are its keyword-only arguments (what comes before, and masks, are data);
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
    hints = parameter_hints(step)
    kinds = inspect.Parameter
    no_parameters: set[object] = {kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD}
    if not inspect.isclass(step):
        no_parameters |= {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}
    found = {}
    for name, given in inspect.signature(target).parameters.items():
        if given.kind in no_parameters or name == "self" or is_data(hints.get(name, Any)):
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


Fits = Callable[[Any], bool]


@dataclass(frozen=True)
class _Data:
    """Whether a value is data of a type, what it must be, and how to get it."""

    fits: Fits
    what: str
    cure: str


def _instances(path: str) -> Fits:
    """Check for a class of ours that needs no import before somebody has made one."""
    module, _, name = path.rpartition(".")
    return lambda value: isinstance(value, getattr(sys.modules.get(module), name, ()))


_DATA: dict[str, _Data] = {
    "Signal": _Data(
        lambda value: hasattr(value, "axes_manager"),
        "a HyperSpy signal",
        "Wrap an array: hs.signals.Signal1D(array).",
    ),
    "Features": _Data(
        _instances("clustem.core.features.Features"),
        "Features",
        "Make them, say clustem.describe.spectra(signal).",
    ),
    "Clustering": _Data(
        _instances("clustem.core.clustering.Clustering"),
        "a Clustering",
        "Make one: Clustering.from_estimator(estimator, features).",
    ),
    "Segmentation": _Data(
        _instances("clustem.core.segmentation.Segmentation"),
        "a Segmentation",
        "Make one: clustem.segment(signal, recipe).",
    ),
    "Masks": _Data(
        _instances("clustem.core.masks.Masks"),
        "Masks",
        "Write clustem.core.Masks(scan=array, signal=array).",
    ),
    "ClusterMixin": _Data(
        lambda value: hasattr(value, "fit") and not isinstance(value, type),
        "an estimator",
        "Make one: clustem.cluster.KMeans(3).",
    ),
    "Callable": _Data(
        callable,
        "a function that returns an estimator for a number of clusters",
        "The class itself will do: clustem.cluster.KMeans.",
    ),
    "Iterable": _Data(
        lambda value: isinstance(value, Iterable) and not isinstance(value, str),
        "several numbers of clusters",
        "Say range(2, 11) or [4, 6, 8].",
    ),
    "Mapping": _Data(
        lambda value: isinstance(value, Mapping),
        "results by number of clusters",
        "Write {2: first, 3: second}.",
    ),
    "NoneType": _Data(lambda value: value is None, "None", ""),
    "ndarray": _Data(
        lambda value: hasattr(value, "shape") or isinstance(value, list),
        "an array",
        "Give numbers, one row per position.",
    ),
}  # fmt: skip
"""Types of data by name."""


def check_data(hints: Mapping[str, Any], given: Mapping[str, object]) -> None:
    """Check arguments that are data by their types; types that are not data may be anything.

    Parameters
    ----------
    hints
        Type hint by argument.
    given
        Values by argument.

    Raises
    ------
    ParameterError
        If one is something else.
    InputError
        If one has masked values.

    Examples
    --------
    >>> from clustem.core import Signal
    >>> check_data({"signal": Signal}, {"signal": [1, 2]})
    Traceback (most recent call last):
    clustem.core.errors.ParameterError: signal must be a HyperSpy signal; got list. ...
    """
    for name, value in given.items():
        check_unmasked(name, value)
        kinds = [_DATA.get(kind) for kind in _data_names(hints.get(name, Any))]
        known = [kind for kind in kinds if kind is not None]
        if len(known) == len(kinds) and not any(kind.fits(value) for kind in known):
            got = _short(value) if isinstance(value, str | int | float) else type(value).__name__
            what = " or ".join(kind.what for kind in known if kind.what != "None")
            raise ParameterError(f"{name} must be {what}", got=got, cure=known[0].cure)


def check_unmasked(name: str, value: object) -> None:
    """Refuse masked values: those under the mask would be taken for data.

    Parameters
    ----------
    name
        What it is, for the message.
    value
        Anything; of a signal, its data are looked at.

    Raises
    ------
    InputError
        If a value is masked, or there is a mask that would have to be read from disk.

    Examples
    --------
    >>> check_unmasked("counts", np.ma.masked_equal([1, 9, 9], 9))
    Traceback (most recent call last):
    clustem.core.errors.InputError: counts must not have masked values; got 2 of 3. ...
    """
    data: Any = getattr(value, "data", None) if hasattr(value, "axes_manager") else value
    if np.ma.isMaskedArray(getattr(data, "_meta", None)):
        got = "a mask that is left on disk"
    elif np.ma.isMaskedArray(data) and (n := int(np.ma.getmaskarray(data).sum())):
        got = f"{n} of {data.size}"
    else:
        return
    raise InputError(
        f"{name} must not have masked values",
        got=got,
        cure="Fill them, say data.filled(0), and take positions out of the result: "
        "result.exclude(mask). In label maps -1 is unassigned.",
    )


def _data_names(hint: Any) -> list[str]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _data_names(args[0])
    if hasattr(origin, "__value__"):  # an alias of a type, as NDArray is from NumPy 2.5 on
        return _data_names(origin.__value__)
    if origin in (Union, types.UnionType):
        return [name for arg in args for name in _data_names(arg)]
    return [getattr(origin or hint, "__name__", str(hint))]


def parameter_hints(step: Callable[..., Any]) -> dict[str, Any]:
    """Return the type hints of a function's or constructor's arguments, by name."""
    return _hints(step.__init__ if inspect.isclass(step) else inspect.unwrap(step))


def is_data(hint: Any) -> bool:
    """Whether a keyword-only argument of this type is data that a recipe gives, not a parameter."""
    return "Masks" in _data_names(hint)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check a function's arguments from its type hints at each call.

    Keyword-only arguments are parameters, converted to their types; what comes before them is data.

    Examples
    --------
    >>> from annotated_types import Ge
    >>> @checked
    ... def blur(signal, *, width: Annotated[int, Ge(1)] = 3):
    ...     return width
    >>> blur(None, width=0)
    Traceback (most recent call last):
    clustem.core.errors.ParameterError: width must be an integer of at least 1; got 0. ...
    """
    signature = inspect.signature(function)
    names = [name for name, p in signature.parameters.items() if p.kind != p.KEYWORD_ONLY]

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        hints = _hints(function)
        is_input = {name: name in names or is_data(hints.get(name, Any)) for name in kwargs}
        inputs = {name: value for name, value in kwargs.items() if is_input[name]}
        settings = {name: value for name, value in kwargs.items() if not is_input[name]}
        settings = check_parameters(function, settings)
        check_data(hints, {**dict(zip(names, args, strict=False)), **inputs})
        return cast("Callable[..., R]", function)(*args, **inputs, **settings)

    return wrapper


@functools.lru_cache(maxsize=512)
def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(target, include_extras=True)


@functools.lru_cache(maxsize=512)
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(
        _plain(hint), config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    )


def _plain(hint: Any) -> Any:
    """Replace array types, which pydantic does not know, and integers, which NumPy limits."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is int:
        return Annotated[int, Interval(ge=-_LIMIT, lt=_LIMIT)]
    if origin is np.ndarray:
        from pydantic import BeforeValidator

        return Annotated[np.ndarray, BeforeValidator(_array)]
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(arg) for arg in args)]  # noqa: UP007  # built at run time
    if origin is Annotated:
        return Annotated[(_plain(args[0]), *args[1:])]
    if origin is tuple:
        return tuple[tuple(_plain(arg) for arg in args)]  # type: ignore[misc]  # at run time
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
