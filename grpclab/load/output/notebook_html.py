"""HTML in the output of a notebook cell: a style of its own that holds in JupyterLab, VS Code, nbviewer and on a page.

Notebook viewers style what a cell shows: JupyterLab aligns the text of every table to the right and gives all columns
one width, whatever a class says. :func:`in_cell` undoes the rules of the viewer inside its element and puts its own
above them. Colours follow the theme of the viewer, which need not be that of the operating system.

JupyterLab does not trust a notebook that papermill wrote until ``jupyter trust`` or its user says so. It drops style
sheets and drawings then, and keeps classes, attributes and images: :func:`with_attributes` writes into attributes what
a table needs to be read.
"""

from __future__ import annotations

import re

CELL = "grpclab-cell"

_SELF = f".{CELL}"
_DARK = (
    '[data-jp-theme-light="false"]',  # JupyterLab, and HTML that nbconvert wrote with --theme dark
    ".vscode-dark",
    ".vscode-high-contrast:not(.vscode-high-contrast-light)",
    "html[theme=dark]",  # Colab
)
# The repeated class names count: the viewers' own rules weigh as much as two classes and two elements. `revert` goes
# back to the browser's style sheet. Drawings are left alone: `revert` would undo their attributes, too.
_SURROUNDINGS = f"""{_SELF}{{color-scheme:light;padding:2px 0 6px;text-align:start;white-space:normal;
color:light-dark(#1f2933,#e4e9ee);
background:var(--jp-layout-color0,var(--vscode-editor-background,light-dark(#fff,#171e26)))}}
{",".join(f"{where} {_SELF}" for where in _DARK)}{{color-scheme:dark}}
{_SELF * 3} :not(svg,svg *){{all:revert}}
"""


_REM = re.compile(r"(?<![\w.])(\d*\.?\d+)rem\b")


def in_cell(style: str, body: str) -> str:
    """An element with `body`, and with `style` for it alone, above every rule of the viewer around it.

    `style` is CSS without at-rules other than ``@media``: its rules are nested into that of the element. ``rem`` in it
    is 16 pixels, whatever the viewer makes of its root.
    """
    own = _REM.sub(lambda match: f"{16 * float(match[1]):g}px", style)
    sheet = f"{_SURROUNDINGS}{_SELF * 4}{{\n{own}\n}}"
    return f'<div class="{CELL}"><style>{sheet}</style>{with_attributes(body)}</div>'


_ATTRIBUTES = {
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
"""By class; what the style sheets say, too."""
_OPENING = re.compile(r"<(th|td|div|p|span)\b([^>]*)>")
_CLASS = re.compile(r'\bclass="?([\w -]+)')
_HEADING = re.compile(r"<th\b.*?</th>", re.DOTALL)


def with_attributes(body: str) -> str:
    """Return the HTML with the style of its table cells and figures in attributes, as far as it must not be lost."""

    def styled(element: re.Match[str]) -> str:
        tag, rest = element[1], element[2]
        named = _CLASS.search(rest)
        classes = named[1].split() if named else []
        rules = [_ATTRIBUTES[name] for name in classes if name in _ATTRIBUTES]
        if tag in ("th", "td"):
            rules = [*(rules or ["text-align:left"]), "vertical-align:top"]
        if not rules or " style=" in rest:
            return element[0]
        return f'<{tag}{rest} style="{";".join(rules)}">'

    compact = _HEADING.sub(lambda match: match[0].replace("<small>", '<small style="display:block">'), body)
    return _OPENING.sub(styled, compact.replace("</code><small>", '</code><small style="display:block">'))
