"""The templates of the pages, their style sheets and scripts, and the policy that lets no other script run."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

import jinja2

from grpclab.profiling.flamegraph import SCRIPT_HASH

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def style(name: str) -> str:
    """A style sheet or script of the template, as text."""
    return (TEMPLATES / "grpclab" / name).read_text(encoding="utf-8")


def light_colours(*names: str) -> dict[str, str]:
    """Colours of the style sheet, as it has them on a light ground, by the names of its variables."""
    known = dict(re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]+),", style("content.css")))
    return {name: known[name].upper() for name in names}


def rendered(template: str, **values: object) -> str:
    """A page out of its template. Text is escaped unless the template marks it as safe."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES / "grpclab"), autoescape=True)
    return environment.get_template(template).render(**values)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


_PARQUET = (TEMPLATES / "vendor" / "hyparquet.min.js").read_text(encoding="utf-8")
_PAGE = style("page.js")

WITHOUT_DATA = f"<script>{_PAGE}</script>"
"""For the end of a page that holds no trials."""
ELEMENTS = f"<script>{_PARQUET}</script>{WITHOUT_DATA}"
"""For the end of a page that does."""

POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {SCRIPT_HASH} {_hash(_PARQUET)} {_hash(_PAGE)}; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""For a page with these and flamegraphs: it loads nothing and sends nothing."""
