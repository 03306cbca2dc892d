"""Packages import only layers below them, nothing private of each other, and never the root."""

import ast
from pathlib import Path

import pytest

import clustem

SOURCE = Path(clustem.__file__).parent
STAGES = {"prepare", "describe", "reduce", "cluster", "mapping", "eels", "edits", "samples"}
LAYERS = [
    {"core"},
    {"passes"},
    {"physics", "labelmaps"},
    STAGES,
    {"judge"},
    {"io"},
    {"report"},
    {"recipes"},
    {"app"},
    {"cli"},
    {"__main__", "__init__"},
]
LAYER = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}


def imports(tree: ast.AST) -> set[str]:
    """Full names of what a module imports at run time, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        else:
            names |= imports(node)
    return names


def trespasses(module: str, tree: ast.AST) -> set[str]:
    """What a module, named from the root such as ``cluster.kmeans.k_means``, must not import."""
    found = set()
    package = module.partition(".")[0]
    for name in imports(tree):
        if name.partition(".")[0] != "clustem":
            continue
        parts = name.split(".")[1:]
        if not parts or (len(parts) == 1 and parts[0] not in LAYER):
            found.add(name)  # the root
            continue
        other = parts[0]
        if other != package and LAYER[other] >= LAYER[package]:
            found.add(name)
        private = next((i for i, part in enumerate(parts) if part.startswith("_")), None)
        if private is not None and not f"{module}.".startswith(".".join([*parts[:private], ""])):
            found.add(name)
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_module_imports_only_what_it_may(path):
    assert not trespasses(name_of(path), ast.parse(path.read_text(encoding="utf-8")))


def test_every_package_has_a_layer():
    assert {name_of(path).split(".")[0] for path in SOURCE.rglob("*.py")} <= set(LAYER)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core.signal", "from clustem.passes.rows import Rows"),
        ("reduce.pca", "from clustem.describe import spectra"),
        ("cluster.kmeans.k_means", "def f():\n    import clustem.recipes"),
        ("physics.beam", "from clustem.labelmaps.regions import regions"),
        ("report.page.write_report", "from clustem.recipes.recipe import Recipe"),
        ("judge.scores", "from clustem.cluster.kmeans._sketch import sketch"),
        ("report.page.write_report", "from clustem.report.figures._patterns import grid"),
        ("app.forms.form", "from clustem import segment"),
        ("app.forms.form", "import clustem"),
    ],
)
def test_the_checker_sees_a_trespass(module, line):
    assert trespasses(module, ast.parse(line))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reduce.pca", "from clustem.passes.rows import Rows"),
        ("cluster.kmeans.k_means", "from clustem.cluster.kmeans._sketch import sketch"),
        ("cluster.kmeans.k_means", "from clustem.cluster._markers import starts"),
        ("core.segmentation", "if TYPE_CHECKING:\n    from clustem.recipes import Recipe"),
    ],
)
def test_the_checker_lets_pass_what_is_allowed(module, line):
    assert not trespasses(module, ast.parse(line))
