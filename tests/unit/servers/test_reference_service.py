"""When the reference server answers and with what, in memory and on a clock of the test's own."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.servers.reference.protocol import ServerContext
from grpclab.servers.reference.service import (
    HEALTH_CHECK,
    KNOWN_REQUESTS,
    SAY_HELLO,
    SAY_HELLO_STREAM,
    ServerCall,
    Service,
)
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.status import STATUS_NAMES

WORLD = b"\n\x05world"
MS = 0.001


class Room:
    """A service and one connection to it, in memory. Time is exact binary fractions, so that sums are exact."""

    def __init__(self, **asked: Any) -> None:
        self.now = 0.0
        self._wake: tuple[float, Callable[[], None]] = (math.inf, lambda: None)
        spec = ReferenceSpec(**asked)
        self.service = Service(spec, clock=lambda: self.now, wake_at=self._wake_at)
        self.http2 = ServerContext(spec, self.service, lambda: self.now, lambda: None).connection()
        self._clients: dict[tuple[str, bytes], ClientConnection] = {}
        self.client = ClientConnection(
            Request(path=SAY_HELLO, authority="here", payload=WORLD, server_streaming=True),
            stream_window=1 << 20,
            connection_window=1 << 20,
        )
        self.ended: list[tuple[float, Call]] = []
        self.exchange()

    def _wake_at(self, when: float, callback: Callable[[], None]) -> None:
        self._wake = (when, callback)

    def answer(self, calls: Sequence[ServerCall], now: float) -> None:
        for call in calls:
            self.http2.answers.reply(call, call.reply, self.service.stamp(call, now))

    def flush(self) -> None:
        self.exchange()

    def exchange(self) -> None:
        while self.client.outgoing or self.http2.outgoing or self.http2.connection.behind:
            news: list[Any] = self.http2.receive(self.client.take())
            self.service.take(self, news, self.now)
            self.http2.answers.written()
            self.ended += [(self.now, call) for call in self.client.receive(self.http2.take())]

    def call(self, count: int = 1) -> list[Call]:
        calls = [Call() for _ in range(count)]
        for call in calls:
            self.client.start(call)
        self.exchange()
        return calls

    def run_until(self, end: float) -> None:
        """Let time pass: each wake-up comes in the very moment it was asked for."""
        while self._wake[0] <= end:
            self.now, (_, callback) = max(self.now, self._wake[0]), self._wake
            self._wake = (math.inf, lambda: None)
            callback()
            self.exchange()
        self.now = end

    def residences(self) -> list[int]:
        return [int(dict(call.trailers)[RESIDENCE_HEADER]) for _, call in self.ended]


def as_path(room: Room, path: str, payload: bytes = WORLD) -> Room:
    """The same room with a client that calls something else."""
    room.client = ClientConnection(
        Request(path=path, authority="here", payload=payload, server_streaming=True),
        stream_window=1 << 20,
        connection_window=1 << 20,
    )
    room.http2 = ServerContext(room.service._spec, room.service, lambda: room.now, lambda: None).connection()
    room.exchange()
    return room


# ---- when it answers ---------------------------------------------------------------------------------------------


def test_without_a_service_time_the_answer_goes_out_at_once() -> None:
    room = Room()
    room.call(3)
    assert [(at, call.status) for at, call in room.ended] == [(0.0, 0)] * 3
    assert room.residences() == [0, 0, 0]
    assert (room.service.calls, room.service.inside, room.service.high_water) == (3, 0, 3)


def test_calls_are_delayed_each_for_itself_and_the_residence_is_the_truth() -> None:
    room = Room(service_time="constant:125ms")
    for at in (0.0, 0.0625, 0.125 - 1 / 1024):
        room.run_until(at)
        room.call(2)
    assert room.service.inside == 6
    room.run_until(1.0)
    assert [at for at, _ in room.ended] == [0.125, 0.125, 0.1875, 0.1875, 0.25 - 1 / 1024, 0.25 - 1 / 1024]
    assert room.residences() == [125_000_000] * 6
    assert (room.service.calls, room.service.inside, room.service.high_water) == (6, 0, 6)


def test_a_late_wake_up_is_part_of_the_residence() -> None:
    room = Room(service_time="constant:125ms")
    room.call()
    room.now = 0.5
    room.run_until(0.5)
    assert room.residences() == [500_000_000]


def test_times_are_drawn_from_the_seed() -> None:
    def residences(seed: int) -> list[int]:
        room = Room(service_time="exponential:2ms", seed=seed)
        room.call(50)
        room.run_until(1.0)
        return room.residences()

    assert residences(1) == residences(1) != residences(2)
    assert residences(1) == sorted(residences(1)), "the shortest goes out first"


def test_a_stall_stops_every_answer_and_is_told_in_the_residence() -> None:
    room = Room(service_time="constant:125ms", stalls=["1s@3s"])
    room.run_until(10.0)
    sent = [10.0 + 0.5 * step for step in range(10)]
    for at in sent:
        room.run_until(at)
        room.call()
    room.run_until(20.0)
    first = sent[0]
    expected = [at + 0.125 if not 3 <= at + 0.125 - first < 4 else first + 4 for at in sent]
    assert [at for at, _ in room.ended] == expected
    assert max(expected) > first + 4
    assert room.residences() == [int((out - at) * 1e9) for out, at in zip(expected, sent, strict=True)]


def test_a_stall_holds_answers_that_need_no_time_too() -> None:
    room = Room(stalls=["1s@0s"])
    room.call()
    room.run_until(2.0)
    assert [at for at, _ in room.ended] == [1.0]


def test_errors_come_after_the_service_time_and_tell_their_residence() -> None:
    room = Room(service_time="constant:125ms", errors=["50%:UNAVAILABLE", "25%:INTERNAL"])
    room.call(400)
    room.run_until(1.0)
    ended = Counter(STATUS_NAMES[call.status] for _, call in room.ended)
    assert set(ended) == {"OK", "UNAVAILABLE", "INTERNAL"}
    assert ended["UNAVAILABLE"] == pytest.approx(200, abs=50)
    assert set(room.residences()) == {125_000_000}
    assert room.service.inside == 0


def test_every_call_is_kept_inside_until_all_are_in() -> None:
    room = Room(hold=5)
    room.call(4)
    room.run_until(1.0)
    assert room.ended == []
    room.call(1)
    room.run_until(2.0)
    assert [call.status for _, call in room.ended] == [0] * 5
    assert sorted(room.residences()) == [0] + [1_000_000_000] * 4
    assert (room.service.high_water, room.service.inside) == (5, 0)
    room.call(1)
    room.run_until(3.0)
    assert len(room.ended) == 6, "once they were in, nothing is held any more"


def test_a_call_that_is_cancelled_leaves_and_is_not_answered() -> None:
    room = Room(service_time="constant:125ms")
    first, second = room.call(2)
    room.client.cancel(first.stream_id)
    room.exchange()
    assert room.service.inside == 1
    room.run_until(1.0)
    assert [call for _, call in room.ended] == [second]
    assert (room.service.inside, room.service.calls) == (0, 2)


def test_a_connection_that_is_lost_takes_its_calls_along() -> None:
    room = Room(service_time="constant:125ms")
    room.call(3)
    lost: list[Any] = room.http2.connection_lost("gone")
    room.service.take(room, lost, room.now)
    assert room.service.inside == 0
    room.run_until(1.0)
    assert room.ended == []


def test_more_answers_than_a_batch_are_due_at_once() -> None:
    room = Room(service_time="constant:125ms")
    room.call(2_500)
    room.run_until(0.125)
    assert len(room.ended) == 2_500


# ---- streams -----------------------------------------------------------------------------------------------------


def test_a_stream_keeps_its_times_without_drift() -> None:
    room = as_path(Room(service_time="constant:125ms", stream_messages=4, stream_interval_ms=62.5), SAY_HELLO_STREAM)
    (call,) = room.call()
    seen = []
    for step in range(8):
        room.run_until(step / 16)
        seen.append(call.messages)
    assert seen == [0, 0, 1, 2, 3, 4, 4, 4]
    assert [at for at, _ in room.ended] == [0.125 + 3 * 0.0625]
    assert room.residences() == [312_500_000]
    assert (room.service.inside, room.service.high_water) == (0, 1)


def test_a_stall_stops_streams_too() -> None:
    room = as_path(Room(stream_messages=3, stream_interval_ms=250, stalls=["1s@200ms"]), SAY_HELLO_STREAM)
    (call,) = room.call()
    room.run_until(0.5)
    assert call.messages == 1
    room.run_until(5)
    assert [at for at, _ in room.ended] == [pytest.approx(1.2)]


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_a_stream_has_as_many_messages_as_asked(count: int) -> None:
    room = as_path(Room(stream_messages=count, stream_interval_ms=0), SAY_HELLO_STREAM)
    (call,) = room.call()
    room.run_until(1.0)
    assert (call.status, call.messages) == (0, count)


def test_a_stream_waits_for_a_client_that_does_not_read() -> None:
    asked = {"stream_messages": 1_000, "stream_interval_ms": 0, "response_bytes": 10_000}
    room = as_path(Room(**asked), SAY_HELLO_STREAM)
    room.client.start(Call())
    news: list[Any] = room.http2.receive(room.client.take())
    room.service.take(room, news, 0.0)
    room.flush = lambda: None  # type: ignore[method-assign]
    room.exchange = lambda: None  # type: ignore[method-assign]
    room.run_until(0.1)
    (stream,) = room.http2.streams.values()
    assert stream.blocked
    assert stream.flow is not None
    waiting = sum(map(len, room.http2.outgoing)) + stream.flow.unsent
    assert waiting < (1 << 20) + 3 * 10_000, "no more than its window and a message"


# ---- what it answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "payload", "status"),
    [
        (HEALTH_CHECK, b"", "OK"),
        (HEALTH_CHECK, b"\n\x14greet.GreeterService", "OK"),
        (HEALTH_CHECK, b"\n\x05other", "NOT_FOUND"),
        ("/a.B/C", b"", "UNIMPLEMENTED"),
        (SAY_HELLO, b"\xff\xff", "INTERNAL"),
        (SAY_HELLO, b"", "OK"),
    ],
)
def test_what_other_calls_are_answered_with(path: str, payload: bytes, status: str) -> None:
    room = as_path(Room(service_time="constant:1s"), path, payload)
    (call,) = room.call()
    room.run_until(2.0)
    assert STATUS_NAMES[call.status] == status
    assert room.service.calls == (1 if (path, status) == (SAY_HELLO, "OK") else 0), "only the greeter's count"


def test_health_is_no_first_request() -> None:
    room = as_path(Room(stalls=["1s@0s"]), HEALTH_CHECK, b"")
    room.call()
    assert room.service._first_at is None


def test_so_many_different_requests_take_no_more_memory() -> None:
    room = Room()
    for number in range(3 * KNOWN_REQUESTS):
        room.service._prepare((SAY_HELLO, (b"\n\x04%04d" % number,)))
        assert len(room.service._known) <= KNOWN_REQUESTS


def test_the_residence_is_not_told_where_it_is_not_wanted() -> None:
    room = Room(residence=False)
    room.call()
    room = as_path(room, SAY_HELLO_STREAM)
    room.call()
    room.run_until(1.0)
    assert [dict(call.trailers) for _, call in room.ended] == [{"grpc-status": "0"}] * 2


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"service_time": "gamma:1ms"}, "invalid --service-time=gamma:1ms: expected"),
        ({"stalls": ["now"]}, "invalid --stall=now: expected"),
        ({"errors": ["1%:NO"]}, "invalid --error=1%:NO: expected"),
        ({"errors": ["60%:INTERNAL"] * 2}, "add up to 120%"),
        ({"pacing": "often"}, "invalid --pacing=often: expected one of auto, spin, timer"),
        ({"fault": "bad"}, "invalid --fault=bad: expected one of goaway"),
        ({"response_bytes": -1}, "invalid --response-bytes=-1: expected a number from 0 to"),
        ({"max_concurrent_streams": 0}, "invalid --max-concurrent-streams=0: expected"),
        ({"window_kib": 0}, "invalid --window-kib=0: expected"),
        ({"stream_interval_ms": math.nan}, "invalid --stream-interval-ms=nan: expected"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why) as refusal:
        ReferenceSpec(**asked)
    assert "\n" not in str(refusal.value)


def test_what_is_asked_for_fits_into_a_line_of_json() -> None:
    spec = ReferenceSpec(stalls=("1s@3s",), errors=("1%:INTERNAL",))
    assert ReferenceSpec(**json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
