"""Several numbers of clusters: scores over k; click a k to see it."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, Range1d, SingleIntervalTicker
from bokeh.models.annotations import Span

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots.plots import Theme
from clustem.app.session.outcome import Outcome
from clustem.app.session.state import Explorer
from clustem.core import InputError, ParameterError

_MOST = 30


class Sweeping(param.Parameterized):
    """Figure of the scores, and its form.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    """

    ks = param.String(default="2:8")
    score = param.String(default="")
    view: param.Selector[str] = param.Selector(default="lineage", objects=["lineage", "scores"])

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        super().__init__()
        self._explorer = explorer
        made = self.figure = theme.figure(
            x_range=Range1d(start=1.5, end=8.5),
            y_range=Range1d(start=0, end=1),
            name="sweep",
            tools=False,
        )
        made.xaxis.axis_label = "Number of clusters k"
        made.xaxis.ticker = SingleIntervalTicker(interval=1)
        self._points = ColumnDataSource({"k": [], "value": [], "size": []})
        line = made.line("k", "value", source=self._points, line_width=1.5)
        dots = made.scatter("k", "value", source=self._points, size="size", line_color=None)
        theme.ink(line.glyph, "line_color", "muted")
        theme.ink(dots.glyph, "fill_color", "ink")
        self._recommended = Span(dimension="height", location=0, visible=False, line_dash=[4, 3])
        theme.ink(self._recommended, "line_color", "accent")
        made.add_layout(self._recommended)
        made.on_event(Tap, self._tapped)
        explorer.param.watch(lambda *_: self.draw(), ["swept", "outcome", "choice"])
        self.param.watch(lambda *_: self.draw(), "score")

    def fields(self) -> list[Field]:
        """Describe the form."""
        swept = self._explorer.swept
        found = [
            fields.row(
                [
                    fields.entry("ks", "k", self.ks, tip="First and last, 2:8, or some, 3,5,7"),
                    fields.button("try", "Try", style="small main"),
                ]
            )
        ]
        if swept:
            names = [(name, name) for name in self.scores()]
            current = self._explorer.outcome
            shown = [
                fields.button(
                    f"k/{k}", str(k), style="small",
                    pressed=current is not None and current.recipe == outcome.recipe,
                )
                for k, outcome in swept.items()
            ]  # fmt: skip
            views = [("lineage", "Lineage"), ("scores", "Scores")]
            found += [
                fields.radio("view", "What is drawn", views, self.view),
                *(
                    []
                    if self.view == "lineage"
                    else [fields.choice("score", "Score", names, self._chosen(), quiet=True)]
                ),
                fields.text("Click a k, here or in the plot, to see it.", style="faint"),
                fields.row(shown, style="wrap", key="ks-found"),
            ]
            found.append(
                fields.button(
                    "recommend", "Recommend", style="small",
                    tip="Weigh the evidence for each of these numbers",
                )
            )  # fmt: skip
            if self._explorer.choice is not None:
                found.append(fields.text(self._explorer.choice.summary, key="choice"))
        else:
            found.append(fields.text("What comes before the clustering runs once.", style="faint"))
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "ks":
            self.ks = str(value)
        elif key == "score":
            self.score = str(value)
        elif key == "view" and value in self.param.view.objects:
            self.view = value
        elif key == "recommend":
            self._explorer.recommend()
        elif key == "try":
            try:
                self._explorer.sweep(numbers(self.ks))
            except InputError as error:
                self._explorer.fail(error)
        elif key.startswith("k/"):
            self._show(int(key.partition("/")[2]))

    def scores(self) -> list[str]:
        """Names of all scores that the outcomes have."""
        names = {name for outcome in self._explorer.swept.values() for name in _scores(outcome)}
        choice = self._explorer.choice
        return [*sorted(names), *(sorted(choice.scores) if choice is not None else ())]

    def draw(self) -> None:
        """Draw the chosen score over k."""
        swept, name = self._explorer.swept, self._chosen()
        scores = {k: _scores(outcome).get(name, np.nan) for k, outcome in swept.items()}
        choice = self._explorer.choice
        if choice is not None and name in choice.scores:
            scores = dict(zip(choice.ks, choice.scores[name].tolist(), strict=True))
        found = {k: score for k, score in scores.items() if np.isfinite(score) and k in swept}
        current = self._explorer.outcome
        at = [k for k in found if current is not None and swept[k].recipe == current.recipe]
        self._points.data = {
            "k": list(found),
            "value": list(found.values()),
            "size": [13 if k in at else 8 for k in found],
        }
        self._recommended.visible = choice is not None
        self._recommended.location = choice.k if choice is not None else 0
        self.figure.yaxis.axis_label = name
        if found:
            low, high = min(found.values()), max(found.values())
            margin = 0.1 * (high - low) or max(abs(high), 1.0) * 0.1
            self.figure.y_range.update(start=low - margin, end=high + margin)
            self.figure.x_range.update(start=min(found) - 0.5, end=max(found) + 0.5)

    def _chosen(self) -> str:
        names = self.scores()
        preferred = [self.score, "inertia", "objective", *names]
        return next((name for name in preferred if name in names), "")

    def _tapped(self, event: Tap) -> None:
        if event.x is not None and self._explorer.swept:
            self._show(min(self._explorer.swept, key=lambda k: abs(k - event.x)))

    def _show(self, k: int) -> None:
        if k in self._explorer.swept:
            self._explorer.show_k(k)


def numbers(text: str) -> list[int]:
    """Read ``2:8`` (both ends count) or ``3,5,7``.

    Raises
    ------
    ParameterError
        If it is neither, or asks for more than 30.

    Examples
    --------
    >>> numbers("2:4"), numbers("3, 7")
    ([2, 3, 4], [3, 7])
    """
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            found = list(range(first, min(last, first + _MOST) + 1))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or len(found) > _MOST or min(found) < 1:
        raise ParameterError(
            f"k must be a range or a list of at most {_MOST} numbers",
            got=text[:40],
            cure="Write 2:8 or 3,5,7.",
        )
    return found


def _scores(outcome: Outcome) -> dict[str, float]:
    """Figures of merit of an outcome, named for an axis."""
    segmentation = outcome.result
    taking_part = max(int((~segmentation.mask).sum()), 1)
    return {
        **{str(name): float(value) for name, value in segmentation.scores.items()},
        "unassigned (%)": 100 * segmentation.unassigned_fraction,
        "smallest cluster (%)": 100 * float(min(segmentation.counts)) / taking_part,
    }
