"""The header blocks that a peer sends: put together from their frames, then looked up or decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple

from grpclab.http2 import frames
from grpclab.http2.control import check_dependency, unpadded
from grpclab.http2.frames import MAX_LIST_BYTES, ErrorCode
from grpclab.http2.headers import BlockDecoder, HeaderList, Parsed
from grpclab.http2.protocol_errors import ProtocolError

MAX_BLOCK_BYTES: Final = 4 * MAX_LIST_BYTES
"""Longest header block over all its CONTINUATION frames: Huffman coding makes a list up to four times as long."""
MAX_FRAGMENTS: Final = 1_000
"""Most pieces of one header block; those beyond MAX_BLOCK_BYTES are not kept."""


class WholeBlock(NamedTuple):
    """A header block that came in several frames."""

    flags: int
    """Those of a frame that has the whole of it."""
    stream_id: int
    content: bytes
    too_long: bool
    """It has more than MAX_BLOCK_BYTES, and was not kept."""


class HeaderBlocks(Generic[Parsed]):
    """The header blocks of a connection's peer, and whatever `parse` makes of their headers."""

    def __init__(self, parse: Callable[[HeaderList], Parsed]) -> None:
        self.decoder = BlockDecoder(parse)
        self.known = self.decoder.known
        """Blocks seen before, with their meaning: what is in here needs no decoding."""
        self.fragments: list[bytes] = []
        """The pieces of a block that is not complete."""
        self._fragments_bytes = 0
        self._flags = self._stream_id = 0

    @property
    def held(self) -> int:
        """About how many bytes of memory all this takes."""
        return self._fragments_bytes + self.decoder.cached_bytes

    def read(self, flags: int, stream_id: int, body: bytes) -> Parsed:
        """The meaning of the block of a frame that has the whole of it. Raises ProtocolError, HeaderError."""
        return self.decoder.decode(_block(flags, stream_id, body))

    def begin(self, flags: int, stream_id: int, body: bytes) -> None:
        """Take a HEADERS frame that has the beginning of a block. Raises ProtocolError."""
        block = _block(flags, stream_id, body)
        self.fragments, self._fragments_bytes = [block], len(block)
        self._flags, self._stream_id = flags & frames.END_STREAM, stream_id

    def go_on(self, stream_id: int, body: bytes) -> None:
        """Take a CONTINUATION frame. Raises ProtocolError."""
        if stream_id != self._stream_id:
            text = f"CONTINUATION on stream {stream_id}, inside a header block of stream {self._stream_id}"
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, text, stream_id)
        self._fragments_bytes += len(body)
        self.fragments.append(body if self._fragments_bytes <= MAX_BLOCK_BYTES else b"")
        if len(self.fragments) > MAX_FRAGMENTS:
            text = f"a header block in more than {MAX_FRAGMENTS:,} pieces"
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, text, stream_id)

    def end(self) -> WholeBlock:
        """The block whose last frame has come."""
        content, too_long = b"".join(self.fragments), self._fragments_bytes > MAX_BLOCK_BYTES
        self.drop()
        return WholeBlock(self._flags | frames.END_HEADERS, self._stream_id, content, too_long)

    def drop(self) -> None:
        """Forget a block that is not complete."""
        self.fragments, self._fragments_bytes = [], 0


def _block(flags: int, stream_id: int, body: bytes) -> bytes:
    """The block, or the beginning of it, in a HEADERS frame. Raises ProtocolError."""
    if stream_id == 0:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
    body = unpadded(flags, stream_id, body)
    if flags & frames.PRIORITISED:
        if len(body) < 5:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority", stream_id)
        check_dependency(stream_id, body)
        body = body[5:]
    return body
