"""Servers that answer well and then send without end: both engines keep what was measured before, and end in time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from grpclab.factors.config import ClientConfig
from grpclab.http2 import frames
from grpclab.http2.frames import DATA, END_STREAM, PREFACE, PRIORITY, SETTINGS, ErrorCode
from grpclab.http2.replies import BEGINNING, Reply
from grpclab.load.generator import Generator
from tests.support.generator_help import by_status, load

GOOD_S, WINDOW_S = 0.4, 1.0
REPLY = Reply(b"\n\x05hello")
REPEATS = 5000

FLOODS: dict[str, Callable[[int], bytes]] = {
    "ping": lambda _: frames.ping(b"flooding"),
    "priority": lambda stream_id: frames.frame(PRIORITY, 0, stream_id, b"\0\0\0\0\x10"),
    "resets": lambda stream_id: frames.rst_stream(stream_id, ErrorCode.CANCEL),
    "empty data": lambda stream_id: frames.data(stream_id, b"", end=False),
    "goaways": lambda _: frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR),
}


class Flooder:
    """Answers calls for a while; from then on each connection is flooded from its next call on."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._floods_at: float | None = None
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End every connection; the threads end with them."""
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            connection.sendall(frames.settings({}))
            read = connection.makefile("rb")
            assert read.read(len(PREFACE)) == PREFACE
            while start := read.read(9):
                kind, flags, stream_id = start[3], start[4], int.from_bytes(start[5:9], "big")
                read.read(int.from_bytes(start[:3], "big"))
                if kind == SETTINGS and not flags:
                    connection.sendall(frames.SETTINGS_ACK)
                elif kind == DATA and flags & END_STREAM:
                    self._answer(connection, stream_id)

    def _answer(self, connection: socket.socket, stream_id: int) -> None:
        now = time.monotonic()
        if self._floods_at is None:
            self._floods_at = now + GOOD_S
        if now < self._floods_at:
            connection.sendall(REPLY.whole(stream_id, b""))
            return
        connection.sendall(frames.headers(stream_id, BEGINNING, end=False))
        flood = FLOODS[self._kind](stream_id) * REPEATS
        while True:
            connection.sendall(flood)


@pytest.fixture
def flooder(kind: str) -> Iterator[Flooder]:
    made = Flooder(kind)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("engine", "kind"),
    [("wire", kind) for kind in ("ping", "empty data", "goaways")]
    + [("grpcio", kind) for kind in ("priority", "resets")],
)
def test_what_was_measured_before_a_flood_is_kept(flooder: Flooder, engine: str) -> None:
    client = ClientConfig(deadline_s=0.2)
    config = load(client, requests=None, duration_s=WINDOW_S, warmup_s=0.0, concurrency=4, engine=engine)
    with Generator(config, flooder.target) as generator:
        run = generator.measure(drain_s=0.3)
    ended = by_status(run)
    assert ended["OK"] > 0
    assert ended.keys() - {"OK"}, "the flood ended no call"
