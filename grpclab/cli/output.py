"""The places that answers of commands go to: standard output, or files that can be written."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from grpclab.errors import UsageError
from grpclab.text import redaction


def require_writable(where: str | None) -> None:
    """Raise UsageError before the measurement rather than lose it afterwards."""
    if where is None or where == "-":
        return
    existed = Path(where).exists()
    try:
        Path(where).open("a").close()
        if not existed:
            Path(where).unlink()
    except OSError as error:
        raise UsageError(f"cannot write {where}: {error.strerror}") from None


def write(where: str, parts: Iterable[str]) -> None:
    """Write the parts one after the other; ``-`` is standard output. Raises UsageError."""
    if where == "-":
        sys.stdout.writelines(parts)
        sys.stdout.flush()
        return
    try:
        with Path(where).open("w", encoding="utf-8") as file:
            file.writelines(map(redaction.mask, parts))
    except OSError as error:
        raise UsageError(f"cannot write {where}: {error.strerror}") from None
