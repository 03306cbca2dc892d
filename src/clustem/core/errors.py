"""The one family of exceptions: each says what is wrong, what was got, and the cure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ClustemError(Exception):
    """Anything that Clustem refuses to do."""


class InputError(ClustemError, ValueError):
    """Data, a file or a parameter that cannot be used as given.

    Parameters
    ----------
    what
        What must hold.
    got
        What was found instead.
    cure
        What the user can do about it.

    Examples
    --------
    >>> print(InputError("n_clusters must be at least 1", got=0, cure="Use a larger k."))
    n_clusters must be at least 1; got 0. Use a larger k.
    """

    def __init__(self, what: str, *, got: object = None, cure: str = "") -> None:
        self.what, self.got, self.cure = what, got, cure
        found = "" if got is None else f"; got {got}"
        super().__init__(f"{what}{found}.{' ' if cure else ''}{cure}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by parts, so the message survives a trip between processes."""
        return _rebuild, (type(self), self.what, self.got, self.cure)


class ParameterError(InputError):
    """A parameter whose value cannot be used."""


class UnknownNameError(ParameterError, TypeError, KeyError):
    """A name that nobody knows: of a parameter, a step, a recipe.

    Examples
    --------
    >>> print(UnknownNameError.among("reduction", "pac", ["pca", "nmf"]))
    There is no reduction 'pac'. Did you mean 'pca'? Known: nmf, pca.
    """

    __str__ = Exception.__str__  # KeyError would show the repr

    @classmethod
    def among(cls, kind: str, got: str, known: Iterable[str]) -> UnknownNameError:
        """Build the refusal of ``got`` with the nearest of the ``known`` names."""
        names = sorted(known)
        folded = {name.lower(): name for name in names}
        near = get_close_matches(got.lower(), list(folded), n=1, cutoff=0.5)
        hint = f"Did you mean {folded[near[0]]!r}? " if near else ""
        return cls(
            f"There is no {kind} {got!r}", cure=f"{hint}Known: {', '.join(names) or 'none'}."
        )


class OutputError(InputError):
    """A result that cannot be written where it was asked for."""


def _rebuild(kind: type[InputError], what: str, got: object, cure: str) -> InputError:
    return kind(what, got=got, cure=cure)
