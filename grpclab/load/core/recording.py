"""Recordings of calls: the file that ``grpclab record`` writes, and ``--data-file day.calls`` replays.

JSON lines. The first is ``{"grpclab": "calls", "version": 1, "target": ..., "started_at": ...}``. Each further one is a
call, in the order in which they ended::

    {"at_s": 0.25, "method": "shop.v1.Till/Pay", "messages": ["CAc="], "metadata": [["x-tenant", "a"]], "status": 0,
     "answers": 1, "took_s": 0.004}

`at_s` is when the call began, in seconds since the recording did; `messages` are those of the request in base64;
`metadata` is the caller's own, binary values in base64 as on the wire, and a secret is the word ``redacted``; `status`
is null where the call had not ended; `answers` is the number of messages in the answer. The last line may be cut off,
where its writer was killed.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.system.inputs import unreadable
from grpclab.text import credentials

Pairs = tuple[tuple[str, str], ...]
"""Metadata: keys and values."""

VERSION = 1
RECORDING_BEGINS = 64
"""So many bytes or characters of a file tell whether it is one."""
_KIND = "calls"
_EXPECTED = "a recording made by `grpclab record`"


@dataclass(frozen=True, kw_only=True)
class RecordedCall:
    """One call of a recording. Times in seconds; `status` is None where it had not ended."""

    at_s: float
    method: str
    messages: tuple[bytes, ...]
    metadata: Pairs = ()
    status: int | None = None
    answers: int = 0
    took_s: float | None = None


def header_line(target: str, started_at: str) -> str:
    """The first line of a recording, with its end."""
    return _line({"grpclab": _KIND, "version": VERSION, "target": target, "started_at": started_at})


def call_line(call: RecordedCall) -> str:
    """The line of a call, with its end."""
    messages = [base64.b64encode(message).decode("ascii") for message in call.messages]
    return _line({**vars(call), "messages": messages, "metadata": [list(pair) for pair in call.metadata]})


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(", ", ": ")) + "\n"


def without_secrets(metadata: Iterable[tuple[str, str]]) -> Pairs:
    """The metadata with the values of secrets taken out: by their names, and of binary values all."""
    return tuple(
        (key, credentials.MASK if key.endswith("-bin") or credentials.is_secret(key) else value)
        for key, value in metadata
    )


def is_recording(content: bytes) -> bool:
    """Return whether the content of a file begins as a recording does."""
    return content.startswith(b'{"grpclab": "calls"')


def is_cut(content: bytes) -> bool:
    """Return whether the last line of a recording was not written to its end: it is no call, then."""
    last = content.rpartition(b"\n")[2]
    return bool(last.strip()) and not _object(last)


def read_recording(path: str | Path, content: bytes | None = None) -> list[RecordedCall]:
    """The calls of a recording by when they began; `content` is that of the file, where it was read already.

    A last line that was cut off is left out. Raises UsageError, which names the file and the line.
    """
    if content is None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise unreadable("replay", path, _EXPECTED, error) from None
    lines = content.splitlines()
    if not is_recording(content) or _object(lines[0]).get("version") != VERSION:
        raise UsageError(invalid("recording", path, f"{_EXPECTED}, version {VERSION}"))
    calls = list(_calls(lines[1 : len(lines) - is_cut(content)], path))
    if not calls:
        raise UsageError(invalid("recording", path, "at least one call"))
    return sorted(calls, key=lambda call: call.at_s)


def replayable(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """Return the calls that can be replayed: those with a request."""
    return [call for call in calls if call.messages]


@functools.lru_cache(maxsize=2)
def call_times(path: str, text: str) -> tuple[float, ...]:
    """The times of the calls of a recording that can be replayed, ascending. Raises UsageError."""
    return tuple(call.at_s for call in replayable(read_recording(path, text.encode())))


def _calls(lines: Iterable[bytes], path: str | Path) -> Iterator[RecordedCall]:
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            yield _call(_object(line))
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error):
            raise UsageError(invalid("recording", path, f"{_EXPECTED}; line {number:,} is not a call")) from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _call(document: dict[str, Any]) -> RecordedCall:
    at_s, method, status = float(document["at_s"]), document["method"], document.get("status")
    if not (math.isfinite(at_s) and at_s >= 0 and isinstance(method, str) and "/" in method):
        raise ValueError
    return RecordedCall(
        at_s=at_s,
        method=method.removeprefix("/"),
        messages=tuple(base64.b64decode(message, validate=True) for message in document["messages"]),
        metadata=tuple((str(key), str(value)) for key, value in document.get("metadata", [])),
        status=None if status is None else int(status),
        answers=int(document.get("answers", 0)),
        took_s=None if (took_s := document.get("took_s")) is None else float(took_s),
    )
