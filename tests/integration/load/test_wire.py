"""Engine `wire` against grpcio's servers: every call is answered, counted, and ends with the right status."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import uvloop

from grpclab.errors import TargetError
from grpclab.factors.config import ClientConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.engine import Counters, Engine
from grpclab.load.engines.wire import WireEngine
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.status import STATUS_NAMES
from grpclab.system.pacing import Pacer
from grpclab.system.transport import PLAINTEXT, Security
from grpclab.testing import FakeTarget, FaultSpec, fake_target, fault_server
from tests.support.net import statuses
from tests.support.processes import until

RUNNERS: dict[str, Callable[..., Any]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


class Found(NamedTuple):
    """What came of a run."""

    records: Records
    counters: Counters

    @property
    def statuses(self) -> dict[str, int]:
        return statuses(self.records)


def config(client: ClientConfig | None = None, **load: Any) -> TrialConfig:
    return TrialConfig(client=client or ClientConfig(), load=LoadConfig(**load))


def run(
    path: Path,
    target: str,
    trial: TrialConfig,
    security: Security = PLAINTEXT,
    *,
    call: CallSpec | None = None,
    gate: Gate | None = None,
    planned: Callable[[], Iterator[float]] | None = None,
    runner: str = "uvloop",
    while_connected: Callable[[], None] = lambda: None,
) -> Found:
    """One window of the engine: a closed loop, or an open one where arrivals are planned."""
    load = trial.load

    async def main() -> Found:
        engine: Engine = ENGINES["wire"](trial, target, security, call or greeting(load), residence=False)
        await engine.connect(10)
        while_connected()
        recorder, window = Recorder(path), gate or Gate(opens_at=0, requests=load.requests)
        try:
            async with asyncio.timeout(60):
                if planned is None:
                    await engine.run(window, recorder, load.concurrency)
                else:
                    pacer = Pacer(asyncio.get_running_loop(), spin=False)
                    try:
                        await engine.run_open(planned(), window, recorder, pacer, load.max_in_flight)
                    finally:
                        pacer.close()
        finally:
            await engine.close()
            recorder.close()
        return Found(Records.load(path), engine.counters)

    outcome: Found = RUNNERS[runner](main())
    return outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls"


# ---- both servers, all poolings --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sync", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """Streams are three messages, 5 ms apart."""
    levels = ServerConfig(implementation=request.param, stream_messages=3, stream_interval_ms=5)
    with launch(levels) as running:
        yield running


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("pooling", ["shared", "pool", "per_call"])
def test_every_call_is_answered(path: Path, server: RunningServer, pooling: Any, runner: str) -> None:
    connections: list[int] = []

    def count() -> None:
        if pooling != "per_call":
            connected = {"shared": 1, "pool": 3}[pooling]
            assert until(lambda: sum(server.connections()) >= connected)
            connections.append(sum(server.connections()))

    client = ClientConfig(pooling=pooling, connections=3)
    trial = config(client, requests=300, concurrency=12)
    outcome = run(path, server.target, trial, runner=runner, while_connected=count)
    assert outcome.statuses == {"OK": 300}
    assert outcome.counters == Counters()
    assert (outcome.records.latency_s > 0).all()


def test_streams_and_their_messages(path: Path, server: RunningServer) -> None:
    outcome = run(path, server.target, config(method="SayHelloStream", requests=40, concurrency=4))
    records = outcome.records
    assert outcome.statuses == {"OK": 40}
    assert len(records.message_s) == 3 * 40
    assert set(records.message_start_s) == set(records.start_s)
    # The messages of a call, one after the other, take no longer than the call (some calls begin together).
    for start in set(records.start_s):
        took = records.latency_s[records.start_s == start]
        gaps = records.message_s[records.message_start_s == start]
        assert len(gaps) == 3 * len(took)
        assert 0.010 * len(took) < gaps.sum() <= took.sum()
    assert records.message_first.sum() == 40


def test_an_open_loop_sends_the_schedule_and_nothing_else(path: Path, server: RunningServer) -> None:
    begins: list[float] = []

    def planned() -> Iterator[float]:
        begins.append(time.perf_counter() + 0.01)
        return (begins[0] + number * 0.002 for number in itertools.count())

    outcome = run(path, server.target, config(requests=200, rate_rps=500.0), planned=planned)
    assert outcome.statuses == {"OK": 200}
    assert sorted(outcome.records.start_s) == [begins[0] + number * 0.002 for number in range(200)]
    assert (outcome.records.late_s >= 0).all()
    assert (outcome.records.latency_s > outcome.records.late_s).all()


def test_the_bound_of_calls_in_flight_is_counted_and_drops_nothing(path: Path, server: RunningServer) -> None:
    trial = config(requests=200, rate_rps=1e6, max_in_flight=3, method="SayHelloStream")
    outcome = run(path, server.target, trial, planned=lambda: itertools.repeat(time.perf_counter()))
    assert outcome.statuses == {"OK": 200}
    assert outcome.counters.bound_hits == 197
    # At most three at once: whoever is the third after another begins when that one is over.
    sent = np.sort(outcome.records.start_s + outcome.records.late_s)
    ended = np.sort(outcome.records.end_s)
    assert (sent[3:] >= ended[:-3] - 1e-9).all()


# ---- factors ---------------------------------------------------------------------------------------------------


def test_a_deadline(path: Path) -> None:
    # This server leaves deadlines to its clients: C-core's ends a call by its own clock, with a status of its own.
    with fault_server(FaultSpec(service_time="constant:60s", pacing="timer")) as server:
        outcome = run(path, server.target, config(ClientConfig(deadline_s=0.05), requests=6, concurrency=2))
    assert outcome.statuses == {"DEADLINE_EXCEEDED": 6}
    assert (outcome.records.latency_s >= 0.05).all()


@pytest.mark.parametrize("implementation", ["sync", "asyncio"])
def test_the_server_s_limit_of_streams(path: Path, implementation: Any) -> None:
    with launch(ServerConfig(implementation=implementation, max_concurrent_streams=2)) as server:
        outcome = run(path, server.target, config(requests=200, concurrency=10))
        server.stop()
        assert (server.high_water or 0) <= 2
    assert outcome.statuses == {"OK": 200}
    assert 150 <= outcome.counters.held <= 200
    assert not outcome.records.late_s.any()


def test_calls_that_the_server_rejects(path: Path) -> None:
    with launch(ServerConfig(implementation="asyncio", max_concurrent_rpcs=1, handler_work_us=1000)) as server:
        outcome = run(path, server.target, config(requests=100, concurrency=10))
    assert set(outcome.statuses) == {"OK", "RESOURCE_EXHAUSTED"}
    assert sum(outcome.statuses.values()) == 100


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_tls(path: Path, pooling: Any, runner: str, tls_server: RunningServer) -> None:
    client = ClientConfig(pooling=pooling)
    security = tls_server.security
    outcome = run(path, tls_server.target, config(client, requests=60, concurrency=4), security, runner=runner)
    assert outcome.statuses == {"OK": 60}
    assert outcome.counters == Counters()


@pytest.fixture(scope="module")
def tls_server() -> Iterator[RunningServer]:
    with launch(ServerConfig(implementation="asyncio", tls=True)) as running:
        yield running


def test_tls_that_is_not_asked_for_or_not_offered(path: Path, tls_server: RunningServer, server: RunningServer) -> None:
    for target, security, message in (
        (tls_server.target, PLAINTEXT, "speaks TLS"),
        (server.target, tls_server.security, "does not speak TLS"),
    ):
        engine = WireEngine(config(), target, security, greeting(LoadConfig()))
        with pytest.raises(TargetError, match=message):
            uvloop.run(engine.connect(60))


@pytest.mark.parametrize("window_kib", [None, 1, 64])
def test_large_messages(path: Path, window_kib: int | None) -> None:
    client = ClientConfig(window_kib=window_kib, adaptive_window=window_kib is None)
    server_config = ServerConfig(implementation="asyncio", response_bytes=2**20, window_kib=64, adaptive_window=False)
    trial = config(client, request_bytes=2**20, requests=12, concurrency=4)
    with launch(server_config) as server:
        outcome = run(path, server.target, trial)
    assert outcome.statuses == {"OK": 12}


def test_keepalive_on_a_silent_connection(path: Path) -> None:
    client = ClientConfig(keepalive_s=0.05, keepalive_timeout_s=10.0)
    levels = ServerConfig(handler_work_us=400_000, keepalive_s=0.05, keepalive_without_calls=True)
    with launch(levels) as server:
        outcome = run(path, server.target, config(client, requests=2, concurrency=1))
    assert outcome.statuses == {"OK": 2}
    assert outcome.counters.connections_lost == 0


# ---- servers that go and come ----------------------------------------------------------------------------------


def test_a_server_that_is_killed_and_started_again(path: Path) -> None:
    """The run reports the outage, and goes on."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(launch(ServerConfig(implementation="asyncio")))
        gate = Gate(opens_at=0)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(
                run, path, first.target, config(ClientConfig(deadline_s=5.0), concurrency=8), gate=gate
            )
            assert until(lambda: gate.admitted > 200)
            first.child.popen.kill()
            first.child.popen.wait()
            second = stack.enter_context(launch(ServerConfig(implementation="asyncio"), port=first.port))
            before = gate.admitted
            assert until(lambda: gate.admitted > before + 200)
            gate.close()
            outcome = running.result(timeout=120)
        second.stop()
        assert (second.calls or 0) > 150
    assert set(outcome.statuses) == {"OK", "UNAVAILABLE"}
    assert outcome.counters.connections_lost == 1
    assert outcome.counters.outage_s > 0
    bad = outcome.records.status != 0
    good = outcome.records.end_s[~bad]
    assert good.min() < outcome.records.end_s[bad].min()
    assert good.max() > outcome.records.end_s[bad].max()


@pytest.mark.parametrize("pooling", ["shared", "pool", "per_call"])
def test_nothing_listens(pooling: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine = WireEngine(config(ClientConfig(pooling=pooling)), f"127.0.0.1:{port}", PLAINTEXT, greeting(LoadConfig()))
    with pytest.raises(TargetError, match=rf"^no server responded at 127.0.0.1:{port} within 0.2 s \(.*refused.*\): "):
        asyncio.run(engine.connect(0.2))


# ---- a server of this process, for what the greeter does not do ------------------------------------------------


class Service(grpc.GenericRpcHandler):
    """``/x/status`` ends with the status that the request names; ``/x/echo`` sends the metadata back."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
        metadata = details.invocation_metadata

        def status(request: bytes, context: grpc.ServicerContext) -> bytes:
            code = next(code for code in grpc.StatusCode if code.value[0] == int(request))
            if code is grpc.StatusCode.OK:
                return b""
            context.abort(code, f"100 % {code.name} \u20ac")
            raise AssertionError

        def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
            own = [(key, value) for key, value in metadata or () if key.startswith("own")]
            context.set_trailing_metadata(tuple(own))
            return request

        return {
            "/x/status": grpc.unary_unary_rpc_method_handler(status),
            "/x/echo": grpc.unary_unary_rpc_method_handler(echo),
        }.get(str(details.method))


def serving(*options: tuple[str, int]) -> AbstractContextManager[FakeTarget]:
    return fake_target(Service(), answer=None, services=(), options=options)


def test_every_status(path: Path) -> None:
    with serving() as target:
        for code, name in enumerate(STATUS_NAMES):
            call = CallSpec(path="/x/status", payload=str(code).encode())
            assert run(path, target.address, config(requests=40, concurrency=4), call=call).statuses == {name: 40}
        nowhere = CallSpec(path="/x/nowhere", payload=b"")
        unserved = run(path, target.address, config(requests=40, concurrency=4), call=nowhere)
        assert unserved.statuses == {"UNIMPLEMENTED": 40}


def test_metadata_and_trailers(path: Path) -> None:
    trailers_of_calls: list[list[tuple[str, str]]] = []
    sent = (("own", "a"), ("own-bin", "/wA"), ("own", "b"))

    async def main(target: str) -> None:
        call = CallSpec(path="/x/echo", payload=b"", metadata=sent)
        engine = WireEngine(config(), target, PLAINTEXT, call)
        await engine.connect(10)
        handle = engine._closed_loop

        def noting(connection: Any, ended: Any) -> None:
            trailers_of_calls.extend(list(call.trailers) for call in ended)
            handle(connection, ended)

        engine._closed_loop = noting  # type: ignore[method-assign]
        await engine.run(Gate(opens_at=0, requests=50), Recorder(), 3)
        await engine.close()

    with serving() as target:
        asyncio.run(main(target.address))
    assert len(trailers_of_calls) == 50
    for trailers in trailers_of_calls:
        assert (
            sorted(pair for pair in trailers if pair[0].startswith("own"))
            == sorted([("own", "a"), ("own", "b"), ("own-bin", "/wA")])
            or ("own", "a,b") in trailers
        )


@pytest.mark.parametrize("resend", [False, True])
def test_a_server_that_ends_connections_gracefully(path: Path, resend: bool) -> None:
    call = CallSpec(path="/x/echo", payload=b"")
    gate = Gate(opens_at=0)
    with (
        serving(("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 10_000)) as target,
        ThreadPoolExecutor(1) as pool,
    ):
        engines = config(ClientConfig(resend=resend), concurrency=4)
        running = pool.submit(run, path, target.address, engines, call=call, gate=gate)
        assert until(lambda: gate.admitted > 2000)
        gate.close()
        outcome = running.result(timeout=120)
    assert outcome.statuses.keys() == {"OK"}
    assert outcome.counters.connections_lost >= 1
