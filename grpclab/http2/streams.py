"""The calls of a connection as its server sees them: which are open, the memory that they take, how they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from grpclab.http2 import frames
from grpclab.http2.flow_control import Flow
from grpclab.http2.frames import ErrorCode
from grpclab.http2.messages import PREFIX_BYTES, MessageReader
from grpclab.http2.protocol_errors import FloodCounter, ProtocolError
from grpclab.http2.requests import NOTHING, RequestHead
from grpclab.http2.states import REQUEST, RequestState

_REMEMBERED: Final = 16_384
"""So many streams are known to have been ended early by this side: what is still under way on them is expected."""
REMEMBERED_BYTES: Final = 100
"""Memory that each of them takes."""
STREAM_BYTES: Final = 2_048
"""Memory that an open call takes besides its messages."""
_MESSAGE_BYTES: Final = 64
"""Memory that a message takes besides its bytes."""
MAX_RESETS: Final = 10_000
"""So many calls, more than were answered meanwhile, may be reset within FLOOD_S (CVE-2023-44487, CVE-2025-8671)."""


class Stream:
    """One call. A server may hang attributes of its own on it by subclassing; the defaults stand on the class."""

    stream_id: int = 0
    request: RequestHead = NOTHING
    messages: tuple[bytes, ...] = ()
    """Messages of a request that is complete, without their prefixes."""
    received: Sequence[bytes] = ()
    """Messages of a request so far, where it did not come all at once."""
    half_closed: bool = False
    """The client has said all it had to say."""
    cancelled: str = ""
    """Why the stream is over without an answer: reset by either side, or the connection was lost."""
    reader: MessageReader | None = None
    """The reader of its messages, where they did not come one in a frame."""
    unreturned: int = 0
    """Bytes of DATA that the stream's window was not yet given back."""
    content_bytes: int = 0
    """Bytes of DATA so far, where their number was announced."""
    kept_bytes: int = 0
    """Memory that its messages take."""
    begun: bool = False
    """The headers of its answer were sent."""
    flow: Flow | None = None
    """What it has to send; None where nothing ever waited."""
    last_block: bytes = b""
    """The header block with which its answer ends; empty while the answer is not complete."""
    on_drained: Callable[[Any], None] | None = None
    """Called with the stream when what waited for the client's window has been sent, and more may follow."""

    def read(self, content: bytes, most: int) -> tuple[int, int]:
        """Add the messages in what came to `received`; returns their number, and the bytes that the call takes in
        addition. Raises MessageError, for a message of more than `most` bytes too."""
        length = len(content) - PREFIX_BYTES
        if self.reader is None and content[:1] == b"\0" and int.from_bytes(content[1:5], "big") == length <= most:
            self._add((content[5:],))  # one that needs no reader
            return 1, length + _MESSAGE_BYTES
        reader = self.reader = self.reader or MessageReader(keep=True, most=most)
        before = reader.held
        number = reader.feed(content)
        size = sum(map(len, reader.messages)) + number * _MESSAGE_BYTES
        self._add(reader.messages)
        reader.messages.clear()
        return number, reader.held - before + size

    def _add(self, complete: Sequence[bytes]) -> None:
        if not isinstance(self.received, list):
            self.received = []
        self.received.extend(complete)

    @property
    def answered(self) -> bool:
        """True if its answer is complete, even where some of it waits for the client's window."""
        return bool(self.last_block)

    @property
    def blocked(self) -> bool:
        """True while something of its answer waits for the client's window."""
        return self.flow is not None and bool(self.flow.pieces)


class OpenStreams:
    """The open calls of a connection, and what is still expected on those that this side has ended early."""

    __slots__ = ("_early", "_outgoing", "_stray_bytes", "_stream_window", "kept", "last_id", "left", "open", "resets")

    def __init__(self, outgoing: list[bytes], stream_window: int) -> None:
        self._outgoing, self._stream_window = outgoing, stream_window
        self.open: dict[int, Stream] = {}
        """Calls that are open, by stream id."""
        self.last_id = 0
        """The highest stream id that the client has used."""
        self.left = False
        """The last GOAWAY was sent: what comes on a stream that is not open is expected."""
        self.kept = 0
        """Bytes that they take besides STREAM_BYTES each."""
        self.resets = FloodCounter(MAX_RESETS, "calls reset")
        """Calls that ended without an answer, and the client made it so."""
        self._early: dict[int, None] = {}
        self._stray_bytes = 0
        """DATA on streams that were ended early, less what their windows allowed when they were."""

    @property
    def held(self) -> int:
        """About how many bytes of memory all this takes."""
        return len(self.open) * STREAM_BYTES + self.kept + len(self._early) * REMEMBERED_BYTES

    def state(self, stream_id: int) -> RequestState:
        """The state of any stream. Raises ProtocolError for those that no client may open."""
        if not stream_id & 1:
            raise REQUEST.violation(RequestState.IDLE, stream_id)
        stream = self.open.get(stream_id)
        if stream is not None:
            return RequestState.HALF_CLOSED if stream.half_closed else RequestState.OPEN
        if stream_id > self.last_id:
            return RequestState.IDLE
        return RequestState.RESET if self.left or stream_id in self._early else RequestState.CLOSED

    def find(self, stream_id: int) -> Stream | None:
        """A stream that is open; None for one that is over. Raises ProtocolError for one that was never opened."""
        state = self.state(stream_id)
        if state is RequestState.IDLE:
            raise REQUEST.violation(state, stream_id)
        return self.open.get(stream_id)

    def keep(self, stream: Stream, grown: int) -> None:
        """A call takes so many bytes more."""
        stream.kept_bytes += grown
        self.kept += grown

    def forget(self, stream: Stream) -> None:
        """A call is over."""
        del self.open[stream.stream_id]
        self.kept -= stream.kept_bytes

    def drop(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream by RST_STREAM."""
        self._outgoing.append(frames.rst_stream(stream.stream_id, code))
        self.remember_early_end(stream)

    def remember_early_end(self, stream: Stream) -> None:
        """This side has ended a stream before the client has: more may come on it."""
        if len(self._early) >= _REMEMBERED:
            del self._early[next(iter(self._early))]
        self._early[stream.stream_id] = None
        self.allow_stray()

    def allow_stray(self) -> None:
        """A stream is over whose window the client may still use up."""
        self._stray_bytes -= self._stream_window

    def stray(self, size: int) -> None:
        """DATA came on a stream that is over. Raises ProtocolError where that is more than was ever allowed."""
        self._stray_bytes += size
        if self._stray_bytes > 0:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "too much data on streams that have ended")

    def clear(self) -> None:
        """The connection is over."""
        self.open.clear()
        self._early.clear()
        self.kept = 0
