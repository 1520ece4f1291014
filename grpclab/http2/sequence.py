"""The client's side where the request differs from call to call, or some answers are kept.

:class:`SequenceConnection` sends the next message of an iterator with each call. It is as
:class:`~grpclab.http2.client.ClientConnection`, which sends one request always, but for the pieces of a call: the
frame that announces a message is prepared once for each length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call
from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame_start, pack_id


class SequenceConnection(ClientConnection):
    """A client's end whose calls send the `requests` one after the other, each with its prefix.

    Each call has the next of the `headers`, a header block, behind those that all have. `watch` is called with each
    new call after its request was taken, and may let its answer be kept (:class:`~grpclab.http2.exchange.KeptAnswer`).
    With `remember` each call keeps its `request`, and one that has it already sends that one.
    """

    def __init__(
        self,
        *arguments: Any,
        requests: Iterator[bytes],
        headers: Iterator[bytes] | None = None,
        remember: bool = False,
        watch: Callable[[Any], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._requests = requests
        self._headers = headers
        self._watch_call = watch
        self._looks_at_calls = remember or watch is not None
        self._start = b""  # of the HEADERS frame, where each call's is the same
        self._middles: dict[int, bytes] = {}  # by the length of a request: the header block, and the start of its DATA
        self._size, self._middle = -1, b""  # those of the length that came last

    def start(self, call: Call) -> bool:
        """Send the next request as a new call. False, and nothing is done, where there is no :attr:`room`."""
        if len(self.calls) >= self.max_streams:
            return False
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id >= frames.MAX_STREAM_ID:
            self.drain()
        call.stream_id = stream_id
        self.calls[stream_id] = call
        message = self._take(call) if self._looks_at_calls else next(self._requests)
        size, windows = len(message), self.windows
        if (size == self._size or size in self._middles) and size <= windows.connection:
            if size != self._size:
                self._size, self._middle = size, self._middles[size]
            windows.connection -= size
            self.outgoing.append(pack_id(stream_id).join((self._start, self._middle, message)))
        else:
            self._start_sequence(call, message)
        return True

    def start_stream(self, call: Call, headers: bytes = b"") -> int:
        """Open a stream for a call whose messages are the next request: they stand in `call.request`."""
        if len(self.calls) >= self.max_streams:
            return 0
        self._take(call)
        return super().start_stream(call, headers if self._headers is None else next(self._headers) + headers)

    def _take(self, call: Call) -> bytes:
        """Take the request of a call that remembers it, or is told of."""
        if not call.request:
            call.request = next(self._requests)
            if self._watch_call is not None:
                self._watch_call(call)
        return call.request

    def _start_sequence(self, call: Call, message: bytes) -> None:
        """Send a call frame by frame; prepare the pieces of further ones of its size, where these are known."""
        request, windows, size = self._request, self.windows, len(message)
        block = request.block() if self._headers is None else request.block() + next(self._headers)
        self.outgoing.append(frames.headers(call.stream_id, block, end=False, max_frame=windows.max_frame))
        call._unsent = memoryview(message)
        self._send(call)
        steady = None if self._headers is not None else request.steady_block
        if steady is not None and size <= min(windows.max_frame, windows.stream) and len(steady) <= windows.max_frame:
            self._start = frame_start(len(steady), HEADERS, END_HEADERS)
            self._middles[size] = steady + frame_start(size, DATA, END_STREAM)

    def _on_peer_settings(self) -> None:
        self._middles.clear()
        self._size = -1
        super()._on_peer_settings()
