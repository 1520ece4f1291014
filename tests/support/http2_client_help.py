"""What the tests of the client's connection share."""

from __future__ import annotations

from typing import Any

from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.frames import RST_STREAM, ErrorCode
from grpclab.status import STATUS_NAMES
from tests.support.http2_peer import (
    REQUEST,
    ready,
    said,
    start,
)

STREAMING = Request(path="/p/m", authority="here:1", payload=b"world", server_streaming=True)


def status(call: Call) -> str:
    return "open" if call.status < 0 else STATUS_NAMES[call.status]


def reset_codes(client: ClientConnection) -> dict[int, ErrorCode]:
    return {frame.stream_id: ErrorCode(int.from_bytes(frame.body, "big")) for frame in said(client, RST_STREAM)}


def after(data: bytes, request: Request = REQUEST, **given: Any) -> tuple[ClientConnection, Call]:
    """A connection with one call, to which this has come."""
    client = ready(request, **given)
    (call,) = start(client)
    client.receive(data)
    return client, call
