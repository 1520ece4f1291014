"""Files written whole or not at all, and times as a reader sees them."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from grpclab.report import words


def replace(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all, its folder included; text as UTF-8. Returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def instant(stamp: object) -> datetime:
    """A stored time, UTC where it does not say. Raises ValueError or OverflowError if it is none."""
    moment = datetime.fromisoformat(str(stamp))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def when(stamp: object) -> str:
    """A stored time in words; what is none stands as it is."""
    try:
        return f"{instant(stamp):%d %B %Y, %H:%M} UTC".lstrip("0")
    except (ValueError, OverflowError):
        return words.plain(stamp or "at an unknown time")
