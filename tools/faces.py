"""Write the faces of the stages, ``__init__.pyi``, from what their files offer.

``python tools/faces.py`` writes them; ``--check`` exits with 1 where one is out of date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import clustem
from clustem.core.registry import public_thing, registry

STAGES = (
    "prepare", "describe", "reduce", "cluster", "mapping", "eels", "edits", "judge", "samples",
)  # fmt: skip


def face(stage: str) -> str:
    """Return the content of a stage's face."""
    lines = []
    for file in registry(stage).files:
        name, _ = public_thing(file)
        lines.append(f"from .{file.removeprefix(f'clustem.{stage}.')} import {name} as {name}\n")
    return "".join(lines)


def main() -> int:
    """Write or check all faces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args().check
    stale = []
    for stage in STAGES:
        path = Path(clustem.__file__).parent / stage / "__init__.pyi"
        content = face(stage)
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            stale.append(str(path))
            if not check:
                path.write_text(content, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{'out of date' if check else 'written'}: {name}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
