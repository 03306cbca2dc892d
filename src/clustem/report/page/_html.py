"""The report's page: one file without anything from outside."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation, Signal, Step, versions
from clustem.judge.common_verdict import common_verdict
from clustem.judge.residuals import Residuals
from clustem.judge.verdict import Verdict, verdict
from clustem.mapping import Tracks
from clustem.report.layout.extent import area_of, percent, sizes
from clustem.report.layout.palette import palette
from clustem.report.layout.plates import Plate
from clustem.report.page._findings import (
    movie_summary,
    movie_warnings,
    provenance_of,
    shapes,
    summary,
    warnings_of,
)


def page(
    segmentation: Segmentation,
    plates: list[Plate],
    *,
    missed: Residuals | str | None,
    title: str,
    provenance: Mapping[str, object],
) -> str:
    """Fill the template; everything that is not ours is escaped."""
    pixel = area_of(segmentation)
    found = verdict(segmentation)
    return _report(
        title=title,
        verdict=found,
        summary=" ".join(filter(None, _in_words(segmentation, found))),
        warnings=warnings_of(segmentation, missed),
        plates=plates,
        sizes="Sizes",
        rows=rows_of(segmentation, pixel),
        area_units="" if pixel is None else pixel[1],
        scores=segmentation.scores,
        history=segmentation.history,
        provenance={**provenance_of(segmentation), **provenance},
    )


def _in_words(segmentation: Segmentation, found: Verdict) -> Iterator[str]:
    """Say what was found, whether as many clusters are warranted, and how these differ."""
    yield summary(segmentation)
    if found.warranted not in found.doubts:
        yield found.warranted
    yield shapes(segmentation, found)


def study_page(
    maps: Sequence[Segmentation],
    titles: Sequence[str],
    plates: list[Plate],
    *,
    links: Sequence[tuple[str, str]],
    skipped: Mapping[str, str],
    history: Sequence[Step],
    followed: tuple[Signal, Tracks] | None = None,
) -> str:
    """Fill the template for several maps; sizes are those of all together."""
    first = maps[0]
    counts = np.sum([one.counts for one in maps], axis=0)
    total = max(sum(int((~one.mask).sum()) for one in maps), 1)
    shades = _shades(palette(first))
    rows = [
        {
            "name": first.name_of(i),
            "color": shades[i],
            "count": _number(int(counts[i])),
            "share": percent(counts[i] / total),
            "width": round(100 * counts[i] / total, 2),
            "area": "",
        }
        for i in range(first.n_clusters)
    ]
    verdicts = [verdict(one) for one in maps]
    every = common_verdict(verdicts)
    warnings = [
        f"{title}: {doubt}"
        for title, found in zip(titles, verdicts, strict=True)
        for doubt in found.doubts
        if doubt not in every.doubts
    ]
    warnings += [f"{title} was left out: {why}" for title, why in skipped.items()]
    words = f"{first.n_clusters} clusters on {len(maps)} maps, {total} positions in all."
    if followed is not None:
        words = movie_summary(*followed)
        warnings += movie_warnings(followed[1])
    if every.warranted not in every.doubts:
        words = f"{words} {every.warranted}"
    return _report(
        title=f"Study of {len(maps)} maps" if followed is None else f"Movie of {len(maps)} frames",
        verdict=every,
        summary=words,
        warnings=warnings,
        plates=plates,
        sizes="Sizes, all maps together",
        rows=rows,
        area_units="",
        scores=first.scores,
        history=history,
        provenance={
            title: one.origin.get("path", "") for title, one in zip(titles, maps, strict=True)
        },
        links=links,
    )


def joint_page(
    signals: Mapping[str, Segmentation],
    plates: list[Plate],
    *,
    sentence: str,
    links: Sequence[str],
) -> str:
    """Fill the template for several signals of one scan."""
    first = next(iter(signals.values()))
    pixel = area_of(first)
    found = common_verdict([verdict(one) for one in signals.values()])
    steps = [step for step in first.history if step.stage in {"cluster", "mapping"}]
    placed = [
        replace(step, name=f"{step.name} {name}")
        for name, one in signals.items()
        for step in one.history
        if step.name == "place"
    ]
    warranted = found.warranted if found.warranted not in found.doubts else ""
    return _report(
        title=f"{', '.join(signals)} of one scan",
        verdict=found,
        summary=" ".join(filter(None, (summary(first), warranted, sentence))),
        warnings=[],
        plates=plates,
        sizes="Sizes",
        rows=rows_of(first, pixel),
        area_units="" if pixel is None else pixel[1],
        scores=first.scores,
        history=[*placed, *steps],
        provenance={name: one.origin.get("path", "") for name, one in signals.items()},
        links=[*zip(signals, links, strict=True)],
        each="signal",
    )


def filled(template: str, **given: Any) -> str:
    """Fill a template; what is given is text, not markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("clustem.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**given)


def _report(
    *,
    scores: Mapping[str, float],
    history: Sequence[Step],
    provenance: Mapping[str, object],
    links: Sequence[tuple[str, str]] = (),
    each: str = "map",
    **given: Any,
) -> str:
    return filled(
        "report.html",
        links=links,
        each=each,
        scores={name: _score(name, value) for name, value in scores.items()},
        history=[(step, _lines_below(step)) for step in history],
        provenance={key: str(value) for key, value in provenance.items()},
        versions={"python": platform.python_version(), **versions()},
        **given,
    )


def _lines_below(step: Step) -> list[str]:
    """Write masks that a step was given, values that it found, and its note."""
    values = {**step.found, **step.found.get("warranted", {})}
    values.pop("warranted", None)
    found = ", ".join(f"{name} = {_value(value)}" for name, value in values.items())
    masks = [f"{kind} mask: {mask}" for kind, mask in step.masks.items()]
    return [line for line in (*masks, found and f"found: {found}", step.note) if line]


def _value(value: object) -> str:
    """Write a value that a step found; six digits are enough."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def rows_of(
    segmentation: Segmentation, pixel: tuple[float, str] | None = None
) -> list[dict[str, object]]:
    """Lines of the table of sizes.

    Parameters
    ----------
    segmentation
        Any result.
    pixel
        Area of one position and its units, for the column of areas.
    """

    def line(name: str, count: int, fraction: float | None, color: str) -> dict[str, object]:
        return {
            "name": name,
            "color": color,
            "count": _number(count),
            "share": "" if fraction is None else percent(fraction),
            "width": 0 if fraction is None else round(100 * fraction, 2),
            "area": "" if pixel is None else _number(count * pixel[0]),
        }

    shades = _shades(palette(segmentation))
    rows = [line(s.name, s.count, s.fraction, shades[s.number]) for s in sizes(segmentation)]
    free, out = int(segmentation.unassigned.sum()), int(segmentation.mask.sum())
    if free:
        rows.append(line("unassigned", free, segmentation.unassigned_fraction, "unassigned"))
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
