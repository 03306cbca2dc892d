"""Results of several scans or signals in one folder: written whole, read back checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from clustem.core import InputError, Segmentation, Signal
from clustem.io.output_folder import PROVENANCE, check_output, whole_folder
from clustem.io.result_folder import FORMAT, RECIPE, made_with, write_provenance

if TYPE_CHECKING:
    from pandas import DataFrame

    from clustem.app.notebook import View

TABLE = "table.csv"
Model = TypeVar("Model", bound=BaseModel)


class InFolder(ABC):
    """Several results that are shown together, and saved to one folder."""

    @abstractmethod
    def _named(self) -> Mapping[str, Segmentation]:
        """Results by what people call them."""

    def _explored(
        self, results: Mapping[str, Segmentation], sources: Sequence[Signal] | None, menu: str
    ) -> View:
        show = import_module("clustem.app.notebook").explore_several  # decision 15
        found: View = show(repr(self), results, sources, menu=menu)
        return found

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write a result folder for each, and an overview of all.

        Parameters
        ----------
        folder
            Where to; it must not exist yet.
        force
            Whether an earlier result there is replaced.

        Returns
        -------
        :
            The folder.

        Raises
        ------
        OutputError
            If the folder exists, cannot be written, or the disk is full; nothing is left behind.
        """
        inputs = [path for one in self._named().values() if (path := one.origin.get("path"))]
        target = check_output(folder, force=force, inputs=inputs)
        with whole_folder(target, force=force) as sibling:
            self._write(sibling)
        return target

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Write all files into an empty folder."""


def write_results(  # what a folder holds
    results: Mapping[str, Segmentation],
    folder: Path,
    *,
    kind: str,
    table: DataFrame,
    content: Mapping[str, Any],
    pages: Collection[str],
) -> None:
    """Write a folder for each result, the table, the recipe and the provenance of all.

    Parameters
    ----------
    results
        Results by the name of their folder.
    folder
        The folder of them all.
    kind
        What it holds: ``"study"`` or ``"joint"``.
    table
        Written as ``table.csv``.
    content
        What the provenance says beside.
    pages
        Names of the results that get a report.
    """
    from clustem.report.page.save_result import write_maps, write_result

    for name, one in results.items():
        (folder / name).mkdir()
        (write_result if name in pages else write_maps)(one, folder / name)
    table.to_csv(folder / TABLE, index=False)
    text = next(iter(results.values())).recipe_text
    (folder / RECIPE).write_text(text, encoding="utf-8", newline="\n")
    write_provenance({"format": FORMAT, "kind": kind, **made_with(), **content}, folder)


def validated(model: type[Model], content: Mapping[str, Any], what: str) -> Model:
    """Check what was read of a provenance.

    Raises
    ------
    InputError
        If a field is missing or broken.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise broken(what, f"{where}: {first['msg']}"[:120]) from None


def broken(what: str, got: str) -> InputError:
    """Return what is raised for a provenance that is not as it was written."""
    return InputError(
        f"{PROVENANCE} must hold what Clustem writes of {what}",
        got=got,
        cure="Run the recipe again.",
    )
