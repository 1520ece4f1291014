"""The scripts of a page, and the Content-Security-Policy that lets them run and no other."""

from __future__ import annotations

import base64
import hashlib

from grpclab.profiling.flamegraph import SCRIPT_HASH
from grpclab.report.blocks import TEMPLATES, style

_PARQUET = (TEMPLATES / "vendor" / "hyparquet.min.js").read_text(encoding="utf-8")
_PAGE = style("page.js")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


WITHOUT_DATA = f"<script>{_PAGE}</script>"
"""For the end of a page that holds no trials."""
ELEMENTS = f"<script>{_PARQUET}</script>{WITHOUT_DATA}"
"""For the end of a page that does."""

POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {SCRIPT_HASH} {_hash(_PARQUET)} {_hash(_PAGE)}; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""For a page with these and flamegraphs: it loads nothing and sends nothing."""
