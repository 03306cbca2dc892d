"""``clustem serve``: its options; imports nothing that is slow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    source: Annotated[
        Path | None, typer.Argument(help="A file to begin with.", metavar="INPUT")
    ] = None,
    *,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose files may be opened and where results are saved "
            "(default: that of INPUT, else the current one).",
            metavar="DIR",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's demands a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 5006,
    token: Annotated[
        str | None,
        typer.Option(help="Token that a browser must show; made and printed where one is needed."),
    ] = None,
    max_upload: Annotated[float, typer.Option(help="Largest upload [GB].", min=0)] = 2.0,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="One more name of the page, host:port, behind a proxy.", metavar="NAME"),
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = False,
) -> None:
    """Open the explorer in the browser."""
    from clustem.app.web.serve import serve as serve_explorer

    serve_explorer(
        source,
        root=root,
        host=host,
        port=port,
        token=token,
        max_upload=max_upload,
        origins=tuple(origin or ()),
        show=show,
        say=typer.echo,
    )
