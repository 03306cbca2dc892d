"""Change one operator or number at a time, and see whether the nearest tests notice.

``tools/mutants.py --count 100`` draws mutants of edits, io, judge.compare and the guard behind
``certified_`` from a seed, and runs the tests beside each in a copy of the tree. Survivors are
printed with their line: they want a test, or are listed in ``EQUIVALENT`` with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
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
DATA = ROOT.parent / "shared" / "data"
EDITS = ("tests/oracle/test_edits.py",)
COMPARE_MAPS = ("tests/oracle/test_compare.py",)
LOST = "tests/front/test_nothing_lost.py"
HOSTILE = "tests/front/test_hostile_files.py"
FOLDER = "tests/front/test_result_folder.py"
FORMATS = "tests/oracle/test_diffraction_formats.py"
READING = "tests/oracle/test_reading.py"
OUTPUT = (LOST, "-k", "not (harmed or ctrl or letters or lazily or taken or uneven or texts)")
RESULT = (
    HOSTILE,
    FOLDER,
    "tests/golden/test_zero_loss_step.py",
    "-k",
    "broken or runs_code or expand or read_back or format or what or numbers or comes_back",
)
OPENING = (
    READING,
    FORMATS,
    HOSTILE,
    LOST,
    "-k",
    "not (ctrl or letters or taken or broken or kill or lazy)",
)
TRIAL = (
    "tests/oracle/test_trial.py",
    HOSTILE,
    "-k",
    "trial or reader or tried or threads or bruker or terabytes",
)
K_MEANS = ("tests/oracle/test_kmeans_kernels.py", "tests/oracle/test_kmeans.py")
PROOF = (
    *K_MEANS,
    "-k",
    (
        "certain or claims or fixed_point or doubt or iterations or check_itself or gap or "
        "moved or between or equally"
    ),
)
NEAREST = {
    "edits/merge.py": EDITS,
    "edits/split.py": EDITS,
    "edits/relabel.py": EDITS,
    "edits/recolor.py": EDITS,
    "edits/exclude.py": EDITS,
    "edits/_parts.py": EDITS,
    "judge/compare.py": COMPARE_MAPS,
    "judge/_agreement.py": COMPARE_MAPS,
    "io/output_folder.py": OUTPUT,
    "io/result_folder.py": RESULT,
    "io/_arrays.py": RESULT,
    "io/_schema.py": RESULT,
    "io/toml.py": ("tests/oracle/test_recipe.py", HOSTILE, "-k", "toml or deep or recipe"),
    "io/reading.py": OPENING,
    "io/_formats.py": OPENING,
    "io/trial.py": TRIAL,
    "io/blockfile.py": (FORMATS,),
    "io/fitted.py": ("tests/front/test_resume.py", "-k", "kept or tampered"),
    "io/convert.py": ("tests/front/test_convert.py",),
    "cluster/kmeans/_full_space.py:"
    "_remember,_gaps,_update_centers,nearest,assign_block,gap_to_second": PROOF,
    "cluster/kmeans/_kernels.py:assign_certain": PROOF,
}
"""Files below src/clustem, with the functions that count after a colon, and the tests nearest.
Files of compiled code come last: a change there makes all that lies in them compile again."""
COMPILED = {"cluster/kmeans/_kernels.py"}
SAYS = ("Error", "_broken", "debug")
"""Ends of the names of calls that take words for a message."""
WORDS = {"reason", "got", "cure", "where", "reasons"}
"""Names of variables that hold such words."""
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "edits/merge.py",
        "number = np.empty(segmentation.n_clusters + (2), dtype=np.int16)",
    ): "the last place is for -1, wherever it is",
    (
        "edits/_parts.py",
        "number = np.full(len(order) + (2), -1, dtype=np.int16)  # the last is for -1",
    ): "as above",
    (
        "edits/_parts.py",
        "place = np.full(int(labels.max(initial=(1))) + 2, -1)",
    ): "a place more, for a cluster that there is not",
    (
        "edits/_parts.py",
        "place = np.full(int(labels.max(initial=0)) + (3), -1)",
    ): "as above",
    (
        "edits/_parts.py",
        (
            "squares = error**2 * n * np.maximum(n - 1, (1)) + n * mean**2  "
            "# sums of squares per cluster"
        ),
    ): "the error of a cluster of one position is 0, and one of none has no weight",
    (
        "edits/split.py",
        "[segmentation.memberships.data, np.zeros(((n + 1), *segmentation.mask.shape))]",
    ): "maps beyond the clusters are not taken",
    (
        "io/output_folder.py",
        "for _ in range((1), n_bytes + 2**20, 2**20):",
    ): "a piece less, and still as much as is wanted",
    (
        "io/output_folder.py",
        "shutil.rmtree(folder, ignore_errors=(False))",
    ): "what it raises is caught below",
    (
        "io/_arrays.py",
        "with np.load(path, allow_pickle=(True)) as arrays:",
    ): "objects are refused before",
    (
        "judge/_agreement.py",
        "partner = np.full(shape[0] + (2), -2)",
    ): "the last place is for -1, wherever it is",
    (
        "judge/_agreement.py",
        "shape = int(reference.max()) + 1, max(int(other.max()), (1)) + 1",
    ): "a column more, of a cluster without rows, is matched with none",
    (
        "judge/_agreement.py",
        "shape = int(reference.max()) + 1, max(int(other.max()), 0) + (2)",
    ): "as above",
    (
        "judge/compare.py",
        "totals = (self.counts.sum(axis=0, keepdims=False))",
    ): "a row of totals is spread over rows with or without a first axis",
    (
        "judge/compare.py",
        "totals = self.counts.sum(axis=0, keepdims=(False))",
    ): "as above",
    (
        "io/trial.py",
        "resource.setrlimit(resource.RLIMIT_AS, (min(most, hard) if (hard >= 0) else most, hard))",
    ): "a hard limit is -1, which is none, or large",
    (
        "io/trial.py",
        "resource.setrlimit(resource.RLIMIT_AS, (min(most, hard) if hard > (1) else most, hard))",
    ): "as above",
    (
        "io/blockfile.py",
        'axis.units, axis.scale, axis.offset = "cm", size * 1e-3 * _CAMERA_LENGTH * 100, (1.0)',
    ): "the format keeps no origin",
    (
        "cluster/kmeans/_full_space.py",
        "close = (gaps < 16.0 * error[where] * np.sqrt(squares.max()))",
    ): "two measured numbers are not equal",
    (
        "cluster/kmeans/_full_space.py",
        "close = gaps <= (17.0) * error[where] * np.sqrt(squares.max())",
    ): "more rows are read in float64 than need be",
}
"""File and changed line of mutants that change nothing that can be seen, with the reason."""
OTHERS = (
    "dask.array", "h5py", "hyperspy.api", "matplotlib.pyplot", "numba", "pydantic",
    "pytest", "rsciio.hspy", "scipy.optimize", "skimage.metrics", "sklearn.cluster",
    "sklearn.metrics", "sklearn.decomposition", "tifffile", "zarr",
)  # fmt: skip
"""Packages that take long to import."""
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
    elif isinstance(node, ast.Call) and (name := _name(node)) in CALLS:
        other = copy.deepcopy(node)
        part = "attr" if isinstance(node.func, ast.Attribute) else "id"
        setattr(other.func, part, CALLS[name])
        yield other


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def visible(tree: ast.AST, functions: set[str]) -> Iterator[ast.AST]:
    """Yield the nodes that count: no annotations, decorators or messages."""
    for top in ast.walk(tree):
        if isinstance(top, ast.FunctionDef) and (not functions or top.name in functions):
            for statement in top.body:
                yield from _inside(statement)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.Raise | ast.JoinedStr | ast.AnnAssign):
        return  # functions come by themselves; words are not tested one by one
    if isinstance(node, ast.Call) and _name(node).endswith(SAYS):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # of zip: a check of ours
    if isinstance(node, ast.Assign) and {getattr(t, "id", "") for t in node.targets} & WORDS:
        return
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
            if (name, source.splitlines()[first].strip()) not in EQUIVALENT:
                found.append(Mutant(name, first + 1, before, after, source, NEAREST[entry]))
    return found


def killed(mutant: Mutant, tree: Path, seconds: float) -> bool | None:
    """Run the nearest tests on a mutant in a forked child.

    True if one fails, None if they do not end in time.
    """
    path = tree / "src/clustem" / mutant.name
    original, status = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(mutant.source, encoding="utf-8")
    try:
        child = os.fork()
        if child == 0:
            _test(mutant, tree)
        start = time.monotonic()
        while True:
            found, ended = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(ended) != 0
            if time.monotonic() - start > seconds:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.05)
    finally:
        path.write_text(original, encoding="utf-8")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # what was compiled holds


def _test(mutant: Mutant, tree: Path) -> None:
    status = 70
    try:
        os.setsid()
        os.chdir(tree)
        sys.path.insert(0, str(tree / "src"))
        os.environ.update(PYTHONPATH=str(tree / "src"), PYTHONDONTWRITEBYTECODE="1")
        os.environ.setdefault("CLUSTEM_DATA", str(DATA))
        sys.dont_write_bytecode = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
        status = int(pytest.main([*options, *mutant.tests]))
    finally:
        os._exit(status)


def main() -> int:
    """Draw mutants, test them, print survivors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of files' names")
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    wanted = [entry for entry in NEAREST if any(part in entry for part in options.only)]
    every = [mutant for entry in wanted for mutant in mutants_of(entry)]
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    chosen.sort(key=lambda mutant: mutant.name in COMPILED)  # the others in the order drawn
    print(f"{len(chosen)} of {len(every)} mutants", flush=True)
    for package in OTHERS:  # once; ours is imported by each child from its copy of the tree
        importlib.import_module(package)
    end, dead, endless, tested = time.monotonic() + options.seconds, 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="clustem-mutants-") as name:
        tree = Path(name)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("*.pyc"))
        for part in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / part, tree)
        for tests in sorted({mutant.tests for mutant in chosen}):
            path = tree / "src/clustem/__init__.py"
            whole = Mutant("__init__.py", 0, "", "", path.read_text(encoding="utf-8"), tests)
            if killed(whole, tree, LIMIT) is not False:
                raise SystemExit(f"{' '.join(tests)} must pass in {LIMIT} s first")
        for mutant in chosen:
            left = end - time.monotonic()
            found = killed(mutant, tree, min(LIMIT, left))
            if found is None and left < LIMIT:
                break  # not tested: time is up
            tested += 1
            dead += found is not False
            endless += found is None
            if found is False:
                print(
                    f"survives: {mutant.name}:{mutant.line}: {mutant.before} -> {mutant.after}",
                    flush=True,
                )
    share = f"{dead} of {tested} killed ({100 * dead / max(tested, 1):.0f} %)"
    rest = len(chosen) - tested
    print(f"{share}, {endless} of them by the limit of {LIMIT} s; {rest} not tested")
    return int(dead < 0.9 * tested)


if __name__ == "__main__":
    sys.exit(main())
