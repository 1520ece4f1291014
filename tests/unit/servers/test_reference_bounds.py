"""What clients of ill will can make the reference server hold and do: bounds, floods, and turns. In memory."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import control, frames, messages, protocol_errors, streams
from grpclab.http2.answers import Answers
from grpclab.http2.frames import ErrorCode, Setting
from grpclab.http2.messages import prefixed
from grpclab.http2.server import ServerConnection
from grpclab.http2.streams import STREAM_BYTES, Stream
from grpclab.servers.reference.client_limits import TURN_STEPS, Ledger
from grpclab.servers.reference.protocol import ServerContext
from grpclab.servers.reference.service import (
    CANCELLED_WAITING,
    KNOWN_BYTES,
    SAY_HELLO,
    SAY_HELLO_STREAM,
    ServerCall,
    Service,
)
from grpclab.servers.reference.serving import listening
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support.adversaries import ATTACKS, BEGINNING, BLOCK, HELLO, Attack, beginning
from tests.support.http2_peer import cut
from tests.support.http2_server_help import REPLY, ready_server, request, respond

MIB = 1024 * 1024
MESSAGE_BYTES, HELD_BYTES = MIB // 4, MIB


def connection() -> ServerConnection:
    """With bounds that are reached soon, on a clock that stands still."""
    return ServerConnection(
        stream_window=4 * MIB,
        connection_window=4 * MIB,
        max_message_bytes=MESSAGE_BYTES,
        max_held_bytes=HELD_BYTES,
        steps_at_once=TURN_STEPS,
    )


def said_by(attack: Attack, most_bytes: int) -> Iterator[bytes]:
    said = 0
    for piece in itertools.chain([beginning(attack)], attack.say()):
        yield piece
        said += len(piece)
        if said > most_bytes:
            return


def receive(server: ServerConnection, data: bytes) -> list[Stream]:
    """Everything that comes of these bytes, in as many turns as it takes."""
    news = server.receive(data)
    while server.connection.behind:
        news = [*news, *server.receive(b"")]
    return news


# ---- attacks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_makes_a_connection_hold_only_so_much(name: str) -> None:
    server = connection()
    for piece in said_by(ATTACKS[name], 6 * MIB):
        receive(server, piece)
        server.take()
        assert server.held <= 3 * HELD_BYTES
        if server.closed is not None:
            break


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.flood])
def test_a_flood_is_answered_by_enhance_your_calm(name: str) -> None:
    server = connection()
    said = bytearray()
    for piece in said_by(ATTACKS[name], 6 * MIB):
        receive(server, piece)
        said += server.take()
        if server.closed is not None:
            break
    *_, last = cut(bytes(said))
    assert (last.kind, int.from_bytes(last.body[4:8], "big")) == (frames.GOAWAY, ErrorCode.ENHANCE_YOUR_CALM)
    assert server.held == 0


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few resets and few idle frames are a flood."""
    monkeypatch.setattr(streams, "MAX_RESETS", 200)
    monkeypatch.setattr(control, "MAX_IDLE_FRAMES", 200)


@pytest.mark.usefixtures("strict")
def test_resets_are_a_flood_only_where_they_outnumber_the_answers() -> None:
    server = ready_server()
    for first in range(1, 6 * streams.MAX_RESETS, 4):
        kept, _gone = server.receive(request(first) + request(first + 2))
        server.receive(frames.rst_stream(first + 2, ErrorCode.CANCEL))
        server.answers.reply(kept, REPLY)
        server.take()
    assert server.closed is None


@pytest.mark.usefixtures("strict")
def test_resets_and_pings_are_no_flood_where_they_take_their_time() -> None:
    server = ready_server()
    for number in range(2 * streams.MAX_RESETS):
        server.control.now += 4 * protocol_errors.FLOOD_S / streams.MAX_RESETS
        server.receive(request(2 * number + 1) + frames.rst_stream(2 * number + 1, ErrorCode.CANCEL))
        server.receive(frames.ping(b"12345678"))
        server.take()
    assert server.closed is None


@pytest.mark.usefixtures("strict")
def test_pings_between_calls_are_a_flood_where_they_are_too_many() -> None:
    server = ready_server()
    for number in range(control.MAX_IDLE_FRAMES):
        for stream in server.receive(frames.ping(b"12345678") * 150 + request(2 * number + 1)):
            server.answers.reply(stream, REPLY)
        server.take()
        if server.closed is not None:
            break
    assert str(server.closed).startswith("ENHANCE_YOUR_CALM")


# ---- what a connection holds -----------------------------------------------------------------------------------


def refused_with(server: ServerConnection) -> list[bytes]:
    """The grpc-status of each answer that has no message."""
    return [f.body.partition(b"grpc-status\x02")[2][:1] for f in cut(server.take()) if f.kind == frames.HEADERS]


def test_a_message_beyond_the_limit_is_refused_by_its_prefix() -> None:
    for size, status in ((MESSAGE_BYTES, []), (MESSAGE_BYTES + 1, [str(messages.RESOURCE_EXHAUSTED)])):
        server = connection()
        server.receive(BEGINNING + frames.headers(1, BLOCK, end=False))
        server.take()
        server.receive(frames.data(1, b"\0" + size.to_bytes(4, "big"), end=False))
        said = [f for f in cut(server.take()) if f.kind == frames.HEADERS]
        assert len(said) == len(status)
        assert (1 in server.streams) == (not status)


def test_what_a_connection_holds_is_given_back_with_its_calls() -> None:
    server = ready_server(max_held_bytes=MIB)
    for number in range(500):
        body = prefixed(b"%010000d" % number)
        (stream,) = server.receive(request(2 * number + 1, body=body))
        assert server.held >= 10_000
        server.answers.reply(stream, REPLY)
        server.take()
    for number in range(500, 1_000):
        server.receive(frames.headers(2 * number + 1, BLOCK, end=False) + frames.data(2 * number + 1, body, end=False))
        server.receive(frames.rst_stream(2 * number + 1, ErrorCode.CANCEL))
        server.take()
    assert server.held < 10_000


def test_calls_are_refused_where_their_messages_are_too_many_and_taken_again_later() -> None:
    server = ready_server(max_held_bytes=MIB)
    body = b"\0" + (MIB).to_bytes(4, "big") + bytes(10_000)
    for stream_id in range(1, 401, 2):
        server.receive(frames.headers(stream_id, BLOCK, end=False) + frames.data(stream_id, body, end=False))
    assert server.held <= MIB + 200 * STREAM_BYTES
    for stream_id in list(server.streams):
        server.receive(frames.rst_stream(stream_id, ErrorCode.CANCEL))
    assert len(server.receive(request(1_001))) == 1


def test_tiny_messages_cost_the_same_each_however_many_there_are() -> None:
    """Each is one step; the work on a frame of them does not depend on what came before it."""
    server = ready_server()
    server.receive(frames.headers(1, BLOCK, end=False))
    piece = frames.data(1, prefixed(b"a"), end=False) * 1_000
    server.receive(piece)
    received = server.streams[1].received
    server.receive(piece)
    assert server.streams[1].received is received, "it grows in place"
    assert len(received) == 2_000


def test_headers_that_repeat_are_remembered_only_so_far() -> None:
    server = ready_server()
    for stream_id in range(1, 4_001, 2):
        marks = b"\x00\x04mark" + bytes((60,)) + b"%060d" % stream_id
        server.receive(frames.headers(stream_id, BLOCK + marks, end=False) + frames.rst_stream(stream_id, 8))
        server.take()
    assert server.held < MIB


def test_a_connection_that_is_lost_with_unsent_answers_is_not_kept_by_its_calls() -> None:
    """The server looks for cycles among young objects only: one of its own would stay for ever."""

    async def main() -> None:
        async with listening(ReferenceSpec(pacing="timer")) as (context, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            closed_window = frames.settings({Setting.INITIAL_WINDOW_SIZE: 0})
            calls = (frames.headers(n, BLOCK, end=False) + frames.data(n, HELLO, end=True) for n in (1, 3, 5))
            writer.write(frames.PREFACE + closed_window + b"".join(calls))
            async with asyncio.timeout(60):
                while context.service.calls < 3:
                    await asyncio.sleep(0.001)
                (kept,) = (weakref.ref(peer.http2) for peer in context.protocols)
                writer.close()
                while kept() is not None:
                    await asyncio.sleep(0.001)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_an_answer_is_given_to_the_transport_piece_by_piece() -> None:
    ahead = 100_000
    server = ready_server(write_ahead=ahead)
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 10 * MIB}) + frames.window_update(0, 10 * MIB))
    (stream,) = server.receive(request(1))
    server.take()
    respond(server, stream, (bytes(MIB),))
    sent = 0
    while stream.blocked:
        taken = sum(len(f.body) for f in cut(server.take()) if f.kind == frames.DATA)
        assert taken <= ahead
        sent += taken
        server.answers.written()
    assert sent + sum(len(f.body) for f in cut(server.take()) if f.kind == frames.DATA) == MIB + messages.PREFIX_BYTES


# ---- turns -----------------------------------------------------------------------------------------------------


def test_after_so_many_frames_it_is_the_turn_of_others() -> None:
    server = ready_server(steps_at_once=TURN_STEPS)
    server.receive(frames.ping(b"12345678") * 3 * TURN_STEPS)
    for _ in range(3):
        assert len(list(cut(server.take()))) == TURN_STEPS
        server.receive(b"")
    assert not server.connection.behind


def test_requests_that_are_all_alike_take_turns_too() -> None:
    server = ready_server(steps_at_once=TURN_STEPS)
    said = b"".join(map(request, range(1, 8 * TURN_STEPS, 2)))
    turns = [server.receive(said)]
    while server.connection.behind:
        turns.append(server.receive(b""))
    assert max(map(len, turns)) <= TURN_STEPS
    assert sum(map(len, turns)) == 4 * TURN_STEPS
    assert len(turns) > 4


def test_settings_move_the_windows_of_the_calls_once_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ready_server()
    moved = []
    monkeypatch.setattr(Answers, "windows_moved", lambda _: moved.append(1))
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 1}) * 500)
    assert moved == [1]


# ---- all connections together ------------------------------------------------------------------------------------


class Holder:
    def __init__(self, read_at: float = 0.0) -> None:
        self.read_at, self.held = read_at, 0

    def take(self, ledger: Ledger, held: int) -> list[Any]:
        self.held = held
        return ledger.settle(self, held)


def test_where_memory_runs_out_those_who_hold_the_most_go() -> None:
    ledger = Ledger(most_bytes=1_000)
    small, large, larger = holders = [Holder() for _ in range(3)]
    for holder in holders:
        assert ledger.admit(holder) == []
    assert [holder.take(ledger, held) for holder, held in zip(holders, (50, 400, 500), strict=True)] == [[], [], []]
    assert small.take(ledger, 200) == [larger]
    assert larger.take(ledger, 10_000) == [], "it is forgotten"
    assert ledger.total == 600
    ledger.forget(large)
    assert ledger.total == 200


def test_what_was_held_once_is_not_held_against_anyone() -> None:
    ledger = Ledger(most_bytes=1_000)
    once, now = Holder(), Holder()
    ledger.admit(once)
    ledger.admit(now)
    once.take(ledger, 900)
    once.held = 0
    assert now.take(ledger, 800) == []
    assert ledger.total == 800


def test_where_connections_run_out_those_silent_for_longest_go() -> None:
    ledger = Ledger(most_connections=10)
    holders = [Holder(read_at=-at) for at in range(10)]
    assert [ledger.admit(holder) for holder in holders] == [[]] * 10
    gone = ledger.admit(Holder())
    assert gone == holders[: -len(gone) - 1 : -1]
    assert 1 <= len(gone) <= 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=60))
def test_the_total_is_what_those_left_hold_and_never_too_much(steps: list[tuple[int, int]]) -> None:
    ledger = Ledger(most_bytes=1_000)
    holders = [Holder() for _ in range(10)]
    for holder in holders:
        ledger.admit(holder)
    left = set(holders)
    for number, held in steps:
        left -= set(holders[number].take(ledger, held))
        assert ledger.total == sum(holder.held for holder in left) <= 1_000


# ---- the service -------------------------------------------------------------------------------------------------


class Room:
    """A service, one connection to it, and a clock that stands still."""

    def __init__(self, **asked: Any) -> None:
        self.woken_at: list[float] = []
        spec = ReferenceSpec(**asked)
        self.service = Service(spec, clock=lambda: 0.0, wake_at=lambda at, _call: self.woken_at.append(at))
        self.http2 = ServerContext(spec, self.service, lambda: 0.0, lambda: None).connection()
        self.hear(BEGINNING)

    def hear(self, data: bytes) -> None:
        news: Any = receive(self.http2, data)
        self.service.take(self, news, 0.0)
        self.http2.take()

    def answer(self, calls: Any, now: float) -> None:
        for call in calls:
            self.http2.answers.reply(call, call.reply, self.service.stamp(call, now))

    def flush(self) -> None:
        self.http2.take()


def call(stream_id: int, body: bytes = HELLO) -> bytes:
    return frames.headers(stream_id, BLOCK, end=False) + frames.data(stream_id, body, end=True)


def test_calls_that_were_cancelled_do_not_wait_for_their_time() -> None:
    room = Room(service_time="constant:10s")
    for stream_id in range(1, 8 * CANCELLED_WAITING, 2):
        room.hear(call(stream_id))
        room.hear(frames.rst_stream(stream_id, ErrorCode.CANCEL))
    assert room.http2.closed is None
    assert room.service.inside == 0
    assert len(room.service._waiting) <= CANCELLED_WAITING + 1


def test_requests_are_remembered_by_their_bytes() -> None:
    room = Room()
    for number in range(60):
        body = b"\n\x80\x80\x10" + b"%0262144d" % number
        call = ServerCall()
        call.stream_id = number
        assert room.service._known.get((SAY_HELLO, (body,))) is None
        room.service._prepare((SAY_HELLO, (body,)))
        held = sum(len(message) for _, (message,) in room.service._known)
        assert held <= KNOWN_BYTES


def test_a_stream_whose_window_is_closed_is_not_looked_at_until_it_opens() -> None:
    room = Room(stream_messages=3, stream_interval_ms=0)
    room.hear(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    block = BLOCK.replace(b"\x1e" + SAY_HELLO.encode(), b"\x24" + SAY_HELLO_STREAM.encode())
    room.hear(frames.headers(1, block, end=False) + frames.data(1, HELLO, end=True))
    room.service._wake()
    room.service._wake()
    asked = len(room.woken_at)
    room.service._wake()
    assert (len(room.woken_at), list(room.http2.streams)) == (asked, [1])
    room.hear(frames.settings({Setting.INITIAL_WINDOW_SIZE: 65_535}))
    room.service._wake()
    assert list(room.http2.streams) == []
