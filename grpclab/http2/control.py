"""The frames that move no call: settings, pings, going away, windows, header blocks in pieces.

Whatever is wrong with it is a :class:`ProtocolError`, which :class:`~grpclab.http2.connection.Connection` turns into
the end of the connection. What each side does about it, it does in the methods that this class leaves empty.
"""

from __future__ import annotations

import struct
from typing import Final

from grpclab.http2 import frames
from grpclab.http2.frames import MAX_LIST_BYTES, ErrorCode, Setting

MAX_BLOCK_BYTES: Final = 4 * MAX_LIST_BYTES
"""Longest header block over all its CONTINUATION frames: Huffman coding makes a list up to four times as long."""
MAX_FRAGMENTS: Final = 1_000
"""Most pieces of one header block; those beyond MAX_BLOCK_BYTES are not kept."""
MAX_IDLE_FRAMES: Final = 10_000
"""So many frames that move no call, one after the other, are a flood where they come within FLOOD_S."""
FLOOD_S: Final = 10.0
"""Seconds of :attr:`Control.now`; where nobody sets that, time stands still and only the number counts."""
MAX_SETTINGS: Final = 64
"""So many different settings of the peer are remembered."""
MAX_GOAWAYS: Final = 1_000
"""So many GOAWAYs of the peer are remembered."""


class ProtocolError(Exception):
    """The peer broke the protocol; `code` is what it is told."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


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


class SendWindows:
    """The bytes that the peer is ready to receive: on the whole connection, on a new stream, in one frame."""

    __slots__ = ("connection", "max_frame", "stream")

    def __init__(self) -> None:
        self.connection = frames.DEFAULT_WINDOW
        self.stream = frames.DEFAULT_WINDOW
        self.max_frame = frames.DEFAULT_MAX_FRAME


class Control:
    """The state of a connection but for its calls."""

    def __init__(self) -> None:
        self.outgoing: list[bytes] = []
        self.now = 0.0
        """The time in seconds, as whoever owns the connection says it; floods are counted by it."""
        self.closed: str | None = None
        """Why the connection is over; None while it is not."""
        self.ready = False
        """The peer's settings have come."""
        self.draining = False
        """No new call may be started here."""
        self.peer: dict[int, int] = {}
        """The peer's settings, as far as it has said any."""
        self.peer_goaway: tuple[int, int, str] | None = None
        """The peer's last GOAWAY: last stream id, error code, reason."""
        self.pings_sent = 0
        self.pings_acked = 0
        self.pings_received = 0
        self.goaways_received: list[tuple[int, str]] = []
        """Error code and reason of each of the peer's GOAWAYs."""
        self.windows = SendWindows()
        self.peer_table = frames.DEFAULT_TABLE
        """The smallest header table the peer has ever asked for, bytes: a larger one is never used."""
        self._idle = FloodCounter(MAX_IDLE_FRAMES, "too many useless frames")
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._fragments_of = (0, 0)
        self._inside_block = False

    def ping(self, opaque: bytes = b"grpclab!") -> None:
        """Ask for a sign of life; `pings_acked` counts them."""
        self.pings_sent += 1
        self.outgoing.append(frames.ping(opaque))

    # ---- for the two sides -------------------------------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        raise NotImplementedError

    def _on_reset(self, stream_id: int, code: int) -> None:
        raise NotImplementedError

    def _on_stream_window(self, stream_id: int, increment: int) -> None:
        raise NotImplementedError

    def _on_peer_settings(self) -> None:
        """The peer has changed a setting."""

    def _on_own_settings_acked(self) -> None:
        """The peer has taken over ours."""

    def _on_long_block(self, flags: int, stream_id: int) -> None:
        """A header block of more than MAX_BLOCK_BYTES has come to its end; it was not kept."""
        raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {MAX_BLOCK_BYTES:,} bytes")

    def _on_going_away(self, last_stream_id: int, code: int, reason: str) -> None:
        """The peer accepts no further streams."""

    def _window_opened(self) -> None:
        """Something that waits for a window may be sent."""

    def _idle_frame(self) -> None:
        """A frame that moved no call."""
        self._idle.add(self.now)

    @staticmethod
    def _unpadded(flags: int, body: bytes) -> bytes:
        if not flags & frames.PADDED:
            return body
        if not body or body[0] >= len(body):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
        return body[1 : len(body) - body[0]]

    # ---- header blocks in pieces -------------------------------------------------------------------------------

    def _header_block(self, flags: int, stream_id: int, body: bytes) -> bytes | None:
        """The block of a HEADERS frame; None where CONTINUATION frames are still to come."""
        if stream_id == 0:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        body = self._unpadded(flags, body)
        if flags & frames.PRIORITISED:
            if len(body) < 5:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            self._check_dependency(stream_id, body)
            body = body[5:]
        if flags & frames.END_HEADERS:
            return body
        self._fragments, self._fragments_bytes = [body], len(body)
        self._fragments_of = (flags & frames.END_STREAM, stream_id)
        self._inside_block = True
        return None

    def _on_continuation(self, flags: int, stream_id: int, body: bytes) -> None:
        end_stream, expected = self._fragments_of
        if not self._inside_block or stream_id != expected:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._idle_frame()
        self._fragments_bytes += len(body)
        self._fragments.append(body if self._fragments_bytes <= MAX_BLOCK_BYTES else b"")
        if len(self._fragments) > MAX_FRAGMENTS:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"a header block in more than {MAX_FRAGMENTS:,} pieces")
        if flags & frames.END_HEADERS:
            block, self._fragments = b"".join(self._fragments), []
            self._inside_block = False
            flags = end_stream | frames.END_HEADERS
            length, self._fragments_bytes = self._fragments_bytes, 0
            if length > MAX_BLOCK_BYTES:
                self._on_long_block(flags, stream_id)
            else:
                self._on_headers(flags, stream_id, block)

    # ---- frames ------------------------------------------------------------------------------------------------

    @staticmethod
    def _require(has_its_length: bool, has_its_stream: bool, name: str) -> None:
        """Refuse a frame of the wrong length, or one of the connection on a stream, or the reverse."""
        if not has_its_length:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"{name} with a wrong length")
        if not has_its_stream:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"{name} on a wrong stream")

    def _on_unknown(self, flags: int, stream_id: int, body: bytes) -> None:
        self._idle_frame()

    def _on_priority(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(len(body) == 5, stream_id != 0, "PRIORITY")
        self._check_dependency(stream_id, body)
        self._idle_frame()

    @staticmethod
    def _check_dependency(stream_id: int, body: bytes) -> None:
        """Refuse a stream that depends on itself (RFC 7540, 5.3.1); priorities are not looked at otherwise."""
        if int.from_bytes(body[:4], "big") & frames.MAX_STREAM_ID == stream_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")

    def _on_push_promise(self, flags: int, stream_id: int, body: bytes) -> None:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, although push is disabled")

    def _on_rst_stream(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(len(body) == 4, stream_id != 0, "RST_STREAM")
        self._on_reset(stream_id, int.from_bytes(body, "big"))

    def _on_settings(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(not (len(body) % 6 or (flags & frames.ACK and body)), stream_id == 0, "SETTINGS")
        self._idle_frame()
        if flags & frames.ACK:
            if not self.ready:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the peer's first SETTINGS are an acknowledgement")
            self._on_own_settings_acked()
            return
        for key, value in frames.parse_settings(body):
            self._on_setting(key, value)
        self.ready = True
        self.outgoing.append(frames.SETTINGS_ACK)
        self._on_peer_settings()
        self._window_opened()

    def _on_setting(self, key: int, value: int) -> None:
        if key in self.peer or len(self.peer) < MAX_SETTINGS:
            self.peer[key] = value
        if key == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value:,}")
            self.windows.stream = value
        elif key == Setting.MAX_FRAME_SIZE:
            if not frames.DEFAULT_MAX_FRAME <= value < 2**24:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value:,}")
            self.windows.max_frame = value
        elif key == Setting.HEADER_TABLE_SIZE:
            self.peer_table = min(self.peer_table, value)
        elif key == Setting.ENABLE_PUSH and value > 1:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")

    def _on_ping(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(len(body) == 8, stream_id == 0, "PING")
        self._idle_frame()
        if flags & frames.ACK:
            self.pings_acked += 1
        else:
            self.pings_received += 1
            self.outgoing.append(frames.ping(body, ack=True))

    def _on_goaway(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(len(body) >= 8, stream_id == 0, "GOAWAY")
        self._idle_frame()
        last, code = struct.unpack_from(">II", body)
        reason = body[8:].decode("utf-8", "replace")[:256]
        self.peer_goaway = (last & frames.MAX_STREAM_ID, code, reason)
        if len(self.goaways_received) < MAX_GOAWAYS:
            self.goaways_received.append((code, reason))
        self.draining = True
        self._on_going_away(*self.peer_goaway)

    def _on_window_update(self, flags: int, stream_id: int, body: bytes) -> None:
        self._require(len(body) == 4, True, "WINDOW_UPDATE")
        self._idle_frame()
        increment = int.from_bytes(body, "big") & frames.MAX_WINDOW
        if stream_id:
            self._on_stream_window(stream_id, increment)
            return
        if increment == 0:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0")
        self._widen(increment)
        self._window_opened()

    def _widen(self, increment: int) -> None:
        """The peer is ready to receive so much more on the whole connection."""
        self.windows.connection += increment
        if self.windows.connection > frames.MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is beyond 2^31 - 1")
