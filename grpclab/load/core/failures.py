"""The reasons why calls failed, in the words of the server or of the engine: texts by status, counted. Pure.

A worker's :class:`FailureLog` takes each failed call of the window; its memory is bounded whatever servers send.
:func:`merge` makes one list of several workers' logs, and :func:`combine` of several windows'.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grpclab.status import RECORDED_NAMES
from grpclab.text.printable import printable

MOST_TEXTS = 8
"""Different texts that are kept for each status; the calls of further ones are counted together, without a text."""
LONGEST_TEXT = 500
"""Characters of a text that are kept."""
LONGEST_DETAILS = 16_384
"""Bytes of a `grpc-status-details-bin` that are kept; a longer one is left out whole: half of one says nothing."""
QUOTED = 160
"""Characters of a text that a sentence quotes."""
LONGEST_DETAIL, MOST_DETAILS = 300, 5
"""Characters of the line of one detail, and details that are described."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The failed calls of one status that came with one text."""

    status: str
    """The status' name, as in :data:`grpclab.status.RECORDED_NAMES`."""
    text: str
    """The text of the server or of the engine, on one line; empty where there was none."""
    calls: int
    first_s: float
    """The end of the first of them, in seconds since the window opened."""
    details: tuple[str, ...] = ()
    """The `google.rpc.Status` details that came with the first of them, a line each."""
    further: bool = False
    """True for the calls of all texts beyond the first ones of a status, which are not kept."""

    def to_json(self) -> dict[str, Any]:
        """Return the failure as JSON has it."""
        return dataclasses.asdict(self) | {"details": list(self.details)}

    @property
    def quoted(self) -> str:
        """The text in quotation marks, cut to a readable length; says so where there is none."""
        if self.further:
            return "(other texts)"
        return f'"{printable(self.text, QUOTED)}"' if self.text else "(no text)"


@dataclass(frozen=True, kw_only=True)
class FailureEntry:
    """The failed calls of one status and text in one worker's log."""

    status: str
    text: str
    calls: int
    first_at: float
    """The end of the first of them, a moment on the workers' common clock."""
    details: bytes
    """The `grpc-status-details-bin` of the first of them; empty where it had none, or one too long to be kept."""
    further: bool


@dataclass
class _Entry:
    calls: int
    first_at: float
    details: bytes


class FailureLog:
    """Takes the failed calls of one window in one worker."""

    def __init__(self, *, opens_at: float = -math.inf, counts_until: float = math.inf) -> None:
        """Leave out calls that started before `opens_at`, in the warm-up, or from `counts_until` on."""
        self._opens_at, self._counts_until = opens_at, counts_until
        self._entries: dict[int, dict[str, _Entry]] = {}
        self._further: dict[int, _Entry] = {}

    def note(
        self, status: int, text: str, start_s: float, end_s: float, details: bytes = b"", *, calls: int = 1
    ) -> None:
        """Note a failed call, or several alike; `details` is the value of its `grpc-status-details-bin`, decoded."""
        if not self._opens_at <= start_s < self._counts_until:
            return
        texts = self._entries.setdefault(status, {})
        entry = texts.get(text[:LONGEST_TEXT])
        if entry is None:
            if len(texts) < MOST_TEXTS:
                entry = texts[text[:LONGEST_TEXT]] = _Entry(0, end_s, details[: LONGEST_DETAILS + 1])
            else:
                entry = self._further.setdefault(status, _Entry(0, end_s, b""))
        entry.calls += calls
        entry.first_at = min(entry.first_at, end_s)

    def entries(self) -> tuple[FailureEntry, ...]:
        """Return what the log holds, for :func:`merge`."""
        rows = [(status, text, e, False) for status, texts in self._entries.items() for text, e in texts.items()]
        rows += [(status, "", entry, True) for status, entry in self._further.items()]
        return tuple(
            FailureEntry(
                status=RECORDED_NAMES[status],
                text=text,
                calls=entry.calls,
                first_at=entry.first_at,
                details=entry.details if len(entry.details) <= LONGEST_DETAILS else b"",
                further=further,
            )
            for status, text, entry, further in rows
        )


def merge(logs: Iterable[Sequence[FailureEntry]], *, opened_at: float) -> tuple[Failure, ...]:
    """One list out of the entries of several workers' logs."""
    return _sorted(
        Failure(
            status=entry.status,
            text=printable(entry.text),
            calls=entry.calls,
            first_s=max(0.0, entry.first_at - opened_at),
            details=describe_details(entry.details),
            further=entry.further,
        )
        for entries in logs
        for entry in entries
    )


def combine(windows: Iterable[tuple[float, Sequence[Failure]]]) -> tuple[Failure, ...]:
    """One list out of those of several windows, each with the seconds from the first one's opening to its own."""
    return _sorted(
        dataclasses.replace(failure, first_s=failure.first_s + after_s)
        for after_s, failures in windows
        for failure in failures
    )


def _sorted(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """Join equal failures; the status of most calls comes first, in it the text of most calls."""
    joined: dict[tuple[str, str, bool], Failure] = {}
    for failure in failures:
        key = (failure.status, failure.text, failure.further)
        earlier = joined.get(key, failure)
        first = min(earlier, failure, key=lambda candidate: candidate.first_s)
        calls = failure.calls + (earlier.calls if key in joined else 0)
        joined[key] = dataclasses.replace(first, calls=calls)
    totals: dict[str, int] = {}
    for failure in joined.values():
        totals[failure.status] = totals.get(failure.status, 0) + failure.calls
    return tuple(sorted(joined.values(), key=lambda f: (-totals[f.status], f.status, f.further, -f.calls, f.first_s)))


def only_text(failures: Sequence[Failure], status: str) -> str:
    """The text of all failed calls of that status; nothing where they had several texts, or none."""
    texts = [failure.text for failure in failures if failure.status == status]
    return texts[0] if len(texts) == 1 else ""


def sentence(failures: Sequence[Failure]) -> str:
    """The failures in one line: ``UNKNOWN "authentication-failure" (50 calls)``."""
    return ", ".join(
        f"{failure.status} {failure.quoted} ({failure.calls:,} {'call' if failure.calls == 1 else 'calls'})"
        for failure in failures[:3]
    ) + (f" and {len(failures) - 3} more" if len(failures) > 3 else "")


def describe_details(content: bytes) -> tuple[str, ...]:
    """A line for each detail: its type, and its fields where the type is one of googleapis'.

    `content` is a ``google.rpc.Status`` whose details are of any type, the value of `grpc-status-details-bin`
    (grpc/grpc ``doc/PROTOCOL-HTTP2.md``; googleapis ``google/rpc/status.proto``, ``error_details.proto``). What does
    not decode gives one line that says so; no content gives none.
    """
    if not content:
        return ()
    from google.protobuf.message import DecodeError  # a run without failures does not need protobuf
    from google.rpc.status_pb2 import Status

    try:
        status = Status.FromString(content)
    except DecodeError:
        return (f"{len(content):,} bytes of grpc-status-details-bin that are not a valid google.rpc.Status",)
    lines = [printable(_describe_detail(detail), LONGEST_DETAIL) for detail in status.details[:MOST_DETAILS]]
    if len(status.details) > MOST_DETAILS:
        lines.append(f"and {len(status.details) - MOST_DETAILS} more")
    return tuple(lines)


def _describe_detail(detail: Any) -> str:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from google.rpc import error_details_pb2

    name = detail.TypeName()
    kind = (
        getattr(error_details_pb2, name.removeprefix("google.rpc."), None) if name.startswith("google.rpc.") else None
    )
    if kind is None:
        return f"{name or 'a detail without a type'} ({len(detail.value):,} bytes)"
    try:
        message = kind.FromString(detail.value)
    except DecodeError:
        return f"{name} ({len(detail.value):,} bytes that cannot be decoded)"
    return f"{name.removeprefix('google.rpc.')} {{{text_format.MessageToString(message, as_one_line=True)}}}"
