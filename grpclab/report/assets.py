"""The templates of the pages, their style sheets and scripts, and the policy that lets no other script run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup

from grpclab.profiling.flamegraph import SCRIPT_HASH
from grpclab.text import pages

TEMPLATES = Path(__file__).parent / "templates"


def style(name: str) -> str:
    """A style sheet or script of the pages, as text."""
    return pages.style(TEMPLATES / "grpclab", name)


def light_colours(*names: str) -> dict[str, str]:
    """Colours of the style sheet, as it has them on a light ground, by the names of its variables."""
    known = dict(re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]+),", pages.style(pages.SHARED, "content.css")))
    return {name: known[name].upper() for name in names}


def rendered(template: str, *, in_cell: bool = False, **values: object) -> Markup:
    """HTML out of a template of the report, for a page or for a notebook cell; see :mod:`grpclab.text.pages`."""
    return pages.rendered(TEMPLATES / "grpclab", template, in_cell=in_cell, **values)


def macro(template: str, name: str) -> Callable[..., Markup]:
    """A macro of a template of the report."""
    found: Callable[..., Markup] = getattr(
        pages.environment(TEMPLATES / "grpclab", False).get_template(template).module, name
    )
    return found


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


_PARQUET = (TEMPLATES / "vendor" / "hyparquet.min.js").read_text(encoding="utf-8")
_PAGE = style("page.js")

WITHOUT_DATA = rendered("scripts.html.j2", scripts=[Markup(_PAGE)])
"""For the end of a page that holds no trials."""
ELEMENTS = rendered("scripts.html.j2", scripts=[Markup(_PARQUET), Markup(_PAGE)])
"""For the end of a page that does."""

POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {SCRIPT_HASH} {_hash(_PARQUET)} {_hash(_PAGE)}; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""For a page with these and flamegraphs: it loads nothing and sends nothing."""
