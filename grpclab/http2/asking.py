"""The client's half that speaks: requests, within the server's windows.

:meth:`Asking.start` is on the hot path: three prepared pieces of bytes, joined by the stream id.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.connection import Connection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.frames import END_HEADERS, END_STREAM, MAX_LIST_BYTES, ErrorCode, Setting, pack_id
from grpclab.http2.headers import RequestHeaders

UNLIMITED: Final = frames.MAX_STREAM_ID
LAST_STREAM_ID: Final = frames.MAX_STREAM_ID
"""Odd, so a client's. After it a connection takes no further call."""


class Asking(Connection):
    """What a client can say. How calls end is the subclass's matter."""

    def __init__(
        self,
        request: Request,
        *,
        stream_window: int,
        connection_window: int,
        user_agent: str,
        first_stream_id: int,
    ) -> None:
        super().__init__(
            stream_window=stream_window,
            connection_window=connection_window,
            settings={Setting.ENABLE_PUSH: 0, Setting.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES},
        )
        self.outgoing.insert(0, frames.PREFACE)
        self.calls: dict[int, Call] = {}
        """Open calls by stream id, oldest first."""
        self.max_streams = UNLIMITED
        """Calls that may be open at once: what the peer says, 0 once no further one may be started."""
        self._client_streaming = request.client_streaming
        self._request = RequestHeaders(request.headers(user_agent))
        self._message = messages.prefixed(request.payload)
        self._size = len(self._message)
        self._next_id = first_stream_id
        self._waiting: deque[Call] = deque()  # for the connection's window
        self._pieces: tuple[bytes, bytes, bytes] | None = None

    @property
    def room(self) -> int:
        """How many calls may be started now; negative where the peer has lowered its limit."""
        return self.max_streams - len(self.calls)

    def start(self, call: Call) -> bool:
        """Send the request as a new call. False, and nothing is done, where there is no :attr:`room`."""
        if len(self.calls) >= self.max_streams:
            return False
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id >= LAST_STREAM_ID:
            self.drain()
        call.stream_id = stream_id
        self.calls[stream_id] = call
        if self._pieces is not None and self._size <= self.send_window:
            self.send_window -= self._size
            self.outgoing.append(pack_id(stream_id).join(self._pieces))
        else:
            self._start_slowly(call)
        return True

    def _start_slowly(self, call: Call) -> None:
        """The first calls, large ones, those that must wait for the peer's window, and those that go on."""
        block = self._request.block()
        self.outgoing.append(frames.headers(call.stream_id, block, end=False, max_frame=self.peer_max_frame))
        call._unsent = memoryview(self._message)
        call._half_closed = not self._client_streaming
        self._send(call)
        self._prepare()

    def _prepare(self) -> None:
        """Cut the prepared pieces, where every further request will look the same and fits into a frame."""
        block = self._request.steady
        fits = self._size <= min(self.peer_max_frame, self.peer_window)
        if block is None or not fits or len(block) > self.peer_max_frame or self._client_streaming:
            self._pieces = None
            return
        middle = block + frames.frame_start(self._size, frames.DATA, END_STREAM)
        self._pieces = (frames.frame_start(len(block), frames.HEADERS, END_HEADERS), middle, self._message)

    def send(self, call: Call, message: bytes, *, end: bool) -> None:
        """Send a further message of a call whose request goes on (`Request.client_streaming`)."""
        if call.stream_id in self.calls:
            call._unsent = memoryview(bytes(call._unsent) + messages.prefixed(message))
            call._half_closed = end
            self._send(call)

    def _send(self, call: Call) -> None:
        """Send what the windows allow of a request; the rest waits for whichever is used up."""
        unsent = call._unsent
        while unsent:
            allowed = min(self.send_window, self.peer_window + call._granted - call._sent, self.peer_max_frame)
            if allowed <= 0:
                break
            piece, unsent = unsent[:allowed], unsent[allowed:]
            self.outgoing.append(frames.data(call.stream_id, piece, end=call._half_closed and not unsent))
            self._idle_frames = 0
            self.send_window -= len(piece)
            call._sent += len(piece)
        call._unsent = unsent
        if unsent and self.send_window <= 0 and not call._queued:
            call._queued = True
            self._waiting.append(call)

    def _window_opened(self) -> None:
        """The connection's window: to those that wait for it, in turn."""
        while self._waiting and self.send_window > 0:
            call = self._waiting.popleft()
            call._queued = False
            if call.stream_id in self.calls:
                self._send(call)

    def cancel(self, call: Call, status: int, text: str = "") -> None:
        """Give a call up: RST_STREAM, and its status. What still comes for it is thrown away."""
        if self.calls.pop(call.stream_id, None) is not None:
            self.outgoing.append(frames.rst_stream(call.stream_id, ErrorCode.CANCEL))
            call.status, call.text = status, text
            self._idle_frames = 0  # its answer may be under way

    def drain(self) -> None:
        """Start no further call."""
        self.draining = True
        self.max_streams = 0

    def _on_peer_settings(self) -> None:
        if not self.draining:
            self.max_streams = self.peer.get(Setting.MAX_CONCURRENT_STREAMS, UNLIMITED)
        self._request.limit_table(self.peer_table)
        self._prepare()
        for call in list(self.calls.values()):  # windows of streams have moved with the initial one
            self._send(call)
