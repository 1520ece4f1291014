"""The client's part in a stream after its start: which messages it sends, when, and how it ends the stream. Pure.

Both engines drive a :class:`ClientSide` for each call of a :class:`StreamPlan`; the time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import LoadConfig
from grpclab.factors.levels import format_level

CLOSE: Final = "close"
WAIT: Final = "wait"
CANCEL: Final = "cancel"

OF_STREAMS: Final = ("stream_messages", "stream_duration_s")
"""Factors of the load that act on any stream."""
OF_SENDING: Final = ("stream_interval_s", "stream_end", "stream_dynamic")
"""Those that act where the client streams."""
OF_BOTH_WAYS: Final = ("stream_ping_pong",)
"""Those that act where both sides stream."""


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """What the client does in each stream, as the factors ``load.stream_*`` say it.

    A client that streams nothing itself can only end a stream by cancelling it.
    """

    sends: bool
    """The client streams."""
    messages: int | None = None
    """The messages after which the client ends the stream: those that it sends, or receives where it sends one."""
    interval_s: float = 0.0
    duration_s: float | None = None
    end: str = CLOSE
    """CLOSE: after the last message; WAIT: at `duration_s`, or not at all; CANCEL: at `duration_s`."""
    ping_pong: bool = False

    @property
    def cancels(self) -> bool:
        """Whether the client ends the stream by cancelling it."""
        return not self.sends or self.end == CANCEL

    @property
    def receives_at_most(self) -> int | None:
        """The messages that the client receives before it ends the stream; None where it does not count them."""
        return None if self.sends else self.messages


def stream_plan(load: LoadConfig, *, sends: bool, receives: bool) -> StreamPlan | None:
    """The plan of a call whose client `sends` a stream, whose server answers with one; None where the client does
    nothing more once its request is sent."""
    if not sends and not (receives and (load.stream_messages is not None or load.stream_duration_s is not None)):
        return None
    return StreamPlan(
        sends=sends,
        messages=load.stream_messages,
        interval_s=load.stream_interval_s,
        duration_s=load.stream_duration_s,
        end=load.stream_end,
        ping_pong=load.stream_ping_pong,
    )


def check_streams(load: LoadConfig, name: str, *, sends: bool, receives: bool) -> None:
    """Raise UsageError for a factor of streams that cannot act on a call of this name and kind."""
    kind = ("bidirectional" if receives else "client streaming") if sends else "server streaming"
    kind = kind if sends or receives else "unary"
    for factors, acts, expected in (
        (OF_STREAMS, sends or receives, "a call that streams"),
        (OF_SENDING, sends, "a call whose client streams"),
        (OF_BOTH_WAYS, sends and receives, "a bidirectional call"),
    ):
        for factor in factors:
            level = getattr(load, factor)
            if not acts and level != getattr(_UNSET, factor):
                raise UsageError(invalid(f"load.{factor}", format_level(level), f"{expected}; {name} is {kind}"))
    if load.stream_end == CANCEL and load.stream_duration_s is None:
        raise UsageError(f"load.stream_end={CANCEL} requires load.stream_duration_s, the time at which to cancel")


_UNSET: Final = LoadConfig()


class ClientSide:
    """The client's side of one stream: the messages that it has still to send, and whether it is done."""

    __slots__ = ("_ends_at", "_left", "_messages", "_plan", "due_s", "over", "sent")

    def __init__(self, plan: StreamPlan, messages: Sequence[bytes], now: float) -> None:
        """Begin at `now` with the messages of the data, which begin again where the plan asks for more of them."""
        self._plan, self._messages = plan, messages
        total = plan.messages if plan.messages is not None and messages else len(messages)
        self._left = total if plan.sends else 0
        self._ends_at = math.inf if plan.duration_s is None else now + plan.duration_s
        self.sent = 0
        """Messages sent."""
        self.due_s = now if self._left else math.inf
        """The time of the next message; infinity where none is left or due before the end, or the next one waits for
        an answer."""
        self.over = plan.sends and plan.end == CLOSE and not self._left
        """Whether the client has nothing more to say: it closes its side."""

    def take(self) -> bytes:
        """Take the next message, which is due."""
        message = self._messages[self.sent % len(self._messages)]
        self.sent += 1
        self._left -= 1
        if not self._left:
            self.due_s = math.inf
            self.over = self._plan.end == CLOSE
        elif self._plan.ping_pong:
            self.due_s = math.inf
        else:
            self.due_s = self._before_end(self.due_s + self._plan.interval_s)
        return message

    def answered(self, now: float) -> None:
        """Note that a message has come: in ping-pong the next one may go, `interval_s` later."""
        if self._plan.ping_pong and self._left:
            self.due_s = min(self.due_s, self._before_end(now + self._plan.interval_s))

    def _before_end(self, when: float) -> float:
        """`when`; infinity from the end on: a client that is late does not catch up with what was due after it."""
        return when if when < self._ends_at else math.inf

    def close(self) -> None:
        """Send no further message."""
        self._left, self.due_s, self.over = 0, math.inf, True
