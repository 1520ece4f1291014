"""Two engines, one truth: whatever a server answers, both say the same of it, or docs/engines.md says why not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from grpclab.factors.config import ClientConfig, LoadConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.engines.backoff import BACKOFF_S, Backoff
from grpclab.load.engines.engine import Engine
from grpclab.status import STATUS_NAMES
from grpclab.system.transport import PLAINTEXT
from grpclab.testing import fake_target
from tests.support.answer_server import PLAIN, AnswerServer, close
from tests.support.answer_shapes import STREAM, UNARY, Shape

T = TypeVar("T")

CALL = CallSpec(path="/any.Service/Method", payload=b"x")
STREAMED = CallSpec(path="/any.Service/Method", payload=b"x", server_streaming=True)
BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])


class Bench:
    """A server that answers as it is told and the engines that call it, on one loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._engines: dict[tuple[str, CallSpec, float], Engine] = {}
        self.server = AnswerServer()
        self.run(self.server.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        for engine in self._engines.values():
            await engine.close()
        await self.server.stop()

    async def engine(self, name: str, call: CallSpec, *, deadline_s: float = 10.0, **client: Any) -> Engine:
        """The engine, connected; the same one whenever it is asked for alike."""
        key = (f"{name} {client}", call, deadline_s)
        if key not in self._engines:
            config = TrialConfig(client=ClientConfig(deadline_s=deadline_s, **client))
            engine = ENGINES[name](config, f"127.0.0.1:{self.server.port}", PLAINTEXT, call, residence=False)
            await engine.connect(60)
            self._engines[key] = engine
        return self._engines[key]

    async def statuses(self, engine: Engine, calls: int = 3, concurrency: int = 1) -> list[str]:
        """How so many calls end."""
        recorder = Recorder(None)
        async with asyncio.timeout(120):
            await engine.run(Gate(opens_at=0, requests=calls), recorder, concurrency)
        return [STATUS_NAMES[code] for code in recorder.statuses]

    async def outcomes(self, name: str, call: CallSpec, shape: Shape) -> set[str]:
        """How calls end that are answered so; afterwards the connection is well, or there is another one."""
        waits = shape.of(name) == {"DEADLINE_EXCEEDED"}
        engine = await self.engine(name, call, deadline_s=0.1 if waits else 10.0)
        self.server.only_answer(shape.pieces)
        statuses = set(await self.statuses(engine, 1 if waits else 3))
        self.server.only_answer(PLAIN)
        while await self.statuses(engine, 1) != ["OK"]:
            await asyncio.sleep(0.01)
        return statuses


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


# ---- answers -------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("name", UNARY)
def test_an_answer_has_one_outcome(bench: Bench, name: str, engine: str) -> None:
    assert bench.run(bench.outcomes(engine, CALL, UNARY[name])) <= UNARY[name].of(engine)


@BOTH
@pytest.mark.parametrize("name", STREAM)
def test_so_has_a_stream(bench: Bench, name: str, engine: str) -> None:
    assert bench.run(bench.outcomes(engine, STREAMED, STREAM[name])) <= STREAM[name].of(engine)


@BOTH
@pytest.mark.parametrize("name", ["plain", "no message", "half a message", "not a protobuf message", "status 5 last"])
def test_and_the_greeter_is_no_exception(bench: Bench, name: str, engine: str) -> None:
    assert bench.run(bench.outcomes(engine, greeting(LoadConfig()), UNARY[name])) == {UNARY[name].outcome}


@BOTH
@pytest.mark.parametrize("name", [name for name in UNARY if name.startswith(("too ", "far "))])
def test_what_is_too_large_fails_its_call_and_not_the_connection(bench: Bench, name: str, engine: str) -> None:
    async def main() -> None:
        engine_ = await bench.engine(engine, CALL)
        await bench.statuses(engine_)
        before, lost = set(bench.server.connections), engine_.counters.connections_lost
        assert await bench.outcomes(engine, CALL, UNARY[name]) == {"RESOURCE_EXHAUSTED"}
        assert bench.server.connections == before
        assert engine_.counters.connections_lost == lost

    bench.run(main())


def test_every_exception_has_its_row_in_the_documentation_and_every_row_its_exception() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "engines.md").read_text()
    table = page.partition("## Where grpcio differs")[2]
    rows = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")][1:]
    documented = {re.sub("`", "", row) for row in rows if set(row) != {"-"}}
    assert documented == {shape.row for shape in (*UNARY.values(), *STREAM.values()) if shape.row}
    assert all(bool(shape.row) == bool(shape.grpcio) for shape in (*UNARY.values(), *STREAM.values()))


# ---- requests, sizes, compression ----------------------------------------------------------------------------


def test_both_accept_the_same_encodings(bench: Bench) -> None:
    async def accepted(engine: str) -> str:
        bench.server.requests.clear()
        await bench.statuses(await bench.engine(engine, CALL))
        return bench.server.requests[-1]["grpc-accept-encoding"]

    assert bench.run(accepted("wire")) == bench.run(accepted("grpcio")) == "identity, deflate, gzip"


LARGE = 5_000_000


@pytest.fixture(scope="module")
def large(bench: Bench) -> Iterator[tuple[Bench, int]]:
    """The port of a server whose answers are as long as the request says, compressed if the path says so."""

    class Service(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
            def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
                if str(details.method).endswith("Gzip"):
                    context.set_compression(grpc.Compression.Gzip)
                return b"x" * int(request[:10])

            return grpc.unary_unary_rpc_method_handler(answer)

    with fake_target(Service(), options=[("grpc.max_receive_message_length", -1)]) as target:
        yield bench, target.port


@BOTH
@pytest.mark.parametrize(
    ("max_message_mib", "sizes", "outcome"),
    [
        (None, (10, LARGE), "OK"),
        (None, (LARGE, 10), "OK"),
        (4, (LARGE, 4 * 2**20), "OK"),
        (4, (10, 4 * 2**20 + 1), "RESOURCE_EXHAUSTED"),
    ],
)
def test_a_message_has_no_limit_but_the_one_that_is_set(
    large: tuple[Bench, int], engine: str, max_message_mib: int | None, sizes: tuple[int, int], outcome: str
) -> None:
    """`sizes`: of the request and of the answer, bytes."""
    bench, port = large
    call = CallSpec(path="/any.Service/Large", payload=b"%010d" % sizes[1] + bytes(sizes[0] - 10))

    async def main() -> list[str]:
        config = TrialConfig(client=ClientConfig(max_message_mib=max_message_mib))
        made = ENGINES[engine](config, f"127.0.0.1:{port}", PLAINTEXT, call, residence=False)
        await made.connect(5)
        try:
            return await bench.statuses(made)
        finally:
            await made.close()

    assert bench.run(main()) == [outcome] * 3


@BOTH
def test_compressed_answers_are_counted_where_the_engine_sees_them(large: tuple[Bench, int], engine: str) -> None:
    bench, port = large
    call = CallSpec(path="/any.Service/Gzip", payload=b"%010d" % 1000)

    async def main() -> Recorder:
        made = ENGINES[engine](TrialConfig(), f"127.0.0.1:{port}", PLAINTEXT, call, residence=False)
        await made.connect(5)
        recorder = Recorder(None)
        await made.run(Gate(opens_at=0, requests=40), recorder, 4)
        await made.close()
        return recorder

    recorder = bench.run(main())
    assert (recorder.calls, recorder.errors) == (40, 0)
    assert recorder.encodings == ({"gzip": 40} if engine == "wire" else {})


# ---- connections ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("connections", [1, 3])
def test_every_connection_that_is_lost_is_counted(bench: Bench, engine: str, connections: int) -> None:
    async def main() -> None:
        pool: dict[str, Any] = {"pooling": "pool", "connections": connections}
        made = await bench.engine(engine, CALL, **pool)
        assert set(await bench.statuses(made, 6, 3)) == {"OK"}
        ended, lost = bench.server.ended, made.counters.connections_lost
        bench.server.only_answer([close])
        assert set(await bench.statuses(made, 12, 3)) == {"UNAVAILABLE"}
        bench.server.only_answer(PLAIN)
        while set(await bench.statuses(made, 6, 3)) != {"OK"}:
            await asyncio.sleep(0.01)
        assert made.counters.connections_lost - lost == bench.server.ended - ended > 0

    bench.run(main())


@BOTH
@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_while_the_server_is_away_nobody_spins_and_afterwards_calls_succeed(engine: str, pooling: str) -> None:
    """Eight callers, half a second without a server: each fails once for an attempt to connect, and no faster."""

    async def main() -> Recorder:
        server, recorder, gate = AnswerServer(), Recorder(None), Gate(opens_at=0)
        await server.start()
        config = TrialConfig(client=ClientConfig(pooling=pooling))  # type: ignore[arg-type]
        made = ENGINES[engine](config, f"127.0.0.1:{server.port}", PLAINTEXT, CALL, residence=False)
        await made.connect(5)
        running = asyncio.create_task(made.run(gate, recorder, 8))
        async with asyncio.timeout(20):
            await more_good_calls(recorder)
            await server.stop()
            await asyncio.sleep(0.5)
            await server.start()
            await more_good_calls(recorder)
            gate.close()
            await running
        await made.close()
        await server.stop()
        return recorder

    async def more_good_calls(recorder: Recorder) -> None:
        before = recorder.calls - recorder.errors
        while recorder.calls - recorder.errors < before + 50:
            await asyncio.sleep(0.01)

    recorder = asyncio.run(main())
    assert {STATUS_NAMES[code] for code in recorder.statuses} == {"OK", "UNAVAILABLE"}
    assert recorder.errors <= 8 * 12


def test_the_pause_doubles_from_attempt_to_attempt_and_ends_with_a_connection() -> None:
    backoff, now, pauses = Backoff(), 5.0, []
    assert backoff.until_s < now
    for _ in range(6):
        backoff.failed(now)
        for late in (0.0, 0.01):  # other calls of the same attempt
            backoff.failed(now + late)
        pauses.append(round(backoff.until_s - now, 9))
        now = backoff.until_s
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert (pauses[0], pauses[-1]) == BACKOFF_S
    backoff.succeeded()
    assert backoff.until_s < now
