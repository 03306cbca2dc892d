"""Rooms import only rooms on floors below them."""

import ast
from pathlib import Path

import pytest

import clustem

SOURCE = Path(clustem.__file__).parent
FLOORS = [
    {"model"},
    {"compute"},
    {"prepare", "describe", "reduce", "cluster", "judge", "reproject", "eels", "samples"},
    {"report"},
    {"segmentation", "_result_folder", "_compare", "_quiet", "_edits", "_toml"},
    {"recipes"},
    {"cli", "app"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(tree: ast.AST) -> set[str]:
    """Rooms of clustem that a module imports, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    rooms = {name.split(".")[1] for name in names if name.startswith("clustem.")}
    return rooms & set(FLOOR)


def trespasses(room: str, tree: ast.AST) -> set[str]:
    return {
        other
        for other in imported_rooms(tree) - {room}
        if FLOOR[other] > FLOOR[room] or (FLOOR[other] == FLOOR[room] and room in FLOORS[2])
    }


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_room_imports_only_floors_below(path):
    if path == SOURCE / "__init__.py":
        return  # the front door names every room
    assert not trespasses(room_of(path), ast.parse(path.read_text(encoding="utf-8")))


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(FLOOR)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("model", "from clustem.compute import Rows"),
        ("reduce", "from clustem.describe import spectra"),
        ("cluster", "def f():\n    import clustem.recipes"),
        ("report", "from clustem import segmentation"),
    ],
)
def test_the_checker_sees_a_trespass(room, line):
    assert trespasses(room, ast.parse(line))
