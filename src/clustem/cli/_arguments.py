"""What arguments of commands mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustem.core import Scan


def parsed(settings: list[str] | None, k: str | None) -> dict[str, Any]:
    """Split ``name=value``; values are TOML where they can be, else text."""
    from clustem.core import ParameterError
    from clustem.io.toml import from_text

    found: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ParameterError(
                "A setting must read NAME=VALUE",
                got=setting,
                cure="For example cluster.n_clusters=4.",
            )
        found[name.strip()] = from_text(text)
    if k is not None:
        found["cluster.n_clusters"] = from_text(k)
    return found


def files_of(given: Iterable[Path]) -> list[Path]:
    """Resolve patterns that the shell has left, such as tilt_*.bcf."""
    found: list[Path] = []
    for path in given:
        pattern = any(letter in path.name for letter in "*?[") and not path.exists()
        found += sorted(path.parent.glob(path.name)) if pattern else [path]
    return found or list(given)


def signals_of(given: Iterable[Path]) -> dict[str, Path]:
    """Read NAME=FILE; nothing if these are plain files."""
    from clustem.core import ParameterError

    pairs = [str(path).partition("=") for path in given]
    named = [bool(sign) and re.fullmatch(r"[A-Za-z0-9_-]+", name) for name, sign, _ in pairs]
    if not all(named) or any(path.exists() for path in given):
        return {}
    found = {name: Path(path) for name, _, path in pairs}
    if len(found) < len(pairs):
        raise ParameterError(
            "Each signal needs a name of its own",
            got=" ".join(name for name, _, _ in pairs),
            cure="clustem run eds=map.bcf eds_2=other.bcf -r joint",
        )
    return found


def numbers_of(text: str) -> list[int]:
    """Read ``2:10`` (both ends count) or ``4,6,8``."""
    from clustem.core import ParameterError

    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            return list(range(first, last + 1))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            "k must be a range or a list", got=text, cure="Write -k 2:10 or -k 4,6,8."
        ) from None


def check_axes(scan: Scan) -> None:
    """Refuse now what the report would refuse after all is computed."""
    from clustem.core import InputError

    n = scan.signal.axes_manager.navigation_dimension
    if n > 2:
        raise InputError(
            "A report needs a scan with one or two axes",
            got=f"{n} axes",
            cure="Take one scan of the series (signal.inav) and run again.",
        )
