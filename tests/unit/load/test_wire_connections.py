"""Connections of engine `wire` in virtual time: their beginning, their end, silence and floods."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpclab.errors import TargetError
from grpclab.factors.config import ClientConfig
from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines import http2_protocol
from grpclab.load.engines.backoff import BACKOFF_S
from grpclab.load.engines.http2_protocol import Http2Protocol
from grpclab.load.engines.wire import TURN_S
from grpclab.testing.virtual import pacer
from tests.support.http2_peer import block
from tests.support.net import MS, PER_CALL, POOL, Bench, Net, Server, on_a_net, open_loop, statuses

# ---- connections that end ------------------------------------------------------------------------------------


def test_a_lost_connection_ends_its_calls_and_is_dialled_again_at_once(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)
        bench.net.at(1.0 + 4 * MS, bench.net.cut)
        return await bench.closed_loop(5, Gate(opens_at=0, closes_at=2.0)), bench

    records, bench = on_a_net(main, path)
    assert statuses(records).keys() == {"OK", "UNAVAILABLE"}
    assert statuses(records)["UNAVAILABLE"] == 5
    assert bench.counters.connections_lost == 1
    assert bench.counters.outage_s == 0
    assert len(bench.net.attempts) == 2
    assert max(records.start_s) >= 2.0 - 8 * MS


def test_an_outage_is_reported_and_the_run_goes_on(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)

        def down() -> None:
            bench.net.up = False
            bench.net.cut()

        bench.net.at(1.0, down)
        bench.net.at(4.0, lambda: setattr(bench.net, "up", True))
        return await bench.closed_loop(4, Gate(opens_at=0, closes_at=8.0)), bench

    for client in (ClientConfig(), POOL):
        records, bench = on_a_net(main, path, client)
        lost = client.connections if client.pooling == "pool" else 1
        assert bench.counters.connections_lost == lost
        assert 3.0 <= bench.counters.outage_s <= 4.1
        good = records.start_s[records.status == 0]
        assert good.min() < 1.0
        assert good.max() > 7.9
        bad = records.status != 0
        assert records.start_s[bad].max() < 5.1
        # Nobody spins while nobody answers: as many failures as attempts, for each caller of a connection.
        assert bad.sum() <= 4 * len(bench.net.attempts)
        pauses = np.diff([at for at in bench.net.attempts[lost::lost] if at < 4])
        assert np.all(pauses[1:] >= pauses[:-1] - 1e-9)
        assert pauses.max() <= 1.1


def test_what_of_an_outage_was_before_the_window_is_not_of_the_window(path: Path) -> None:
    async def main(bench: Bench) -> float:
        await bench.engine.connect(5)
        bench.net.up = False
        bench.net.cut()
        bench.net.at(2.0, bench.counters.reset)
        bench.net.at(2.9, lambda: setattr(bench.net, "up", True))
        await bench.closed_loop(1, Gate(opens_at=0, closes_at=5.0))
        return bench.counters.outage_s

    assert 0.8 <= on_a_net(main, path) <= 2.1


def test_connections_that_end_as_soon_as_they_are_made_are_not_dialled_in_a_frenzy(path: Path) -> None:
    async def main(bench: Bench) -> Net:
        await bench.engine.connect(5)

        def greet_and_go(server: Server) -> None:
            server.greet()
            server.go_away(0)
            server.net._loop.call_soon(server.cable.end)

        bench.net.on_connect = greet_and_go
        bench.net.cut()
        await bench.closed_loop(2, Gate(opens_at=0, closes_at=2.0))
        return bench.net

    net = on_a_net(main, path, ClientConfig(deadline_s=0.5))
    assert 2 <= len(net.attempts) <= 2.6 / BACKOFF_S[0]


def test_after_goaway_accepted_calls_finish_and_new_ones_take_a_new_connection(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)

        def leave() -> None:
            (server,) = bench.net.servers
            server.go_away(frames.MAX_STREAM_ID)
            server.go_away(server.streams[-1])

        bench.net.at(1.0 + 4 * MS, leave)
        return await bench.closed_loop(5, Gate(opens_at=0, closes_at=2.0)), bench

    records, bench = on_a_net(main, path)
    assert statuses(records).keys() == {"OK"}
    assert set(records.latency_s) == {8 * MS}
    assert len(bench.net.servers) == 2
    assert bench.counters.connections_lost == 1, "the server ended it; grpcio tells no more either"
    assert bench.net.servers[0].said_goodbye
    assert bench.net.servers[0].cable.closed


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_calls_that_the_server_did_not_accept(path: Path, resend: bool, pooling: Any) -> None:
    def refuse_some(server: Server, stream_id: int) -> None:
        net = server.net
        if len(net.servers) == 1 or (pooling == "per_call" and len(net.servers) % 2):
            server.go_away(0)
        else:
            net.answer_later(server, stream_id)

    async def main(bench: Bench) -> Records:
        bench.net.on_request = refuse_some
        return await bench.closed_loop(1, requests=10)

    counts = statuses(on_a_net(main, path, ClientConfig(resend=resend, pooling=pooling)))
    if resend:
        assert counts == {"OK": 10}
    else:
        assert counts == ({"OK": 9, "UNAVAILABLE": 1} if pooling == "shared" else {"OK": 5, "UNAVAILABLE": 5})


def test_a_refused_call_is_sent_again_once_and_its_latency_counts_from_its_beginning(path: Path) -> None:
    streams: list[int] = []

    def refuse(server: Server, stream_id: int) -> None:
        streams.append(stream_id)
        if len(streams) % 3:
            server.net._loop.call_later(MS, server.refuse, stream_id)
        else:
            server.net.answer_later(server, stream_id)

    async def main(bench: Bench) -> Records:
        bench.net.on_request = refuse
        return await bench.closed_loop(1, requests=6)

    records = on_a_net(main, path, ClientConfig(resend=True))
    # refused, refused: ended; answered; refused, refused: ended; ...
    assert statuses(records) == {"UNAVAILABLE": 3, "OK": 3}
    assert sorted(set(records.latency_s)) == [2 * MS, 8 * MS]


def test_a_call_that_was_sent_again_keeps_its_deadline(path: Path) -> None:
    def refuse_late(server: Server, stream_id: int) -> None:
        if stream_id == 1:
            server.net._loop.call_later(0.5, server.refuse, stream_id)

    async def main(bench: Bench) -> Records:
        bench.net.on_request = refuse_late
        await bench.engine.connect(5)
        return await open_loop(bench, [0.0, 0.25, 0.375])

    records = on_a_net(main, path, ClientConfig(resend=True, deadline_s=1.0))
    assert statuses(records) == {"DEADLINE_EXCEEDED": 3}
    assert all(1.0 <= latency <= 1.03 for latency in records.latency_s)


def test_stream_ids_run_out_and_nobody_notices(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = frames.MAX_STREAM_ID
    monkeypatch.setattr(
        "grpclab.load.engines.connection_settings.ClientConnection",
        functools.partial(ClientConnection, first_stream_id=last - 20),
    )

    async def main(bench: Bench) -> tuple[Records, Bench]:
        return await bench.closed_loop(4, requests=100), bench

    records, bench = on_a_net(main, path)
    assert statuses(records) == {"OK": 100}
    assert bench.counters.connections_lost == bench.counters.held == 0
    assert [len(server.streams) for server in bench.net.servers] == [11] * 9 + [1]


def test_following_calls_on_another_connection_are_sent_at_once(path: Path) -> None:
    """A call that ended on a connection that drains, or a place that became free, leads to one elsewhere."""

    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)
        for time in (100, 228, 356):
            bench.net.at(time * MS, lambda: bench.net.servers[-1].go_away(frames.MAX_STREAM_ID))
        return await bench.closed_loop(1, requests=100), bench

    records, bench = on_a_net(main, path, ClientConfig(deadline_s=None))
    assert statuses(records) == {"OK": 100}
    assert records.start_s.max() == 99 * 8 * MS
    assert len(bench.net.servers) == 4


# ---- silence ---------------------------------------------------------------------------------------------------

KEEPALIVE = ClientConfig(keepalive_s=1.0, keepalive_timeout_s=0.5, deadline_s=None)


def test_a_silent_connection_is_pinged_and_kept_while_it_answers(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        bench.net.service_s = 10.0
        return await bench.closed_loop(1, requests=1), bench

    records, bench = on_a_net(main, path, KEEPALIVE)
    assert statuses(records) == {"OK": 1}
    assert 8 <= bench.net.servers[0].pings <= 10


def test_a_connection_that_does_not_answer_pings_is_given_up(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)
        bench.net.service_s = 20 * MS

        def black_hole() -> None:
            old = bench.net.servers[0]
            bench.net.on_request = lambda server, stream: (
                None if server is old else bench.net.answer_later(server, stream)
            )
            old.flush = lambda: None  # type: ignore[method-assign]

        bench.net.at(1.0, black_hole)
        return await bench.closed_loop(2, Gate(opens_at=0, closes_at=6.0)), bench

    records, bench = on_a_net(main, path, KEEPALIVE)
    assert statuses(records)["UNAVAILABLE"] == 2
    assert 1.5 <= max(records.latency_s) <= 1.6
    assert bench.counters.connections_lost == 1
    assert records.start_s[records.status == 0].max() > 5.9


def test_a_connection_is_pinged_between_windows_and_dialled_again_where_nobody_answers(path: Path) -> None:
    async def main(bench: Bench) -> tuple[list[int], Bench]:
        await bench.engine.connect(5)
        await bench.engine.run(Gate(opens_at=0, requests=1), Recorder(None), 1)
        await asyncio.sleep(5.0)
        old = bench.net.servers[0]
        pings = [old.pings]
        old.flush = lambda: None  # type: ignore[method-assign]
        await asyncio.sleep(5.0)
        recorder = Recorder(None)
        await bench.engine.run(Gate(opens_at=0, requests=3), recorder, 1)
        pings.append(bench.net.servers[-1].pings)
        assert (recorder.calls, recorder.errors) == (3, 0)
        return pings, bench

    pings, bench = on_a_net(main, path, KEEPALIVE)
    assert all(2 <= count <= 5 for count in pings)
    assert len(bench.net.attempts) == 2


def test_an_idle_engine_without_keepalive_does_nothing(path: Path) -> None:
    async def main(bench: Bench) -> int:
        await bench.engine.connect(5)
        await bench.engine.run(Gate(opens_at=0, requests=1), Recorder(None), 1)
        loop = asyncio.get_running_loop()
        return len([timer for timer in loop._scheduled if not timer.cancelled()])  # type: ignore[attr-defined]

    assert on_a_net(main, path, ClientConfig()) == 0
    assert on_a_net(main, path, KEEPALIVE) == 1


def test_busy_connections_are_not_pinged(path: Path) -> None:
    async def main(bench: Bench) -> Bench:
        await bench.closed_loop(2, Gate(opens_at=0, closes_at=5.0))
        return bench

    assert on_a_net(main, path, KEEPALIVE).net.servers[0].pings == 0


def test_a_peer_that_does_not_read_is_given_up(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        await bench.engine.connect(5)
        bench.net.service_s = 100.0

        def stop_reading() -> None:
            bench.net.servers[0].cable.unread = http2_protocol.MAX_UNREAD_BYTES + 1

        bench.net.at(1.0, stop_reading)
        bench.net.at(1.5, lambda: setattr(bench.net, "service_s", MS))
        return await bench.closed_loop(3, Gate(opens_at=0, closes_at=2.0)), bench

    records, bench = on_a_net(main, path, ClientConfig(deadline_s=None))
    assert bench.counters.connections_lost == 1
    assert statuses(records)["UNAVAILABLE"] == 3


# ---- the beginning and the end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [ClientConfig(), POOL, PER_CALL])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda net: setattr(net, "up", False), "Connection refused"),
        (lambda net: setattr(net, "on_connect", lambda server: server.cable.say(b"HTTP/1.1 200 OK\r\n\r\n")), "HTTP/1"),
        (lambda net: setattr(net, "on_connect", lambda server: server.cable.end()), "closed the connection"),
        (lambda net: setattr(net, "mute", True), "within 5 s:"),
    ],
)
def test_where_nobody_answers_one_line_says_so(
    path: Path, client: ClientConfig, spoil: Callable[[Net], None], why: str
) -> None:
    async def main(bench: Bench) -> tuple[str, Net]:
        spoil(bench.net)
        with pytest.raises(TargetError) as caught:
            await bench.engine.connect(5)
        await asyncio.sleep(10)  # nothing goes on
        return str(caught.value), bench.net

    text, net = on_a_net(main, path, client)
    assert text.startswith("no server responded at 127.0.0.1:1 within 5 s")
    assert "\n" not in text
    assert why in text
    assert max(net.attempts) <= 5.0
    assert all(server.cable.closed for server in net.servers)


def test_a_server_that_comes_up_a_little_later_is_found(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        bench.net.up = False
        bench.net.at(2.0, lambda: setattr(bench.net, "up", True))
        return await bench.closed_loop(2, requests=10)

    assert statuses(on_a_net(main, path, POOL)) == {"OK": 10}


def test_per_call_opens_and_closes_a_connection_for_each_call(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        records = await bench.closed_loop(3, requests=30)
        assert len(bench.engine._pool.connections) < 30
        return records, bench

    records, bench = on_a_net(main, path, PER_CALL)
    assert statuses(records) == {"OK": 30}
    assert [len(server.streams) for server in bench.net.servers] == [1] * 30
    assert all(server.cable.closed and server.said_goodbye for server in bench.net.servers)
    assert bench.counters.connections_lost == 0


def test_per_call_where_nobody_listens(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, Bench]:
        bench.net.up = False
        return await bench.closed_loop(3, requests=30), bench

    records, _ = on_a_net(main, path, PER_CALL)
    assert statuses(records) == {"UNAVAILABLE": 30}


def test_several_windows_on_the_same_connections(path: Path) -> None:
    async def main(bench: Bench) -> list[dict[str, int]]:
        counts = [statuses(await bench.closed_loop(4, requests=20)) for _ in range(3)]
        counts.append(statuses(await open_loop_again(bench)))
        counts.append(statuses(await bench.closed_loop(4, requests=20)))
        assert len(bench.net.servers) == 2
        return counts

    async def open_loop_again(bench: Bench) -> Records:
        recorder = Recorder(path)
        now = bench.loop.time()
        planned = (now + number * MS for number in itertools.count())
        gate = Gate(opens_at=now, closes_at=now + 20 * MS)
        await bench.engine.run_open(planned, gate, recorder, pacer(bench.loop), 100)
        recorder.close()
        return Records.load(path)

    assert on_a_net(main, path, POOL) == [{"OK": 20}] * 5


def test_a_window_that_is_ended_from_outside(path: Path) -> None:
    async def main(bench: Bench) -> tuple[int, int, float]:
        await bench.engine.connect(5)
        gate, recorder = Gate(opens_at=0), Recorder()
        bench.net.at(1.0, gate.close)
        planned = iter(number * 0.5 for number in itertools.count())
        await bench.engine.run_open(planned, gate, recorder, pacer(bench.loop), 10)
        calls = recorder.calls
        gate = Gate(opens_at=0)
        bench.net.at(bench.loop.time() + 1.0, gate.close)
        await bench.engine.run(gate, recorder, 2)
        return calls, recorder.calls, bench.loop.time()

    first, both, end = on_a_net(main, path)
    assert first in (2, 3)
    assert both > first + 200
    assert end < 2.6


def test_a_window_that_was_cancelled_leaves_no_timer(path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.engine.connect(5)
        bench.net.service_s = 100.0
        running = asyncio.ensure_future(bench.engine.run(Gate(opens_at=0), Recorder(), 2))
        await asyncio.sleep(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert bench.engine._timer is not None
        assert bench.engine._timer.cancelled()

    on_a_net(main, path)


# ---- floods --------------------------------------------------------------------------------------------------


def test_a_deadline_is_kept_while_the_server_sends_without_a_pause(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of what does not answer, without a turn of the event loop; reading then waits for one."""
    flood = frames.headers(1, block([(":status", "103")]), end=False) * 3000
    paused: list[int] = []

    async def main(bench: Bench) -> Records:
        receive = ClientConnection.receive

        def slowly(connection: ClientConnection, data: bytes) -> list[Any]:
            bench.loop.selector.now += 8 * MS
            return receive(connection, data)

        monkeypatch.setattr(http2_protocol, "TURN_BYTES", len(flood) // 256)

        def answer(server: Server, stream_id: int) -> None:
            if stream_id > 1:
                server.answer(stream_id)
                return
            monkeypatch.setattr(ClientConnection, "receive", slowly)
            server.cable._deliver(flood)
            monkeypatch.undo()
            paused.append(server.cable.paused)
            bench.loop.call_soon(lambda: paused.append(server.cable.paused))

        bench.net.on_request = answer
        return await bench.closed_loop(1, requests=6)

    records = on_a_net(main, path, ClientConfig(deadline_s=0.5))
    assert statuses(records).keys() == {"DEADLINE_EXCEEDED", "OK"}, "those of the flood, and those after it"
    late = records.latency_s[records.status != 0] - 0.5
    assert len(late) >= 3
    assert late.min() >= 0
    assert late.max() <= 32 * MS
    assert paused == [1, 0]


def test_reading_is_not_paused_while_the_event_loop_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[Http2Protocol] = []
    monkeypatch.setattr(Http2Protocol, "pause", paused.append)
    records = on_a_net(lambda bench: bench.closed_loop(1, requests=100), path)
    assert np.ptp(records.start_s) > 3 * TURN_S
    assert not paused
