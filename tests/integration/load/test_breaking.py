"""The circuit breaker of a client before real servers: which calls reach them, and what a result tells."""

from __future__ import annotations

import time

import grpc
import pytest

from grpclab.factors.config import ClientConfig, ServerConfig
from grpclab.load.engines.grpcio import REFUSED
from grpclab.load.generator import Generator
from grpclab.load.run import LoadProgress, LoadRun
from grpclab.servers.process.launcher import launch
from tests.support.failing_server import BUY, KINDS, failing_server
from tests.support.generator_help import Pooling, by_status, load

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
FAILURES, OPEN_S, CALLERS = 5, 0.25, 8
BREAKER = ClientConfig(circuit_breaker=FAILURES, breaker_open_s=OPEN_S)


def refused(run: LoadRun) -> int:
    """The calls that the breaker refused."""
    return sum(failure.calls for failure in run.failures if failure.text == REFUSED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_fails_for_a_while_is_spared_and_used_again(kind: str) -> None:
    fails_from, probes = 100, 4
    began: list[float] = []

    def decide(number: int, _: int) -> grpc.StatusCode:
        """Fail from some attempt on, until so many probes have come."""
        if number < fails_from or number >= fails_from + FAILURES + CALLERS - 1 + probes:
            return OK
        began.append(time.monotonic())
        return UNAVAILABLE

    def is_back(_: LoadProgress) -> str | None:
        return "it is back" if len(server.attempts) > fails_from + len(began) + 100 else None

    config = load(BREAKER, engine="grpcio", requests=None, duration_s=300.0, concurrency=CALLERS)
    with failing_server(kind, decide) as server, Generator(config, server.address, call=BUY) as generator:
        run = generator.measure(stop_when=is_back)
    assert run.stopped_because == "it is back"
    sent = len(server.attempts)
    assert sent == run.summary.requests - refused(run)
    assert run.summary.errors == refused(run) + len(began)
    assert refused(run) > CALLERS
    # What was under way when it opened may have failed as well; then one probe at a time.
    assert len(began) <= FAILURES + CALLERS - 1 + (began[-1] - began[0]) / OPEN_S + 1


@pytest.mark.parametrize("kind", KINDS)
def test_calls_in_flight_do_not_wait_for_each_other(kind: str) -> None:
    together = 8  # the server answers none before all of them are there
    config = load(BREAKER, engine="grpcio", requests=together, concurrency=together)
    server_config = ServerConfig(implementation="sync" if kind == "sync" else "asyncio")
    with launch(server_config, hold=together) as server, Generator(config, server.target) as generator:
        assert by_status(generator.measure()) == {"OK": together}


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_that_is_not_chosen_does_not_open_it(kind: str) -> None:
    config = load(BREAKER, engine="grpcio", requests=50, concurrency=CALLERS)
    with (
        failing_server(kind, lambda _, __: grpc.StatusCode.NOT_FOUND) as server,
        Generator(config, server.address, call=BUY) as generator,
    ):
        assert by_status(generator.measure()) == {"OK": 0, "NOT_FOUND": 50}
    assert len(server.attempts) == 50


@pytest.mark.parametrize("pooling", ["shared", "per_call"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_an_open_loop_refused_calls_are_counted_and_end_at_once(kind: str, pooling: Pooling) -> None:
    client = ClientConfig(circuit_breaker=1, breaker_open_s=3600.0, pooling=pooling)
    config = load(client, engine="grpcio", requests=60, rate_rps=100.0)
    with (
        failing_server(kind, lambda _, __: UNAVAILABLE) as server,
        Generator(config, server.address, call=BUY) as generator,
    ):
        run = generator.measure()
    assert by_status(run) == {"OK": 0, "UNAVAILABLE": 60}
    assert len(server.attempts) == 60 - refused(run)
    assert refused(run) > 0
