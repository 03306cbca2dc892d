"""The reference, from the registries: a table of the steps of each stage, then each of them."""

import ast
from pathlib import Path
from textwrap import indent

import code_map  # beside this file

from clustem.core import registry
from clustem.core.declare import STAGES
from clustem.recipes.recipe import Recipe

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ORDER = (
    "eds_map",
    "eels_shapes",
    "eels_thickness",
    "grains",
    "twins",
    "domains",
    "particles",
    "movie",
    "many_maps",
    "two_detectors",
    "choose_k",
    "trust",
    "failures",
    "edit",
    "export",
    "coming_from_hyperspy",
    "source_thickness",
    "source_phases",
    "source_grains",
    "source_patches",
    "source_twins",
)
"""Examples in the order in which the gallery shows them."""
TITLES = {
    "prepare": "Prepare: signal to signal, or to a mask",
    "describe": "Describe: one row of numbers per position",
    "reduce": "Reduce: fewer columns",
    "cluster": "Cluster: estimators of scikit-learn's kind",
    "mapping": "Map: clusters on the scan",
    "eels": "EELS: zero-loss peak and thickness",
    "edits": "Edit: merge, split, name",
    "judge": "Judge: how sure",
    "samples": "Samples: simulated scans with known truth",
}
PLAIN = {
    "results": ("Results", "clustem.core", ["Segmentation", "Clustering", "Features", "Scan"]),
    "errors": (
        "Errors",
        "clustem.core",
        ["ClustemError", "InputError", "ParameterError", "OutputError", "UnknownNameError"],
    ),
    "run": (
        "Run recipes",
        "clustem",
        [
            "segment",
            "segment_study",
            "segment_joint",
            "segment_movie",
            "sweep",
            "views",
            "load",
            "compare",
            "recipes.apply",
            "Recipe",
            "Study",
            "Joint",
        ],
    ),
    "figures": (
        "Figures and tables",
        "clustem.report",
        [
            "phase_map",
            "membership_maps",
            "unassigned_map",
            "center_plot",
            "scatter",
            "margin_maps",
            "side_by_side",
            "lineage_plot",
            "agreement",
            "write_report",
            "write_figures",
            "write_points",
            "write_centers",
            "write_labels",
        ],
    ),
}
"""What belongs to no stage: title, module and names."""


class InOrder:
    """Sort examples by :data:`ORDER`."""

    def __init__(self, _folder: str) -> None:
        pass

    def __call__(self, name: str) -> int:
        """Return the place of a file."""
        return ORDER.index(Path(name).stem)


def write(folder: Path) -> None:
    """Write a page for each stage, for recipes, and for what belongs to no stage."""
    folder.mkdir(exist_ok=True)
    recipes = {name: Recipe.named(name) for name in Recipe.names()}
    users: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        for entry in recipe.entries():
            users.setdefault(entry.label, []).append(name)
    pages = {
        "recipes": _recipes(recipes),
        "benchmarks": _benchmarks(),
        "code-map": _code_map(folder),
    }
    for key, (title, module, names) in PLAIN.items():
        pages[key] = _page(title, [(f"{module}.{name}", "") for name in names])
    for stage, title in TITLES.items():
        entries = [*registry(stage).values()]
        rows = [(e.name, e.summary, ", ".join(users.get(e.label, []))) for e in entries]
        objects = [(f"{e.step.__module__}.{e.step.__qualname__}", e.name) for e in entries]
        pages[stage] = _page(title, objects, _table(stage, rows, used=stage in STAGES))
    order = ["run", "recipes", *TITLES, "results", "figures", "errors", "benchmarks", "code-map"]
    pages["index"] = _index(order)
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _heading(title: str, line: str = "=") -> str:
    return f"{title}\n{line * len(title)}\n\n"


def _index(order: list[str]) -> str:
    names = "\n".join(f"   {name}" for name in order)
    return (
        _heading("Reference")
        + "Each stage of a recipe has a table of its steps, and of recipes that use them. Every "
        "step works on its own, too.\n\n.. toctree::\n   :maxdepth: 1\n\n" + names + "\n"
    )


def _table(stage: str, rows: list[tuple[str, str, str]], *, used: bool) -> str:
    found = ".. list-table::\n   :header-rows: 1\n   :widths: auto\n\n"
    found += "   * - Step\n     - What it does\n" + ("     - Recipes\n" if used else "")
    for name, summary, recipes in rows:
        found += f"   * - :ref:`{name} <{stage}-{name}>`\n     - {summary}\n"
        found += f"     - {recipes or ' '}\n" if used else ""
    return found + "\n"


def _page(title: str, objects: list[tuple[str, str]], table: str = "") -> str:
    found = _heading(title) + table
    for path, name in objects:
        thing = _loaded(path)
        kind = "autoclass" if isinstance(thing, type) else "autofunction"
        if name:
            stage = thing.__module__.split(".")[1]
            found += f".. _{stage}-{name}:\n\n{_heading(name, '-')}"
            found += f"``from clustem.{stage} import {name}``\n\n"
        found += f".. {kind}:: {path}\n"
        if isinstance(thing, type) and not issubclass(thing, Exception):
            found += "   :members:\n"
        found += "\n"
    return found


def _loaded(path: str) -> object:
    import importlib

    parts = path.split(".")
    for i in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:i]))
        except ImportError:
            continue
        for name in parts[i:]:
            found = getattr(found, name)
        return found
    raise ImportError(path)


def _recipes(recipes: dict[str, Recipe]) -> str:
    found = _heading("Recipes") + (
        "A recipe is the steps in order. ``clustem recipes NAME`` prints it as TOML, to start your "
        "own from; ``clustem recipes NAME --parameters`` lists every parameter.\n\n"
    )
    for name, recipe in recipes.items():
        found += _heading(name, "-") + f"{recipe.title}.\n\n"
        found += ".. code-block:: toml\n\n"
        found += "".join(f"   {line}\n" for line in recipe.to_toml().splitlines()) + "\n"
        found += _settings(recipe)
    return found


def _settings(recipe: Recipe) -> str:
    """List all settings of a recipe: what each is in it, and what it may be."""
    found = f".. dropdown:: All settings of {recipe.name}\n\n   .. list-table::\n"
    found += "      :header-rows: 1\n      :widths: auto\n\n"
    found += "      * - Setting\n        - Value\n        - What it may be\n"
    for entry in recipe.entries():
        own = recipe.steps.get((entry.stage, entry.name), {})
        for parameter in entry.parameters.values():
            value = own.get(parameter.name, "required" if parameter.required else parameter.default)
            found += f"      * - ``{entry.name}.{parameter.name}``\n"
            found += f"        - ``{value!r}``\n        - {parameter.description}\n"
    return found + "\n"


def _benchmarks() -> str:
    """List what is measured, from the docstrings of the scripts."""
    found = _heading("Benchmarks") + (
        "``python benchmarks/NAME.py`` prints what it measured; ``make bench`` runs all, which "
        "takes hours. How they are read: :doc:`/contributing`.\n\n"
    )
    for path in sorted(BENCHMARKS.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first, _, rest = text.partition("\n\n")
        found += _heading(path.name, "-") + f"{first}\n\n"
        found += ".. code-block:: text\n\n" + indent(rest, "   ") + "\n\n" if rest else ""
    return found


def _code_map(folder: Path) -> str:
    code_map.write(folder / "code-map.png")
    return _heading("Map of the code") + (
        "Packages in their layers, with their number of lines. A row says how many modules of its "
        "package import from those above it; nothing imports from below, and stages do not import "
        "from each other. Drawn from the imports when this documentation is built.\n\n"
        ".. image:: code-map.png\n   :alt: Matrix of packages and what they import\n"
    )
