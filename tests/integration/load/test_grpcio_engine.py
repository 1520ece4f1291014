"""The engine `grpcio` against real servers, in this process: what it calls, records and counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from grpclab.errors import TargetError
from grpclab.factors.config import ClientConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.grpcio import GrpcioEngine
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.status import STATUS_NAMES
from grpclab.system.pacing import Pacer
from grpclab.system.transport import PLAINTEXT
from grpclab.testing import FaultSpec, fake_target, fault_server

Load = Callable[[GrpcioEngine, Recorder], Awaitable[None]]


def loaded(
    target: str,
    path: Path,
    load: Load,
    *,
    call: CallSpec | None = None,
    client: ClientConfig | None = None,
    residence: bool = False,
) -> tuple[Records, GrpcioEngine]:
    """What a load leaves behind: the records, and the engine with its counters."""
    config = TrialConfig(client=client or ClientConfig())

    async def main() -> GrpcioEngine:
        engine = GrpcioEngine(config, target, PLAINTEXT, call or greeting(config.load), residence=residence)
        await engine.connect(60.0)
        with contextlib.closing(Recorder(path, residence=residence)) as recorder:
            await load(engine, recorder)
        await engine.close()
        return engine

    engine = asyncio.run(main())
    return Records.load(path, residence=residence), engine


def closed(requests: int, concurrency: int = 4) -> Load:
    async def load(engine: GrpcioEngine, recorder: Recorder) -> None:
        await engine.run(Gate(opens_at=0.0, requests=requests), recorder, concurrency)

    return load


def opened(requests: int, rate_rps: float, *, max_in_flight: int = 1000) -> Load:
    async def load(engine: GrpcioEngine, recorder: Recorder) -> None:
        pacer = Pacer(asyncio.get_running_loop(), spin=False)
        starts_at = time.perf_counter() + 0.05
        planned = (starts_at + number / rate_rps for number in itertools.count())
        gate = Gate(opens_at=starts_at, requests=requests)
        await engine.run_open(planned, gate, recorder, pacer, max_in_flight)
        pacer.close()

    return load


def statuses(records: Records) -> dict[str, int]:
    codes, counts = np.unique(records.status, return_counts=True)
    return {STATUS_NAMES[code]: int(count) for code, count in zip(codes, counts, strict=True)}


def stream() -> CallSpec:
    """Three messages, 20 ms apart."""
    return greeting(LoadConfig(method="SayHelloStream"))


# ---- loops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["per_call", "shared", "pool"])
@pytest.mark.parametrize("load", [closed(40), opened(40, 400.0)], ids=["closed", "open"])
def test_every_call_is_made_and_recorded_once(
    quick_server: RunningServer, tmp_path: Path, pooling: Literal["per_call", "shared", "pool"], load: Load
) -> None:
    client = ClientConfig(pooling=pooling, connections=3)
    records, engine = loaded(quick_server.target, tmp_path / "calls", load, client=client)
    assert statuses(records) == {"OK": 40}
    assert (records.latency_s > 0).all()
    assert (engine.counters.connections_lost, engine.counters.outage_s) == (0, 0.0)


def test_an_open_loop_starts_its_calls_when_they_are_planned(quick_server: RunningServer, tmp_path: Path) -> None:
    records, _ = loaded(quick_server.target, tmp_path / "calls", opened(100, 500.0))
    starts = np.sort(records.start_s)
    assert np.diff(starts) == pytest.approx(1 / 500, abs=1e-9)
    assert (records.late_s >= 0).all()
    assert (records.latency_s > records.late_s).all()


def test_the_bound_in_flight_holds_against_a_slow_server(quick_server: RunningServer, tmp_path: Path) -> None:
    # 30 streams of 40 ms at 1000/s, five at a time
    load = opened(30, 1000.0, max_in_flight=5)
    records, engine = loaded(quick_server.target, tmp_path / "calls", load, call=stream())
    assert statuses(records) == {"OK": 30}
    assert engine.counters.bound_hits == 25
    sent, ends = np.sort(records.start_s + records.late_s), np.sort(records.end_s)
    assert (sent[5:] >= ends[:-5]).all(), "the next one goes when one has ended"


# ---- calls ---------------------------------------------------------------------------------------------------


def test_the_first_message_of_a_stream_is_told_from_the_gaps_between_them(
    quick_server: RunningServer, tmp_path: Path
) -> None:
    records, _ = loaded(quick_server.target, tmp_path / "calls", closed(12), call=stream())
    assert len(records.message_s) == 12 * 3
    assert sorted(set(records.message_start_s.tolist())) == sorted(records.start_s.tolist())
    for start, latency in zip(records.start_s, records.latency_s, strict=True):
        gaps = records.message_s[records.message_start_s == start]
        assert len(gaps) == 3
        assert (np.cumsum(gaps) >= [0.0, 0.020, 0.040]).all(), "the server waits before each but the first"
        assert gaps.sum() <= latency
        assert records.message_first[records.message_start_s == start].tolist() == [True, False, False]


def test_a_call_of_another_service_goes_as_bytes(quick_server: RunningServer, tmp_path: Path) -> None:
    request = health_pb2.HealthCheckRequest().SerializeToString()
    call = CallSpec(path="/grpc.health.v1.Health/Check", payload=request)
    records, _ = loaded(quick_server.target, tmp_path / "calls", closed(20), call=call)
    assert statuses(records) == {"OK": 20}


@pytest.mark.parametrize("server_streaming", [False, True])
def test_a_method_that_is_not_there_is_an_error_of_each_call(
    quick_server: RunningServer, tmp_path: Path, server_streaming: bool
) -> None:
    call = CallSpec(path="/greet.GreeterService/SayGoodbye", payload=b"", server_streaming=server_streaming)
    records, _ = loaded(quick_server.target, tmp_path / "calls", closed(10), call=call)
    assert statuses(records) == {"UNIMPLEMENTED": 10}


def test_a_deadline_ends_a_call_and_its_messages_so_far_are_kept(tmp_path: Path) -> None:
    client = ClientConfig(deadline_s=0.3)
    # This server leaves deadlines to its clients: C-core's ends a call by its own clock, with a status of its own.
    with fault_server(FaultSpec(stream_interval_ms=60_000, pacing="timer")) as server:
        records, _ = loaded(server.target, tmp_path / "calls", closed(8), call=stream(), client=client)
    assert statuses(records) == {"DEADLINE_EXCEEDED": 8}
    assert (records.latency_s >= 0.3).all()
    assert 0 < len(records.message_s) <= 8


@contextlib.contextmanager
def telltale() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that notes each call's metadata, and tells in its trailing metadata of 5, 10, 15 ms inside it."""
    requests: list[dict[str, Any]] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        requests.append({"request": request, **dict(context.invocation_metadata())})
        context.set_trailing_metadata((("grpclab-residence-ns", str(5_000_000 * len(requests))),))
        return request

    handler = grpc.method_handlers_generic_handler("a.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(answer)})
    with fake_target(handler, answer=None) as target:
        yield target.address, requests


BUY = CallSpec(path="/a.Shop/Buy", payload=b"\x0a\x03tea", metadata=(("shelf", "left"), ("stamp-bin", "AAH/")))


def test_the_request_and_its_metadata_arrive_as_given(tmp_path: Path) -> None:
    with telltale() as (target, requests):
        records, _ = loaded(target, tmp_path / "calls", closed(3, 1), call=BUY)
    assert statuses(records) == {"OK": 3}
    assert [(call["request"], call["shelf"], call["stamp-bin"]) for call in requests] == [
        (BUY.payload, "left", b"\x00\x01\xff")
    ] * 3


@pytest.mark.parametrize("pooling", ["per_call", "shared"])
def test_what_the_server_tells_of_its_time_is_recorded_with_each_call(
    tmp_path: Path, pooling: Literal["per_call", "shared"]
) -> None:
    client = ClientConfig(pooling=pooling)
    with telltale() as (target, _):
        records, _ = loaded(target, tmp_path / "calls", closed(3, 1), call=BUY, client=client, residence=True)
    assert records.residence_s is not None
    assert records.residence_s == pytest.approx([0.005, 0.010, 0.015])


def test_where_the_server_tells_nothing_that_is_what_is_recorded(quick_server: RunningServer, tmp_path: Path) -> None:
    records, _ = loaded(quick_server.target, tmp_path / "calls", closed(5), residence=True)
    assert records.residence_s is not None
    assert np.isnan(records.residence_s).all()


# ---- connections ---------------------------------------------------------------------------------------------


def test_a_server_that_dies_and_comes_back_is_an_outage_and_the_run_goes_on(tmp_path: Path) -> None:
    async def load(engine: GrpcioEngine, recorder: Recorder) -> None:
        gate = Gate(opens_at=0.0)
        running = asyncio.create_task(engine.run(gate, recorder, 4))
        await reached(lambda: recorder.calls > recorder.errors)
        os.kill(first.pids[0], signal.SIGKILL)
        await reached(lambda: recorder.errors > 0)
        await asyncio.to_thread(first.stop)
        second.append(stack.enter_context(launch(ServerConfig(), port=first.port)))
        good = recorder.calls - recorder.errors
        await reached(lambda: recorder.calls - recorder.errors > good)
        gate.close()
        await running

    second: list[RunningServer] = []
    with contextlib.ExitStack() as stack, launch(ServerConfig()) as first:
        client = ClientConfig(pooling="pool", connections=2)
        records, engine = loaded(first.target, tmp_path / "calls", load, client=client)
    assert set(statuses(records)) == {"OK", "UNAVAILABLE"}
    assert engine.counters.connections_lost >= 2
    assert engine.counters.outage_s > 0


async def reached(condition: Callable[[], bool]) -> None:
    """Look again and again while the load runs."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_an_outage_that_lasts_to_the_end_is_counted(tmp_path: Path) -> None:
    async def load(engine: GrpcioEngine, recorder: Recorder) -> None:
        gate = Gate(opens_at=0.0)
        running = asyncio.create_task(engine.run(gate, recorder, 1))
        os.kill(server.pids[0], signal.SIGKILL)
        await reached(lambda: engine.counters.connections_lost > 0)
        gate.close()
        await running

    with launch(ServerConfig()) as server:
        _, engine = loaded(server.target, tmp_path / "calls", load)
    assert engine.counters.connections_lost == 1
    assert engine.counters.outage_s > 0


def test_a_target_that_nobody_serves_is_told_in_one_line() -> None:
    config = TrialConfig()

    async def main() -> None:
        await GrpcioEngine(config, "127.0.0.1:1", PLAINTEXT, greeting(config.load)).connect(0.3)

    with pytest.raises(TargetError, match=r"no server responded at 127\.0\.0\.1:1 within 0\.3 s: start a server"):
        asyncio.run(main())
