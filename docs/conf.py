"""The site: Sphinx, since the docstrings are numpydoc's and the interface is imported, not copied.

``python -m sphinx -W --keep-going docs site`` builds it; ``tox -e docs`` checks it, too
(``docs/check_site.py``). Pages of commands and of registered names are written from the program
itself, before Sphinx reads.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pages  # beside this file
from sphinx.application import Sphinx

project, author = "Earmark", "the Earmark developers"
version = release = version_of("earmark")
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
]
exclude_patterns = ["_build", "_gallery", "_generated/gallery.md", "site"]
html_theme = "pydata_sphinx_theme"
html_title = "Earmark"
html_favicon = "favicon.svg"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "use_edit_page_button": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_persistent": ["search-button"],
}
html_sidebars = {"index": []}
html_extra_path = ["_gallery"] if (Path(__file__).parent / "_gallery").is_dir() else []
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nitpicky = True
nitpick_ignore = [  # of modules that have no page
    ("py:data", "METRICS"),
    ("py:func", "earmark.bench.metrics.tagging.validate"),
    ("py:mod", "earmark.datasets.resampling"),
]
autodoc_typehints = "none"  # numpydoc's sections say the types that matter
autodoc_member_order = "bysource"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
linkcheck_anchors = False
# Publishers that answer a program with 403.
linkcheck_ignore = [r"https://doi\.org/.*", r"https://essentia\.upf\.edu/.*"]


def name_toggles(app: Sphinx, error: Exception | None) -> None:
    """Give the sidebar's toggles the name that the theme leaves out, for screen readers."""
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text("utf-8")
            named = text.replace(
                '<summary><span class="toctree-toggle"',
                '<summary aria-label="Pages below"><span class="toctree-toggle"',
            )
            if named != text:
                path.write_text(named, "utf-8")


def setup(app: Sphinx) -> None:
    """Write the generated pages before anything is read."""
    pages.write(Path(__file__).parent / "_generated")
    app.connect("build-finished", name_toggles)
