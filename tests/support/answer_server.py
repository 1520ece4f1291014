"""An HTTP/2 server that answers as it is told, frame by frame, rightly or wrongly; on the loop of its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from hpack import Decoder

from grpclab.http2 import frames
from grpclab.http2.messages import prefixed
from tests.support.http2_peer import BEGIN, OK, Headers, block

Piece = Callable[[int], bytes]
"""A part of an answer, given the stream's id."""
EMPTY = prefixed(b"")
"""A message that every protobuf message can be read from."""


def headers(given: Headers = BEGIN, *more: tuple[str, str], end: bool = False) -> Piece:
    """A HEADERS frame, with CONTINUATION where it is long."""
    coded = block([*given, *more])
    return lambda stream_id: frames.headers(stream_id, coded, end=end)


def trailers(*more: tuple[str, str], status: str = "0") -> Piece:
    """The last HEADERS frame."""
    return headers([("grpc-status", status)], *more, end=True)


def data(body: bytes = EMPTY, *, end: bool = False) -> Piece:
    """A DATA frame."""
    return lambda stream_id: frames.data(stream_id, body, end=end)


def reset(code: int) -> Piece:
    """RST_STREAM."""
    return lambda stream_id: frames.rst_stream(stream_id, code)


def goaway(stream_id: int) -> bytes:
    """A GOAWAY after which this stream is still served."""
    return frames.goaway(stream_id, 0)


def close(stream_id: int) -> bytes:
    """The end of the connection, in place of bytes."""
    raise ConnectionAbortedError(stream_id)


PLAIN: tuple[Piece, ...] = (headers(), data(), headers(OK, end=True))


class AnswerServer:
    """Every request is answered with the pieces of `answer`."""

    def __init__(self) -> None:
        self.answer: tuple[Piece, ...] = PLAIN
        self.requests: list[dict[str, str]] = []
        """The headers of the last request of each connection."""
        self.connections: set[Connection] = set()
        self.ended = 0
        """Connections that this side has ended."""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.cut()
        await self._server.wait_closed()

    def only_answer(self, pieces: Iterable[Piece]) -> None:
        """Say this from now on."""
        self.answer = tuple(pieces)


class Connection(asyncio.Protocol):
    """One connection; flow control is left to small answers."""

    def __init__(self, server: AnswerServer) -> None:
        self._server = server
        self._buffer = b""
        self._begun = False
        self._decoder = Decoder()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        self._transport.write(frames.settings({}))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self)

    def cut(self) -> None:
        """End it at once."""
        if not self._transport.is_closing():
            self._server.ended += 1
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._begun and len(self._buffer) >= len(frames.PREFACE):
            self._buffer, self._begun = self._buffer[len(frames.PREFACE) :], True
        while self._begun and len(self._buffer) >= 9:
            end = 9 + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < end:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream_id, body = int.from_bytes(self._buffer[5:9], "big"), self._buffer[9:end]
            self._buffer = self._buffer[end:]
            self._on_frame(kind, flags, stream_id, body)

    def _on_frame(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if kind == frames.SETTINGS and not flags & frames.ACK:
            self._transport.write(frames.SETTINGS_ACK)
        elif kind == frames.PING and not flags & frames.ACK:
            self._transport.write(frames.ping(body, ack=True))
        elif kind == frames.HEADERS:
            self._server.requests.append({str(name): str(value) for name, value in self._decoder.decode(body)})
        if kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM:
            try:
                for piece in self._server.answer:
                    self._transport.write(piece(stream_id))
            except ConnectionAbortedError:
                self.cut()
