"""A form in the page: fields from the server, messages back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import param
from panel.custom import JSComponent

from clustem.app import ASSETS
from clustem.app.forms.fields import Field

CSS = (ASSETS / "form.css").read_text(encoding="utf-8")


class Form(JSComponent):
    """Fields that a view describes.

    Parameters
    ----------
    handle
        Called with the key of a field and its new value when the user changed it.
    look
        Class of the form for its style sheet.
    """

    spec = param.String(
        default='{"turn": 0, "answered": 0, "fields": []}',
        doc="Fields, a running number, and the number of the last message that they answer",
    )
    look = param.String(default="")

    _esm = ASSETS / "form.js"
    _stylesheets = [CSS]  # noqa: RUF012  # Panel's way

    def __init__(self, handle: Callable[[str, Any], None], *, look: str = "", **given: Any) -> None:
        super().__init__(look=look, **given)
        self._handle = handle
        self._fields, self._turn, self._last = "[]", 0, 0

    def draw(self, fields: list[Field]) -> None:
        """Show other fields.

        Panel sends what changes outside a message of the browser a moment later, so an older state
        may overtake a newer one: the page leaves out what comes late.
        """
        shown = json.dumps(fields, default=str)
        if shown != self._fields:
            self._fields = shown
            self._send()

    def _send(self) -> None:
        self._turn += 1
        self.spec = f'{{"turn": {self._turn}, "answered": {self._last}, "fields": {self._fields}}}'

    def _handle_msg(self, data: Any) -> None:
        """Take a message of the browser and answer it; whatever is not one is dropped.

        Until the answer comes, the page keeps what the user chose, whatever older state arrives.
        """
        if isinstance(data, dict) and isinstance(data.get("key"), str):
            try:
                self._handle(data["key"], data.get("value"))
            finally:
                message = data.get("message")
                self._last = int(message) if isinstance(message, int) else self._last
                self._send()
