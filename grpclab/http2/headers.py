"""Header blocks (RFC 7541), coded once and looked up afterwards.

A request's headers never change during a run: once the peer's decoder knows them, their block is the same few
bytes for every call. Blocks that come in are independent of each other as soon as the peer has acknowledged
HEADER_TABLE_SIZE 0: equal bytes then mean equal headers, and a dictionary is the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from hpack import Decoder, Encoder, HPACKError
from hpack.exceptions import OversizedHeaderListError

from grpclab.http2.frames import MAX_LIST_BYTES

HeaderList = list[tuple[str, str]]
Parsed = TypeVar("Parsed")

CACHED_BLOCKS: Final = 512
CACHED_BLOCK_BYTES: Final = 2_048
CACHED_BYTES: Final = 256 * 1024
"""So much memory, by :func:`memory_of`, the blocks that are remembered take at most."""
HEADER_BYTES: Final = 160
"""Memory that one decoded header takes besides its characters."""
HUFFMAN_BYTES: Final = 1_024
"""Longer values are sent as they are: the time that `hpack` takes to code one grows with the square of its length."""
LONG: Final = 127
"""Lengths from here on take more than one byte in a block (RFC 7541, 5.1)."""
RESIDENCE_HEADER: Final = "grpclab-residence-ns"
"""The reference server's last trailer: how long the call was inside it. No two are alike, so it is looked at apart."""


class HeaderError(Exception):
    """A header block that cannot be decoded."""


class HeaderListError(HeaderError):
    """A header list of more than MAX_LIST_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"a header list of more than {MAX_LIST_BYTES:,} bytes")


def literal_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Headers as a block that no table remembers, to follow another one (RFC 7541, 6.2.2, plain octets)."""
    block = bytearray()
    for field in fields:
        block.append(0)
        for text in field:
            content = text.encode("ascii")
            length = len(content)
            if length < 127:
                block.append(length)
            else:
                block.append(127)
                length -= 127
                while length > 127:
                    block.append(length & 127 | 128)
                    length >>= 7
                block.append(length)
            block += content
    return bytes(block)


def residence_s(trailers: HeaderList) -> float:
    """The seconds inside the server from the reference server's trailers; NaN from any other server."""
    for name, value in reversed(trailers):  # there it is the last
        if name == RESIDENCE_HEADER and value.isascii() and value.isdigit() and len(value) < 20:
            return int(value) * 1e-9
    return math.nan


class RequestHeaders:
    """The header blocks of requests: of one list of headers for all calls, or of several lists that share the table.

    :meth:`block` is called once for each call; the first calls may teach the peer's table. A block is the same bytes
    from one call to the next as long as no other block changes the table.
    """

    def __init__(self, *lists: Iterable[tuple[str, str]]) -> None:
        self._lists = [list(headers) for headers in lists]
        different = {field for headers in self._lists for field in headers}
        self._encoder = Encoder()
        self._huffman = all(len(value) <= HUFFMAN_BYTES for _, value in different)
        self._table_bytes = sum(len(name) + len(value) + 32 for name, value in different)
        self._blocks: dict[int, bytes] = {}  # by number: those that left the table as they found it
        self.limit_table(self._encoder.header_table_size)

    def block(self, number: int = 0) -> bytes:
        """The next block of the list of this number."""
        if (known := self._blocks.get(number)) is not None:
            return known
        table = self._encoder.header_table
        told_size, before = table.resized, list(table.dynamic_entries)
        block = bytes(self._encoder.encode(self._lists[number], huffman=self._huffman))
        if told_size or list(table.dynamic_entries) != before:
            self._blocks.clear()
        else:
            self._blocks[number] = block
        return block

    def steady(self, number: int = 0) -> bytes | None:
        """The block of this number that all further calls have; None until no block changes the table any more."""
        return self._blocks.get(number) if len(self._blocks) == len(self._lists) else None

    def limit_table(self, size: int) -> None:
        """The peer's decoder keeps at most this much (its HEADER_TABLE_SIZE), in bytes.

        Headers that do not fit into it together would push each other out: then none is kept.
        """
        if self._table_bytes > size:
            size = 0
        if size < self._encoder.header_table_size:
            self._encoder.header_table_size = size
            self._blocks.clear()


class BlockDecoder(Generic[Parsed]):
    """Header blocks to whatever `parse` makes of their headers."""

    def __init__(self, parse: Callable[[HeaderList], Parsed]) -> None:
        self._parse = parse
        self._decoder = Decoder(max_header_list_size=MAX_LIST_BYTES)
        self.known: dict[bytes, Parsed] = {}
        """Blocks seen before; empty until the peer's blocks are independent of each other."""
        self.is_independent = False
        """Whether equal blocks mean equal headers."""
        self.cached_bytes = 0
        """Memory that the blocks seen before take, about."""
        self._heads: dict[bytes, HeaderList] = {}  # what stands before RESIDENCE_HEADER

    def independent(self) -> None:
        """The peer has acknowledged HEADER_TABLE_SIZE 0: from now on blocks may be looked up."""
        self._decoder.max_allowed_table_size = 0
        # The peer's next block has to say so. The calls that C-core rejects when it is overloaded are answered with
        # a block made by hand, which does not: its table is taken for empty all the same.
        self._decoder.header_table_size = 0
        self.is_independent = True

    def decode(self, block: bytes) -> Parsed:
        """The meaning of a block. Raises HeaderError."""
        meaning = self.known.get(block)
        if meaning is not None:
            return meaning
        head, value = _cut_residence(block)
        if value and (before := self._heads.get(head)) is not None:
            return self._parse([*before, (RESIDENCE_HEADER, value)])
        headers = self._headers(block)
        parsed = self._parse(headers)
        if self.is_independent and self._decoder.header_table_size == 0 and len(block) <= CACHED_BLOCK_BYTES:
            size = len(block) + memory_of(headers)
            if value and headers[-1] == (RESIDENCE_HEADER, value):
                self._remember(self._heads, head, headers[:-1], size)
            else:
                self._remember(self.known, block, parsed, size)
        return parsed

    def varying(self, block: bytes, headers: HeaderList) -> int:
        """How many bytes at the end of a block, which has these headers, may be others: the value of the last header.

        They may also be more or fewer, fewer than LONG, after a byte that says how many. 0 where the header has a
        meaning, where its value is coded or empty, and where either is long.
        """
        name, value = headers[-1]
        size = len(value)
        if not 0 < size < LONG or len(block) > CACHED_BLOCK_BYTES or _has_a_meaning(name):
            return 0
        blank = bytes(size)  # no Huffman code
        try:
            same = self._headers(block[:-size] + blank) == [*headers[:-1], (name, _text(blank))]
        except HeaderError:
            return 0
        return size if same else 0

    def _remember(self, known: dict[bytes, Any], block: bytes, meaning: Any, size: int) -> None:
        if size > CACHED_BYTES // 16:
            return
        if len(known) >= CACHED_BLOCKS or self.cached_bytes + size > CACHED_BYTES:
            self.forget()
        known[block] = meaning
        self.cached_bytes += size

    def forget(self) -> None:
        """Decode every block anew."""
        self.known.clear()
        self._heads.clear()
        self.cached_bytes = 0

    def _headers(self, block: bytes) -> HeaderList:
        try:
            return [(_text(n), _text(v)) for n, v in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise HeaderListError from None
        except (HPACKError, ValueError, IndexError) as error:
            # Its kind only: hpack's own words quote the block, at any length, or an address in memory.
            raise HeaderError(f"a header block that cannot be decoded: {type(error).__name__}") from None


def _text(value: bytes) -> str:
    return bytes(value).decode("latin-1")


def _has_a_meaning(name: str) -> bool:
    """True for a header of a protocol, or one whose value has rules."""
    return name.startswith((":", "grpc-")) or name.endswith("-bin") or name in ("te", "content-type")


def memory_of(headers: HeaderList) -> int:
    """About how many bytes of memory a decoded list takes."""
    return sum(len(name) + len(value) + HEADER_BYTES for name, value in headers)


def literal(name: str, value: str) -> bytes:
    """One header as a literal without indexing: it teaches the peer's table nothing, so its bytes never change."""
    return _literal_name(name) + _string(value.encode("ascii"))


def _literal_name(name: str) -> bytes:
    return b"\x00" + _string(name.encode("ascii"))


def _string(text: bytes) -> bytes:
    """A string without Huffman coding, after its length (RFC 7541, 5.1 and 5.2)."""
    length = len(text)
    if length < 127:
        return bytes((length,)) + text
    out, length = bytearray((127,)), length - 127
    while length >= 128:
        out.append(length % 128 + 128)
        length //= 128
    out.append(length)
    return bytes(out) + text


_RESIDENCE: Final = _literal_name(RESIDENCE_HEADER)


def _cut_residence(block: bytes) -> tuple[bytes, str]:
    """A block that ends with RESIDENCE_HEADER as a plain literal: what stands before it, and its value; else ''."""
    head, separator, value = block.rpartition(_RESIDENCE)
    if separator and value and value[0] == len(value) - 1 < 127:
        return head, _text(value[1:])
    return head, ""
