"""The requests of a client's connection as bytes, and their way out: one for all calls, or the next of a sequence.

Both kinds of :class:`Requests` prepare what they can: a request is three pieces of bytes, joined by the stream id. They
send those of many calls in one go, as far as they are prepared and the connection's window has room for them; the
:class:`RequestSender` sends the others frame by frame, and streams of several messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from grpclab.http2 import frames, messages
from grpclab.http2.exchange import Call, Request
from grpclab.http2.flow_control import ALL, Flow, SendQueue, SendWindows
from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame_start, pack_id
from grpclab.http2.headers import RequestHeaders
from grpclab.http2.protocol_errors import FloodCounter


class Requests(Protocol):
    """The requests of one connection."""

    @property
    def watched(self) -> bool:
        """Whether someone is told of each call, and may let its answer be kept."""

    def send(self, calls: Sequence[Call], windows: SendWindows, outgoing: list[bytes]) -> int:
        """Send the requests of these calls, which have their stream ids. Returns how many of them, from the first, were
        sent: no more than are prepared and fit into the connection's window.
        """

    def block(self) -> bytes:
        """The header block of the next call that is sent frame by frame."""

    def take(self, call: Call) -> bytes:
        """The message of such a call, with its prefix; its `request` from now on, where requests differ."""

    def prepare(self, size: int, windows: SendWindows) -> None:
        """Prepare what further calls with messages of this size send, where that is known and fits into the windows."""

    def on_settings(self, header_table: int, windows: SendWindows) -> None:
        """The peer's settings have come: its header table is so large, and its windows may be other ones."""


class SameRequest:
    """One request for all calls: the bytes are the same but for the stream id."""

    __slots__ = ("_headers", "_message", "_pieces")
    watched = False

    def __init__(self, request: Request, user_agent: str) -> None:
        self._headers = RequestHeaders(request.headers(user_agent))
        self._message = messages.prefixed(request.payload, request.encoding)
        self._pieces: tuple[bytes, bytes, bytes] | None = None  # None where a call has to be sent frame by frame

    def send(self, calls: Sequence[Call], windows: SendWindows, outgoing: list[bytes]) -> int:
        """See :class:`Requests`."""
        pieces = self._pieces
        if pieces is None:
            return 0
        count, size = len(calls), len(self._message)
        if size * count > windows.connection:
            count = max(0, windows.connection // size)
            calls = calls[:count]
        windows.connection -= size * count
        for call in calls:
            outgoing.append(pack_id(call.stream_id).join(pieces))
        return count

    def block(self) -> bytes:
        """See :class:`Requests`."""
        return self._headers.block()

    def take(self, call: Call) -> bytes:
        """See :class:`Requests`."""
        return self._message

    def prepare(self, size: int, windows: SendWindows) -> None:
        """See :class:`Requests`."""
        pieces = request_pieces(self._headers.steady(), size, windows)
        self._pieces = None if pieces is None else (*pieces, self._message)

    def on_settings(self, header_table: int, windows: SendWindows) -> None:
        """See :class:`Requests`."""
        self._headers.limit_table(header_table)
        self.prepare(len(self._message), windows)


class RequestSequence:
    """The `requests` one after the other, each with its prefix.

    Each call has the next of the `headers`, a header block, behind those that all have. `watch` is called with each
    new call after its request was taken, and may let its answer be kept (:class:`~grpclab.http2.exchange.KeptAnswer`).
    With `remember` each call keeps its `request`, and one that has it already sends that one.
    """

    def __init__(
        self,
        request: Request,
        user_agent: str,
        *,
        requests: Iterator[bytes],
        headers: Iterator[bytes] | None = None,
        remember: bool = False,
        watch: Callable[[Any], None] | None = None,
    ) -> None:
        self._shared = RequestHeaders(request.headers(user_agent))
        self._requests, self._further = requests, headers
        self._watch, self.watched = watch, watch is not None
        self._looks_at_calls = remember or watch is not None
        self._start = b""  # of the HEADERS frame, where each call's is the same
        self._middles: dict[int, bytes] = {}  # by the length of a request: the header block, and the start of its DATA

    def send(self, calls: Sequence[Call], windows: SendWindows, outgoing: list[bytes]) -> int:
        """See :class:`Requests`."""
        middles = self._middles
        if not middles:
            return 0
        start, requests, looks = self._start, self._requests, self._looks_at_calls
        for number, call in enumerate(calls):
            message = self.take(call) if looks else next(requests)
            size = len(message)
            middle = middles.get(size)
            if middle is None or size > windows.connection:
                call.request = message
                return number
            windows.connection -= size
            outgoing.append(pack_id(call.stream_id).join((start, middle, message)))
        return len(calls)

    def take(self, call: Call) -> bytes:
        """See :class:`Requests`."""
        if not call.request:
            call.request = next(self._requests)
            if self._watch is not None:
                self._watch(call)
        return call.request

    def block(self) -> bytes:
        """See :class:`Requests`."""
        block = self._shared.block()
        return block if self._further is None else block + next(self._further)

    def prepare(self, size: int, windows: SendWindows) -> None:
        """See :class:`Requests`."""
        pieces = request_pieces(None if self._further is not None else self._shared.steady(), size, windows)
        if pieces is not None:
            self._start, self._middles[size] = pieces

    def on_settings(self, header_table: int, windows: SendWindows) -> None:
        """See :class:`Requests`."""
        self._shared.limit_table(header_table)
        self._middles.clear()


def request_pieces(block: bytes | None, size: int, windows: SendWindows) -> tuple[bytes, bytes] | None:
    """The HEADERS and DATA frames of a request but for the ids and the message.

    None where the header block of further calls is not known to stay the same, or a frame or a window would be too
    small.
    """
    if block is None or len(block) > windows.max_frame or size > min(windows.max_frame, windows.stream):
        return None
    return frame_start(len(block), HEADERS, END_HEADERS), block + frame_start(size, DATA, END_STREAM)


class RequestSender:
    """The requests of a connection that are sent frame by frame, within the peer's windows."""

    __slots__ = ("_outgoing", "_queue", "_requests", "_windows")

    def __init__(
        self,
        requests: Requests,
        outgoing: list[bytes],
        windows: SendWindows,
        calls: Mapping[int, Call],
        idle: FloodCounter,
    ) -> None:
        self._requests, self._outgoing, self._windows = requests, outgoing, windows
        self._queue: SendQueue[Call] = SendQueue(outgoing, windows, calls, idle=idle, calms=ALL)

    def send_whole(self, calls: Sequence[Call]) -> None:
        """Send the whole request of each call: of the first ones, large ones, and those that wait for a window."""
        for call in calls:
            message = self._requests.take(call)
            self.send_message(call, self.open(call, ends=True), message, end=True)
            self._requests.prepare(len(message), self._windows)

    def open(self, call: Call, headers: bytes = b"", *, ends: bool) -> Flow:
        """Send the headers of a call, then those of a further block; with `ends`, only one message follows."""
        flow = call.flow = Flow(ends=ends)
        block, max_frame = self._requests.block() + headers, self._windows.max_frame
        self._outgoing.append(frames.headers(call.stream_id, block, end=False, max_frame=max_frame))
        return flow

    def send_message(self, call: Call, flow: Flow, message: bytes, *, end: bool) -> None:
        """Send a message, with its prefix; with `end`, the last one."""
        flow.ends = end
        self._queue.add(call, flow, message)
        self._queue.send()

    def end(self, call: Call, flow: Flow) -> None:
        """End a request, with the last of what waits."""
        flow.ends = True
        if not flow.pieces:
            self._outgoing.append(frames.data(call.stream_id, b"", end=True))

    def grant(self, call: Call, increment: int) -> None:
        """The peer has widened the window of a call. Raises StreamError."""
        flow = call.flow = call.flow or Flow(ends=True)  # without one, all of its request is sent
        self._queue.grant(call, flow, increment)
        self.go_on()

    def on_windows_moved(self) -> None:
        """The windows of streams may be other ones."""
        self._queue.windows_moved()
        self.go_on()

    def go_on(self) -> None:
        """Send what waited for a window that has opened."""
        for call in self._queue.send():
            if call.on_drained is not None:
                call.on_drained(call)

    def clear(self) -> None:
        """The connection is over."""
        self._queue.clear()
