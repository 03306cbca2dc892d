"""What can be said of the map, in a strip above it: doubts before colors."""

from __future__ import annotations

from typing import Any

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.session.state import Explorer
from clustem.report.layout.extent import percent


class Standing:
    """Strip above the map, always of the same height.

    Parameters
    ----------
    explorer
        The session.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    def fields(self) -> list[Field]:
        """Describe the strip: the gravest doubt in a warning color, or what the map is."""
        outcome = self._explorer.outcome
        if outcome is None:
            return []
        found = outcome.verdict
        if found.doubts:
            words = " ".join(found.doubts)
            return [
                fields.text(f"\u26a0 {words}", style="doubt", key="doubt", role="alert", tip=words)
            ]
        result = outcome.result
        left = percent(result.unassigned_fraction)
        words = f"{outcome.size}, {left} unassigned. {found.warranted}".strip()
        return [fields.text(words, style="fine", key="fine", tip=words)]

    def handle(self, key: str, value: Any) -> None:
        """Nothing can be changed here."""
