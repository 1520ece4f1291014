"""Calls of engine `wire` in virtual time: exact latencies, the peer's limit of streams, deadlines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from h2.settings import SettingCodes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpclab.factors.config import ClientConfig, LoadConfig
from grpclab.http2 import frames
from grpclab.http2.messages import prefixed
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Records
from grpclab.status import NOT_ENDED
from tests.support.net import MS, PER_CALL, POOL, STREAM_CALL, Bench, Net, Server, on_a_net, open_loop, statuses

# ---- exact times ---------------------------------------------------------------------------------------------


def test_closed_loop_latencies_are_the_server_s(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        bench.net.service_s = 3 * MS
        return await bench.closed_loop(4, requests=1000)

    records = on_a_net(main, path)
    assert statuses(records) == {"OK": 1000}
    assert set(records.latency_s) == {3 * MS}
    assert set(np.diff(np.unique(records.start_s))) == {3 * MS}
    assert not records.late_s.any()


UPLOAD = CallSpec(path="/a.B/Upload", payload=prefixed(b"x") * 2, client_streaming=True)


@pytest.mark.parametrize("client", [ClientConfig(), POOL, PER_CALL])
def test_messages_of_a_stream_go_out_at_their_times(path: Path, client: ClientConfig) -> None:
    async def main(bench: Bench) -> Records:
        return await bench.closed_loop(3, requests=30)

    load = LoadConfig(stream_messages=5, stream_interval_s=16 * MS)
    records = on_a_net(main, path, client, call=UPLOAD, load=load)
    assert statuses(records) == {"OK": 30}
    assert set(records.latency_s) == {4 * 16 * MS + 8 * MS}
    assert set(records.message_age_s) == {4 * 16 * MS + 8 * MS}
    assert set(records.message_reply_s) == {8 * MS}, "since the last message"
    assert set(records.sent_messages) == {5.0}


def test_a_stream_s_time_ends_its_messages(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        return await bench.closed_loop(2, requests=4)

    load = LoadConfig(stream_messages=100, stream_interval_s=16 * MS, stream_duration_s=40 * MS)
    records = on_a_net(main, path, call=UPLOAD, load=load)
    assert set(records.sent_messages) == {3.0}
    assert set(records.latency_s) == {40 * MS + 8 * MS}


def test_a_stream_that_is_given_up_sends_nothing_more(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, list[int]]:
        bench.loop.call_later(40 * MS, bench.engine.give_up)
        records = await bench.closed_loop(2, requests=4)
        await asyncio.sleep(1)
        return records, bench.net.servers[0].resets

    load = LoadConfig(stream_messages=100, stream_interval_s=16 * MS)
    records, resets = on_a_net(main, path, call=UPLOAD, load=load)
    assert records.status.tolist() == [NOT_ENDED] * 2
    assert resets == [1, 3]
    assert set(records.sent_messages) == {3.0}


class Queue:
    """A server that takes one call after the other, each for its own time."""

    def __init__(self, net: Net, service_s: list[float]) -> None:
        self._net, self._service = net, iter(service_s)
        self._free_at = 0.0
        net.on_request = self

    def __call__(self, server: Server, stream_id: int) -> None:
        self._free_at = max(self._free_at, self._net._loop.time()) + next(self._service)
        self._net._loop.call_at(self._free_at, server.answer, stream_id)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 20), min_size=200, max_size=200),
    st.lists(st.integers(1, 18), min_size=200, max_size=200),
    st.sampled_from([ClientConfig(), POOL, PER_CALL]),
)
def test_open_loop_latencies_are_exact(path: Path, gaps: list[int], service: list[int], client: ClientConfig) -> None:
    planned = [float(x) * MS for x in np.cumsum(gaps)]
    service_s = [x * MS for x in service]

    async def main(bench: Bench) -> Records:
        Queue(bench.net, service_s)
        return await open_loop(bench, planned)

    records = on_a_net(main, path, client)
    expected, free = [], 0.0
    for due, length in zip(planned, service_s, strict=True):  # Lindley's recursion
        free = max(free, due) + length
        expected.append(free - due)
    assert sorted(records.start_s) == planned
    assert list(records.latency_s[np.argsort(records.start_s, kind="stable")]) == expected
    assert not records.late_s.any()


def test_a_late_call_is_sent_at_once_and_its_latency_counts_from_the_plan(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        await bench.engine.connect(5)
        bench.loop.selector.now += 100 * MS  # as if the process had been stopped
        return await open_loop(bench, [number * MS for number in range(200)])

    records = on_a_net(main, path)
    assert statuses(records) == {"OK": 200}
    assert list(np.sort(records.start_s)) == [number * MS for number in range(200)]
    late = np.maximum(100 * MS - records.start_s, 0)
    assert list(records.late_s) == list(late)
    assert list(records.latency_s) == list(late + 8 * MS)


def test_the_bound_of_calls_in_flight_is_kept_and_counted(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, int, int]:
        bench.net.service_s = 10 * MS
        records = await open_loop(bench, [number * MS for number in range(100)], max_in_flight=5)
        return records, bench.counters.bound_hits, bench.net.high_water

    for client in (ClientConfig(), POOL, PER_CALL):
        records, hits, high_water = on_a_net(main, path, client)
        assert statuses(records) == {"OK": 100}
        assert high_water == 5
        assert hits == 95
        sent = records.start_s + records.late_s
        assert sorted(sent) == [(10 * (k // 5) + k % 5) * MS for k in range(100)]
        assert list(records.latency_s) == list(records.late_s + 10 * MS)


def test_messages_of_a_stream(path: Path) -> None:
    def three(server: Server, stream_id: int) -> None:
        loop, net = server.net._loop, server.net
        server.h2.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])

        def message() -> None:
            server.h2.send_data(stream_id, b"\0\0\0\0\1x")
            server.flush()

        def end() -> None:
            net.in_flight -= 1
            server.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
            server.flush()

        for number in (2, 5, 9):
            loop.call_later(number * MS, message)
        loop.call_later(10 * MS, end)

    async def main(bench: Bench) -> Records:
        bench.net.on_request = three
        return await bench.closed_loop(2, requests=20)

    records = on_a_net(main, path, call=STREAM_CALL)
    assert statuses(records) == {"OK": 20}
    assert set(records.latency_s) == {10 * MS}
    assert set(records.message_s[records.message_first]) == {2 * MS}
    assert sorted(records.message_s[~records.message_first]) == sorted([3 * MS, 4 * MS] * 20)
    assert set(records.message_start_s) == set(records.start_s)


def test_the_server_s_own_account_goes_with_its_call(path: Path) -> None:
    def tell(server: Server, stream_id: int) -> None:
        trailers = [
            ("grpclab-residence-ns", value) for value in ["1000000", "", "x", "9" * 5000][stream_id // 2 % 4 :][:1]
        ]
        server.net._loop.call_later(stream_id * MS, server.answer, stream_id, 0, b"\0\0\0\0\0", trailers)

    async def main(bench: Bench) -> Records:
        bench.net.on_request = tell
        return await bench.closed_loop(2, requests=40)

    records = on_a_net(main, path, residence=True)
    assert records.residence_s is not None
    number = np.round(records.latency_s / MS).astype(int) // 2
    assert list(np.isnan(records.residence_s)) == [bool(n % 4) for n in number]
    assert set(records.residence_s[~np.isnan(records.residence_s)]) == {1e-3}


# ---- the peer's limit of streams ---------------------------------------------------------------------------


def test_calls_beyond_the_peer_s_limit_wait_in_order_and_are_counted(path: Path) -> None:
    async def main(bench: Bench) -> tuple[Records, int, int]:
        bench.net.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 3}
        records = await open_loop(bench, [0.0] * 12)
        return records, bench.counters.held, bench.net.high_water

    records, held, high_water = on_a_net(main, path)
    assert (held, high_water) == (9, 3)
    assert list(records.latency_s) == [8 * MS * (1 + k // 3) for k in range(12)]
    assert not records.late_s.any()  # waiting for the peer is no lateness


def test_a_limit_of_nothing_holds_everything_until_it_is_lifted(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        bench.net.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 0}

        def lift() -> None:
            (server,) = bench.net.servers
            server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 100})
            server.flush()

        bench.net.at(1.0, lift)
        return await bench.closed_loop(4, requests=8)

    records = on_a_net(main, path)
    assert statuses(records) == {"OK": 8}
    assert list(records.latency_s) == [1 + 8 * MS] * 4 + [8 * MS] * 4


# ---- deadlines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [ClientConfig(deadline_s=1.0), ClientConfig(deadline_s=1.0, pooling="per_call")])
def test_a_deadline_ends_the_call_and_tells_the_server(path: Path, client: ClientConfig) -> None:
    async def main(bench: Bench) -> tuple[Records, Net]:
        bench.net.service_s = 1e9
        return await bench.closed_loop(3, requests=6), bench.net

    records, net = on_a_net(main, path, client)
    assert statuses(records) == {"DEADLINE_EXCEEDED": 6}
    assert all(1.0 <= latency <= 1.03 for latency in records.latency_s)
    assert sum(len(server.resets) for server in net.servers) == 6
    assert net.in_flight == 0


@pytest.mark.parametrize(("after_s", "status"), [(0.5, "CANCELLED"), (1.0 + MS, "DEADLINE_EXCEEDED")])
def test_a_server_that_cancels_at_the_deadline_means_the_deadline(path: Path, after_s: float, status: str) -> None:
    async def main(bench: Bench) -> Records:
        def cancel(server: Server, stream_id: int) -> None:
            bench.net.at(after_s, lambda: server.refuse(stream_id, frames.ErrorCode.CANCEL))

        bench.net.on_request = cancel
        return await bench.closed_loop(requests=1)

    assert statuses(on_a_net(main, path, ClientConfig(deadline_s=1.0))) == {status: 1}


@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_a_deadline_holds_for_calls_that_were_never_sent(path: Path, pooling: Any) -> None:
    async def main(bench: Bench) -> tuple[Records, Net]:
        if pooling == "shared":
            await bench.engine.connect(5)
            bench.net.cut()
            await asyncio.sleep(MS)
        bench.net.mute = True  # it accepts, and says nothing
        return await bench.closed_loop(2, requests=6), bench.net

    records, net = on_a_net(main, path, ClientConfig(deadline_s=1.0, pooling=pooling))
    assert statuses(records) == {"DEADLINE_EXCEEDED": 6}
    assert all(1.0 <= latency <= 1.03 for latency in records.latency_s)
    assert all(server.cable.closed for server in net.servers)


def test_a_short_deadline_does_not_keep_a_slow_server_from_being_reached(path: Path) -> None:
    async def main(bench: Bench) -> Records:
        await bench.engine.connect(5)
        bench.net.cut()
        await asyncio.sleep(MS)
        bench.net.mute = True

        def speak() -> None:
            bench.net.mute = False
            bench.net.servers[-1].flush()

        bench.net.at(1.0, speak)
        return await bench.closed_loop(1, Gate(opens_at=0, closes_at=3.0))

    counts = statuses(on_a_net(main, path, ClientConfig(deadline_s=0.1)))
    assert counts.keys() == {"OK", "DEADLINE_EXCEEDED"}
    assert counts["DEADLINE_EXCEEDED"] in range(9, 12)
    assert counts["OK"] > 200
