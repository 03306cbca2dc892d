"""Use the explorer's sessions at random, as several users of one server would.

Sessions open good and damaged files, run, stop, sweep, edit, undo, look and close. Each error must
be one of ours in one line, each job must end, and threads, memory and folders must not pile up.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import fuzz
import fuzz_seeds

from clustem.app.session.state import Explorer
from clustem.core import ClustemError

LONGEST = 300.0
"""Time in which a job must end [s]."""
USERS = 3
NAMES = ("map.hspy", "block.blo", "micrograph.tif", "patterns.npy", "gatan.dm3", "merlin.mib")


class User(Explorer):
    """A session that remembers errors that are not ours."""

    def __init__(self, root: Path) -> None:
        self.faults: list[str] = []
        super().__init__(root, lambda call: call())

    def fail(self, error: BaseException) -> None:
        """Keep what no user should see."""
        if not isinstance(error, ClustemError):
            self.faults.append(f"{type(error).__name__}: {error}")
        elif len(str(error).splitlines()) > 1:
            self.faults.append(f"more than one line: {error}")
        super().fail(error)


def act(user: User, rng: random.Random) -> str:
    """Do one thing; return its name."""
    opened, outcome = user.opened is not None, user.outcome is not None
    kinds = ["open", "open a sample"]
    kinds += ["choose", "change", "run", "run", "sweep", "recommend", "look"] * opened
    kinds += ["merge", "relabel", "exclude", "undo", "look"] * outcome
    kinds += ["stop"] * bool(user.jobs.status.job)
    kind = rng.choice(kinds)
    if kind == "open":
        user.open_path(rng.choice([p.name for p in user.root.iterdir()] + ["gone.hspy", "../x"]))
    elif kind == "open a sample":
        user.open_sample(rng.choice(("eds", "domains")))
    elif kind == "choose" and user.offers():
        user.choose(rng.choice(sorted(user.offers())))
    elif kind == "change":
        user.change({"cluster.n_clusters": rng.choice((1, 2, 3, 5, 60))})
    elif kind == "run":
        user.run()
    elif kind == "sweep":
        user.sweep(range(2, rng.choice((3, 4))))
    elif kind == "recommend":
        user.recommend()
    elif kind == "look":
        user.look(rng.choice((0.0, -1e9, 1e-9, 3.0, float("nan"))), rng.uniform(-9, 99))
    elif kind == "stop":
        user.jobs.cancel()
    elif kind == "undo":
        user.undo()
    else:
        edit(user, kind, rng)
    return kind


def edit(user: User, kind: str, rng: random.Random) -> None:
    """Change the result as the form does."""
    a, b = rng.sample(range(max(user.outcome.result.n_clusters, 2)), 2)
    changes = {
        "merge": lambda result: result.merge([a, b]),
        "relabel": lambda result: result.relabel({a: "phase " + "é" * b}),
        "exclude": lambda result: result.exclude([a]),
    }
    user.edit(changes[kind])


def main() -> int:
    """Soak; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, done, faults = random.Random(options.seed), Counter(), []
    with tempfile.TemporaryDirectory(prefix="clustem-soak-") as name:
        root = Path(name, "shared")
        root.mkdir()
        seeds = {path.name: path for path in fuzz_seeds.written(root)}
        for i in range(20):
            source = seeds[rng.choice(sorted(set(seeds) & set(NAMES)))]
            damaged = fuzz.mutated(source.read_bytes(), rng, b"spliced" * 99)
            (root / f"bad{i}{source.suffix}").write_bytes(damaged)
        users: list[User] = []
        threads = threading.active_count()
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            if len(users) < USERS:
                users.append(User(root))
            user = rng.choice(users)
            try:
                done[act(user, rng)] += 1
            except ClustemError:
                done["refused"] += 1
            began, job = time.process_time(), user.jobs.status.job
            if rng.random() < 0.3 and not user.jobs.wait(LONGEST):
                spent = time.process_time() - began
                faults.append(f"no end in {LONGEST:.0f} s, {spent:.0f} s of them computing: {job}")
                user.jobs.cancel()
            faults += user.faults
            user.faults = []
            if rng.random() < 0.02:
                users.remove(user)
                user.close()
                if user.temporary.exists():
                    faults.append("a closed session left its folder")
        for user in users:
            user.close()
        patience = time.monotonic() + LONGEST  # a job ends where it ticks
        while (left := threading.active_count() - threads) > 2 and time.monotonic() < patience:
            time.sleep(0.1)
        if left > 2:
            faults.append(f"{left} threads left")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if memory > 4:
        faults.append(f"{memory:.1f} GB of memory")
    for fault in faults:
        print(fault)
    what = ", ".join(f"{count} × {kind}" for kind, count in sorted(done.items()))
    print(f"{what}; {len(faults)} faults, at most {memory:.2f} GB")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
