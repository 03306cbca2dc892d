"""The result that a user holds of a movie."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clustem._result_folder import check_output, whole_folder
from clustem.model import Step, versions
from clustem.reproject import Tracks


@dataclass(frozen=True)
class Movie:
    """A movie segmented frame by frame, each lattice with one number in all frames.

    Parameters
    ----------
    labels
        Signal (time | rows, columns) of label maps, int16, -1 = excluded.
    tracks
        Names, areas and directions of the clusters in each frame.
    images
        Images of some frames by their number, for the report.
    title
        Title of the data.
    scores
        Figures of merit by name.
    history
        What was done, seconds summed over the frames.
    recipe
        The recipe that made it, TOML, the wavelengths that all frames share included.
    origin
        ``path`` and ``digest`` of the input.
    """

    labels: Any
    tracks: Tracks
    images: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    title: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Step, ...] = ()
    recipe: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        shape = "×".join(str(size) for size in self.labels.data.shape)
        return f"<Movie, {len(self.tracks.names)} clusters on {shape}>"

    def plot(self) -> Any:
        """Draw frames above their label maps.

        Returns
        -------
        :
            A matplotlib Figure; a notebook shows it.
        """
        from clustem.report import movie_strip  # noqa: PLC0415  # matplotlib, 0.5 s

        return movie_strip(self.labels, self.tracks, images=self.images)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the result folder: ``labels.tif``, ``tracks.csv``, recipe, provenance and report.

        Parameters
        ----------
        folder
            Where to; it must not exist yet.
        force
            Whether an earlier result there is replaced.

        Returns
        -------
        :
            The folder.

        Raises
        ------
        OutputError
            If the folder exists, cannot be written, or the disk is full; nothing is left behind.
        """
        from clustem.report import write_movie  # noqa: PLC0415  # matplotlib, 0.5 s

        target = check_output(folder, force=force)
        known = {f"input {key}": value for key, value in self.origin.items() if value}
        with whole_folder(target) as sibling:
            write_movie(
                self.labels,
                self.tracks,
                sibling,
                images=self.images,
                title=self.title,
                history=self.history,
                scores=self.scores,
                provenance=known,
            )
            (sibling / "recipe.toml").write_text(self.recipe, encoding="utf-8")
            provenance = {
                "kind": "movie",
                "input": dict(self.origin),
                "packages": versions(),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "history": [step.as_dict() for step in self.history],
                "scores": dict(self.scores),
                "names": dict(enumerate(self.tracks.names)),
                "axes": [a.get_axis_dictionary() for a in self.labels.axes_manager._axes],
            }
            text = json.dumps(provenance, indent=2, ensure_ascii=False, default=str)
            (sibling / "provenance.json").write_text(text, encoding="utf-8")
        return target
