"""Units as people write them, and lengths that fit a scale bar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_NM = {"pm": 1e-3, "Å": 0.1, "nm": 1.0, "µm": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}
_ALIASES = {
    "um": "µm", "μm": "µm", "micron": "µm", "microns": "µm", "micrometer": "µm",
    "A": "Å", "Å": "Å", "angstrom": "Å", "Angstrom": "Å", "nanometer": "nm", "meter": "m",
}  # fmt: skip
_UNKNOWN = {"", "<undefined>", "none", "undefined", "px", "pixel", "pixels"}


def pretty(units: object) -> str:
    """Write units for people: ``um`` as µm, ``1/A`` and ``$A^{-1}$`` as Å⁻¹; "" if unknown."""
    text = str(units).strip().strip("$").replace(" ", "")
    if text.lower() in _UNKNOWN:
        return ""
    inverse = re.fullmatch(r"1/(\w+)|(\w+?)(?:\^\{?-1\}?|⁻¹|-1)", text)
    if inverse:
        return f"{pretty(inverse[1] or inverse[2])}⁻¹"
    return _ALIASES.get(text, text)


def in_nm(units: str) -> float | None:
    """How many nm one of these units is; None if it is not a length."""
    return _NM.get(pretty(units))


def with_units(quantity: str, units: object, *, fallback: str = "") -> str:
    """Label of an axis: ``Energy (keV)``."""
    known = pretty(units) or fallback
    return f"{quantity} ({known})" if known else quantity


def round_length(limit: float) -> float:
    """Longest of 1, 2, 5, 10, ... that does not exceed the limit."""
    power = 10.0 ** math.floor(math.log10(limit))
    return max(step for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9)) * power


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, zeros at the end included.

    >>> significant(0.24), significant(23.456), significant(1234.5)
    ('0.240', '23.5', '1234')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    power = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return f"{value:.{max(digits - 1 - power, 0)}f}"


def common_power(values: Iterable[float]) -> int:
    """Power of ten to take out of numbers, 0 where they are neither very large nor very small.

    >>> common_power([0.0, 120.0]), common_power([-3e5, 6.2e6]), common_power([2e-5])
    (0, 6, -5)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    return 0 if -3 <= power <= 3 else power


def power_text(power: int) -> str:
    """Write a power of ten.

    >>> power_text(6), power_text(-12)
    ('10⁶', '10⁻¹²')
    """
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def length_text(length: float, units: str) -> str:
    """Write a length with its units, in the units that need the fewest digits.

    >>> length_text(2000, "nm"), length_text(5, "px")
    ('2 µm', '5 px')
    """
    factor = in_nm(units)
    if factor is not None:
        nm = length * factor
        for name in ("mm", "µm", "nm", "pm"):
            if nm >= _NM[name] * (1 - 1e-9):
                break
        if pretty(units) == "Å" and name in ("nm", "pm"):
            name = "Å"
        length, units = nm / _NM[name], name
    return f"{length:g} {pretty(units) or 'px'}"
