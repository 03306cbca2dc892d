"""X-ray lines and the detector that sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustem.core import InputError, UnknownNameError, quiet

F64 = NDArray[np.float64]

MN_KA = 5.8987
"""Energy at which detectors state their resolution [keV]."""


@dataclass(frozen=True)
class Line:
    """One X-ray line.

    Parameters
    ----------
    element
        Symbol of the element.
    name
        Siegbahn name without the element, such as ``"Ka"``.
    energy
        Energy [keV].
    weight
        Intensity relative to the strongest line of the same shell.
    """

    element: str
    name: str
    energy: float
    weight: float

    @property
    def label(self) -> str:
        """Name as in HyperSpy's metadata: ``Fe_Ka``."""
        return f"{self.element}_{self.name}"

    @property
    def family(self) -> str:
        """Element and shell: lines of one family keep their ratios, ``Fe_K``."""
        return f"{self.element}_{self.name[0]}"


def material() -> Any:
    """Return eXSpy's material module; its import warns about HyperSpy, which no user can help."""
    with quiet():
        import exspy

        return exspy.material


def lines_of(elements: Iterable[str], *, low: float = 0.0, high: float = np.inf) -> list[Line]:
    """List the X-ray lines of elements from eXSpy's table, by rising energy.

    Parameters
    ----------
    elements
        Symbols.
    low, high
        Range of energies [keV].

    Raises
    ------
    UnknownNameError
        If a symbol is not an element's.

    Examples
    --------
    >>> [line.label for line in lines_of(["Si", "Fe"], low=1, high=6.5)]
    ['Si_Ka', 'Si_Kb', 'Fe_Ka']
    """
    found = [line for element in elements for line in _lines(element) if low <= line.energy <= high]
    return sorted(found, key=lambda line: line.energy)


@cache
def _elements() -> dict[str, Any]:
    """Return eXSpy's table of elements; its file alone is read, as the package takes 1.2 s."""
    found = find_spec("exspy")
    places = (found.submodule_search_locations if found else None) or []
    for file in (Path(place, "_misc", "elements.py") for place in places):
        spec = spec_from_file_location("clustem_elements", file) if file.is_file() else None
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            table: dict[str, Any] = module.elements
            return table
    other: dict[str, Any] = material().elements.as_dictionary()
    return other


@cache
def _lines(element: str) -> tuple[Line, ...]:
    table = _elements()
    if element not in table:
        raise UnknownNameError.among("element", element, table)
    rows = table[element]["Atomic_properties"].get("Xray_lines", {})
    return tuple(
        Line(element, name, float(row["energy (keV)"]), float(row["weight"]))
        for name, row in rows.items()
        if row["weight"] > 0
    )


def fwhm(energy: ArrayLike, resolution: float = 130.0) -> F64:
    """Full width at half maximum of a line in the detector's spectrum [keV].

    Parameters
    ----------
    energy
        Energy [keV], any shape.
    resolution
        Full width at half maximum at Mn Ka [eV].

    Notes
    -----
    ``FWHM² = resolution² + 2.5 eV · (E - E(Mn Ka))``; no narrower than 30 eV.

    References
    ----------
    C. E. Fiori and D. E. Newbury, in SEM/1978/I (1978) 401.

    Examples
    --------
    >>> fwhm([0.525, 5.8987]).round(4).tolist()
    [0.0589, 0.13]
    """
    if resolution <= 0:
        raise InputError("The resolution must be greater than 0 eV", got=resolution)
    squared = resolution**2 + 2500 * (np.asarray(energy, dtype=np.float64) - MN_KA)
    return np.sqrt(np.maximum(squared, 30.0**2)) / 1000
