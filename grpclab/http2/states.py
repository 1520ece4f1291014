"""The states of a connection and of its streams, as tables: (state, input) -> (action, state).

A pair that a table does not have is an error of the peer. The tables are data; the actions are carried out by
:mod:`~grpclab.http2.connection` for :data:`CONNECTION`, by :mod:`~grpclab.http2.client` for :data:`ANSWER` and by
:mod:`~grpclab.http2.server` for :data:`REQUEST`.

Frames that may come at any time on a stream that is open, RST_STREAM, WINDOW_UPDATE and PRIORITY, are inputs of the
connection only. Sources: RFC 9113, 3.4 (settings first), 4.3 (header blocks), 5.1 (streams), 8.1 (messages).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from typing import Final, Generic, NamedTuple, TypeVar

from grpclab.http2.frames import CONTINUATION, END_HEADERS, HEADERS, ErrorCode
from grpclab.http2.protocol_errors import PeerError, ProtocolError, StreamError

State = TypeVar("State", bound=IntEnum)
Input = TypeVar("Input", bound=IntEnum)
Action = TypeVar("Action", bound=Enum)


class Violation(NamedTuple):
    """The error of an input that has no place in a state."""

    code: ErrorCode
    text: str
    """`{stream}` in it is the stream's id."""
    ends: type[ProtocolError] | type[StreamError] = ProtocolError

    def error(self, stream_id: int) -> PeerError:
        """The error, to be raised."""
        return self.ends(self.code, self.text.format(stream=stream_id), stream_id)


class TransitionTable(Generic[State, Input, Action]):
    """A table of transitions, and the error of each state for inputs that it does not have there."""

    def __init__(
        self,
        transitions: Mapping[tuple[State, Input], tuple[Action, State]],
        violations: Mapping[State, Violation],
    ) -> None:
        self.transitions = transitions
        self._violations = {int(state): violation for state, violation in violations.items()}
        most: tuple[int, int] = tuple(map(max, zip(*transitions, strict=True)))
        rows: list[list[tuple[Action, int] | None]] = [[None] * (most[1] + 1) for _ in range(most[0] + 1)]
        for (state, given), (action, after) in transitions.items():
            rows[state][given] = (action, int(after))
        self.rows = tuple(map(tuple, rows))
        """The transitions by state and input, as plain integers; None where there is none."""

    def step(self, state: int, given: int, stream_id: int = 0) -> tuple[Action, int]:
        """The action and the next state. Raises ProtocolError or StreamError where there is none."""
        found = self.rows[state][given] if state < len(self.rows) and given < len(self.rows[state]) else None
        if found is None:
            raise self.violation(state, stream_id)
        return found

    def violation(self, state: int, stream_id: int = 0) -> PeerError:
        """The error for an input that has no place in this state."""
        return self._violations[state].error(stream_id)


# ---- a connection ------------------------------------------------------------------------------------------------


class ConnectionState(IntEnum):
    """The states of a connection."""

    GREETING = 0
    """The peer's first frame, which is SETTINGS, has not come."""
    OPEN = 1
    BLOCK = 2
    """A header block has begun, and is not complete."""
    CLOSED = 3


_COMPLETE: Final = END_HEADERS << 2
"""The bit of an input that says END_HEADERS; above those of the frame types."""


class FrameInput(IntEnum):
    """The inputs of a connection: frames by their type, header blocks also by END_HEADERS; and its end."""

    DATA = 0
    HEADERS_PART = HEADERS
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION_PART = CONTINUATION
    UNKNOWN = 10
    """Any other type: to be ignored (RFC 9113, 5.5)."""
    WHOLE_HEADERS = HEADERS | _COMPLETE
    LAST_CONTINUATION = CONTINUATION | _COMPLETE
    END = 32
    """No frame: the connection is over, whoever has ended it."""


def frame_input(kind: int, flags: int) -> FrameInput:
    """The input that a frame is."""
    if kind in (HEADERS, CONTINUATION):
        return FrameInput(kind | (flags & END_HEADERS) << 2)
    return FrameInput(min(kind, FrameInput.UNKNOWN))


class FrameAction(Enum):
    """The actions of a connection."""

    DATA = auto()
    HEADERS = auto()
    BEGIN_BLOCK = auto()
    CONTINUE_BLOCK = auto()
    END_BLOCK = auto()
    PRIORITY = auto()
    RESET = auto()
    SETTINGS = auto()
    PING = auto()
    GOAWAY = auto()
    WINDOW = auto()
    IGNORE = auto()
    END = auto()


def _connection() -> TransitionTable[ConnectionState, FrameInput, FrameAction]:
    state, given, do = ConnectionState, FrameInput, FrameAction
    return TransitionTable(
        {
            (state.GREETING, given.SETTINGS): (do.SETTINGS, state.OPEN),
            (state.GREETING, given.END): (do.END, state.CLOSED),
            (state.OPEN, given.DATA): (do.DATA, state.OPEN),
            (state.OPEN, given.WHOLE_HEADERS): (do.HEADERS, state.OPEN),
            (state.OPEN, given.HEADERS_PART): (do.BEGIN_BLOCK, state.BLOCK),
            (state.OPEN, given.PRIORITY): (do.PRIORITY, state.OPEN),
            (state.OPEN, given.RST_STREAM): (do.RESET, state.OPEN),
            (state.OPEN, given.SETTINGS): (do.SETTINGS, state.OPEN),
            (state.OPEN, given.PING): (do.PING, state.OPEN),
            (state.OPEN, given.GOAWAY): (do.GOAWAY, state.OPEN),
            (state.OPEN, given.WINDOW_UPDATE): (do.WINDOW, state.OPEN),
            (state.OPEN, given.UNKNOWN): (do.IGNORE, state.OPEN),
            (state.OPEN, given.END): (do.END, state.CLOSED),
            (state.BLOCK, given.CONTINUATION_PART): (do.CONTINUE_BLOCK, state.BLOCK),
            (state.BLOCK, given.LAST_CONTINUATION): (do.END_BLOCK, state.OPEN),
            (state.BLOCK, given.END): (do.END, state.CLOSED),
        },
        {
            state.GREETING: Violation(
                ErrorCode.PROTOCOL_ERROR, "the peer's first frame is not SETTINGS: is this HTTP/2?"
            ),
            state.OPEN: Violation(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS, or PUSH_PROMISE"),
            state.BLOCK: Violation(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block"),
            state.CLOSED: Violation(ErrorCode.PROTOCOL_ERROR, "a frame on a closed connection"),
        },
    )


CONNECTION: Final = _connection()
"""The frames of a connection, for either side. Neither takes pushed streams, nor does a client of ours allow any."""


# ---- an answer, as its client sees it ----------------------------------------------------------------------------


class AnswerState(IntEnum):
    """How far an answer has come."""

    NOTHING = 0
    BEGUN = 1
    """Its headers have come."""
    DATA = 2
    """Some of its DATA has come."""
    OVER = 3


class AnswerInput(IntEnum):
    """Frames of an answer: header blocks by their meaning, DATA by END_STREAM."""

    INFORMATIONAL = 0
    """Headers with a status of 1xx."""
    BEGINNING = 1
    """The headers of a gRPC answer."""
    FOREIGN = 2
    """Headers of an answer that is not gRPC's."""
    MALFORMED = 3
    """Headers that are none, or are not understood."""
    TRAILERS = 4
    """Headers with END_STREAM, whatever they say."""
    DATA = 5
    LAST_DATA = 6


class AnswerAction(Enum):
    """The actions on the frames of an answer."""

    IGNORE = auto()
    BEGIN = auto()
    REFUSE = auto()
    FAIL = auto()
    READ = auto()
    READ_LAST = auto()
    END = auto()


def _answer() -> TransitionTable[AnswerState, AnswerInput, AnswerAction]:
    state, given, do = AnswerState, AnswerInput, AnswerAction
    twice = Violation(ErrorCode.PROTOCOL_ERROR, "headers twice", StreamError)
    return TransitionTable(
        {
            (state.NOTHING, given.INFORMATIONAL): (do.IGNORE, state.NOTHING),
            (state.NOTHING, given.BEGINNING): (do.BEGIN, state.BEGUN),
            (state.NOTHING, given.FOREIGN): (do.REFUSE, state.OVER),
            (state.NOTHING, given.MALFORMED): (do.FAIL, state.OVER),
            (state.NOTHING, given.TRAILERS): (do.END, state.OVER),
            (state.BEGUN, given.DATA): (do.READ, state.DATA),
            (state.BEGUN, given.LAST_DATA): (do.READ_LAST, state.OVER),
            (state.BEGUN, given.TRAILERS): (do.END, state.OVER),
            (state.DATA, given.DATA): (do.READ, state.DATA),
            (state.DATA, given.LAST_DATA): (do.READ_LAST, state.OVER),
            (state.DATA, given.TRAILERS): (do.END, state.OVER),
        },
        {
            state.NOTHING: Violation(ErrorCode.PROTOCOL_ERROR, "data before headers", StreamError),
            state.BEGUN: twice,
            state.DATA: twice,
            state.OVER: Violation(ErrorCode.STREAM_CLOSED, "a frame on stream {stream}, which has ended", StreamError),
        },
    )


ANSWER: Final = _answer()
"""The frames of one stream of a client."""


# ---- a request, as its server sees it ----------------------------------------------------------------------------


class RequestState(IntEnum):
    """How far a request has come."""

    IDLE = 0
    """The stream was never opened."""
    OPEN = 1
    HALF_CLOSED = 2
    """The client has said all that it had to say."""
    RESET = 3
    """This side has ended the stream before the client has, which may not know yet."""
    CLOSED = 4


class RequestInput(IntEnum):
    """Frames of a request."""

    HEADERS = 0
    LAST_HEADERS = 1
    """With END_STREAM."""
    DATA = 2
    LAST_DATA = 3


class RequestAction(Enum):
    """The actions on the frames of a request."""

    OPEN = auto()
    READ = auto()
    END = auto()
    """The request has ended with trailers."""
    DISCARD = auto()


def _request() -> TransitionTable[RequestState, RequestInput, RequestAction]:
    state, given, do = RequestState, RequestInput, RequestAction
    return TransitionTable(
        {
            (state.IDLE, given.HEADERS): (do.OPEN, state.OPEN),
            (state.IDLE, given.LAST_HEADERS): (do.OPEN, state.HALF_CLOSED),
            (state.OPEN, given.LAST_HEADERS): (do.END, state.HALF_CLOSED),
            (state.OPEN, given.DATA): (do.READ, state.OPEN),
            (state.OPEN, given.LAST_DATA): (do.READ, state.HALF_CLOSED),
        }
        | {(state.RESET, frame): (do.DISCARD, state.RESET) for frame in given},
        {
            state.IDLE: Violation(ErrorCode.PROTOCOL_ERROR, "a frame on stream {stream}, which was never opened"),
            state.OPEN: Violation(ErrorCode.PROTOCOL_ERROR, "headers twice", StreamError),
            state.HALF_CLOSED: Violation(ErrorCode.STREAM_CLOSED, "a frame after the end of the request", StreamError),
            state.CLOSED: Violation(ErrorCode.STREAM_CLOSED, "a frame on stream {stream}, which is closed"),
        },
    )


REQUEST: Final = _request()
"""The frames of one stream of a server."""
