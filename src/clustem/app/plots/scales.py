"""Linear, square-root and logarithmic scales of intensities, by values and their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import CustomJSTickFormatter
from numpy.typing import NDArray

LINEAR, ROOT, LOG = "linear", "root", "log"
SCALES = (LINEAR, ROOT, LOG)
_DECADES = 5.0
"""Decades that a logarithmic scale shows below the largest value."""
_PLAIN = "return String(Number(tick.toPrecision(5)))"
_SQUARES = "return String(Number((Math.sign(tick) * tick * tick).toPrecision(3)))"
_POWERS = """
if (!Number.isInteger(tick)) {
  const texts = (digits) => ticks.map((one) => Number((10 ** one).toPrecision(digits)));
  let digits = 2;
  while (digits < 6 && new Set(texts(digits)).size < ticks.length) digits += 1;
  return String(Number((10 ** tick).toPrecision(digits)));
}
if (tick === 0) return "1";
if (tick === 1) return "10";
const power = String(Math.abs(tick)).split("").map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(d)]).join("");
return "10" + (tick < 0 ? "⁻" : "") + power;
"""
_LABELS = {LINEAR: _PLAIN, ROOT: _SQUARES, LOG: _POWERS}


def scaled(values: NDArray[Any], scale: str) -> NDArray[np.float64]:
    """Bring values to a scale on which a plot is linear.

    Parameters
    ----------
    values
        Intensities, any shape.
    scale
        One of ``SCALES``. Logarithms of what is 10^5 times smaller than the largest value, or
        not positive, are those of that.

    Examples
    --------
    >>> scaled(np.array([-4.0, 0.0, 100.0]), ROOT)
    array([-2.,  0., 10.])
    >>> scaled(np.array([0.0, 1e-9, 100.0]), LOG)
    array([-3., -3.,  2.])
    """
    found = np.nan_to_num(np.asarray(values, dtype=np.float64))
    if scale == ROOT:
        return np.sign(found) * np.sqrt(np.abs(found))
    if scale == LOG:
        highest = float(found.max(initial=0.0))
        floor = highest * 10**-_DECADES if highest > 0 else 1.0
        return np.log10(np.maximum(found, floor))
    return found


def steady(before: tuple[float, float] | None, wanted: tuple[float, float]) -> tuple[float, float]:
    """Return limits that change only where they must: a page that moves less is read more easily.

    Parameters
    ----------
    before
        Limits so far, None for none.
    wanted
        Limits that fit what is shown now; they are taken if they reach beyond those so far,
        or leave more than half of them empty.
    """
    if before is None:
        return wanted
    width = before[1] - before[0]
    beyond = wanted[0] < before[0] - 0.02 * width or wanted[1] > before[1] + 0.02 * width
    small = wanted[1] - wanted[0] < 0.5 * width
    return wanted if beyond or small else before


def named(what: str, scale: str) -> str:
    """Name what a color bar shows, and its scale where that is not linear, in a second line.

    Examples
    --------
    >>> named("counts", ROOT).splitlines(), named("counts", LINEAR)
    (['counts', '√ scale'], 'counts')
    """
    return what if scale == LINEAR else f"{what}\n{'√' if scale == ROOT else 'log'} scale"


def formatter(scale: str) -> Any:
    """Make a formatter that labels a scale with the values that it stands for."""
    return CustomJSTickFormatter(code=_LABELS[scale])


def relabel(made: Any, scale: str) -> None:
    """Have a formatter label another scale; a color bar would not notice a new formatter."""
    made.code = _LABELS[scale]
