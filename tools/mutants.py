"""Change one operator or number at a time, and see whether the nearest tests notice.

``tools/mutants.py --count 100`` draws mutants of edits, io, judge.compare and the guard behind
``certified_`` from a seed, and runs the tests beside each in a copy of the tree. Survivors are
printed with their line: they want a test, or are listed in ``EQUIVALENT`` with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOST = (
    "tests/front/test_nothing_lost.py",
    "-k",
    "not harmed and not ctrl and not letters and not lazily",
)
HOSTILE = "tests/front/test_hostile_files.py"
FOLDER = "tests/front/test_result_folder.py"
K_MEANS = ("tests/oracle/test_kmeans_kernels.py", "tests/oracle/test_kmeans.py")
NEAREST = {
    "edits/merge.py": ("tests/oracle/test_edits.py",),
    "edits/split.py": ("tests/oracle/test_edits.py",),
    "edits/relabel.py": ("tests/oracle/test_edits.py",),
    "edits/recolor.py": ("tests/oracle/test_edits.py",),
    "edits/exclude.py": ("tests/oracle/test_edits.py",),
    "edits/_parts.py": ("tests/oracle/test_edits.py",),
    "io/output_folder.py": LOST,
    "io/result_folder.py": (FOLDER, HOSTILE),
    "io/_arrays.py": (FOLDER, HOSTILE),
    "io/_schema.py": (FOLDER, HOSTILE),
    "io/toml.py": ("tests/oracle/test_recipe.py", HOSTILE),
    "io/reading.py": (HOSTILE, *LOST),
    "io/_formats.py": ("tests/oracle/test_diffraction_formats.py", HOSTILE, *LOST),
    "io/trial.py": (HOSTILE,),
    "io/blockfile.py": ("tests/oracle/test_diffraction_formats.py",),
    "judge/compare.py": ("tests/oracle/test_compare.py",),
    "judge/_agreement.py": ("tests/oracle/test_compare.py",),
    "cluster/kmeans/_kernels.py:assign_certain,gap_to_second,assign_exactly": K_MEANS,
    "cluster/kmeans/_full_space.py:_remember,_gaps,_update_centers,nearest": K_MEANS,
}
"""Files below src/clustem, with the functions that count after a colon, and the tests nearest."""
EQUIVALENT: dict[tuple[str, str], str] = {
    ("edits/merge.py", "segmentation.n_clusters + 2"): "the last place is for -1, wherever it is",
}
"""File and mutated text of mutants that change nothing that can be seen, with the reason."""
LIMIT = 240
"""Time after which a mutant is taken for one that never ends [s]."""

COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
CALLS = {"sum": "max", "min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """A changed file."""

    name: str
    line: int
    before: str
    after: str
    source: str
    tests: tuple[str, ...]


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield changed copies of one node."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            if made := COMPARE.get(type(operator)):
                other = copy.deepcopy(node)
                other.ops[i] = made()
                yield other
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        other = copy.deepcopy(node)
        other.op = ARITHMETIC[type(node.op)]()
        yield other
    elif isinstance(node, ast.BoolOp):
        other = copy.deepcopy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield ast.copy_location(ast.Constant(value), node)
    elif isinstance(node, ast.Call):
        called = node.func
        name = getattr(called, "attr", getattr(called, "id", ""))
        if name in CALLS:
            other = copy.deepcopy(node)
            setattr(other.func, "attr" if isinstance(called, ast.Attribute) else "id", CALLS[name])
            yield other


def visible(tree: ast.AST, functions: set[str]) -> Iterator[ast.AST]:
    """Yield the nodes that count: no annotations, decorators or messages."""
    for top in ast.walk(tree):
        if isinstance(top, ast.FunctionDef) and (not functions or top.name in functions):
            for statement in top.body:
                yield from _inside(statement)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.Raise | ast.JoinedStr | ast.AnnAssign):
        return  # functions come by themselves; words are not tested one by one
    yield node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return  # NumPy takes any number below 0 for -1 in a shape
    for child in ast.iter_child_nodes(node):
        yield from _inside(child)


def mutants_of(entry: str) -> list[Mutant]:
    """Make all mutants of one file."""
    name, _, functions = entry.partition(":")
    text = (ROOT / "src/clustem" / name).read_text(encoding="utf-8")
    wanted = set(filter(None, functions.split(",")))
    found = []
    for node in visible(ast.parse(text), wanted):
        for other in changes(node):
            lines = text.splitlines(keepends=True)
            first, last = node.lineno - 1, node.end_lineno - 1
            head = lines[first].encode()[: node.col_offset].decode()
            tail = lines[last].encode()[node.end_col_offset :].decode()
            before, after = ast.unparse(node), ast.unparse(other)
            lines[first : last + 1] = [f"{head}({after}){tail}"]
            source = "".join(lines)
            try:
                ast.parse(source)
            except SyntaxError:
                continue  # brackets around a keyword's place
            if (name, after) not in EQUIVALENT:
                found.append(Mutant(name, first + 1, before, after, source, NEAREST[entry]))
    return found


def killed(mutant: Mutant, tree: Path) -> bool:
    """Run the nearest tests on a mutant in a forked child; True if one fails."""
    path = tree / "src/clustem" / mutant.name
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.source, encoding="utf-8")
    try:
        child = os.fork()
        if child == 0:
            _test(mutant, tree)
        start = time.monotonic()
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status) != 0
            if time.monotonic() - start > LIMIT:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return True
            time.sleep(0.05)
    finally:
        path.write_text(original, encoding="utf-8")


def _test(mutant: Mutant, tree: Path) -> None:
    status = 70
    try:
        os.setsid()
        os.chdir(tree)
        sys.path.insert(0, str(tree / "src"))
        os.environ.update(PYTHONPATH=str(tree / "src"), PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header"]
        status = int(pytest.main([*options, *mutant.tests]))
    finally:
        os._exit(status)


def main() -> int:
    """Draw mutants, test them, print survivors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a file's name")
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    every = [m for entry in NEAREST if options.only in entry for m in mutants_of(entry)]
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    print(f"{len(chosen)} of {len(every)} mutants", flush=True)
    # Others' packages are imported once; ours by each child from its copy of the tree.

    end, dead, tested = time.monotonic() + options.seconds, 0, 0
    with tempfile.TemporaryDirectory(prefix="clustem-mutants-") as name:
        tree = Path(name)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / part, tree)
        for tests in sorted({mutant.tests for mutant in chosen}):
            path = tree / "src/clustem/__init__.py"
            whole = Mutant("__init__.py", 0, "", "", path.read_text(encoding="utf-8"), tests)
            if killed(whole, tree):
                raise SystemExit(f"{' '.join(tests)} must pass before mutants are made")
        for mutant in chosen:
            if time.monotonic() > end:
                break
            tested += 1
            if killed(mutant, tree):
                dead += 1
            else:
                print(
                    f"survives: {mutant.name}:{mutant.line}: {mutant.before} -> {mutant.after}",
                    flush=True,
                )
    print(f"{dead} of {tested} killed ({100 * dead / max(tested, 1):.0f} %)")
    return int(dead < 0.9 * tested)


if __name__ == "__main__":
    sys.exit(main())
