"""A server's bytes: header blocks of literals, and replies cut into pieces that lack little but the stream id.

A block of literals teaches the peer's table nothing, so one set of bytes is right for every connection. Each answer
begins with a table size update to 0, which a client that has lowered HEADER_TABLE_SIZE waits for (RFC 7541, 4.2).
"""

from __future__ import annotations

from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame_start
from grpclab.http2.headers import literal

_NO_TABLE: Final = b"\x20"
STATUS_200: Final = _NO_TABLE + b"\x88"
"""``:status: 200``, which stands in the static table; first in its block."""
BEGINNING: Final = STATUS_200 + literal("content-type", "application/grpc")
"""The block with which every gRPC answer begins."""

Trailers = tuple[tuple[str, str], ...]


def trailers(status: int, text: str = "", further: Trailers = ()) -> bytes:
    """The block with which a gRPC answer ends."""
    message = (("grpc-message", messages.encode_text(text)),) if text else ()
    return b"".join(literal(name, value) for name, value in (("grpc-status", str(status)), *message, *further))


def http_status(status: int) -> bytes:
    """The block that refuses a request which is not gRPC's."""
    return _NO_TABLE + literal(":status", str(status))


class Reply:
    """One answer for many calls: a message and OK, or a status without a message (Trailers-Only).

    With `stamp` its trailers end with a header of that name, whose value is given with each call.
    """

    def __init__(self, message: bytes | None, status: int = messages.OK, text: str = "", *, stamp: str = "") -> None:
        self.status = status
        self.text = text
        self.stamp = stamp
        self.body = b"" if message is None else messages.prefixed(message)
        self.size = len(self.body)
        self._pieces: dict[int, tuple[bytes, ...]] = {}

    def pieces(self, stamp_length: int) -> tuple[bytes, ...]:
        """The whole answer for a stamp of so many characters: to be joined by the stream id, the stamp comes last."""
        pieces = self._pieces.get(stamp_length)
        return pieces if pieces is not None else self._cut(stamp_length)

    def _cut(self, stamp_length: int) -> tuple[bytes, ...]:
        last = self.trailers("0" * stamp_length)
        last = last[: len(last) - stamp_length]
        if self.body:
            begin = frame_start(len(BEGINNING), HEADERS, END_HEADERS)
            middle = BEGINNING + frame_start(self.size, DATA, 0)
        else:
            last = BEGINNING + last
        end = frame_start(len(last) + stamp_length, HEADERS, END_HEADERS | END_STREAM)
        pieces = (begin, middle, self.body + end, last) if self.body else (end, last)
        self._pieces[stamp_length] = pieces
        return pieces

    def trailers(self, stamp: str) -> bytes:
        """The last block."""
        return trailers(self.status, self.text, ((self.stamp, stamp),) if self.stamp else ())

    def whole(self, stream_id: int, stamp: bytes) -> bytes:
        """All its frames, for one stream."""
        return frames.pack_id(stream_id).join(self.pieces(len(stamp))) + stamp
