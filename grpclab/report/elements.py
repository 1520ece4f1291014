"""The elements of a report that hold data for a program: found in one pass, whatever else the page holds."""

from __future__ import annotations

import re
from pathlib import Path

from grpclab.system.untrusted import MIB, read_bytes, size_text

PAGE_BYTES = 48 * MIB
ELEMENT_BYTES = 24 * MIB


def read_page(path: Path | str) -> bytes:
    """The bytes of a report. Raises OSError, and ValueError for what is no file or too large to be a report."""
    return read_bytes(path, PAGE_BYTES)


def element(page: bytes, name: str) -> bytes | None:
    """The content of the script element with this id; None without one. Raises ValueError for one that is too large.

    Attributes before and after the id are 200 bytes at most, and no content holds ``<``: so each byte is looked at
    a bounded number of times.
    """
    opening = rb'<script\b[^<>]{0,200}\bid="%s"[^<>]{0,200}>' % name.encode()
    found = re.search(opening + rb"([^<]*+)</script>", page)
    if found is None:
        return None
    if found.end(1) - found.start(1) > ELEMENT_BYTES:
        raise ValueError(f"its {name} is larger than {size_text(ELEMENT_BYTES)}")
    return found[1]
