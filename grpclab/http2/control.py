"""The frames that move no call: settings, pings, going away, windows; and what a connection knows from them.

:class:`Control` is what was said so far. The functions are the actions on these frames, for the side of a connection
that has one: whatever is wrong with a frame is a :class:`~grpclab.http2.protocol_errors.ProtocolError`.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

from grpclab.http2 import frames
from grpclab.http2.flow_control import SendWindows
from grpclab.http2.frames import ErrorCode, Setting
from grpclab.http2.protocol_errors import FloodCounter, ProtocolError

MAX_IDLE_FRAMES: Final = 10_000
"""So many frames that move no call, one after the other, are a flood where they come within FLOOD_S."""
MAX_SETTINGS: Final = 64
"""So many different settings of the peer are remembered."""
MAX_GOAWAYS: Final = 1_000
"""So many GOAWAYs of the peer are remembered."""


class Control:
    """The state of a connection but for its calls."""

    def __init__(self, outgoing: list[bytes]) -> None:
        self.outgoing = outgoing
        self.now = 0.0
        """The time in seconds, as whoever owns the connection says it; floods are counted by it."""
        self.ready = False
        """The peer's settings have come."""
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
        self.windows_moved = False
        """The peer's windows may have moved with its settings; for the connection to reset."""
        self.peer_table = frames.DEFAULT_TABLE
        """The smallest header table the peer has ever asked for, bytes: a larger one is never used."""
        self.idle = FloodCounter(MAX_IDLE_FRAMES, "frames that advance no call")

    def idle_frame(self) -> None:
        """Count a frame that moved no call. Raises ProtocolError for a flood of them."""
        self.idle.add(self.now)

    def ping(self, opaque: bytes = b"grpclab!") -> None:
        """Ask for a sign of life; `pings_acked` counts them."""
        self.pings_sent += 1
        self.outgoing.append(frames.ping(opaque))

    def set(self, key: int, value: int) -> None:
        """Take over one setting of the peer. Raises ProtocolError."""
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


class Controlled(Protocol):
    """A side of a connection, as the frames see it that move no call."""

    @property
    def control(self) -> Control:
        """What was said so far."""

    def on_settings(self) -> None:
        """The peer has changed a setting."""

    def on_settings_acked(self) -> None:
        """The peer has taken over ours."""

    def on_pong(self, opaque: bytes) -> None:
        """The peer has answered a ping."""

    def on_going_away(self, last_stream_id: int, text: str) -> None:
        """The peer accepts no further streams."""

    def on_window(self, increment: int) -> None:
        """The peer has widened the connection's window."""

    def on_stream_window(self, stream_id: int, increment: int) -> None:
        """The peer has widened the window of a stream."""

    def on_reset(self, stream_id: int, code: int) -> None:
        """The peer has reset a stream."""


def unpadded(flags: int, stream_id: int, body: bytes) -> bytes:
    """The content of a frame that may be padded. Raises ProtocolError."""
    if not flags & frames.PADDED:
        return body
    if not body or body[0] >= len(body):
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame", stream_id)
    return body[1 : len(body) - body[0]]


def check_dependency(stream_id: int, body: bytes) -> None:
    """Refuse a stream that depends on itself (RFC 7540, 5.3.1); priorities are not looked at otherwise."""
    if int.from_bytes(body[:4], "big") & frames.MAX_STREAM_ID == stream_id:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself", stream_id)


def _require(has_its_length: bool, has_its_stream: bool, name: str, stream_id: int) -> None:
    """Refuse a frame of the wrong length, or one of the connection on a stream, or the reverse."""
    if not has_its_length:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"{name} of a wrong length", stream_id)
    if not has_its_stream:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"{name} on a wrong stream", stream_id)


def on_unknown(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """A frame of a type that RFC 9113 does not know."""
    side.control.idle_frame()


def on_priority(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """PRIORITY."""
    _require(len(body) == 5, stream_id != 0, "PRIORITY", stream_id)
    check_dependency(stream_id, body)
    side.control.idle_frame()


def on_rst_stream(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """RST_STREAM."""
    _require(len(body) == 4, stream_id != 0, "RST_STREAM", stream_id)
    side.on_reset(stream_id, int.from_bytes(body, "big"))


def on_settings(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """SETTINGS."""
    control = side.control
    _require(not (len(body) % 6 or (flags & frames.ACK and body)), stream_id == 0, "SETTINGS", stream_id)
    control.idle_frame()
    if flags & frames.ACK:
        if not control.ready:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the peer's first SETTINGS are an acknowledgement")
        side.on_settings_acked()
        return
    for key, value in frames.parse_settings(body):
        control.set(key, value)
    control.ready = control.windows_moved = True
    control.outgoing.append(frames.SETTINGS_ACK)
    side.on_settings()


def on_ping(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """PING."""
    control = side.control
    _require(len(body) == 8, stream_id == 0, "PING", stream_id)
    control.idle_frame()
    if flags & frames.ACK:
        control.pings_acked += 1
        side.on_pong(body)
    else:
        control.pings_received += 1
        control.outgoing.append(frames.ping(body, ack=True))


def on_goaway(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """GOAWAY."""
    control = side.control
    _require(len(body) >= 8, stream_id == 0, "GOAWAY", stream_id)
    control.idle_frame()
    last, code = struct.unpack_from(">II", body)
    last &= frames.MAX_STREAM_ID
    reason = body[8:].decode("utf-8", "replace")[:256]
    control.peer_goaway = (last, code, reason)
    if len(control.goaways_received) < MAX_GOAWAYS:
        control.goaways_received.append((code, reason))
    side.on_going_away(last, f"GOAWAY {frames.error_name(code)} {reason}".rstrip())


def on_window_update(side: Controlled, flags: int, stream_id: int, body: bytes) -> None:
    """WINDOW_UPDATE."""
    _require(len(body) == 4, True, "WINDOW_UPDATE", stream_id)
    side.control.idle_frame()
    increment = int.from_bytes(body, "big") & frames.MAX_WINDOW
    if stream_id:
        side.on_stream_window(stream_id, increment)
    elif increment == 0:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0")
    else:
        side.on_window(increment)
