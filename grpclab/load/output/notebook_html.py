"""HTML in the output of a notebook cell: a style of its own that holds in JupyterLab, VS Code, nbviewer and on a page.

Notebook viewers style what a cell shows: JupyterLab aligns the text of every table to the right and gives all columns
one width, whatever a class says. :func:`in_cell` undoes the rules of the viewer inside its element and puts its own
above them. Colours follow the theme of the viewer, which need not be that of the operating system.

JupyterLab does not trust a notebook that papermill wrote until ``jupyter trust`` or its user says so. It drops style
sheets and drawings then, and keeps classes, attributes and images: templates write into attributes what a table needs
to be read (see :mod:`grpclab.text.pages`).
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
    return f'<div class="{CELL}"><style>{sheet}</style>{body}</div>'
