"""HTTP/2 frames as bytes (RFC 9113, section 6). Pure functions; nothing here knows a connection."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Frame types."""

END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
"""Flags."""

DEFAULT_WINDOW: Final = 65_535
DEFAULT_MAX_FRAME: Final = 16_384
DEFAULT_TABLE: Final = 4_096
MAX_LIST_BYTES: Final = 131_072
"""Longest header list that is taken (SETTINGS_MAX_HEADER_LIST_SIZE): a bomb is refused while it is decoded. The
engine `grpcio` has the same limit (:mod:`grpclab.factors.channel_args`)."""
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1


class Setting(IntEnum):
    """Identifiers of SETTINGS (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Reasons of RST_STREAM and GOAWAY (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def error_name(code: int) -> str:
    """The name of an error code; its number where it has none."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


unpack_header = struct.Struct(">HBBBI").unpack_from
"""length // 256, length % 256, type, flags, stream id (with the reserved bit) at an offset."""
pack_id = struct.Struct(">I").pack


def frame_start(length: int, kind: int, flags: int) -> bytes:
    """A frame's header up to its stream id: 5 bytes."""
    return bytes((length >> 16, length >> 8 & 255, length & 255, kind, flags))


def frame(kind: int, flags: int, stream_id: int, payload: bytes | memoryview = b"") -> bytes:
    """Any frame."""
    return frame_start(len(payload), kind, flags) + pack_id(stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in values.items()))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def ping(opaque: bytes, *, ack: bool = False) -> bytes:
    """PING with 8 opaque bytes."""
    return frame(PING, ACK if ack else 0, 0, opaque)


def goaway(last_stream_id: int, code: int, reason: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code) + reason)


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE of a stream, or of the connection (stream 0)."""
    return frame(WINDOW_UPDATE, 0, stream_id, pack_id(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, pack_id(code))


def data(stream_id: int, payload: bytes | memoryview, *, end: bool) -> bytes:
    """DATA."""
    return frame(DATA, END_STREAM if end else 0, stream_id, payload)


def headers(stream_id: int, block: bytes, *, end: bool, max_frame: int = DEFAULT_MAX_FRAME) -> bytes:
    """HEADERS, and CONTINUATION frames where the block does not fit into one (section 6.10)."""
    end_flag = END_STREAM if end else 0
    if len(block) <= max_frame:
        return frame(HEADERS, end_flag | END_HEADERS, stream_id, block)
    pieces = [block[at : at + max_frame] for at in range(0, len(block), max_frame)]
    out = [frame(HEADERS, end_flag, stream_id, pieces[0])]
    out += [frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    out.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(out)


def parse_settings(payload: bytes) -> Iterable[tuple[int, int]]:
    """The identifiers and values of a SETTINGS payload, in order."""
    return struct.iter_unpack(">HI", payload)
