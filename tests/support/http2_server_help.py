"""What the tests of the server's connection share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.http2.messages import prefixed
from grpclab.http2.replies import Reply, Trailers
from grpclab.http2.requests import RequestHead
from grpclab.http2.server import ServerConnection
from grpclab.http2.streams import Stream
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


class WatchingServer(ServerConnection):
    """A server that also gives a stream when it opens, and whenever messages have come on it."""

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> None:
        pass

    def _open(self, stream_id: int, head: RequestHead, *, half_closed: bool, shared: bool) -> None:
        super()._open(stream_id, head, half_closed=half_closed, shared=shared)
        stream = self.streams.get(stream_id)
        if stream is not None and not half_closed and not stream.answered:
            self._events.append(stream)

    def _read(self, stream: Stream, content: bytes) -> None:
        before = len(stream.received)
        super()._read(stream, content)
        if len(stream.received) > before:
            self._events.append(stream)


REPLY = Reply(b"Hello!", stamp=RESIDENCE_HEADER)


def make_server(kind: type[ServerConnection] = ServerConnection, **given: Any) -> ServerConnection:
    return kind(**{"stream_window": WINDOW, "connection_window": WINDOW, **given})


def respond(server: ServerConnection, stream: Stream, answers: Iterable[bytes], further: Trailers = ()) -> None:
    """Give a whole answer at once."""
    for message in answers:
        server.answers.send_message(stream, message)
    server.answers.finish(stream, further=further)


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


def ready_server(kind: type[ServerConnection] = ServerConnection, **given: Any) -> ServerConnection:
    """A server whose client has sent its preface and has acknowledged the server's settings."""
    server = make_server(kind, **given)
    assert server.receive(frames.PREFACE + frames.settings({}) + frames.SETTINGS_ACK) == []
    server.take()
    return server


def request(stream_id: int, *, headers: Sequence[tuple[str, str]] = HEADERS, body: bytes = prefixed(b"world")) -> bytes:
    return frames.headers(stream_id, block(headers), end=False) + frames.data(stream_id, body, end=True)
