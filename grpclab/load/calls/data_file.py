"""A file of requests, as a call's data refers to it: ``@FILE``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from grpclab.errors import UsageError
from grpclab.load.calls.call_options import MARK
from grpclab.system.inputs import unreadable


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """The content of a file, read once: what is hashed is what is encoded."""

    path: Path
    content: bytes

    @classmethod
    def of(cls, data: str) -> Self | None:
        """The file that data refers to; None where it is no reference. Raises UsageError."""
        if not data.startswith(MARK):
            return None
        path = Path(data[1:])
        try:
            return cls(path=path, content=path.read_bytes())
        except ValueError:
            raise UsageError(f"invalid --data-file={str(path)!r}: expected a file name") from None
        except OSError as error:
            raise unreadable("--data-file", path, "a readable file", error) from None

    @property
    def sha256(self) -> str:
        """The SHA-256 of its content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def file_reference(path: str) -> str:
    """The data that stands for a file."""
    return f"{MARK}{Path(path).expanduser().absolute()}"
