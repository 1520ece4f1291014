"""What the tests of the server's connection share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpclab.http2 import frames
from grpclab.http2.client import Call, ClientConnection, Request
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.http2.messages import prefixed
from grpclab.http2.replies import Reply
from grpclab.http2.server import ServerConnection, Stream
from tests.support.http2_peer import block

WINDOW = 1 << 20


HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "here:1"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


REPLY = Reply(b"Hello!", stamp=RESIDENCE_HEADER)


def make_server(**given: Any) -> ServerConnection:
    return ServerConnection(**{"stream_window": WINDOW, "connection_window": WINDOW, **given})


def client(payload: bytes = b"world", *, window: int = WINDOW, **request: Any) -> ClientConnection:
    return ClientConnection(
        Request(path="/a.B/C", authority="here:1", payload=payload, **request),
        stream_window=window,
        connection_window=window,
    )


def talk(ours: ClientConnection, server: ServerConnection) -> tuple[list[Stream], list[Call]]:
    """Carry bytes to and fro until both are silent; what the server and what the client was told."""
    news: list[Stream] = []
    ended: list[Call] = []
    while ours.outgoing or server.outgoing:
        news += server.receive(ours.take())
        ended += ours.receive(server.take())
    return news, ended


def ready_server(**given: Any) -> ServerConnection:
    """A server whose client has sent its preface and has acknowledged the server's settings."""
    server = make_server(**given)
    assert server.receive(frames.PREFACE + frames.settings({}) + frames.SETTINGS_ACK) == []
    server.take()
    return server


def request(stream_id: int, *, headers: Sequence[tuple[str, str]] = HEADERS, body: bytes = prefixed(b"world")) -> bytes:
    return frames.headers(stream_id, block(headers), end=False) + frames.data(stream_id, body, end=True)
