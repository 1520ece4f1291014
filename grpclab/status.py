"""The status codes of gRPC, by number (grpc/grpc ``doc/statuscodes.md``); no grpcio needed."""

from __future__ import annotations

from typing import Any

STATUS_NAMES: tuple[str, ...] = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Name of each code; the code is the index."""

OK = 0
CANCELLED = 1
UNKNOWN = 2
DEADLINE_EXCEEDED = 4
NOT_ENDED = len(STATUS_NAMES)
"""The generator's own mark, no code of gRPC: the call was given up while under way, or was due and never sent."""
WRONG_ANSWER = NOT_ENDED + 1
"""The generator's own mark, too: the call succeeded, and its answer is not what a check looks for."""
ENDED_BY_CLIENT = WRONG_ANSWER + 1
"""The generator's own mark, too: the client cancelled the stream as planned, which the server sees as CANCELLED. The
call succeeded."""
RECORDED_NAMES: tuple[str, ...] = (*STATUS_NAMES, "NOT_ENDED", "WRONG_ANSWER", "ENDED_BY_CLIENT")
"""Name of each code that a record of calls may hold."""


def statuses_of(text: str) -> tuple[str, ...]:
    """The names in a list such as ``unavailable, ABORTED``, in the order of their codes. Raises ValueError.

    OK is not among them: it is no failure.
    """
    names = {word.strip().upper() for word in text.split(",")}
    if not names <= set(STATUS_NAMES[1:]):
        raise ValueError(text)
    return tuple(name for name in STATUS_NAMES if name in names)


def status_in_time(status: int, taken_s: float, deadline_s: float | None) -> int:
    """The status of a failed call that took so long.

    A server resets with CANCEL what it gives up at the call's deadline; where that has passed here too, the status is
    DEADLINE_EXCEEDED, as in grpc-go. (C-core compares with a clock that it reads too seldom on a busy machine.)
    """
    passed = deadline_s is not None and taken_s >= deadline_s
    return DEADLINE_EXCEEDED if status == CANCELLED and passed else status


def succeeded(status: Any) -> Any:
    """Whether a call with this status succeeded; of an array of statuses, an array."""
    return (status == OK) | (status == ENDED_BY_CLIENT)


def go_name(name: str) -> str:
    """The name as grpc-go and ghz write it: ``DEADLINE_EXCEEDED`` is ``DeadlineExceeded``, ``OK`` stays."""
    if name == "OK":
        return name
    return "Canceled" if name in ("CANCELLED", "NOT_ENDED", "ENDED_BY_CLIENT") else name.title().replace("_", "")
