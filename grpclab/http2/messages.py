"""gRPC on top of HTTP/2: length-prefixed messages, timeouts, statuses (grpc/grpc ``doc/PROTOCOL-HTTP2.md``)."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from grpclab.http2.frames import ErrorCode
from grpclab.status import STATUS_NAMES

PREFIX_BYTES: Final = 5
MAX_MESSAGE_BYTES: Final = 128 * 1024 * 1024
"""A longer message is refused by its prefix where messages are kept; the factors ask for half of it at most."""
UNLIMITED_BYTES: Final = 2**32 - 1
"""The longest message that a prefix can announce."""
ENCODINGS: Final = {"deflate": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
"""Message encodings that a client of ours accepts, with the format that zlib knows each by."""
INFLATED_BYTES: Final = 64 * 1024
"""So much of a compressed message is in memory at a time."""
ACCEPTED_ENCODINGS: Final = ", ".join(("identity", *ENCODINGS))
"""The grpc-accept-encoding that C-core sends: a compressing server then sends both engines the same."""

_NAMES: Final = {name: code for code, name in enumerate(STATUS_NAMES)}
_LAST: Final = len(STATUS_NAMES) - 1
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
    """The code of a grpc-status header, which is ``1*DIGIT``; UNKNOWN where it is none that exists.

    ``doc/statuscodes.md``: "Error parsing returned status" is UNKNOWN.
    """
    if not (text.isascii() and text.isdigit()):
        return UNKNOWN
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) <= 2 and int(digits or "0") <= _LAST else UNKNOWN


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


_UNRESERVED: Final = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))


def encode_text(value: str) -> str:
    """A grpc-message, percent-encoded: printable ASCII but ``%`` stays, and no space at either end.

    A header's value may not begin or end with a space (RFC 9113, 8.2.1).
    """
    encoded = quote(value, safe=_UNRESERVED)
    middle = encoded.strip(" ")
    before = len(encoded) - len(encoded.lstrip(" "))
    return "%20" * before + middle + "%20" * (len(encoded) - before - len(middle))


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


def prefixed(message: bytes, encoding: str = "") -> bytes:
    """A message with its prefix: whether it is compressed, and its length.

    With an `encoding` it is compressed where that makes it shorter, as C-core does.
    """
    if encoding and len(packed := compressed(message, encoding)) < len(message):
        return struct.pack(">BI", 1, len(packed)) + packed
    return struct.pack(">BI", 0, len(message)) + message


def compressed(message: bytes, encoding: str) -> bytes:
    """A message, compressed."""
    packer = zlib.compressobj(wbits=ENCODINGS[encoding])
    return packer.compress(message) + packer.flush()


def unframed(content: bytes) -> tuple[bytes, ...]:
    """The messages of a sequence in which each has its prefix, as :func:`prefixed` makes it."""
    found, at = [], 0
    while at < len(content):
        begin = at + PREFIX_BYTES
        at = begin + int.from_bytes(content[at + 1 : begin], "big")
        found.append(content[begin:at])
    return tuple(found)


def is_one_message(body: bytes) -> bool:
    """True if these bytes are one message, and whole."""
    return len(body) >= PREFIX_BYTES and int.from_bytes(body[1:5], "big") == len(body) - PREFIX_BYTES


class MessageError(Exception):
    """Bytes that are no sequence of gRPC messages. `status` is what the call ends with."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Inflation:
    """A check that a message is compressed as it claims; what is in it is thrown away."""

    __slots__ = ("_encoding", "_zlib")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._zlib = zlib.decompressobj(ENCODINGS[encoding])

    def feed(self, piece: bytes) -> None:
        """The next bytes of the message. Raises MessageError."""
        try:
            while piece:
                self._zlib.decompress(piece, INFLATED_BYTES)
                piece = self._zlib.unconsumed_tail
        except zlib.error:
            raise self._error() from None

    def finish(self) -> None:
        """The message is over. Raises MessageError."""
        if not self._zlib.eof or self._zlib.unused_data:
            raise self._error()

    def _error(self) -> MessageError:
        return MessageError(f"a message that cannot be decompressed: it is not valid {self._encoding}", INTERNAL)


def decompressed(message: bytes, encoding: str) -> bytes:
    """A compressed message, at most MAX_MESSAGE_BYTES of it. Raises MessageError."""
    try:
        return zlib.decompressobj(ENCODINGS[encoding]).decompress(message, MAX_MESSAGE_BYTES)
    except zlib.error:
        raise MessageError(f"a message that cannot be decompressed: it is not valid {encoding}", INTERNAL) from None


class MessageReader:
    """Cuts the bytes of one stream's DATA frames into messages, wherever the frames were cut.

    With `keep` the messages are handed out, else they are counted and only their prefixes are looked at, so that
    memory stays flat whatever is announced. `encoding` is the one that was agreed on: messages may then be compressed,
    which is verified; they are handed out as they came. A message longer than `most` bytes is refused by its prefix.
    """

    __slots__ = (
        "_encoding",
        "_inflation",
        "_keep",
        "_missing",
        "_most",
        "_part",
        "_prefix",
        "compressed",
        "messages",
    )

    def __init__(self, *, keep: bool, encoding: str = "", most: int = MAX_MESSAGE_BYTES) -> None:
        self._keep = keep
        self._encoding = encoding
        self._most = most
        self._inflation: Inflation | None = None
        self.compressed = False
        """Whether any message so far was compressed."""
        self._prefix = b""
        self._missing = -1
        self._part = bytearray()
        self.messages: list[bytes] = []
        """Complete messages that nobody has taken yet (`keep` only)."""

    def feed(self, chunk: bytes) -> int:
        """Take the payload of a frame; returns how many messages it completed. Raises MessageError."""
        done, at, end = 0, 0, len(chunk)
        while at < end or self._missing == 0:
            if self._missing < 0:
                needed = PREFIX_BYTES - len(self._prefix)
                self._prefix += chunk[at : at + needed]
                at += needed
                if len(self._prefix) < PREFIX_BYTES:
                    break
                self._missing = self._length()
            taken = min(self._missing, end - at)
            if self._keep and taken:
                self._part += chunk[at : at + taken]
            if self._inflation is not None:
                self._inflation.feed(chunk[at : at + taken])
            at += taken
            self._missing -= taken
            if self._missing == 0:
                done += 1
                self._prefix, self._missing = b"", -1
                if self._inflation is not None:
                    self._inflation.finish()
                    self._inflation = None
                if self._keep:
                    self.messages.append(bytes(self._part))
                    self._part = bytearray()
        return done

    def _length(self) -> int:
        flag, length = struct.unpack(">BI", self._prefix)
        if flag == 1 and self._encoding:
            self.compressed = True
            self._inflation = Inflation(self._encoding) if length else None
        elif flag == 1:
            raise MessageError("a compressed message, though no encoding was agreed on", INTERNAL)
        elif flag:
            raise MessageError(f"a message whose compression flag is {flag}", INTERNAL)
        if length > self._most:
            text = f"a message of {length:,} bytes, which is more than the limit of {self._most:,}"
            raise MessageError(text, RESOURCE_EXHAUSTED)
        return int(length)

    @property
    def held(self) -> int:
        """Bytes that are kept of a message which is not complete."""
        return len(self._part)

    @property
    def complete(self) -> bool:
        """True unless a part of a further message has come."""
        return self._missing < 0 and not self._prefix
