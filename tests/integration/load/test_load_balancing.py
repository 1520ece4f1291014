"""Several servers behind one target: how calls spread over them, and what happens when one dies and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.load.generator import Generator
from grpclab.load.run import LoadProgress
from grpclab.status import STATUS_NAMES
from grpclab.testing import fake_target
from tests.support.failing_server import BUY, KINDS, failing_server
from tests.support.generator_help import by_status, load
from tests.support.processes import until
from tests.support.replicas import HOSTS, Replica, replicas

RATE_RPS = 100.0
CALLS = 150
MOVES_ON_WITHIN_S = 1.0


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Replica]]:
    with replicas(getattr(request, "param", "asyncio"), tmp_path) as running:
        yield running


def target(servers: list[Replica]) -> str:
    return "ipv4:" + ",".join(f"{server.host}:{server.port}" for server in servers)


def spread(servers: list[Replica], config: TrialConfig) -> list[int]:
    """The calls of a window that each server had, once the client is connected to all of them."""
    with Generator(config, target(servers)) as generator:
        generator.measure()
        before = [server.calls for server in servers]
        run = generator.measure()
        assert by_status(run) == {"OK": CALLS}
        assert until(lambda: sum(server.calls for server in servers) >= sum(before) + CALLS)
        counts = [server.calls - earlier for server, earlier in zip(servers, before, strict=True)]
        connections = len(HOSTS) if config.client.load_balancing == "round_robin" else 1
        assert run.traffic.connections_opened == connections
    assert sum(counts) == CALLS
    return counts


def test_round_robin_spreads_calls_evenly_and_pick_first_does_not(servers: list[Replica]) -> None:
    even = load(ClientConfig(load_balancing="round_robin"), engine="grpcio", requests=CALLS, concurrency=6)
    assert spread(servers, even) == pytest.approx([CALLS / 3] * 3, rel=0.05)
    for engine in ("wire", "grpcio"):
        first = load(ClientConfig(), engine=engine, requests=CALLS, concurrency=6)
        assert spread(servers, first) == [CALLS, 0, 0]


@pytest.mark.long
@pytest.mark.parametrize("servers", ["sync", "asyncio"], indirect=True)
@pytest.mark.parametrize("retries", [0, 2])
def test_calls_move_on_when_a_server_dies_and_use_it_again_when_it_is_back(
    servers: list[Replica], retries: int
) -> None:
    client = ClientConfig(load_balancing="round_robin", retries=retries)
    config = load(client, engine="grpcio", rate_rps=RATE_RPS, requests=None, duration_s=300.0)
    dying, answered, killed_at = servers[1], [0], [0.0]

    def act() -> None:
        """Kill it once all have had calls, and start it again once the others have had more."""
        if not killed_at[0]:
            if all(server.calls > 5 for server in servers):
                dying.kill()
                killed_at[0] = time.perf_counter()
                answered[0] = servers[0].calls
        elif not dying.running and servers[0].calls > answered[0] + RATE_RPS * MOVES_ON_WITHIN_S:
            answered[0] = dying.calls
            dying.start()

    def is_back(_: LoadProgress) -> str | None:
        return "it is back" if dying.running and killed_at[0] and dying.calls > answered[0] else None

    with Generator(config, target(servers)) as generator:
        run = generator.measure(tick=act, stop_when=is_back)
    assert run.stopped_because == "it is back"
    (window,) = run.windows
    failed = window.measured.start_s[window.measured.status == STATUS_NAMES.index("UNAVAILABLE")]
    errors = run.summary.errors_by_status
    assert set(errors) <= {"UNAVAILABLE", "NOT_ENDED"}, "calls may be under way when the window is ended"
    assert errors.get("UNAVAILABLE", 0) == len(failed)
    assert (failed - killed_at[0] < MOVES_ON_WITHIN_S).all()
    assert run.traffic.connections_opened == len(HOSTS) + 1
    if retries:
        assert len(failed) == 0
        assert run.traffic.attempts >= run.summary.requests
    assert run.connections_lost == 1
    assert run.outage_s == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_reports_not_serving_gets_no_calls_until_it_serves_again(kind: str) -> None:
    client = ClientConfig(load_balancing="round_robin", health_checks=True)
    config = load(client, engine="grpcio", requests=None, duration_s=300.0, concurrency=4)
    some = 200
    marks: list[tuple[int, int]] = []
    """The calls of both servers when it had reported NOT_SERVING, when that had been noticed, and some calls later."""

    def act() -> None:
        counts = (len(first.attempts), len(second.attempts))
        if not marks:
            if min(counts) > some:
                second.report(False)
                marks.append(counts)
        elif len(marks) < 3 and counts[0] > marks[-1][0] + some:
            marks.append(counts)
            if len(marks) == 3:
                second.report(True)

    def is_back(_: LoadProgress) -> str | None:
        return "it is back" if len(marks) == 3 and len(second.attempts) > marks[-1][1] else None

    with failing_server(kind) as first:
        port = first.address.partition(":")[2]
        with (
            failing_server(kind, address=f"127.0.0.2:{port}") as second,
            Generator(config, f"127.0.0.1,127.0.0.2:{port}", call=BUY) as generator,
        ):
            run = generator.measure(tick=act, stop_when=is_back)
    assert run.stopped_because == "it is back"
    assert set(run.summary.errors_by_status) <= {"NOT_ENDED"}
    assert marks[1][1] == marks[2][1]


def test_a_server_without_a_health_service_counts_as_healthy() -> None:
    client = ClientConfig(load_balancing="round_robin", health_checks=True)
    config = load(client, engine="grpcio", requests=20, concurrency=2)
    with fake_target(services=()) as fake, Generator(config, fake.address) as generator:
        assert by_status(generator.measure()) == {"OK": 20}
    assert len(fake.calls) == 20


def test_a_target_of_several_servers_needs_only_one_that_listens(servers: list[Replica]) -> None:
    servers[0].kill()
    servers[2].kill()
    for engine in ("wire", "grpcio"):
        config = load(ClientConfig(), engine=engine, requests=50, concurrency=2)
        with Generator(config, target(servers)) as generator:
            assert by_status(generator.measure()) == {"OK": 50}
