"""How figures and forms are put together: boxes of a page that joins its document at once."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import panel as pn


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
