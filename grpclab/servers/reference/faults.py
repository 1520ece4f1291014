"""The misbehaving peer: what it says instead of a proper answer, and how it opens, reads and writes. Pure.

A fault is a row of :data:`FAULTS`. Some keep the protocol and are only unusual: their calls end well. `ends` says
how calls may end for a client that keeps the protocol and its deadline.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from grpclab.errors import UsageError, invalid
from grpclab.http2 import frames
from grpclab.http2.frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, ErrorCode, Setting
from grpclab.http2.headers import literal
from grpclab.http2.replies import BEGINNING, STATUS_200, Reply, http_status, trailers

NOT_FOUND: Final = 5
FAILED_PRECONDITION: Final = 9
PERCENT_MESSAGE: Final = "größer als 100 %"
_PADDING: Final = 19
_FRAGMENTS: Final = 8
"""Frames of a header block: of more, some peers say that it is a flood."""
_UNKNOWN_CODE: Final = 99
_STATUSES: Final = ("abc", "99", "-1", "")


class FinalBytes(bytes):
    """Bytes after which the transport is closed."""


@dataclass
class FaultState:
    """The memory of a bad peer for one connection."""

    n: int
    """The number given with the fault."""
    calls: int = 0
    """Calls whose answer was due so far, the present one included."""
    highest: int = 0
    """The highest stream id among them."""
    last_id: int = frames.MAX_STREAM_ID
    """Of the GOAWAY that was said."""


@dataclass(frozen=True)
class ResponseContext:
    """A call whose answer is due."""

    state: FaultState
    stream_id: int
    reply: Reply
    stamp: bytes

    def proper(self) -> bytes:
        """The answer that a sound server would send."""
        return self.reply.whole(self.stream_id, self.stamp)

    def frames(self, *parts: tuple[int, int, bytes]) -> bytes:
        """Frames of its stream: type, flags, payload."""
        return b"".join(frames.frame(kind, flags, self.stream_id, payload) for kind, flags, payload in parts)

    def answer(self, body: bytes, last: bytes) -> bytes:
        """Headers, DATA of any content, and any last block."""
        return self.frames(
            (HEADERS, END_HEADERS, BEGINNING), (DATA, 0, body), (HEADERS, END_HEADERS | END_STREAM, last)
        )


@dataclass(frozen=True)
class OpeningContext:
    """A connection that has been made; `proper` is what should be said first."""

    proper: bytes
    n: int


TimedBytes = tuple[float, bytes]
"""Seconds since the connection was made, and what is said then."""
Opening = Callable[[OpeningContext], tuple[TimedBytes, ...]]
"""What is said without being asked; nothing: not a word, ever."""
Answer = Callable[[ResponseContext], bytes]


def _at_once(context: OpeningContext) -> tuple[TimedBytes, ...]:
    return ((0.0, context.proper),)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave. What is not given is done properly."""

    meaning: str
    ends: tuple[str, ...] = ("OK",)
    """The statuses that calls may end with; empty where no connection comes to stand."""
    n: int | None = None
    """The number, where it takes one and none is given; `meaning` says N for it."""
    window: int | None = None
    """What each stream may send, bytes."""
    settings: Mapping[int, int] = field(default_factory=dict)
    opening: Opening = _at_once
    answer: Answer | None = None
    reads_slowly: bool = False
    """After each read the peer pauses for N milliseconds."""
    dribbles: bool = False
    """Each byte is written alone."""


# ---- answers ---------------------------------------------------------------------------------------------------


def _goaway(context: ResponseContext) -> bytes:
    state = context.state
    if context.stream_id > state.last_id:
        return b""
    if state.calls != state.n:
        return context.proper()
    state.last_id = state.highest
    return frames.goaway(state.last_id, ErrorCode.NO_ERROR, b"maintenance") + context.proper()


def _goaway_storm(context: ResponseContext) -> bytes:
    ids = range(context.state.highest + 2 * context.state.n, context.state.highest - 1, -2)
    return context.proper() + b"".join(frames.goaway(last_id, ErrorCode.NO_ERROR) for last_id in ids)


def _rst(context: ResponseContext) -> bytes:
    codes = (*ErrorCode, _UNKNOWN_CODE)
    return frames.rst_stream(context.stream_id, codes[context.state.calls % len(codes)])


def _refuse(context: ResponseContext) -> bytes:
    if context.state.calls % context.state.n:
        return context.proper()
    return frames.rst_stream(context.stream_id, ErrorCode.REFUSED_STREAM)


def _streams_flap(context: ResponseContext) -> bytes:
    limit = 1 if context.state.calls % 3 else context.state.n
    return frames.settings({Setting.MAX_CONCURRENT_STREAMS: limit}) + context.proper()


def _flood_ping(context: ResponseContext) -> bytes:
    return frames.ping(b"floating") * context.state.n + context.proper()


def _flood_settings(context: ResponseContext) -> bytes:
    return frames.settings({}) * context.state.n + context.proper()


def _flood_empty(context: ResponseContext) -> bytes:
    return context.frames((HEADERS, END_HEADERS, BEGINNING)) + context.frames((DATA, 0, b"")) * context.state.n


def _flood_continuation(context: ResponseContext) -> bytes:
    return context.frames((HEADERS, 0, STATUS_200)) + context.frames((CONTINUATION, 0, b"")) * context.state.n


def _header_bomb(context: ResponseContext) -> bytes:
    # One byte each, that unpacks to ":method: GET" of 42 bytes by HTTP/2's count.
    return frames.headers(context.stream_id, STATUS_200 + b"\x82" * context.state.n, end=False)


def _oversized_prefix(context: ResponseContext) -> bytes:
    return context.answer(b"\x00\xff\xff\xff\xff" + b"x" * 100, trailers(0))


def _garbage(context: ResponseContext) -> bytes:
    state = context.state
    return context.proper() if state.calls <= state.n else random.Random(state.calls).randbytes(500)


def _silent_after(context: ResponseContext) -> bytes:
    return context.proper() if context.state.calls <= context.state.n else b""


def _cut(context: ResponseContext) -> bytes:
    proper = context.proper()
    return proper if context.state.calls <= context.state.n else FinalBytes(proper[: len(proper) // 2])


def _no_trailers(context: ResponseContext) -> bytes:
    return context.frames((HEADERS, END_HEADERS, BEGINNING), (DATA, END_STREAM, context.reply.body))


def _no_status(context: ResponseContext) -> bytes:
    return context.answer(context.reply.body, literal("server", "reference"))


def _bad_status(context: ResponseContext) -> bytes:
    return context.answer(context.reply.body, literal("grpc-status", _STATUSES[context.state.calls % len(_STATUSES)]))


def _trailers_only(status: int, text: str = "") -> Answer:
    block = BEGINNING + trailers(status, text)
    return lambda context: context.frames((HEADERS, END_HEADERS | END_STREAM, block))


def _wrong_length(context: ResponseContext) -> bytes:
    announced = len(context.reply.body) - 5 + context.state.n
    return context.answer(b"\x00" + announced.to_bytes(4, "big") + context.reply.body[5:], trailers(0))


def _two_messages(context: ResponseContext) -> bytes:
    return context.answer(context.reply.body * 2, trailers(0))


def _compressed_flag(context: ResponseContext) -> bytes:
    return context.answer(b"\x01" + context.reply.body[1:], trailers(0))


def _padded(context: ResponseContext) -> bytes:
    def pad(payload: bytes) -> bytes:
        return bytes((_PADDING,)) + payload + bytes(_PADDING)

    return context.frames(
        (HEADERS, END_HEADERS | PADDED, pad(BEGINNING)),
        (DATA, PADDED, pad(context.reply.body)),
        (HEADERS, END_HEADERS | END_STREAM | PADDED, pad(context.reply.trailers(context.stamp.decode("ascii")))),
    )


def _split(context: ResponseContext) -> bytes:
    def block(content: bytes, flags: int) -> list[tuple[int, int, bytes]]:
        size = -(-len(content) // _FRAGMENTS)
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        kinds = (HEADERS, *(CONTINUATION for _ in pieces[1:]))
        ends = (flags, *(0 for _ in pieces[2:]), END_HEADERS)
        return list(zip(kinds, ends, pieces, strict=True))

    body = [(DATA, 0, context.reply.body[at : at + 1]) for at in range(len(context.reply.body))]
    return context.frames(
        *block(BEGINNING, 0), *body, *block(context.reply.trailers(context.stamp.decode("ascii")), END_STREAM)
    )


def _http_503(context: ResponseContext) -> bytes:
    block = http_status(503) + literal("content-type", "text/html")
    return context.frames((HEADERS, END_HEADERS, block), (DATA, END_STREAM, b"<h1>Service Unavailable</h1>"))


# ---- openings --------------------------------------------------------------------------------------------------


def _say_nothing(_: OpeningContext) -> tuple[TimedBytes, ...]:
    return ()


def _speak_http1(_: OpeningContext) -> tuple[TimedBytes, ...]:
    return ((0.0, FinalBytes(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")),)


def _open_late(context: OpeningContext) -> tuple[TimedBytes, ...]:
    return ((context.n / 1000, context.proper),)


def _raise_streams_late(context: OpeningContext) -> tuple[TimedBytes, ...]:
    return (0.0, context.proper), (context.n / 1000, frames.settings({Setting.MAX_CONCURRENT_STREAMS: 100}))


_RESETS = ("INTERNAL", "CANCELLED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED")
_FLOOD = 20_000

FAULTS: Final[dict[str, Fault]] = {
    "goaway": Fault(
        meaning="GOAWAY with the N-th answer of a connection; calls above its last stream ID get no answer",
        ends=("OK", "UNAVAILABLE"),
        n=10,
        answer=_goaway,
    ),
    "goaway-storm": Fault(
        meaning="N GOAWAYs with decreasing last stream IDs after each answer",
        ends=("OK", "UNAVAILABLE"),
        n=50,
        answer=_goaway_storm,
    ),
    "rst": Fault(meaning="RST_STREAM for each call, with every error code in turn", ends=_RESETS, answer=_rst),
    "refuse": Fault(meaning="REFUSED_STREAM for every N-th call", ends=("OK", "UNAVAILABLE"), n=1, answer=_refuse),
    "tiny-window": Fault(meaning="streams can send only 1 byte at a time", window=1),
    "zero-window": Fault(meaning="streams can never send a byte", ends=("DEADLINE_EXCEEDED",), window=0),
    "max-streams-0": Fault(
        meaning="no stream can be opened in the first N ms",
        n=100,
        settings={Setting.MAX_CONCURRENT_STREAMS: 0},
        opening=_raise_streams_late,
    ),
    "max-streams-flap": Fault(
        meaning="the limit on open streams changes with each answer: 1, 1, N, and so on", n=100, answer=_streams_flap
    ),
    "slow-read": Fault(meaning="a pause of N ms after each read", n=20, reads_slowly=True),
    "flood-ping": Fault(
        meaning="N PINGs before each answer",
        ends=("OK", "UNAVAILABLE"),
        n=_FLOOD,
        answer=_flood_ping,
    ),
    "flood-settings": Fault(
        meaning="N SETTINGS before each answer",
        ends=("OK", "UNAVAILABLE"),
        n=_FLOOD,
        answer=_flood_settings,
    ),
    "flood-empty": Fault(
        meaning="N empty DATA frames instead of an answer",
        ends=("UNAVAILABLE", "DEADLINE_EXCEEDED"),
        n=_FLOOD,
        answer=_flood_empty,
    ),
    "flood-continuation": Fault(
        meaning="N empty CONTINUATION frames instead of an answer",
        ends=("UNAVAILABLE", "DEADLINE_EXCEEDED"),
        n=_FLOOD,
        answer=_flood_continuation,
    ),
    "header-bomb": Fault(
        meaning="a header block of N bytes that decompresses to 42 times its size",
        ends=("RESOURCE_EXHAUSTED",),
        n=16_000,
        answer=_header_bomb,
    ),
    "oversized-prefix": Fault(
        meaning="a message with an announced length of 4 GiB",
        ends=("UNIMPLEMENTED", "RESOURCE_EXHAUSTED"),  # without and with a limit on messages
        answer=_oversized_prefix,
    ),
    "garbage": Fault(
        meaning="random bytes after N calls",
        ends=("OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"),
        n=3,
        answer=_garbage,
    ),
    "http1": Fault(meaning="HTTP/1.1 400 to every client", ends=(), opening=_speak_http1),
    "silent": Fault(meaning="connections are accepted and never answered", ends=(), opening=_say_nothing),
    "silent-after": Fault(
        meaning="no answer after N calls", ends=("OK", "DEADLINE_EXCEEDED"), n=3, answer=_silent_after
    ),
    "cut": Fault(
        meaning="the connection is closed in the middle of an answer after N calls",
        ends=("OK", "UNAVAILABLE"),
        n=0,
        answer=_cut,
    ),
    "no-trailers": Fault(meaning="the stream ends with DATA", ends=("UNKNOWN",), answer=_no_trailers),
    "no-status": Fault(meaning="trailers without grpc-status", ends=("UNKNOWN",), answer=_no_status),
    "bad-status": Fault(meaning="a grpc-status that is not a status code", ends=("UNKNOWN",), answer=_bad_status),
    "trailers-only": Fault(
        meaning="NOT_FOUND in a trailers-only answer", ends=("NOT_FOUND",), answer=_trailers_only(NOT_FOUND)
    ),
    "no-message": Fault(meaning="OK without a message", ends=("UNIMPLEMENTED",), answer=_trailers_only(0)),
    "wrong-length": Fault(
        meaning="a message N bytes shorter than announced", ends=("UNIMPLEMENTED",), n=10, answer=_wrong_length
    ),
    "two-messages": Fault(meaning="two messages for a unary call", ends=("UNIMPLEMENTED",), answer=_two_messages),
    "compressed-flag": Fault(
        meaning="a message marked as compressed, without an encoding", ends=("INTERNAL",), answer=_compressed_flag
    ),
    "padded": Fault(meaning="padding in every frame that allows it", answer=_padded),
    "split": Fault(meaning="one frame per byte of the message, header blocks in eight frames", answer=_split),
    "late-settings": Fault(meaning="the first SETTINGS come N ms late", n=100, opening=_open_late),
    "dribble": Fault(meaning="each byte is written separately", dribbles=True),
    "http-503": Fault(meaning="HTTP status 503 and a page", ends=("UNAVAILABLE",), answer=_http_503),
    "percent-message": Fault(
        meaning="a percent-encoded grpc-message",
        ends=("FAILED_PRECONDITION",),
        answer=_trailers_only(FAILED_PRECONDITION, PERCENT_MESSAGE),
    ),
}
"""By name."""


def parse_fault(text: str) -> tuple[Fault, int]:
    """The fault that ``goaway:10`` means, and its N. Raises UsageError."""
    name, colon, number = text.strip().partition(":")
    fault = FAULTS.get(name)
    if fault is None:
        raise UsageError(invalid("--fault", text, f"one of {', '.join(FAULTS)}"))
    if not colon:
        return fault, fault.n or 0
    if fault.n is None:
        raise UsageError(invalid("--fault", text, f"{name} without a number"))
    if not (number.isascii() and number.isdigit()) or len(number) > 7 or (int(number) == 0 and fault.n > 0):
        raise UsageError(invalid("--fault", text, f"a whole number, e.g. {name}:{fault.n}"))
    return fault, int(number)
