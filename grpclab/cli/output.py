"""The places that answers of commands go to: standard output, files that can be written; and progress."""

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


def tell_encoding(*, quiet: bool) -> None:
    """Say from now on, on standard error, that requests are being encoded, where that takes long."""
    from grpclab.load.calls.payloads import PAYLOAD_FOLDER
    from grpclab.load.output.progress import EncodingLine

    PAYLOAD_FOLDER.watch = None if quiet else EncodingLine(sys.stderr)
