"""Counts of the frames that pass in one direction of a connection, without taking part in it. Pure.

Frames: RFC 9113, 4.1; the client's preface 3.4; PING 6.7; GOAWAY 6.8.
"""

from __future__ import annotations

from collections import Counter

from grpclab.http2 import frames

_KEPT = 8 + 256
"""So much of a GOAWAY is read: last stream, error code, and the beginning of its reason."""


class FrameCounter:
    """Fed with the bytes of one direction as they come, it counts pings and reads what a GOAWAY says.

    Bytes that are no HTTP/2 leave it without a result, never with an error.
    """

    def __init__(self) -> None:
        self.pings = 0
        """PING frames that ask; answers do not count."""
        self.goaways: Counter[str] = Counter()
        """GOAWAY frames by error code and reason, as ``ENHANCE_YOUR_CALM too_many_pings``."""
        self._buffer = bytearray()
        self._skip = 0
        self._begun = False

    def end(self) -> None:
        """The connection is over: the counts stay."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        buffer = self._buffer
        buffer += data[self._skip :] if self._skip else data
        self._skip = 0
        if not self._begun:
            if len(buffer) < len(frames.PREFACE) and frames.PREFACE.startswith(buffer):
                return
            self._begun = True
            if buffer.startswith(frames.PREFACE):
                del buffer[: len(frames.PREFACE)]
        while len(buffer) >= frames.HEADER_BYTES:
            length, kind, flags = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
            end = frames.HEADER_BYTES + length
            if kind == frames.GOAWAY and len(buffer) < min(end, frames.HEADER_BYTES + _KEPT):
                return
            self._note(kind, flags, bytes(buffer[frames.HEADER_BYTES : min(end, frames.HEADER_BYTES + _KEPT)]))
            self._skip = max(0, end - len(buffer))
            del buffer[:end]

    def _note(self, kind: int, flags: int, body: bytes) -> None:
        if kind == frames.PING and not flags & frames.ACK:
            self.pings += 1
        elif kind == frames.GOAWAY and len(body) >= 8:
            code = frames.error_name(int.from_bytes(body[4:8], "big"))
            self.goaways[f"{code} {body[8:].decode(errors='replace')}".rstrip()] += 1
