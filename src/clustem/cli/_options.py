"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[Path, typer.Argument(help="A file that HyperSpy reads.", metavar="INPUT")]
Sources = Annotated[
    list[Path],
    typer.Argument(
        help="A file that HyperSpy reads; several, or a pattern such as 'tilt_*.bcf', get one set "
        "of clusters; eds=map.bcf haadf=image.tif are signals of one scan (-r joint).",
        metavar="INPUT...",
    ),
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
]
RecipeName = Annotated[
    str, typer.Option("-r", "--recipe", help="Recipe: a name (clustem recipes) or a .toml file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        help="Change the recipe: param=value if only one step has it, stage.param=value, "
        "stage.step.param=value, stage.step=true or false, stage=Step. May be repeated.",
        metavar="NAME=VALUE",
    ),
]
Clusters = Annotated[
    str | None,
    typer.Option(
        "-k", help="Number of clusters or auto, short for -s cluster.n_clusters=K.", metavar="K"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Result folder; it must not exist.", metavar="DIR"),
]
Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        help="Reader of HyperSpy for a type of file that several can open, or LiberTEM's: "
        "lt, lt:seq, lt:raw,dtype=uint16,nav_shape=256x256,sig_shape=128x128.",
        metavar="NAME",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result folder.")]
Lazy = Annotated[
    bool | None,
    typer.Option("--lazy/--no-lazy", help="Leave the data on disk (default: beyond 2 GB)."),
]

Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Read and compute in so many processes of this machine.", min=1),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Read and compute on the workers of a dask scheduler; they must see the file.",
        metavar="ADDRESS",
    ),
]

Anyway = Annotated[
    bool, typer.Option("--anyway", help="Run a recipe for lattices on an image that shows none.")
]
