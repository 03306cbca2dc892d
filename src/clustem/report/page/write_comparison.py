"""The figures of a comparison of two label maps, as files."""

from __future__ import annotations

from pathlib import Path

from clustem.core import OutputError, Segmentation, Signal
from clustem.judge.compare import compare
from clustem.report.figures.agreement import agreement
from clustem.report.figures.disagreement import Labels, disagreement, label_array
from clustem.report.layout.placed import is_placed

_NAMES = "confusion.png", "disagreement.png"


def write_comparison(
    first: Segmentation | Signal | Labels,
    second: Segmentation | Signal | Labels,
    output: str | Path,
    *,
    force: bool = False,
) -> list[Path]:
    """Write how clusters of two label maps A and B overlap, and for maps where they differ.

    Parameters
    ----------
    first
        Map A: segmentation, HyperSpy signal or integer array.
    second
        Map B, the same.
    output
        A folder for ``confusion.png`` and ``disagreement.png``, or a ``.png`` file for the matrix,
        beside which the map is named ``_map.png``.
    force
        Whether earlier figures are replaced.

    Returns
    -------
    :
        The files; line scans have no map.

    Raises
    ------
    OutputError
        If a figure exists already, or its folder cannot be made.
    InputError
        If the maps cannot be compared, or have too many labels for a figure.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> labels = np.array([[0, 0, 1], [0, 1, 1]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in write_comparison(labels, 1 - labels, folder + "/a.png")]
    ['a.png', 'a_map.png']
    """
    files = _files(Path(output).expanduser(), force=force)
    a, b = (label_array(source) for source in (first, second))
    color_index = first.color_index if isinstance(first, Segmentation) else None
    figures = [agreement(compare(a, b), color_index=color_index)]
    placed = isinstance(first, Segmentation) and is_placed(first)
    if placed or a.ndim == 2:
        figures.append(disagreement(first, b, titles=("A", "B")))
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for figure, file in zip(figures, files, strict=False):
            figure.savefig(file)
    except OSError as error:
        raise OutputError(
            "Figures need a folder that can be written",
            got=f"{files[0].parent}: {error.strerror or error}",
            cure="Choose another place with -o.",
        ) from None
    return list(files[: len(figures)])


def _files(path: Path, *, force: bool) -> tuple[Path, Path]:
    """Where the figures go; refuse what exists."""
    if path.suffix.lower() == ".png":
        files = path, path.with_name(f"{path.stem}_map.png")
    else:
        files = path / _NAMES[0], path / _NAMES[1]
    for file in files:
        if file.exists() and not force:
            raise OutputError(
                "Figures must not exist yet",
                got=file,
                cure="Choose another place with -o, or replace them with --force.",
            )
    return files
