"""The server's half of an exchange, frame by frame, for the tests of the client's core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hpack import Encoder

from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.messages import prefixed

Headers = Iterable[tuple[str, str]]

BEGIN: Headers = [(":status", "200"), ("content-type", "application/grpc")]
OK: Headers = [("grpc-status", "0")]
HELLO = prefixed(b"hello")
REQUEST = Request(path="/greet.GreeterService/SayHello", authority="here:1", payload=b"world")


class Frame(NamedTuple):
    """One frame, as it was on the wire."""

    kind: int
    flags: int
    stream_id: int
    body: bytes


def cut(data: bytes) -> Iterator[Frame]:
    """The frames in some bytes."""
    data = data.removeprefix(frames.PREFACE)
    while data:
        length = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + length, "half a frame"
        stream_id = int.from_bytes(data[5:9], "big")
        yield Frame(data[3], data[4], stream_id, data[9 : 9 + length])
        data = data[9 + length :]


def said(connection: ClientConnection, *kinds: int) -> list[Frame]:
    """What the connection has said since it was last asked; only these types, if any are given."""
    return [frame for frame in cut(connection.take()) if not kinds or frame.kind in kinds]


def block(headers: Headers) -> bytes:
    """A header block that depends on none before it, and that none depends on."""
    encoder = Encoder()
    encoder.header_table_size = 0
    headers = list(headers)
    short = sum(len(value) for _, value in headers) < 4096  # hpack takes seconds for Huffman codes of long ones
    return bytes(encoder.encode(headers, huffman=short))


def begin(stream_id: int, headers: Headers = BEGIN) -> bytes:
    """The headers of an answer."""
    return frames.headers(stream_id, block(headers), end=False)


def trailers(stream_id: int, headers: Headers = OK) -> bytes:
    """Its end."""
    return frames.headers(stream_id, block(headers), end=True)


def answer(stream_id: int, body: bytes = HELLO, end: Headers = OK) -> bytes:
    """All of it."""
    return begin(stream_id) + frames.data(stream_id, body, end=False) + trailers(stream_id, end)


def fresh(request: Request = REQUEST, **given: Any) -> ClientConnection:
    """A connection that has not heard of its peer."""
    return ClientConnection(request, **{"stream_window": 65_535, "connection_window": 65_535, **given})


def ready(request: Request = REQUEST, settings: dict[int, int] | None = None, **given: Any) -> ClientConnection:
    """A connection whose peer has sent these settings and has acknowledged the client's."""
    connection = fresh(request, **given)
    assert connection.receive(frames.settings(settings or {}) + frames.SETTINGS_ACK) == []
    connection.take()
    return connection


def start(connection: ClientConnection, count: int = 1) -> list[Call]:
    """So many calls, sent."""
    calls = [Call() for _ in range(count)]
    for call in calls:
        assert connection.start(call)
    connection.take()
    return calls
