"""The errors of a peer: those that end a connection, those that end one of its streams, and floods.

::

    PeerError
    ├── ProtocolError   ends the connection: GOAWAY
    └── StreamError     ends one stream: RST_STREAM; the others go on
"""

from __future__ import annotations

from typing import Final

from grpclab.http2.frames import ErrorCode
from grpclab.status import STATUS_NAMES

INTERNAL: Final = STATUS_NAMES.index("INTERNAL")
FLOOD_S: Final = 10.0
"""Seconds of a connection's `now`; where nobody sets that, time stands still and only the number counts."""


class PeerError(Exception):
    """The peer broke the protocol: `code` is what it is told, `stream_id` the stream concerned, 0 where none is."""

    def __init__(self, code: ErrorCode, text: str, stream_id: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.stream_id = stream_id


class ProtocolError(PeerError):
    """An error after which the connection is over (RFC 9113, 5.4.1)."""


class StreamError(PeerError):
    """An error after which one stream is over (RFC 9113, 5.4.2). `status` is the gRPC status of its call."""

    def __init__(self, code: ErrorCode, text: str, stream_id: int, *, status: int = INTERNAL) -> None:
        super().__init__(code, text, stream_id)
        self.status = status


class FloodCounter:
    """A count of what a peer does to no purpose: more than `most`, all within FLOOD_S, are a flood."""

    __slots__ = ("_most", "_name", "_since", "number")

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._since = 0.0
        self.number = 0

    def add(self, now: float) -> None:
        """Count one more. Raises ProtocolError for a flood."""
        self.number += 1
        if self.number > self._most:
            if now - self._since < FLOOD_S:
                raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"{self._most:,} {self._name}")
            self.number, self._since = 0, now

    def take_off(self, number: int) -> None:
        """Something was achieved that makes up for so many."""
        self.number = max(0, self.number - number)
