"""How figures and forms are put together: boxes of a page that joins its document at once."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import panel as pn
import param

from clustem.app.forms.fields import View
from clustem.app.forms.form import Form
from clustem.app.session.state import Explorer


class Template(pn.Template):
    """Template whose parts join the document together: one by one takes four times as long."""

    def _init_doc(self, doc: Any = None, *given: Any, **more: Any) -> Any:
        with nullcontext() if doc is None else doc.models.freeze():
            return super()._init_doc(doc, *given, **more)


def boxed(made: Any) -> Any:
    """Return a figure in a box that can be hidden."""
    pane = pn.pane.Bokeh(made, sizing_mode="stretch_both", margin=0, min_height=60)
    return pn.Column(pane, sizing_mode="stretch_both", margin=0)


def beside(form: Any, *figures: Any) -> Any:
    """Return a form with figures at its right."""
    form.sizing_mode, form.width = "stretch_height", 176
    styles = {"gap": "8px"}
    plots = [boxed(made) for made in figures]
    return pn.Row(form, *plots, sizing_mode="stretch_both", margin=0, styles=styles)


def bound(
    explorer: Explorer, view: View, look: str, *watched: tuple[param.Parameterized, list[str]]
) -> Form:
    """Make the form of a view; it is drawn again whenever something changes that it shows."""

    def handle(key: str, value: Any) -> None:
        try:
            view.handle(key, value)
        except Exception as error:  # noqa: BLE001  # whatever a browser sends, the page must go on
            explorer.fail(error)

    form = Form(handle, look=look, sizing_mode="stretch_width")

    def draw(*_: Any) -> None:
        form.draw(view.fields())

    for source, names in watched:
        source.param.watch(draw, names)
    if isinstance(view, param.Parameterized):
        view.param.watch(draw, [name for name in view.param if name != "name"])
    draw()
    return form
