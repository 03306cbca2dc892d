"""A drawing of the packages in their layers and of what they import, made from the imports."""

import ast
import importlib.util
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

LAW = Path(__file__).parents[1] / "tests" / "contract" / "test_layers.py"
STAGES = ("samples", "prepare", "describe", "reduce", "cluster", "mapping", "eels", "edits")
INK, LINE, SHADE = "#1d2733", "#8a97a5", "#4c78a8"


def write(path: Path) -> None:
    """Draw the map into a file: a row says from which packages its own imports."""
    law = _law()
    lines, used = _read(law)
    layers = [sorted(layer & set(lines), key=_place) for layer in law.LAYERS]
    layers = [[name for name in layer if not name.startswith("__")] for layer in layers]
    names = [name for layer in layers for name in layer]
    figure = Figure(figsize=(8.2, 6.6))
    axes = figure.add_axes((0.2, 0.005, 0.795, 0.86))
    axes.set(xlim=(0, len(names)), ylim=(len(names), 0))
    most = max(used.values())
    for y, upper in enumerate(names):
        axes.add_patch(Rectangle((y, y), 1, 1, fc="#e3e8ee", ec="none"))
        for x, lower in enumerate(names):
            if count := used[upper, lower]:
                strength = 0.12 + 0.88 * (count / most) ** 0.5
                axes.add_patch(Rectangle((x, y), 1, 1, fc=SHADE, alpha=strength, ec="none"))
                color = "white" if strength > 0.75 else INK
                axes.text(x + 0.5, y + 0.52, count, ha="center", va="center", size=8, color=color)
    ends = [0, *(sum(map(len, layers[: i + 1])) for i in range(len(layers)))]
    for first, last in pairwise(ends):
        axes.plot([0, last, last], [first, first, len(names)], color=LINE, lw=0.8)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    axes.xaxis.tick_top()
    axes.set_xticks([i + 0.5 for i in range(len(names))], names, rotation=60, ha="left")
    counted = [f"{name}  {lines[name]:,}".replace(",", "\N{THIN SPACE}") for name in names]
    axes.set_yticks([i + 0.5 for i in range(len(names))], counted)
    for side in axes.spines.values():
        side.set_color(LINE)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")


def _law() -> ModuleType:
    """Load the test that holds the layers: it knows them, and how imports are read."""
    spec = importlib.util.spec_from_file_location("layers", LAW)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(LAW)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def _read(law: ModuleType) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Count the lines of each package, and its modules that import from each other package."""
    lines: Counter[str] = Counter()
    used: Counter[tuple[str, str]] = Counter()
    for path in sorted(law.SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        package = law.name_of(path).partition(".")[0]
        lines[package] += text.count("\n")
        names = [name.split(".") for name in law.imports(ast.parse(text))]
        others = {parts[1] for parts in names if parts[0] == "clustem" and len(parts) > 1}
        for other in others & set(law.LAYER) - {package}:
            used[package, other] += 1
    return lines, used


def _place(name: str) -> tuple[int, str]:
    """Stages in the order of a recipe, others by name."""
    return (STAGES.index(name) if name in STAGES else 0, name)
