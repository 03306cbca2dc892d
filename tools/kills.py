"""Kill ``clustem run``, ``sweep`` and ``run --force`` at random moments: nothing may be lost.

After each kill the input must be what it was, an earlier result must be there whole, the old or
the new one, files of others in its folder too, and the next command must clear what was left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import fuzz

VERBS = ("run", "sweep", "force")


def killed_after(arguments: list[str], folder: Path, seconds: float) -> bool:
    """Run a command in a forked child; kill it after some time. True if it was still running."""
    names = [folder / ".stdout", folder / ".stderr"]
    child = os.fork()
    if child == 0:
        fuzz.become(arguments, folder, names)
    end = time.monotonic() + seconds
    alive = True
    while alive and time.monotonic() < end:
        alive = os.waitpid(child, os.WNOHANG)[0] == 0
        time.sleep(0.001)
    if alive:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for name in names:
        name.unlink(missing_ok=True)
    return alive


def content(folder: Path) -> dict[str, str]:
    """Digests of all files of a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


def faults_of(folder: Path, verb: str, before: dict[str, str]) -> list[str]:
    """Return what was lost or left once the next command has looked at the folder."""
    from clustem.core import OutputError
    from clustem.io.output_folder import check_output
    from clustem.io.result_folder import read_result

    out, faults = folder / "out", []
    with suppress(OutputError):  # it exists; what killed runs left is cleared
        check_output(out, force=False)
    if content(folder / "in") != before["in"]:
        faults.append("the input changed")
    if beside := [p.name for p in folder.iterdir() if p.name not in {"in", "out"}]:
        faults.append(f"left {beside}")
    if verb == "force":
        now = content(out) if out.exists() else {}
        if now.get("mine.txt") != before["mine"]:
            faults.append("a file of somebody else is gone")
        if {k: v for k, v in now.items() if k != "mine.txt"} != before["out"]:
            try:
                read_result(out)
            except Exception as error:  # noqa: BLE001  # a loss, whatever it is
                faults.append(f"neither the old nor the new result: {error}")
    elif out.exists() and not (out / "manifest.json").exists():
        faults.append("half a result")
    elif verb == "run" and out.exists():
        read_result(out)
    return faults


def main() -> int:
    """Kill; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    fuzz.import_everything()
    import shutil

    from clustem import samples

    rng, lost, reached = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory(prefix="clustem-kills-") as name:
        base = Path(name)
        (base / "in").mkdir()
        samples.eds(shape=(10, 11)).signal.save(base / "in/map.hspy")
        run = ["run", "in/map.hspy", "-r", "eds-fuzzy", "-k", "2", "-o", "out"]
        commands = {
            "run": run,
            "sweep": ["sweep", "in/map.hspy", "-r", "eds-fuzzy", "-k", "2:3", "-o", "out"],
            "force": [*run, "--force"],
        }
        took = {}
        for verb in ("run", "sweep"):
            shutil.rmtree(base / "out", ignore_errors=True)
            start = time.monotonic()
            if killed_after(commands[verb], base, 300) or not (base / "out").exists():
                raise SystemExit(f"{verb} must work before it can be killed")
            took[verb] = time.monotonic() - start
        took["force"] = took["run"]
        shutil.rmtree(base / "out")
        killed_after(run, base, 300)
        (base / "out/mine.txt").write_text("mine", encoding="utf-8")
        earlier = base / "earlier"
        (base / "out").rename(earlier)
        old = content(earlier)
        before = {"in": content(base / "in"), "mine": old.pop("mine.txt"), "out": old}
        for i in range(options.count):
            verb = VERBS[i % 3]
            with tempfile.TemporaryDirectory(prefix="clustem-kills-") as inner:
                folder = Path(inner)
                shutil.copytree(base / "in", folder / "in")
                if verb == "force":
                    shutil.copytree(earlier, folder / "out")
                # half of the kills fall into the last tenth, where files are moved
                share = rng.uniform(0.85, 1.05) if rng.random() < 0.5 else rng.random()
                reached += killed_after(commands[verb], folder, share * took[verb])
                if faults := faults_of(folder, verb, before):
                    lost += 1
                    print(f"{verb} at {share:.3f}: {'; '.join(faults)}", flush=True)
    print(f"{options.count} commands, {reached} killed while they ran, {lost} with a loss")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
