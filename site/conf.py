"""Sphinx's settings for the course's site, which `make site` builds."""

import sys
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))
import docstrings

import sorl_edu

sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema does without, seconds sooner

project = "sorl-edu"
author = copyright = "The sorl-edu developers"
version = release = sorl_edu.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["conf.py", "docstrings.py", "static"]

html_theme = "furo"
html_title = "SORL, a course"
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["frames.js"]
if tags.has("katex"):  # Sphinx's own name: whether `make site` has fetched it
    html_css_files += ["katex.min.css"]
    html_js_files += ["katex.min.js", "formulas.js"]
html_copy_source = html_show_sourcelink = False  # the notebooks' outputs would be there twice
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
highlight_language = "none"  # of what names no language, such as pseudocode in a docstring
pygments_style, pygments_dark_style = "a11y-light", "a11y-dark"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # exercises are headings of level 3, wherever they stand
nb_execution_mode = "off"  # `sorl_edu.course.site` has run them
nb_output_stderr = "remove"
nb_merge_streams = True
nb_ipywidgets_js = {}  # which would be loaded from another host
nb_mime_priority_overrides = [("html", "application/javascript", None)]

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": False}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "py:obj"  # a link where there is such a name, and code where there is none
add_module_names = False
python_maximum_signature_line_length = 80


def math(translator, node: nodes.math) -> None:
    """A formula as TeX, which KaTeX sets in the browser."""
    translator.body.append(f'<span class="formula">{translator.encode(node.astext())}</span>')
    raise nodes.SkipNode


def displayed_math(translator, node: nodes.math_block) -> None:
    formula = translator.encode(node.astext())
    translator.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    raise nodes.SkipNode


def skip(app, what, name, thing, skipped: bool, options) -> bool | None:
    """Leaves out what a class has from another library, which writes it into the class."""
    return True if not getattr(thing, "__module__", "sorl_edu").startswith("sorl_edu") else None


def setup(app) -> None:
    app.add_html_math_renderer("katex", (math, None), (displayed_math, None))
    app.config.html_math_renderer = "katex"
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", docstrings.as_restructured_text, priority=100)
    app.connect("autodoc-process-signature", docstrings.short_types)
