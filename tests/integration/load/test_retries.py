"""Retries of a client by gRPC's retry policy: what the server sees of them, and what a result tells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from grpclab.factors.client_features import THROTTLE_TOKENS
from grpclab.factors.config import ClientConfig, ServerConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.generator import Generator
from grpclab.load.peer_probe import channel_settings
from grpclab.load.run import LoadRun
from grpclab.servers.process.launcher import launch
from tests.support.failing_server import BUY, KINDS, FailingServer, failing_server
from tests.support.generator_help import by_status, load

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


def measured(target: str, requests: int, client: ClientConfig, call: CallSpec | None = BUY) -> LoadRun:
    """Calls one after the other with engine `grpcio`."""
    config = load(client, engine="grpcio", requests=requests, concurrency=1)
    with Generator(config, target, call=call) as generator:
        return generator.measure()


def each_twentieth_first_attempt() -> Iterator[bool]:
    """True for each twentieth."""
    while True:
        yield from (False,) * 19
        yield True


@pytest.fixture(params=KINDS)
def unlucky(request: pytest.FixtureRequest) -> Iterator[FailingServer]:
    """A server at which the first attempt of each twentieth call fails."""
    fails = each_twentieth_first_attempt()
    with failing_server(request.param, lambda _, before: UNAVAILABLE if not before and next(fails) else OK) as server:
        yield server


def test_a_retried_call_is_counted_once_with_its_attempts(unlucky: FailingServer) -> None:
    run = measured(unlucky.address, 100, ClientConfig(retries=2))
    assert by_status(run) == {"OK": 100}
    assert Counter(unlucky.attempts) == {0: 100, 1: 5}
    assert (run.calls_made, run.traffic.attempts) == (100, 105)


def test_without_retries_each_failed_attempt_is_a_failed_call(unlucky: FailingServer) -> None:
    run = measured(unlucky.address, 100, ClientConfig())
    assert by_status(run) == {"OK": 95, "UNAVAILABLE": 5}
    assert Counter(unlucky.attempts) == {0: 100}
    assert run.traffic.attempts == 0


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_chosen_statuses_are_retried_and_no_more_often_than_asked(kind: str) -> None:
    with failing_server(kind, lambda _, __: grpc.StatusCode.ABORTED) as server:
        assert by_status(measured(server.address, 3, ClientConfig(retries=1))) == {"OK": 0, "ABORTED": 3}
    assert server.attempts == [0] * 3
    with failing_server(kind, lambda number, _: OK if number > 1 else UNAVAILABLE) as server:
        assert by_status(measured(server.address, 2, ClientConfig(retries=1))) == {"OK": 1, "UNAVAILABLE": 1}
    assert server.attempts == [0, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_always_fails_is_not_flooded(kind: str) -> None:
    with failing_server(kind, lambda _, __: UNAVAILABLE) as server:
        assert by_status(measured(server.address, 30, ClientConfig(retries=4))) == {"OK": 0, "UNAVAILABLE": 30}
    assert max(server.attempts) == 4
    assert server.attempts[THROTTLE_TOKENS:] == [0] * (len(server.attempts) - THROTTLE_TOKENS)
    assert len(server.attempts) <= 30 + THROTTLE_TOKENS // 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_beyond_the_rate_limit_is_retried_when_the_server_says(kind: str) -> None:
    limited = ServerConfig(implementation="sync" if kind == "sync" else "asyncio", rate_limit_rps=2, rate_limit_burst=1)
    patient = ClientConfig(retries=4, retry_statuses="RESOURCE_EXHAUSTED")
    with launch(limited) as server:
        run = measured(server.target, 3, patient, call=None)
    assert by_status(run) == {"OK": 3}
    assert run.traffic.attempts == 5, "each but the first is refused once, and told when to come back"


def test_the_probe_of_a_clients_settings_does_not_wait_for_retries() -> None:
    assert channel_settings(ClientConfig(retries=4)) == channel_settings(ClientConfig())


HEDGING = {
    "methodConfig": [
        {
            "name": [{}],
            "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.01s", "nonFatalStatusCodes": ["UNAVAILABLE"]},
        }
    ]
}


@pytest.mark.parametrize("kind", KINDS)
def test_hedging_has_no_effect_in_grpcio(kind: str) -> None:
    options = [("grpc.enable_retries", 1), ("grpc.service_config", json.dumps(HEDGING))]
    with (
        failing_server(kind, lambda _, __: UNAVAILABLE) as server,
        grpc.insecure_channel(server.address, options=options) as channel,
    ):
        buy: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(BUY.path)
        with pytest.raises(grpc.RpcError) as failure:
            buy(BUY.payload, timeout=60)
    assert failure.value.code() is UNAVAILABLE
    assert server.attempts == [0]
