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

    spec = param.String(
        default='{"turn": 0, "heard": 0, "fields": []}',
        doc="Fields, when they were told, and the last message of the browser that they know of",
    )
    look = param.String(default="")

    _esm = ASSETS / "form.js"
    _stylesheets = [CSS]  # noqa: RUF012  # Panel's way

    def __init__(self, heard: Callable[[str, Any], None], *, look: str = "", **given: Any) -> None:
        super().__init__(look=look, **given)
        self._heard = heard
        self._fields, self._turn, self._last = "[]", 0, 0

    def show(self, fields: list[Field]) -> None:
        """Draw other fields.

        Panel sends what changes outside a message of the browser a moment later, so an older state
        may overtake a newer one: the page leaves out what comes late.
        """
        shown = json.dumps(fields, default=str)
        if shown != self._fields:
            self._fields = shown
            self._tell()

    def _tell(self) -> None:
        self._turn += 1
        self.spec = f'{{"turn": {self._turn}, "heard": {self._last}, "fields": {self._fields}}}'

    def _handle_msg(self, data: Any) -> None:
        """Take a message of the browser and answer it; whatever is not one is dropped.

        Until the answer comes, the page keeps what the user chose, whatever older state arrives.
        """
        if isinstance(data, dict) and isinstance(data.get("key"), str):
            try:
                self._heard(data["key"], data.get("value"))
            finally:
                message = data.get("message")
                self._last = int(message) if isinstance(message, int) else self._last
                self._tell()
