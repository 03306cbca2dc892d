"""How passes over rows run: where blocks come from (Rows) and who multiplies (Engine)."""

from clustem.compute._storage import release
from clustem.compute.engine import Engine, NumpyEngine
from clustem.compute.rows import Rows

__all__ = ["Engine", "NumpyEngine", "Rows", "release"]
