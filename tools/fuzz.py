"""Open damaged files with ``clustem info`` and ``run``; report what is no orderly end.

An orderly end is exit status 0, or 2 with one line on standard error, within 20 s and 2 GB, and a
run leaves a whole result or nothing. Each command runs in a child forked from this process, which
has imported everything: 0.1 s instead of 2 s.

``tools/fuzz.py`` mutates one small file of each format that can be written here.
``tools/fuzz.py --corpus FOLDER`` mutates the files in a folder too, and ``--plain`` opens them as
they are. What fails is kept in ``--keep``, with the command and what it said.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import fuzz_seeds

LONGEST = 20.0
"""Time of the processor that opening may take [s]; a run, which computes, may take three times it.
Waiting counts from three times that, for the machine may do other things."""
MOST = 2e9
"""Memory that a command may take beyond what this process has [bytes]."""
LARGEST = 4_000_000
"""Size of the largest file that is mutated [bytes]."""


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    seconds: float
    memory: int
    errors: str
    printed: str
    longest: float = LONGEST
    leftovers: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong with it; empty if nothing."""
        if self.seconds >= self.longest:
            return "hang"
        if self.status < 0:
            return f"crash by {signal.Signals(-self.status).name}"
        if "Traceback" in self.errors or self.status not in (0, 2):
            return f"traceback, status {self.status}"
        lines = self.errors.splitlines()  # also at the carriage returns of readers' progress bars
        refusals = [
            x for x in lines if "clustem: note:" not in x and "it/s]" not in x and x.strip()
        ]
        if len(refusals) > (self.status == 2):
            return "more than one line"
        if self.memory > MOST:
            return f"{self.memory / 1e9:.1f} GB"
        return f"left {', '.join(self.leftovers)}" if self.leftovers else ""


def command(arguments: list[str], folder: Path) -> Ended:
    """Run a command of Clustem in a forked child, in a folder."""
    names = [folder / ".stdout", folder / ".stderr"]
    longest = LONGEST * (1 if arguments[0] == "info" else 3)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        become(arguments, folder, names)
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            seconds = usage.ru_utime + usage.ru_stime
            break
        if (seconds := time.monotonic() - start) > 3 * longest:
            os.kill(-child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.005)
    printed, errors = (path.read_text(encoding="utf-8", errors="replace") for path in names)
    for path in names:
        path.unlink()
    memory = (usage.ru_maxrss - _OWN) * 1024
    return Ended(os.waitstatus_to_exitcode(status), seconds, memory, errors, printed, longest)


def become(arguments: list[str], folder: Path, names: list[Path]) -> None:
    """Be ``clustem`` from here on, and never return."""
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        for stream, path in zip((1, 2), names, strict=True):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.argv = ["clustem", *arguments]
        from clustem.cli import main

        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:  # noqa: BLE001  # what main lets pass is what is looked for
        import traceback

        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def mutated(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """Cut, flip, zero, or splice: what transfers and disks do to files."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        kind = rng.choice(("cut", "flip", "flip", "zero", "number", "splice"))
        # half of the damage goes to the head, where the structure is
        most = len(out) if rng.random() < 0.5 else min(len(out), 2048)
        at = rng.randrange(most) if most else 0
        size = rng.choice((1, 2, 4, 16, 256, 4096))
        if kind == "cut":
            del out[rng.randrange(len(out)) if out else 0 :]
        elif kind == "flip":
            for place in range(at, min(at + rng.choice((1, 1, 8)), len(out))):
                out[place] ^= 1 << rng.randrange(8)
        elif kind == "zero":
            out[at : at + size] = bytes(len(out[at : at + size]))
        elif kind == "number":  # a length or an offset that cannot be
            value = rng.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1))
            width = rng.choice((2, 4, 8))
            out[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
        else:
            start = rng.randrange(len(other)) if other else 0
            out[at : at + size] = other[start : start + size]
    return bytes(out)


def mutate_into(folder: Path, source: Path, rng: random.Random, other: bytes) -> Path:
    """Write a mutated copy of a file, or of one file of a folder or of a pair."""
    target = folder / source.name
    partners = [p for p in source.parent.glob(f"{source.stem}.*") if p != source]
    for partner in [*partners, source]:
        if partner.is_dir():
            shutil.copytree(partner, folder / partner.name)
        elif partner.stat().st_size <= LARGEST:
            shutil.copyfile(partner, folder / partner.name)
    parts = [p for p in target.rglob("*") if p.is_file()] if target.is_dir() else [target]
    if not target.is_dir() and partners and rng.random() < 0.3:
        parts = [folder / p.name for p in partners if (folder / p.name).is_file()] or parts
    victim = rng.choice(sorted(parts))
    victim.write_bytes(mutated(victim.read_bytes(), rng, other))
    return target


def left_behind(folder: Path, status: int) -> tuple[str, ...]:
    """Name what a run left that is neither a whole result nor an input."""
    bad = [p.name for p in folder.iterdir() if ".clustem-" in p.name]
    out = folder / "out"
    if out.exists() and (status != 0 or not (out / "manifest.json").exists()):
        bad.append("out")
    return tuple(bad)


class Report:
    """Counts of how commands ended; keeps what fails."""

    def __init__(self, keep: Path) -> None:
        self.keep = keep
        self.counts: Counter[str] = Counter()
        self.slowest, self.largest, self.faults = 0.0, 0, 0

    def add(self, arguments: list[str], ended: Ended, folder: Path) -> None:
        """Count one end; copy the files of a bad one."""
        verb = arguments[0]
        self.counts[f"{verb} {ended.fault or f'status {ended.status}'}"] += 1
        self.slowest = max(self.slowest, ended.seconds)
        self.largest = max(self.largest, ended.memory)
        if not ended.fault:
            return
        self.faults += 1
        place = self.keep / f"{self.faults:03d}"
        shutil.copytree(folder, place, dirs_exist_ok=True, ignore=lambda *_: {"out"})
        said = f"clustem {' '.join(arguments)}\n{ended.fault}\n{ended.errors}"
        (place / "report.txt").write_text(said, encoding="utf-8")
        print(f"{place}: {ended.fault}: {' '.join(arguments)}: {ended.errors[-200:]}", flush=True)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return f"{ends}; slowest {self.slowest:.1f} s, most memory {self.largest / 1e9:.2f} GB"


def run_arguments(printed: str, name: str) -> list[str]:
    """Return the arguments of a run with the first recipe that ``info`` names, or any."""
    last = printed.strip().rpartition("recipe: ")[2].partition(",")[0].strip()
    recipe = last if last and " " not in last else "eds-fuzzy"
    k = [] if recipe == "particles" else ["-k", "2"]
    return ["run", name, "-r", recipe, *k, "-o", "out"]


def fuzz(sources: list[Path], options: argparse.Namespace, report: Report) -> None:
    """Mutate and open files until there were enough of them, or time is up."""
    rng = random.Random(options.seed)
    end = time.monotonic() + options.seconds
    runs = opens = 0
    while opens < options.opens and time.monotonic() < end:
        source, other = rng.choice(sources), rng.choice(sources)
        spliced = other.read_bytes() if other.is_file() else b""
        with tempfile.TemporaryDirectory(prefix="clustem-fuzz-") as name:
            folder = Path(name)
            target = mutate_into(folder, source, rng, spliced)
            arguments = ["info", target.name]
            ended = command(arguments, folder)
            report.add(arguments, ended, folder)
            opens += 1
            wanted = options.runs * opens > options.opens * runs
            if wanted and (ended.status == 0 or rng.random() < 0.1) and not ended.fault:
                arguments = run_arguments(ended.printed, target.name)
                ended = command(arguments, folder)
                ended = ended._replace(leftovers=left_behind(folder, ended.status))
                report.add(arguments, ended, folder)
                runs += 1


def plain(corpus: Path, report: Report) -> None:
    """Open all files of a folder as they are, those in zip files too."""
    with tempfile.TemporaryDirectory(prefix="clustem-fuzz-") as name:
        for archive in sorted(corpus.rglob("*.zip")):
            unpacked = Path(name, archive.relative_to(corpus)).with_suffix("")
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(unpacked)
        for root in (corpus, Path(name)):
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                _plain_one(path, Path(name), report)


def _plain_one(path: Path, folder: Path, report: Report) -> None:
    arguments = ["info", str(path)]
    ended = command(arguments, folder)
    with tempfile.TemporaryDirectory() as copy:
        if ended.fault:
            shutil.copy(path, copy)
        report.add(arguments, ended, Path(copy))


def main() -> int:
    """Fuzz; return 1 if a command did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--opens", type=int, default=2000, help="mutated files to open")
    parser.add_argument("--runs", type=int, default=200, help="of these, so many are run, too")
    parser.add_argument("--seconds", type=float, default=1500, help="end after this time")
    parser.add_argument("--corpus", type=Path, help="folder of other files to mutate")
    parser.add_argument("--plain", action="store_true", help="open the corpus as it is")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"))
    options = parser.parse_args()
    import_everything()
    report = Report(options.keep)
    if options.plain:
        plain(options.corpus.absolute(), report)
    else:
        with tempfile.TemporaryDirectory(prefix="clustem-fuzz-") as name:
            sources = fuzz_seeds.written(Path(name))
            if options.corpus:
                sources += [
                    path
                    for path in sorted(options.corpus.absolute().rglob("*"))
                    if path.is_file() and 0 < path.stat().st_size <= LARGEST
                ]
            formats = {path.suffix for path in sources}
            print(f"{len(sources)} files of {len(formats)} formats", flush=True)
            fuzz(sources, options, report)
    print(report)
    return int(report.faults > 0)


def import_everything() -> None:
    """Import what commands import, so that children need not."""
    global _OWN  # noqa: PLW0603  # the size of this process, once all is imported
    import importlib
    import pkgutil
    import resource

    import hyperspy.api as hs
    import numpy as np
    from rsciio import IO_PLUGINS

    import clustem
    from clustem.judge.lattice import lattice
    from clustem.recipes.recipe import Recipe

    for plugin in IO_PLUGINS:
        with contextlib.suppress(ImportError):  # of an optional package
            importlib.import_module(plugin["api"])
    for module in pkgutil.walk_packages(clustem.__path__, "clustem."):
        if not module.name.startswith(("clustem.app", "clustem.__main__")):
            importlib.import_module(module.name)
    image = hs.signals.Signal2D(np.random.default_rng(0).random((32, 32)))
    Recipe.fitting(image)  # so are all steps, and compiled code is loaded
    lattice(image)
    if threading.active_count() > 1:
        raise SystemExit("threads are running, and a fork would leave them behind")
    _OWN = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


_OWN = 0

if __name__ == "__main__":
    sys.exit(main())
