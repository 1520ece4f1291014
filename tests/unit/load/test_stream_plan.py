"""The client's part in a stream: its messages, their times, its end; and which factors act on which kind of call."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.factors.config import LoadConfig
from grpclab.load.core.stream_plan import CANCEL, CLOSE, WAIT, ClientSide, StreamPlan, check_streams, stream_plan

MESSAGES = (b"a", b"b", b"c")


def sent(side: ClientSide, *, until: float = math.inf) -> list[tuple[float, bytes]]:
    """The messages that are due by then, each when it is due."""
    taken = []
    while side.due_s <= until and side.due_s < math.inf:
        taken.append((side.due_s, side.take()))
    return taken


def plan(**fields: object) -> StreamPlan:
    return StreamPlan(sends=True, **fields)  # type: ignore[arg-type]


def test_messages_are_those_of_the_data_all_at_once_and_then_the_client_closes() -> None:
    side = ClientSide(plan(), MESSAGES, 5.0)
    assert not side.over
    assert sent(side) == [(5.0, b"a"), (5.0, b"b"), (5.0, b"c")]
    assert side.over
    assert side.sent == 3


@given(
    messages=st.lists(st.binary(max_size=3), min_size=1, max_size=5),
    wanted=st.none() | st.integers(1, 20),
    interval_s=st.floats(0, 10, allow_nan=False),
    end=st.sampled_from([CLOSE, WAIT, CANCEL]),
)
def test_so_many_messages_are_sent_as_are_wanted_each_at_its_time(
    messages: list[bytes], wanted: int | None, interval_s: float, end: str
) -> None:
    side = ClientSide(plan(messages=wanted, interval_s=interval_s, end=end), messages, 0.0)
    taken = sent(side)
    total = wanted or len(messages)
    assert [content for _, content in taken] == list(itertools.islice(itertools.cycle(messages), total))
    assert [when for when, _ in taken] == pytest.approx([interval_s * number for number in range(total)])
    assert side.over == (end == CLOSE)
    assert side.due_s == math.inf
    side.close()
    assert side.over


@given(st.lists(st.floats(0, 5, allow_nan=False), min_size=3, max_size=3), st.floats(0, 1, allow_nan=False))
def test_in_ping_pong_each_message_follows_the_answer_to_the_one_before(pauses: list[float], interval_s: float) -> None:
    side = ClientSide(plan(messages=4, interval_s=interval_s, ping_pong=True), MESSAGES, 0.0)
    now, times = 0.0, []
    for pause in [*pauses, 0.0]:
        times.append(side.due_s)
        side.take()
        assert side.due_s == math.inf
        now = times[-1] + pause
        side.answered(now)
    assert side.over
    expected = [0.0]
    for pause in pauses:
        expected.append(expected[-1] + pause + interval_s)
    assert times == pytest.approx(expected)


def test_an_answer_changes_nothing_where_messages_have_their_own_times() -> None:
    side = ClientSide(plan(interval_s=1.0), MESSAGES, 0.0)
    side.take()
    side.answered(0.25)
    assert side.due_s == 1.0


def test_a_stream_whose_time_is_over_sends_no_further_message() -> None:
    side = ClientSide(plan(interval_s=1.0), MESSAGES, 0.0)
    assert sent(side, until=1.5) == [(0.0, b"a"), (1.0, b"b")]
    side.close()
    assert (side.over, side.due_s, side.sent) == (True, math.inf, 2)


@given(interval_s=st.floats(0.001, 2.0), duration_s=st.floats(0.001, 2.0), ping_pong=st.booleans())
def test_a_client_that_is_late_does_not_send_what_was_due_after_the_end(
    interval_s: float, duration_s: float, ping_pong: bool
) -> None:
    side = ClientSide(
        plan(messages=5000, interval_s=interval_s, duration_s=duration_s, ping_pong=ping_pong), MESSAGES, 5.0
    )
    due_s = []
    while side.due_s < math.inf:  # as of a client that wakes long after the end
        due_s.append(side.due_s)
        side.take()
        side.answered(due_s[-1])
    assert 5.0 == due_s[0] <= due_s[-1] < 5.0 + duration_s
    assert due_s[-1] + interval_s >= 5.0 + duration_s
    assert not side.over, "the end itself comes with its own timer"


def test_without_a_message_the_client_closes_at_once_or_waits() -> None:
    assert ClientSide(plan(), (), 0.0).over
    assert not ClientSide(plan(end=WAIT), (), 0.0).over
    assert not ClientSide(StreamPlan(sends=False, messages=3), (), 0.0).over


# ---- which calls have a plan -------------------------------------------------------------------------------------


def test_a_call_has_a_plan_where_the_client_does_more_than_its_request() -> None:
    load = LoadConfig()
    assert stream_plan(load, sends=False, receives=False) is None
    assert stream_plan(load, sends=False, receives=True) is None
    assert stream_plan(load, sends=True, receives=False) == StreamPlan(sends=True)
    limited = stream_plan(LoadConfig(stream_messages=3), sends=False, receives=True)
    assert limited == StreamPlan(sends=False, messages=3)
    assert (limited.cancels, limited.receives_at_most) == (True, 3)
    assert stream_plan(LoadConfig(stream_duration_s=3.0), sends=False, receives=True) is not None


def test_who_sends_does_not_count_what_is_received() -> None:
    assert plan(messages=3).receives_at_most is None
    assert not plan(messages=3).cancels
    assert plan(end=CANCEL, duration_s=1.0).cancels


FACTORS = {
    "stream_messages": (3, "a call that streams"),
    "stream_duration_s": (3.0, "a call that streams"),
    "stream_interval_s": (3.0, "a call whose client streams"),
    "stream_end": (WAIT, "a call whose client streams"),
    "stream_dynamic": (True, "a call whose client streams"),
    "stream_ping_pong": (True, "a bidirectional call"),
}
KINDS = {
    "unary": (False, False, set[str]()),
    "server streaming": (False, True, {"stream_messages", "stream_duration_s"}),
    "client streaming": (True, False, set(FACTORS) - {"stream_ping_pong"}),
    "bidirectional": (True, True, set(FACTORS)),
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_that_cannot_act_on_a_kind_of_call_is_refused(kind: str, factor: str) -> None:
    sends, receives, acting = KINDS[kind]
    level, expected = FACTORS[factor]
    load = LoadConfig(**{factor: level})  # type: ignore[arg-type]
    if factor in acting:
        check_streams(load, "a.B/C", sends=sends, receives=receives)
        return
    with pytest.raises(UsageError, match=rf"^invalid load\.{factor}=.*: expected {expected}; a\.B/C is {kind}$"):
        check_streams(load, "a.B/C", sends=sends, receives=receives)


def test_without_a_factor_every_kind_passes() -> None:
    for sends, receives, _ in KINDS.values():
        check_streams(LoadConfig(), "a.B/C", sends=sends, receives=receives)


def test_who_cancels_says_when() -> None:
    with pytest.raises(UsageError, match=r"^load\.stream_end=cancel requires load\.stream_duration_s"):
        check_streams(LoadConfig(stream_end=CANCEL), "a.B/C", sends=True, receives=True)
