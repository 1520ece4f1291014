"""The calls of a connection, read from the bytes that pass in both directions, without taking part in it. Pure.

Bytes that are no HTTP/2 leave it without a result, and with its reason, never with an error. Frames: RFC 9113, section
6; header blocks: RFC 7541; messages: grpc/grpc ``doc/PROTOCOL-HTTP2.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from hpack import Decoder, HPACKError

from grpclab.http2 import frames, messages
from grpclab.http2.exchange import GRPC
from grpclab.http2.frames import END_HEADERS, END_STREAM, MAX_LIST_BYTES, PADDED, PRIORITISED
from grpclab.http2.headers import HeaderList
from grpclab.http2.messages import MAX_MESSAGE_BYTES, PREFIX_BYTES, MessageError

MAX_TABLE_BYTES: Final = 1 << 20
"""The largest table for header blocks that a peer may have agreed on."""


@dataclass(kw_only=True)
class PassedCall:
    """A gRPC call that has passed. Moments are those of the reader's clock."""

    path: str
    """``/package.Service/Method``."""
    metadata: HeaderList
    """All headers of the request but the pseudo-headers, as they were on the wire."""
    began_at: float
    """The moment at which its headers came."""
    messages: list[bytes] = field(default_factory=list)
    """The messages of the request, decompressed."""
    answers: int = 0
    """The number of messages in the answer."""
    status: int | None = None
    """Its gRPC status; None where it has not ended, or where it is not known how."""
    ended_at: float = math.nan
    fault: str = ""
    """Why its messages are not all there; empty where they are."""


class _Messages:
    """Cuts the DATA of one direction of a call into messages; those of answers are only counted."""

    def __init__(self, *, keep: bool, encoding: str = "") -> None:
        self._keep, self._encoding = keep, encoding
        self._held = bytearray()
        self._missing = 0

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Yield the messages that are complete now; empty ones where they are not kept. Raises MessageError."""
        if not self._keep and self._missing > len(content):
            self._missing -= len(content)
            return
        held = self._held
        held += content[self._missing :]
        self._missing = 0
        while len(held) >= PREFIX_BYTES:
            length = int.from_bytes(held[1:PREFIX_BYTES], "big")
            end = PREFIX_BYTES + length
            if self._keep and length > MAX_MESSAGE_BYTES:
                raise MessageError(f"a message of {length:,} bytes", messages.RESOURCE_EXHAUSTED)
            if self._keep and len(held) < end:
                return
            self._missing = max(0, end - len(held))
            yield self._plain(held[0], bytes(held[PREFIX_BYTES:end])) if self._keep else b""
            del held[:end]

    def _plain(self, flag: int, message: bytes) -> bytes:
        if not flag:
            return message
        if self._encoding not in messages.ENCODINGS:
            raise MessageError(f"a message in the encoding {self._encoding[:40]!r}", messages.UNIMPLEMENTED)
        return messages.decompressed(message, self._encoding)


class _Stream:
    """One call under way."""

    def __init__(self, call: PassedCall, encoding: str) -> None:
        self.call = call
        self.up = _Messages(keep=True, encoding=encoding)
        self.down = _Messages(keep=False)


class CallReader:
    """Reads the calls of one connection. `note` is given each of them when it has ended, or the connection has.

    Feed :attr:`up` with the client's bytes as they come, :attr:`down` with the server's.
    """

    def __init__(self, note: Callable[[PassedCall], None], clock: Callable[[], float]) -> None:
        self.fault = ""
        """The reason why nothing more is read; empty while there is none."""
        self.over = False
        """Whether the connection is over."""
        self.up = _Direction(self, self._request_headers, self._request_data)
        self.down = _Direction(self, self._answer_headers, self._answer_data)
        self._note, self._clock = note, clock
        self._streams: dict[int, _Stream] = {}

    @property
    def open(self) -> int:
        """The number of calls under way."""
        return len(self._streams)

    def end(self) -> None:
        """Note the calls that are under way: the connection is over, or nobody reads on."""
        self.over = True
        for stream_id in list(self._streams):
            self._finish(stream_id)

    def _request_headers(self, stream_id: int, headers: HeaderList, *, end: bool) -> None:
        fields = dict(headers)
        if stream_id in self._streams or not fields.get("content-type", "").startswith(GRPC):
            return  # trailers of a request, or no gRPC
        metadata = [pair for pair in headers if not pair[0].startswith(":")]
        call = PassedCall(path=fields.get(":path", ""), metadata=metadata, began_at=self._clock())
        self._streams[stream_id] = _Stream(call, fields.get("grpc-encoding", ""))

    def _request_data(self, stream_id: int, content: bytes, *, end: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream.call.fault:
            return
        try:
            stream.call.messages += stream.up.feed(content)
        except MessageError as error:
            stream.call.fault = str(error)

    def _answer_headers(self, stream_id: int, headers: HeaderList, *, end: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        fields = dict(headers)
        if "grpc-status" in fields:
            stream.call.status = messages.parse_status(fields["grpc-status"])
        elif end and ":status" in fields:
            stream.call.status = messages.status_of_http(fields[":status"])
        if end:
            self._finish(stream_id)

    def _answer_data(self, stream_id: int, content: bytes, *, end: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.call.answers += sum(1 for _ in stream.down.feed(content))
            if end:
                self._finish(stream_id)

    def reset(self, stream_id: int, code: int) -> None:
        """Note the end of a stream by RST_STREAM, from either side."""
        if stream_id in self._streams:
            self._streams[stream_id].call.status = messages.status_of_reset(code)
            self._finish(stream_id)

    def _finish(self, stream_id: int) -> None:
        call = self._streams.pop(stream_id).call
        call.ended_at = self._clock()
        self._note(call)


OnHeaders = Callable[..., None]
"""Takes the stream, its headers, and whether they end it."""


class _Direction:
    """One direction of a connection: cut into frames, whose headers and data go to the reader."""

    def __init__(self, reader: CallReader, on_headers: OnHeaders, on_data: OnHeaders) -> None:
        self._reader, self._on_headers, self._on_data = reader, on_headers, on_data
        self._decoder = Decoder(max_header_list_size=MAX_LIST_BYTES)
        self._decoder.max_allowed_table_size = MAX_TABLE_BYTES
        self._buffer = bytearray()
        self._begun = False
        self._block: bytearray | None = None  # of headers in several frames
        self._ends = False

    def end(self) -> None:
        """The connection is over."""
        self._reader.end()

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if self._reader.fault:
            return
        self._buffer += data
        try:
            self._read()
        except (HPACKError, ValueError, IndexError) as error:
            self._stop(f"it cannot be read: {type(error).__name__}")

    def _stop(self, reason: str) -> None:
        """Read nothing more; what was under way is noted as it is."""
        self._reader.fault = reason
        self._buffer.clear()
        self._reader.end()

    def _read(self) -> None:
        buffer = self._buffer
        if not self._begun:
            if len(buffer) < 4 or (len(buffer) < len(frames.PREFACE) and frames.PREFACE.startswith(buffer)):
                return
            if buffer.startswith(frames.PREFACE):
                del buffer[: len(frames.PREFACE)]
            elif buffer[3] != frames.SETTINGS:  # a server begins with it (RFC 9113, 3.4)
                self._stop("it is not plain-text HTTP/2 but TLS or another protocol")
                return
            self._begun = True
        at = 0
        while at + frames.HEADER_BYTES <= len(buffer):
            high, low, kind, flags, stream_id = frames.unpack_header(buffer, at)
            end = at + frames.HEADER_BYTES + (high << 8 | low)
            if end > len(buffer):
                break
            self._take(kind, flags, stream_id & 0x7FFFFFFF, bytes(buffer[at + frames.HEADER_BYTES : end]))
            at = end
        del buffer[:at]

    def _take(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if kind == frames.DATA:
            self._on_data(stream_id, _unpadded(flags, body), end=bool(flags & END_STREAM))
        elif kind == frames.HEADERS:
            content = _unpadded(flags, body)
            self._block = bytearray(content[5:] if flags & PRIORITISED else content)
            self._ends = bool(flags & END_STREAM)
        elif kind == frames.CONTINUATION and self._block is not None:
            self._block += body
        elif kind == frames.RST_STREAM and len(body) == 4:
            self._reader.reset(stream_id, int.from_bytes(body, "big"))
        elif kind == frames.PUSH_PROMISE:
            raise ValueError("PUSH_PROMISE, which gRPC does not use")
        if kind in (frames.HEADERS, frames.CONTINUATION) and flags & END_HEADERS and self._block is not None:
            block, self._block = bytes(self._block), None
            raw = self._decoder.decode(block, raw=True)
            headers = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in raw]
            self._on_headers(stream_id, headers, end=self._ends)


def _unpadded(flags: int, body: bytes) -> bytes:
    return body[1 : len(body) - body[0]] if flags & PADDED and body else body
