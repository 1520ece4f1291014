"""The details of an error, `grpc-status-details-bin`: a ``google.rpc.Status`` whose details are of any type.

Source: grpc/grpc ``doc/PROTOCOL-HTTP2.md`` and googleapis ``google/rpc/status.proto``, ``error_details.proto``.
"""

from __future__ import annotations

from google.protobuf import text_format
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from grpclab.text.printable import printable

LONGEST_LINE = 300
MOST_LINES = 5


def describe(content: bytes) -> tuple[str, ...]:
    """A line for each detail: its type, and its fields where the type is one of googleapis'.

    What does not decode gives one line that says so; no content gives none.
    """
    if not content:
        return ()
    try:
        status = Status.FromString(content)
    except DecodeError:
        return (f"{len(content):,} bytes of grpc-status-details-bin that are no google.rpc.Status",)
    lines = [printable(_describe(detail), LONGEST_LINE) for detail in status.details[:MOST_LINES]]
    if len(status.details) > MOST_LINES:
        lines.append(f"and {len(status.details) - MOST_LINES} more")
    return tuple(lines)


def _describe(detail: Any) -> str:
    name = detail.TypeName()
    kind = (
        getattr(error_details_pb2, name.removeprefix("google.rpc."), None) if name.startswith("google.rpc.") else None
    )
    if kind is None:
        return f"{name or 'a detail without a type'} ({len(detail.value):,} bytes)"
    try:
        message: Message = kind.FromString(detail.value)
    except DecodeError:
        return f"{name} ({len(detail.value):,} bytes that do not decode)"
    return f"{name.removeprefix('google.rpc.')} {{{text_format.MessageToString(message, as_one_line=True)}}}"
