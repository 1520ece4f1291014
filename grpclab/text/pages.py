"""HTML out of templates: every value is escaped and made harmless, on a page and in the output of a notebook cell.

A room keeps its templates in a folder of its own; those of :data:`SHARED` (the one style sheet, tables, spans of text)
are at hand in each. In a template there are, beside the values it is given:

    in_cell   whether the HTML is for the output of a notebook cell
    look()    the class attribute of an element; in a cell with what a viewer without our style sheet must not lose
    source()  a style sheet or script as it is, of the folder or of the shared ones
    shown     a filter: what has a template of its own (a figure, a table), or several of them one after the other
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from grpclab.text.printable import printable

if TYPE_CHECKING:
    import jinja2

SHARED = Path(__file__).parent / "templates"
"""The templates, style sheets and macros that all rooms share."""

_STYLES = {
    "gl-num": "text-align:right",
    "gl-big": "font-size:24px;font-weight:700",
    "gl-verdict": "font-size:21px;font-weight:600",
    "gl-badge": "border-radius:99px;padding:1px 9px",
    "gl-limit": "border:1px solid #c9a13f;border-radius:5px;padding:0 5px;font-size:12px;font-weight:600",
    "gl-faster": "background-color:#11774a;color:#fff",
    "gl-slower": "background-color:#b3261e;color:#fff",
    "gl-equivalent": "background-color:#2b5fa8;color:#fff",
    "gl-inconclusive": "background-color:#8a6100;color:#fff",
}
"""By class, what the style sheet says, too. JupyterLab drops style sheets of notebooks that it does not trust, and
keeps attributes."""


_BEFORE_A_UNIT = re.compile(r"(?<=\d) (?=(?:[nµm]?s|min|[KMG]i?B|kB)(?!\w))")


def rendered(folder: Path, template: str, *, in_cell: bool = False, **values: object) -> Markup:
    """A template of that folder, or of the shared ones, with these values."""
    return Markup(environment(folder, in_cell).get_template(template).render(**values))


@functools.cache
def style(folder: Path, name: str) -> str:
    """A style sheet or script of that folder, as text."""
    return (folder / name).read_text(encoding="utf-8")


def cell_style() -> str:
    """The style sheets of a page's parts in the output of a notebook cell."""
    return style(SHARED, "content.css") + style(SHARED, "cell.css")


@functools.cache
def environment(folder: Path, in_cell: bool) -> jinja2.Environment:
    """The templates of a folder and the shared ones."""
    import jinja2  # here: whoever prints a help imports this module

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        finalize=_harmless,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["in_cell"] = in_cell
    made.globals["look"] = _look_in_cell if in_cell else _look
    made.globals["source"] = lambda name: Markup(style(folder if (folder / name).exists() else SHARED, name))
    made.filters["shown"] = _shown(in_cell)
    return made


def _harmless(value: object) -> object:
    """The text of a value without control and formatting characters, each run of white space a space; HTML as it is.

    A number keeps its unit beside it where a line ends.
    """
    from jinja2 import Undefined

    if isinstance(value, Markup | Undefined):
        return value
    text = str(value)
    before, after = (" " if end.isspace() else "" for end in (text[:1], text[-1:]))
    line = _BEFORE_A_UNIT.sub("\N{NO-BREAK SPACE}", " ".join(printable(text).split()))
    return f"{before}{line}{after if text.strip() else ''}"


def _look(classes: str = "", *, cell: bool = False) -> Markup:  # noqa: ARG001
    return Markup(' class="{}"').format(classes) if classes else Markup()


def _look_in_cell(classes: str = "", *, cell: bool = False) -> Markup:
    """The same with a style; `cell` is a cell of a table, whose text viewers would align to the right."""
    rules = [_STYLES[name] for name in classes.split() if name in _STYLES]
    if cell:
        rules = [*(rules or ["text-align:left"]), "vertical-align:top"]
    return _look(classes) + (Markup(' style="{}"').format(";".join(rules)) if rules else Markup())


def _shown(in_cell: bool) -> Callable[[object], Markup]:
    def shown(value: object) -> Markup:
        if value is None:
            return Markup()
        if isinstance(value, str):
            return escape(value)
        if isinstance(value, Iterable):
            return Markup().join(shown(part) for part in value)
        html: Markup = value.rendered(in_cell=in_cell)  # type: ignore[attr-defined]
        return html

    return shown
