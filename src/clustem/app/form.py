"""A form in the page: fields from the server, messages back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from clustem.app.fields import Field

ASSETS = Path(__file__).parent / "assets"
CSS = (ASSETS / "form.css").read_text(encoding="utf-8")


class Form(JSComponent):
    """Fields that a view describes.

    Parameters
    ----------
    heard
        Called with the key of a field and its new value when the user changed it.
    look
        Class of the form for its style sheet.
    """

    spec = param.String(default='{"turn": 0, "fields": []}', doc="Fields, and when they were told")
    look = param.String(default="")

    _esm = ASSETS / "form.js"
    _stylesheets = [CSS]  # noqa: RUF012  # Panel's way

    def __init__(self, heard: Callable[[str, Any], None], *, look: str = "", **given: Any) -> None:
        super().__init__(look=look, **given)
        self._heard = heard
        self._turn, self._shown = 0, "[]"

    def show(self, fields: list[Field]) -> None:
        """Draw other fields.

        Panel sends what changes outside a message of the browser a moment later, so an older state
        may overtake a newer one: the page leaves out what comes late.
        """
        shown = json.dumps(fields, default=str)
        if shown != self._shown:
            self._turn, self._shown = self._turn + 1, shown
            self.spec = f'{{"turn": {self._turn}, "fields": {shown}}}'

    def _handle_msg(self, data: Any) -> None:
        """Take a message of the browser; whatever is not one is dropped."""
        if isinstance(data, dict) and isinstance(data.get("key"), str):
            self._heard(data["key"], data.get("value"))
