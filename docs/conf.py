"""Settings of the documentation site. `make docs` builds it into docs/_build/html; nothing in it needs a network, to build or to read."""

import posixpath
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import tutorials  # noqa: E402  of this folder

import surveysim  # noqa: E402

project, author, copyright = "surveysim", "the surveysim authors", "the surveysim authors"
version = release = surveysim.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "mathml",  # of this folder
]
root_doc = "index"
default_role = "py:obj"  # `name` in a docstring links to its page where it has one
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = False

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections name the types
autodoc_preserve_defaults = True  # stages=DSA, not what DSA holds
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # tutorials.py runs the notebooks, once, and keeps their outputs

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

FUNCTIONS = [f"generated/surveysim.{name}" for name in surveysim.__all__ if name[0].islower() or name.isupper()]  # pages of one heading
html_theme = "pydata_sphinx_theme"
html_title = "surveysim"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["scroll_hint.js", "break_names.js"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {page: [] for page in ("index", "install", "coming-from-r", "search", "genindex")}  # no pages below them
html_theme_options = {
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], **{page: [] for page in FUNCTIONS}},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}

# Pages link each other as they lie in the repository, so that links work there too. Where its files are on the site:
ON_SITE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "notebooks/": "tutorials/",
    "docs/": "",
}
WHOLE = {"changes": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}  # a page that shows a file of the repository
NOTEBOOK = re.compile(r"`(\d\d_\w+)`")  # how a notebook names another
INTERVAL = re.compile(r"(?<=\d) \[([-+]?[\d.]+), ([-+]?[\d.]+)\]")  # behind an estimate
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)[^)#\s]+")


def _place_of(docname: str) -> str:
    """Return where the text of a page lies in the repository."""
    tutorial = docname.startswith("tutorials/")
    return WHOLE.get(docname, f"notebooks/{docname.removeprefix('tutorials/')}" if tutorial else f"docs/{docname}")


def _on_site(target: str, docname: str, place: str = "") -> str:
    """Return the link of a page, or of the text at `place` that it includes, to a file of the repository as a link of the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(place or _place_of(docname)), target))
    for there, here in ON_SITE.items():
        if path.startswith(there):
            return posixpath.relpath(here + path.removeprefix(there), posixpath.dirname(docname) or ".")
    return target


def _linked(named: re.Match[str]) -> str:
    """Return the name of a notebook as a link to it, where it is there."""
    return f"[{named[1]}]({named[1]}.ipynb)" if (tutorials.NOTEBOOKS / f"{named[1]}.ipynb").exists() else named[0]


def _read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname in WHOLE:
        app.env.note_dependency(DOCS.parent / WHOLE[docname])
        source[0] = (DOCS.parent / WHOLE[docname]).read_text(encoding="utf-8")
    if docname.startswith("tutorials/"):  # which are JSON
        source[0] = NOTEBOOK.sub(_linked, source[0])
    else:
        source[0] = INTERVAL.sub("\N{NO-BREAK SPACE}[\\1,\N{NO-BREAK SPACE}\\2]", source[0])
    source[0] = LINK.sub(lambda found: _on_site(found[0], docname), source[0])


def _read_included(app: Sphinx, path: Path, docname: str, source: list[str]) -> None:
    place = posixpath.normpath(posixpath.join("docs", path.as_posix()))
    source[0] = LINK.sub(lambda found: _on_site(found[0], docname, place), source[0])


def _describe_data(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Say what a table of functions holds, and not what a dict or tuple is."""
    if what != "data":
        return
    module, public = f"surveysim.{surveysim._HOME[name.split('.')[-1]]}", name.split(".")[-1]
    said = ModuleAnalyzer.for_module(module).find_attr_docs()["", public]
    entries = [_entry(item) for item in obj.items()] if isinstance(obj, dict) else [f"#. ``{stage!r}``" for stage in obj]  # type: ignore[attr-defined]
    lines[:] = [said[0], "", *entries, "", *said[1:]]


def _entry(item: tuple[str, object]) -> str:
    return f"- ``{item[0]}``: {(item[1].__doc__ or '').strip().splitlines()[0]}"


def _note_the_time(app: Sphinx, exception: Exception | None) -> None:
    """Leave a file that is as old as the site; the tests of the site look at it."""
    if exception is None:
        (Path(app.outdir) / ".built").touch()


def setup(app: Sphinx) -> None:
    """Bring the notebooks here with their outputs; Sphinx calls this."""
    tutorials.stage(DOCS / "tutorials")
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_included)
    app.connect("autodoc-process-docstring", _describe_data, priority=400)  # before numpydoc
    app.connect("build-finished", _note_the_time)
