"""The result that a user holds of a movie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clustem.core import Signal, Step, axes_of
from clustem.io.output_folder import check_output, whole_folder
from clustem.io.result_folder import FORMAT, made_with, write_provenance
from clustem.mapping.tracks import Tracks
from clustem.recipes.recipe import Recipe
from clustem.report.figures.movie_strip import movie_strip
from clustem.report.page.write_movie import write_movie


@dataclass(frozen=True, eq=False)
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
        The recipe that made it, the wavelengths that all frames share included.
    origin
        ``path`` and ``digest`` of the input.
    """

    labels: Signal
    tracks: Tracks
    images: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    title: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Step, ...] = ()
    recipe: Recipe | None = None
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
        path = self.origin.get("path", "")
        target = check_output(folder, force=force, inputs=[path] if path else [])
        known = {f"input {key}": value for key, value in self.origin.items() if value}
        with whole_folder(target, force=force) as sibling:
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
            text = "" if self.recipe is None else self.recipe.to_toml()
            (sibling / "recipe.toml").write_text(text, encoding="utf-8")
            provenance = {
                "format": FORMAT,
                "kind": "movie",
                "input": dict(self.origin),
                **made_with(),
                "history": [step.as_dict() for step in self.history],
                "scores": dict(self.scores),
                "names": dict(enumerate(self.tracks.names)),
                "axes": axes_of(self.labels),
            }
            write_provenance(provenance, sibling)
        return target
