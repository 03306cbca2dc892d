"""The report's page: one file without anything from outside."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection, Step, versions
from clustem.report._findings import (
    movie_summary,
    movie_warnings,
    provenance_of,
    summary,
    warnings_of,
)
from clustem.report._palette import palette
from clustem.report._scan import area_of, percent, sizes
from clustem.report._sheet import DOUBLE
from clustem.report._units import pretty
from clustem.report.colors import colors
from clustem.reproject import Tracks


@dataclass(frozen=True)
class Plate:
    """A figure of the report: its file's name, heading, caption, PNG and width [mm]."""

    name: str
    heading: str
    caption: str
    png: bytes
    width: float

    @property
    def uri(self) -> str:
        """The image as part of the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def percent(self) -> float:
        """Width on the page, as on paper."""
        return round(min(100.0, 100 * self.width / DOUBLE), 1)


def page(
    projection: Projection, plates: list[Plate], *, title: str, provenance: Mapping[str, object]
) -> str:
    """Fill the template; everything that is not ours is escaped."""
    return _filled(
        title=title,
        summary=summary(projection),
        warnings=warnings_of(projection),
        plates=plates,
        sizes="Sizes",
        rows=_rows(projection),
        area_units=(area_of(projection) or (0, ""))[1],
        scores=projection.scores,
        history=projection.history,
        known=provenance_of(projection),
        told=provenance,
    )


def movie_page(
    labels: Any,
    tracks: Tracks,
    plates: list[Plate],
    *,
    title: str,
    history: tuple[Step, ...],
    scores: Mapping[str, float],
    provenance: Mapping[str, object],
) -> str:
    """Fill the template for a movie; sizes are means over its frames."""
    mean = tracks.pixels.mean(axis=0)
    shades = _shades(colors(len(mean)))
    total = max(float(mean.sum()), 1.0)
    units = pretty(tracks.units)
    rows = [
        {
            "name": name,
            "color": shades[i],
            "count": _number(round(mean[i])),
            "share": percent(mean[i] / total),
            "width": round(100 * mean[i] / total, 2),
            "area": _number(float(mean[i]) * tracks.pixel_area),
        }
        for i, name in enumerate(tracks.names)
    ]
    return _filled(
        title=title,
        summary=movie_summary(labels, tracks),
        warnings=movie_warnings(tracks),
        plates=plates,
        sizes="Sizes, mean over all frames",
        rows=rows,
        area_units=f"{units}²" if units else "",
        scores=scores,
        history=history,
        known={},
        told=provenance,
    )


def _filled(
    *,
    scores: Mapping[str, float],
    known: Mapping[str, str],
    told: Mapping[str, object],
    **given: Any,
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # 0.1 s

    environment = Environment(
        loader=PackageLoader("clustem.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        scores={name: _score(name, value) for name, value in scores.items()},
        provenance={**known, **{key: str(value) for key, value in told.items()}},
        versions={"python": platform.python_version(), **versions()},
        **given,
    )


def _rows(projection: Projection) -> list[dict[str, object]]:
    """Lines of the table of sizes."""
    pixel = area_of(projection)

    def line(name: str, count: int, fraction: float | None, color: str) -> dict[str, object]:
        return {
            "name": name,
            "color": color,
            "count": _number(count),
            "share": "" if fraction is None else percent(fraction),
            "width": 0 if fraction is None else round(100 * fraction, 2),
            "area": "" if pixel is None else _number(count * pixel[0]),
        }

    shades = _shades(palette(projection))
    rows = [line(s.name, s.count, s.fraction, shades[s.number]) for s in sizes(projection)]
    free, out = int(projection.unassigned.sum()), int(projection.mask.sum())
    if free:
        rows.append(line("unassigned", free, projection.unassigned_fraction, "unassigned"))
    if out:
        rows.append(line("excluded", out, None, "excluded"))
    return rows


def _shades(found: NDArray[np.float64]) -> list[str]:
    """Write colors (k, 4) as a page wants them."""
    return [f"#{bytes(shade).hex()}" for shade in np.rint(255 * found[:, :3]).astype(np.uint8)]


def _number(value: float) -> str:
    """Write a count in full, an area with four digits; thousands apart."""
    if isinstance(value, float):
        value = float(f"{value:.4g}")
    return f"{value:g}" if value < 1000 else f"{value:,.0f}".replace(",", "\u2009")


def _score(name: str, value: float) -> str:
    if name in ("converged", "certified"):
        return "yes" if value else "no"
    return f"{float(value):.6g}"
