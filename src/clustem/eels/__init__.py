"""What only energy losses have: the zero-loss peak, what is left without it, and the thickness.

Every public file of this folder is an entry of the room's catalogue.
"""

from typing import TYPE_CHECKING, Any

from clustem.model.catalogue import Catalogue

catalogue = Catalogue(__name__, __path__)
globals().update(catalogue.own)
__all__ = ["catalogue", *catalogue.own]  # noqa: PLE0604  # names are those of the files

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
