"""gRPC on top of HTTP/2: length-prefixed messages, timeouts, statuses (grpc/grpc ``doc/PROTOCOL-HTTP2.md``)."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from grpclab.http2.frames import ErrorCode
from grpclab.status import STATUS_NAMES

PREFIX_BYTES: Final = 5
MAX_MESSAGE_BYTES: Final = 128 * 1024 * 1024
"""A longer message is refused by its prefix, before any of it is kept; the factors ask for half of it at most."""

_NAMES: Final = {name: code for code, name in enumerate(STATUS_NAMES)}
_STATUS: Final = {str(code): code for code in range(len(STATUS_NAMES))}
OK, CANCELLED, UNKNOWN = _NAMES["OK"], _NAMES["CANCELLED"], _NAMES["UNKNOWN"]
DEADLINE_EXCEEDED, INTERNAL = _NAMES["DEADLINE_EXCEEDED"], _NAMES["INTERNAL"]
UNAVAILABLE, RESOURCE_EXHAUSTED = _NAMES["UNAVAILABLE"], _NAMES["RESOURCE_EXHAUSTED"]
UNIMPLEMENTED = _NAMES["UNIMPLEMENTED"]

_FROM_RESET: Final = {
    ErrorCode.REFUSED_STREAM: UNAVAILABLE,
    ErrorCode.CANCEL: CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: _NAMES["PERMISSION_DENIED"],
}
_FROM_HTTP: Final = {
    "400": INTERNAL,
    "401": _NAMES["UNAUTHENTICATED"],
    "403": _NAMES["PERMISSION_DENIED"],
    "404": UNIMPLEMENTED,
    "429": UNAVAILABLE,
    "502": UNAVAILABLE,
    "503": UNAVAILABLE,
    "504": UNAVAILABLE,
}


def status_of_reset(code: int) -> int:
    """The gRPC status of a stream that was reset with an HTTP/2 error code."""
    return _FROM_RESET.get(code, INTERNAL)  # type: ignore[call-overload, no-any-return]


def status_of_http(status: str) -> int:
    """The gRPC status that stands in for a missing one (``doc/http-grpc-status-mapping.md``)."""
    return _FROM_HTTP.get(status, UNKNOWN)


def parse_status(text: str) -> int:
    """The code of a grpc-status header; UNKNOWN where it is none that exists."""
    return _STATUS.get(text, UNKNOWN)


def decode_text(value: str) -> str:
    """A percent-encoded grpc-message. What is not valid is kept as it came."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def error_details(trailers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of `grpc-status-details-bin` in the trailers; none where it is not there, or is no base64."""
    for name, value in trailers:
        if name == "grpc-status-details-bin":
            try:
                return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
            except (binascii.Error, ValueError):
                return b""
    return b""


def encode_text(value: str) -> str:
    """A grpc-message, percent-encoded: printable ASCII but ``%`` stays."""
    return quote(value, safe="".join(chr(c) for c in range(0x20, 0x7F) if c != ord("%")))


_UNITS: Final = (("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("S", 1.0), ("M", 60.0), ("H", 3600.0))


def encode_timeout(seconds: float) -> str:
    """A grpc-timeout: at most 8 digits and the finest unit that holds them, rounded up."""
    for unit, size in _UNITS:
        ticks = -(-seconds // size) if size >= 1 else -(-round(seconds / size, 6) // 1)
        if ticks < 1e8:
            return f"{max(1, int(ticks))}{unit}"
    return "99999999H"


def decode_timeout(text: str) -> float | None:
    """The seconds of a grpc-timeout; None where it is malformed."""
    sizes = dict(_UNITS)
    digits, unit = text[:-1], text[-1:]
    if unit not in sizes or not (digits.isascii() and digits.isdigit()) or len(digits) > 8:
        return None
    return int(digits) * sizes[unit]


def prefixed(message: bytes) -> bytes:
    """A message with its prefix: not compressed, and its length."""
    return struct.pack(">BI", 0, len(message)) + message


def is_one_message(body: bytes) -> bool:
    """Whether these bytes are one message, whole and not compressed."""
    return len(body) >= PREFIX_BYTES and body[0] == 0 and int.from_bytes(body[1:5], "big") == len(body) - PREFIX_BYTES


class MessageError(Exception):
    """What came is not a sequence of gRPC messages. `status` is what the call ends with."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class MessageReader:
    """Cuts the bytes of one stream's DATA frames into messages, wherever the frames were cut.

    With `keep` the messages are handed out, else they are counted and only their prefixes are looked at, so that
    memory stays flat whatever is announced.
    """

    __slots__ = ("_keep", "_missing", "_pieces", "_prefix", "messages")

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._prefix = b""
        self._missing = -1
        self._pieces: list[bytes] = []
        self.messages: list[bytes] = []
        """Complete messages that nobody has taken yet (`keep` only)."""

    def feed(self, chunk: bytes) -> int:
        """Take the payload of a frame; returns how many messages it completed. Raises MessageError."""
        done, at, end = 0, 0, len(chunk)
        while at < end or self._missing == 0:
            if self._missing < 0:
                wanted = PREFIX_BYTES - len(self._prefix)
                self._prefix += chunk[at : at + wanted]
                at += wanted
                if len(self._prefix) < PREFIX_BYTES:
                    break
                self._missing = self._length()
            taken = min(self._missing, end - at)
            if self._keep and taken:
                self._pieces.append(chunk[at : at + taken])
            at += taken
            self._missing -= taken
            if self._missing == 0:
                done += 1
                self._prefix, self._missing = b"", -1
                if self._keep:
                    self.messages.append(b"".join(self._pieces))
                    self._pieces.clear()
        return done

    def _length(self) -> int:
        flag, length = struct.unpack(">BI", self._prefix)
        if flag == 1:
            raise MessageError("a compressed message, though no encoding was agreed on", INTERNAL)
        if flag:
            raise MessageError(f"a message whose compression flag is {flag}", INTERNAL)
        if length > MAX_MESSAGE_BYTES:
            raise MessageError(f"a message of {length:,} bytes", RESOURCE_EXHAUSTED)
        return int(length)

    @property
    def complete(self) -> bool:
        """Whether nothing of a further message has come."""
        return self._missing < 0 and not self._prefix
