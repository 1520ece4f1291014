"""The calls of a connection as its server sees them: which are open, the memory that they take, how they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from grpclab.http2 import frames
from grpclab.http2.control import FloodCounter, ProtocolError
from grpclab.http2.frames import ErrorCode
from grpclab.http2.messages import PREFIX_BYTES, MessageReader
from grpclab.http2.requests import NOTHING, RequestHead

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
    _reader: MessageReader | None = None
    _received: int = 0
    _content: int = 0
    _kept: int = 0
    _begun: bool = False
    _unsent: bytes = b""
    _unsent_at: int = 0
    _queued: bool = False
    _last_block: bytes = b""
    _sent: int = 0
    _granted: int = 0
    on_drained: Callable[[Any], None] | None = None
    """Called with the stream when what waited for the client's window has been sent, and more may follow."""

    def read(self, content: bytes, most: int) -> tuple[int, int]:
        """Add the messages in what came to `received`; returns their number, and the bytes that the call takes in
        addition. Raises MessageError, for a message of more than `most` bytes too."""
        length = len(content) - PREFIX_BYTES
        if self._reader is None and content[:1] == b"\0" and int.from_bytes(content[1:5], "big") == length <= most:
            self._add((content[5:],))  # one that needs no reader
            return 1, length + _MESSAGE_BYTES
        reader = self._reader = self._reader or MessageReader(keep=True, most=most)
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
        return bool(self._last_block)

    @property
    def blocked(self) -> bool:
        """True while something of its answer waits for the client's window."""
        return bool(self._unsent)


class OpenStreams:
    """The open calls of a connection, and what is still expected on those that this side has ended early."""

    __slots__ = ("_early", "_outgoing", "_stray_bytes", "_stream_window", "kept", "last_id", "open", "resets")

    def __init__(self, outgoing: list[bytes], stream_window: int) -> None:
        self._outgoing, self._stream_window = outgoing, stream_window
        self.open: dict[int, Stream] = {}
        """Calls that are open, by stream id."""
        self.last_id = 0
        """The highest stream id that the client has used."""
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

    def require_opened(self, stream_id: int, frame: str) -> None:
        """Raise ProtocolError for a stream that the client has never opened."""
        if stream_id % 2 == 0 or stream_id > self.last_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"{frame} stream {stream_id}, which was never opened")

    def keep(self, stream: Stream, grown: int) -> None:
        """A call takes so many bytes more."""
        stream._kept += grown
        self.kept += grown

    def forget(self, stream: Stream) -> None:
        """A call is over."""
        del self.open[stream.stream_id]
        self.kept -= stream._kept

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

    def ended_early(self, stream_id: int) -> bool:
        """True if this side has ended that stream before the client has, as far as it is remembered."""
        return stream_id in self._early

    def allow_stray(self) -> None:
        """A stream is over whose window the client may still use up."""
        self._stray_bytes -= self._stream_window

    def stray(self, size: int) -> None:
        """DATA came on a stream that is over. Raises ProtocolError where that is more than was ever allowed."""
        self._stray_bytes += size
        if self._stray_bytes > 0:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "too much data on closed streams")

    def clear(self) -> None:
        """The connection is over."""
        self.open.clear()
        self._early.clear()
        self.kept = 0
