"""What a run has finished, in a folder, so that a killed one can go on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clustem.core import ClustemError, Scan, Step
from clustem.core.history import versions
from clustem.io.fitted import load_fitted, save_fitted

_LOG = logging.getLogger(__name__)
_LONG = 20.0
"""Steps that took less are done again [s]."""


class Checkpoints:
    """Fitted estimators of the steps of a run, by a hash of all that led to them.

    Parameters
    ----------
    folder
        Where they are kept; made when there is something to keep.
    scans
        What the run works on: their content is part of the hash.
    """

    def __init__(self, folder: Path, *scans: Scan) -> None:
        self._folder = folder
        files = {scan.path or id(scan): scan for scan in scans}  # those of a series have one
        self._digests = [scan.digest for scan in files.values()]

    def file(self, key: str, ending: str) -> Path:
        """Return the place of something that a step made."""
        about = [key, *self._digests, versions()["clustem"]]
        name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
        return self._folder / f"{name}{ending}"

    def keep(self, key: str, estimator: Any, step: Step) -> None:
        """Write what a step has fitted, if that took long and can be written."""
        if step.seconds < _LONG:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        fitted, history = self.file(key, ".npz"), self.file(key, ".json")
        part = fitted.with_name(f"part-{os.getpid()}-{fitted.name}")
        try:
            save_fitted(estimator, part)
            part.replace(fitted)
            part.write_text(json.dumps(asdict(step)), encoding="utf-8")
            part.replace(history)  # last: with it the step is whole
        except TypeError as error:
            _LOG.info("%s is not kept: %s", step.name, error)
        finally:
            part.unlink(missing_ok=True)

    def step(self, key: str) -> Step | None:
        """Return the line of history of a step that is kept."""
        try:
            return Step(**json.loads(self.file(key, ".json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def load(self, key: str, estimator: Any) -> bool:
        """Give an estimator what was fitted; whether that was possible."""
        try:
            load_fitted(estimator, self.file(key, ".npz"))
        except (OSError, ClustemError):
            return False
        return True
