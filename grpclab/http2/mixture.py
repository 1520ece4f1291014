"""The client's side where the method differs from call to call.

:class:`MixedRequests` makes each call as the next turn of an iterator says: which request it is, its message, and what
follows the headers that all calls of that request have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from grpclab.http2 import messages
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Request
from grpclab.http2.flow_control import SendWindows
from grpclab.http2.frames import pack_id
from grpclab.http2.headers import RequestHeaders
from grpclab.http2.prepared import request_pieces

MOST_STARTS = 4096
"""So many beginnings of requests are remembered, one for each size of a message."""


class MixedRequests:
    """The requests of `turns` (:class:`~grpclab.http2.prepared.Requests`): the number of one of the `requests`, the
    message with its prefix, and a header block that follows those of the request.

    A call keeps the `request`, the `block` and the `number` of its turn; one that has a request already sends that one.
    `watch` is called with each new call after its turn was taken.
    """

    def __init__(
        self,
        request: Request,
        user_agent: str,
        *,
        requests: Sequence[Request],
        turns: Iterator[tuple[int, bytes, bytes]],
        watch: Callable[[Any], None] | None = None,
    ) -> None:
        self._turns, self._watch, self.watched = turns, watch, watch is not None
        self._blocks = RequestHeaders(*(one.headers(user_agent) for one in requests))
        self._starts: dict[tuple[int, int], tuple[bytes, bytes]] = {}  # by request and size: the bytes around the id
        self._number, self._block = 0, b""  # of the call that was taken last

    def send(self, calls: Sequence[Any], windows: SendWindows, outgoing: list[bytes]) -> int:
        """See :class:`~grpclab.http2.prepared.Requests`."""
        for number, call in enumerate(calls):
            message = self.take(call)
            size = len(message)
            start = None if call.block else self._starts.get((call.number, size))
            if start is None or size > windows.connection:
                return number
            windows.connection -= size
            outgoing.append(pack_id(call.stream_id).join((*start, message)))
        return len(calls)

    def take(self, call: Any) -> bytes:
        """See :class:`~grpclab.http2.prepared.Requests`."""
        if not call.request:
            call.number, call.request, call.block = next(self._turns)
            if self._watch is not None:
                self._watch(call)
        self._number, self._block = call.number, call.block
        message: bytes = call.request
        return message

    def block(self) -> bytes:
        """See :class:`~grpclab.http2.prepared.Requests`."""
        return self._blocks.block(self._number) + self._block

    def prepare(self, size: int, windows: SendWindows) -> None:
        """See :class:`~grpclab.http2.prepared.Requests`."""
        number = self._number
        pieces = request_pieces(self._blocks.steady(number), size, windows)
        if pieces is not None:
            if len(self._starts) >= MOST_STARTS:
                self._starts.clear()
            self._starts[number, size] = pieces

    def on_settings(self, header_table: int, windows: SendWindows) -> None:
        """See :class:`~grpclab.http2.prepared.Requests`."""
        self._blocks.limit_table(header_table)
        self._starts.clear()


class MixedConnection(ClientConnection):
    """A client's end whose calls are of several methods: the answer of some `streams`, by their number."""

    def __init__(self, *arguments: Any, streams: Sequence[bool], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._streams = streams

    def take_turn(self, call: Any) -> None:
        """Take the turn of a call that is started next."""
        self._requests.take(call)

    def _end(self, call: Any, status: int, text: str) -> None:
        """As any call's end, but that each has its own number of messages."""
        if status == messages.OK and call.messages != 1 and not self._streams[call.number]:
            status, text = messages.UNIMPLEMENTED, f"{call.messages} messages in a unary answer"
        super()._end(call, status, text)
