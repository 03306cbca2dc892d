"""How Sphinx builds the documentation: ``make docs``."""

import sys
import warnings
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import figures  # beside this file
import pictures
import reference

project = "Clustem"
author = "The Clustem developers"
copyright = author  # Sphinx's name
version = release = version_of("clustem")
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples/README.rst", "decisions/README.md"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's order is a function

add_module_names = False
python_maximum_signature_line_length = 88
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": False}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "Clustem"
html_static_path = ["_static"]
html_css_files = ["clustem.css"]
html_show_sourcelink = False
html_sidebars = {"*": []}  # pages without others below them; sections list theirs
html_theme_options = {
    "header_links_before_dropdown": 5,
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
}

# The examples run when the documentation is built; pages show what they print and draw.
warnings.filterwarnings("ignore", module="hyperspy|exspy|rsciio")
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\w+\.py",
    "within_subsection_order": reference.InOrder,
    "nested_sections": False,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "image_scrapers": (figures.drawn,),
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "thumbnail_size": (480, 320),
    "capture_repr": ("_repr_html_", "__repr__"),
    "reset_argv": lambda *_: [],
}


def setup(app):
    """Write the reference from the registries, and pictures, before Sphinx reads its sources."""
    reference.write(HERE / "reference")
    fresh = []

    def draw(app, config):
        if str(config.plot_gallery) not in {"0", "False"}:
            fresh.extend(pictures.write(HERE / "reference" / "pictures"))

    def with_fresh_pictures(app, name, source):
        for picture in fresh:
            source[0] = source[0].replace(f"(images/{picture})", f"(reference/pictures/{picture})")

    app.connect("config-inited", draw)
    app.connect("source-read", with_fresh_pictures)
