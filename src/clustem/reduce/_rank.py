"""How many components rows can have."""

from __future__ import annotations

from clustem.core import ParameterError
from clustem.passes.rows import Rows


def check_rank(n_components: int, rows: Rows) -> None:
    """Refuse more components than rows or channels.

    Raises
    ------
    ParameterError
        If more are asked for.
    """
    most = min(rows.shape)
    if n_components > most:
        raise ParameterError(
            f"n_components must be at most the number of rows and channels ({most})",
            got=n_components,
            cure="Ask for fewer components.",
        )
