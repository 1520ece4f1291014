"""The scripts of a page, and the Content-Security-Policy that lets them run and no other."""

from __future__ import annotations

import base64
import hashlib

from grpclab.profiling.flamegraph import SCRIPT_HASH
from grpclab.report.blocks import TEMPLATES, style

_SCRIPTS = ((TEMPLATES / "vendor" / "hyparquet.min.js").read_text(encoding="utf-8"), style("page.js"))


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


ELEMENTS = "".join(f"<script>{script}</script>" for script in _SCRIPTS)
"""All of them, for the end of the page."""

POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join([SCRIPT_HASH, *map(_hash, _SCRIPTS)])}; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""For a page with :data:`ELEMENTS` and flamegraphs: it loads nothing and sends nothing."""
