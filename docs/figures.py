"""Figures that examples draw, as images for the pages."""

from typing import Any

from matplotlib.figure import Figure


def drawn(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures of a block: those of pyplot, and those that a name stands for."""
    from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

    found: str = matplotlib_scraper(block, block_vars, gallery_conf)
    names = block_vars["example_globals"]
    known = names.setdefault("__drawn__", set())
    paths = []
    for name, value in [*names.items()]:
        if isinstance(value, Figure) and not hasattr(value, "number") and name not in known:
            known.add(name)
            paths.append(str(next(block_vars["image_path_iterator"])))
            value.savefig(paths[-1], dpi=150)
    return found + (figure_rst(paths, gallery_conf["src_dir"]) if paths else "")
