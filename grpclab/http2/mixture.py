"""The client's side where the method differs from call to call.

:class:`MixedConnection` makes each call as the next turn of an iterator says: which request it is, its message, and
what follows the headers that all calls of that request have. Where the client streams, the messages follow one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hpack import Encoder

from grpclab.http2 import frames, messages
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Request
from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame_start, pack_id
from grpclab.http2.headers import HUFFMAN_BYTES, HeaderList

MOST_STARTS = 4096
"""So many beginnings of requests are remembered, one for each size of a message."""


class MixedHeaders:
    """The header blocks of several requests, which share the peer's table.

    A block is the same bytes from one call to the next as long as no other block has changed the table.
    """

    def __init__(self, lists: Sequence[HeaderList]) -> None:
        self._lists = lists
        self._encoder = Encoder()
        self._huffman = all(len(value) <= HUFFMAN_BYTES for headers in lists for _, value in headers)
        different = {field for headers in lists for field in headers}
        self._table_bytes = sum(len(name) + len(value) + 32 for name, value in different)
        self._blocks: dict[int, bytes] = {}
        self.limit_table(self._encoder.header_table_size)

    def block(self, number: int) -> bytes:
        """The next block of the request of this number."""
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

    def is_steady(self, number: int) -> bool:
        """Whether all blocks are known, so that this one stays the same."""
        return len(self._blocks) == len(self._lists) and number in self._blocks

    def limit_table(self, size: int) -> None:
        """The peer's decoder keeps at most this much (its HEADER_TABLE_SIZE), in bytes; none where not all fits."""
        if self._table_bytes > size:
            size = 0
        if size < self._encoder.header_table_size:
            self._encoder.header_table_size = size
            self._blocks.clear()


class MixedConnection(ClientConnection):
    """A client's end whose calls are those of `turns`: the number of one of the `requests`, the message with its
    prefix, and a header block that follows those of the request.

    A call keeps the `request`, the `block` and the `number` of its turn; one that has a request already sends that one.
    `watch` is called with each new call after its turn was taken.
    """

    def __init__(
        self,
        request: Request,
        *,
        requests: Sequence[Request],
        turns: Iterator[tuple[int, bytes, bytes]],
        user_agent: str,
        watch: Callable[[Any], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(request, user_agent=user_agent, **options)
        self._turns = turns
        self._watch_call = watch
        self._streams = [one.server_streaming for one in requests]
        self._sends = [one.client_streaming for one in requests]
        self._blocks = MixedHeaders([one.headers(user_agent) for one in requests])
        self._starts: dict[tuple[int, int], tuple[bytes, bytes]] = {}  # by request and size: the bytes around the id

    def start(self, call: Any) -> bool:
        """Send the next turn as a new call. False, and nothing is done, where there is no :attr:`room`."""
        if len(self.calls) >= self.max_streams:
            return False
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id >= frames.MAX_STREAM_ID:
            self.drain()
        call.stream_id = stream_id
        self.calls[stream_id] = call
        if not call.request:
            call.number, call.request, call.block = next(self._turns)
            if self._watch_call is not None:
                self._watch_call(call)
        if self._sends[call.number]:
            self._open_stream(call)
            return True
        message, windows = call.request, self.windows
        size = len(message)
        start = self._starts.get((call.number, size)) if not call.block else None
        if start is not None and size <= windows.connection:
            windows.connection -= size
            self.outgoing.append(pack_id(stream_id).join((*start, message)))
        else:
            self._start_turn(call, size)
        return True

    def _open_stream(self, call: Any) -> None:
        """Send the headers of a call whose messages follow by :meth:`send_message`."""
        call._half_closed = False
        block = self._blocks.block(call.number) + call.block
        self.outgoing.append(frames.headers(call.stream_id, block, end=False, max_frame=self.windows.max_frame))

    def _start_turn(self, call: Any, size: int) -> None:
        """Send a call frame by frame; prepare the pieces of further ones like it, where these are known."""
        number, windows = call.number, self.windows
        block = self._blocks.block(number)
        own = block + call.block
        self.outgoing.append(frames.headers(call.stream_id, own, end=False, max_frame=windows.max_frame))
        call._unsent = memoryview(call.request)
        self._send(call)
        fits = size <= min(windows.max_frame, windows.stream) and len(block) <= windows.max_frame
        if fits and self._blocks.is_steady(number):
            if len(self._starts) >= MOST_STARTS:
                self._starts.clear()
            middle = block + frame_start(size, DATA, END_STREAM)
            self._starts[number, size] = (frame_start(len(block), HEADERS, END_HEADERS), middle)

    def _on_peer_settings(self) -> None:
        self._blocks.limit_table(self.peer_table)
        self._starts.clear()
        super()._on_peer_settings()

    def _end(self, call: Any, status: int, text: str) -> None:
        """As any call's end, but that each has its own number of messages."""
        if status == messages.OK and call.messages != 1 and not self._streams[call.number]:
            status, text = messages.UNIMPLEMENTED, f"{call.messages} messages in a unary answer"
        super()._end(call, status, text)
