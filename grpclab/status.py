"""The status codes of gRPC, by number (grpc/grpc ``doc/statuscodes.md``); no grpcio needed."""

from __future__ import annotations

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
UNKNOWN = 2
NOT_ENDED = len(STATUS_NAMES)
"""The generator's own mark, no code of gRPC: the call was given up while under way, or was due and never sent."""
WRONG_ANSWER = NOT_ENDED + 1
"""The generator's own mark, too: the call succeeded, and its answer is not what a check looks for."""
RECORDED_NAMES: tuple[str, ...] = (*STATUS_NAMES, "NOT_ENDED", "WRONG_ANSWER")
"""Name of each code that a record of calls may hold."""


def go_name(name: str) -> str:
    """The name as grpc-go and ghz write it: ``DEADLINE_EXCEEDED`` is ``DeadlineExceeded``, ``OK`` stays."""
    if name == "OK":
        return name
    return "Canceled" if name in ("CANCELLED", "NOT_ENDED") else name.title().replace("_", "")
