"""The load generator with real workers: what it sends is exactly what was asked, and it always comes to an end."""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from grpclab.errors import FactorError
from grpclab.factors.config import ClientConfig, LinkConfig, ServerConfig, TrialConfig
from grpclab.link.emulation import running_link
from grpclab.load.core.arrivals import planned
from grpclab.load.generator import Generator
from grpclab.load.run import HELD_BACK, LoadRun
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system import procfs
from tests.support.generator_help import Pooling, by_status, load
from tests.support.processes import until

WINDOW_S = 0.4
"""Long enough for calls before and after the opening on a machine that stands still now and then."""

# ---- connections, counted from outside -----------------------------------------------------------------------


@contextlib.contextmanager
def doorman(target: str) -> Iterator[tuple[str, list[int]]]:
    """Passes TCP connections on to `target`, and notes the client's port of each one in the list."""
    ports: list[int] = []
    host, _, port = target.rpartition(":")

    def attend() -> None:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(closed, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is closed:
                        return
                    if key.fileobj is listener:
                        client, address = listener.accept()
                        ports.append(address[1])
                        server = socket.create_connection((host, int(port)))
                        for end, other in ((client, server), (server, client)):
                            stack.callback(end.close)
                            selector.register(end, selectors.EVENT_READ, other)
                    else:
                        pass_on(selector, key)

    def pass_on(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        data = b""
        with contextlib.suppress(ConnectionError):
            data = key.fileobj.recv(1 << 16)
            if data:
                key.data.sendall(data)
        if not data:
            selector.unregister(key.fileobj)
            with contextlib.suppress(OSError):
                key.data.shutdown(socket.SHUT_WR)

    closed, close = socket.socketpair()
    with closed, close, socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=attend)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", ports
        finally:
            close.send(b"x")
            thread.join(20)


@pytest.mark.parametrize(
    ("pooling", "workers", "connections"),
    [("shared", 1, 1), ("shared", 2, 2), ("pool", 1, 3), ("pool", 2, 3), ("per_call", 1, 24 + 1)],
)
def test_pooling_opens_exactly_the_connections_that_were_asked_for(
    quick_server: RunningServer, pooling: Pooling, workers: int, connections: int
) -> None:
    client = ClientConfig(pooling=pooling, connections=3)
    config = load(client, requests=24, concurrency=6, workers=workers)
    with doorman(quick_server.target) as (target, ports), Generator(config, target) as generator:
        run = generator.measure()
    assert by_status(run) == {"OK": 24}
    assert len(ports) == connections, "per_call: one a call, and one that asks whether someone is there"


@pytest.mark.parametrize(("pooling", "connections"), [("shared", 1), ("pool", 3)])
def test_kept_connections_stay_open_through_the_window_and_go_with_the_generator(
    quick_server: RunningServer, pooling: Pooling, connections: int
) -> None:
    config = load(ClientConfig(pooling=pooling, connections=3), requests=200)
    own_pid = [os.getpid()]
    with Generator(config, quick_server.target) as generator:
        counts: list[int] = []
        generator.measure(tick=lambda: counts.append(procfs.outgoing_connections(generator.pids, quick_server.port)))
        assert set(counts) == {connections}
        assert sum(quick_server.connections(excluding=own_pid)) == connections
    assert until(lambda: sum(quick_server.connections(excluding=own_pid)) == 0)


# ---- workers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "has"), [(None, "1"), ("3", "3")])
def test_a_worker_starts_no_threads_for_linear_algebra_unless_told_to(
    quick_server: RunningServer, monkeypatch: pytest.MonkeyPatch, asked: str | None, has: str
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", asked)
    with Generator(load(requests=5), quick_server.target) as generator:
        [pid] = generator.pids
        assert psutil.Process(pid).environ()["OPENBLAS_NUM_THREADS"] == has


# ---- how many calls, and when --------------------------------------------------------------------------------


def test_the_server_sees_exactly_the_calls_that_were_asked_for() -> None:
    """Fewer than are in flight at once, a single one, one for each worker, and numbers that nothing divides."""
    with launch(ServerConfig(implementation="asyncio")) as server:
        for requests, concurrency, workers in ((37, 8, 1), (3, 8, 1), (1, 1, 1), (101, 5, 2), (2, 2, 2)):
            config = load(requests=requests, concurrency=concurrency, workers=workers)
            with Generator(config, server.target) as generator:
                run = generator.measure()
            assert by_status(run) == {"OK": requests}
        server.stop()
    assert server.calls == 37 + 3 + 1 + 101 + 2


def test_two_workers_divide_exactly(quick_server: RunningServer) -> None:
    config = load(ClientConfig(pooling="pool", connections=5), requests=101, concurrency=7, workers=2, warmup_s=0.1)
    with Generator(config, quick_server.target) as generator:
        each = [procfs.outgoing_connections([pid], quick_server.port) for pid in generator.pids]
        run = generator.measure()
    assert each == [3, 2]
    assert [len(window.measured) for window in run.windows] == [51, 50]
    assert run.summary.requests == 101


@pytest.mark.parametrize("levels", [{"concurrency": 3}, {"requests": 3}])
def test_less_work_than_workers_is_refused(levels: dict[str, Any]) -> None:
    with pytest.raises(FactorError, match=r"load\.\w+=3 cannot be divided among load\.workers=4"):
        Generator(load(workers=4, **levels), "127.0.0.1:1")


def test_the_warm_up_is_recorded_and_not_counted(quick_server: RunningServer) -> None:
    with Generator(load(requests=50, warmup_s=WINDOW_S), quick_server.target) as generator:
        for _ in range(20):  # a worker that comes late has no warm-up
            run = generator.measure()
            (window,) = run.windows
            early = window.records.start_s < window.opened_at
            assert run.summary.requests == len(window.measured) == 50
            assert early.sum() == len(window.records) - 50
            assert window.records.start_s.min() >= window.opened_at - WINDOW_S
            if early.any():
                break
    assert early.any()


@pytest.mark.parametrize("requests", [None, 10_000_000])
def test_a_window_bound_by_time_ends(quick_server: RunningServer, requests: int | None) -> None:
    config = load(requests=requests, duration_s=WINDOW_S, warmup_s=WINDOW_S, workers=2)
    with Generator(config, quick_server.target) as generator:
        run = generator.measure()
    starts = np.concatenate([window.records.start_s - window.opened_at for window in run.windows])
    assert starts.min() < 0
    assert 0 < starts.max() < WINDOW_S
    assert run.summary.window_s <= WINDOW_S + 1e-9
    assert run.summary.errors == 0


def test_the_number_of_calls_ends_a_window_before_its_time(quick_server: RunningServer) -> None:
    with Generator(load(requests=20, duration_s=60), quick_server.target) as generator:
        run = generator.measure()
    assert run.summary.requests == 20
    assert run.summary.window_s < 60


def test_the_opening_is_told_once_and_not_before_the_warm_up_is_over(quick_server: RunningServer) -> None:
    before: list[procfs.Usage] = []
    with Generator(load(requests=200, warmup_s=0.1), quick_server.target) as generator:
        run = generator.measure(on_open=lambda: before.append(quick_server.usage()))
    assert len(before) == 1
    assert before[0].at_s >= run.windows[0].opened_at


def test_the_generator_says_what_it_cost(quick_server: RunningServer) -> None:
    with Generator(load(requests=500, workers=2), quick_server.target) as generator:
        run = generator.measure()
        cpu_s = sum(procfs.cpu_seconds(pid) for pid in generator.pids)
    assert 0 < run.cpu_s < cpu_s
    assert run.busy_share > 0


def test_a_stream_is_one_call(quick_server: RunningServer) -> None:
    config = load(requests=30, concurrency=10, method="SayHelloStream")
    with Generator(config, quick_server.target) as generator:
        run = generator.measure()
    assert by_status(run) == {"OK": 30}
    assert run.summary.latency_min_s >= 0.95 * 2 * 0.020, "three messages, 20 ms apart"


def test_the_load_goes_through_the_emulated_link(quick_server: RunningServer) -> None:
    config = load(ClientConfig(pooling="pool", connections=2), requests=40, concurrency=4)
    with (
        running_link(LinkConfig(rtt_ms=20), quick_server.target) as link,
        Generator(config, link.target) as generator,
    ):
        run = generator.measure()
        assert sum(quick_server.connections()) >= 2
    assert by_status(run) == {"OK": 40}
    assert run.summary.latency_min_s >= 0.020


# ---- an open loop --------------------------------------------------------------------------------------------


def due(run: LoadRun, config: TrialConfig, *, seed: int = 1) -> list[float]:
    """The arrivals of the window that the schedule holds; its start is told by the window's opening."""
    load, opened_at = config.load, run.windows[0].opened_at
    assert load.rate_rps is not None
    starts_at = opened_at - load.warmup_s
    times = planned(load.rate_rps, load.arrival, starts_at=starts_at, seed=seed, opens_at=opened_at)
    return list(itertools.islice((time for time in times if time >= opened_at), run.planned))


def starts(run: LoadRun) -> list[float]:
    """When the calls of the window were planned, all workers together."""
    return sorted(np.concatenate([window.measured.start_s for window in run.windows]).tolist())


@pytest.mark.parametrize(
    ("engine", "arrival", "workers"),
    [
        ("wire", "constant", 1),
        ("wire", "poisson", 2),
        ("wire", "ramp:0.2@0.3s", 2),
        ("grpcio", "constant", 2),
        ("grpcio", "gamma:0.5", 1),
        ("grpcio", "steps:0.5,1@0.1s", 1),
    ],
)
def test_what_an_open_loop_sends_is_the_drawn_schedule(
    quick_server: RunningServer, engine: str, arrival: str, workers: int
) -> None:
    config = load(engine=engine, arrival=arrival, workers=workers, rate_rps=400.0, requests=151, warmup_s=0.25)
    with Generator(config, quick_server.target, seed=7) as generator:
        run = generator.measure()
    assert by_status(run) == {"OK": 151}
    assert (run.planned, run.sent) == (151, 151)
    assert run.offered_rps == (400.0 if ":" not in arrival or arrival == "gamma:0.5" else 151 / run.summary.window_s)
    assert starts(run) == pytest.approx(due(run, config, seed=7), abs=1e-6)
    if workers == 2:
        assert [len(window.measured) for window in run.windows] in ([76, 75], [75, 76])
    assert all((window.records.late_s >= 0).all() for window in run.windows)


def test_an_open_loop_of_some_time_sends_what_is_due_in_it(quick_server: RunningServer) -> None:
    config = load(rate_rps=300.0, requests=None, duration_s=0.5, warmup_s=0.25, workers=2)
    with Generator(config, quick_server.target) as generator:
        run = generator.measure()
    assert run.planned == run.sent == run.summary.requests == 150
    assert run.summary.window_s == pytest.approx(0.5)
    assert run.summary.errors == 0
    assert run.lateness["max"] >= run.lateness["p50"] > 0


def test_fewer_calls_than_workers_are_sent_all_the_same(quick_server: RunningServer) -> None:
    with Generator(load(rate_rps=100.0, requests=1, workers=2), quick_server.target) as generator:
        run = generator.measure()
    assert (run.planned, run.sent) == (1, 1)


def test_a_server_that_is_too_slow_is_not_a_limit_of_the_generator_but_calls_wait_for_the_bound() -> None:
    # streams of 100 ms, ten at a time: 100 of the 1000/s that are offered
    config = load(rate_rps=1000.0, requests=60, max_in_flight=10, method="SayHelloStream")
    with (
        launch(ServerConfig(implementation="asyncio", stream_messages=2, stream_interval_ms=100)) as server,
        Generator(config, server.target) as generator,
    ):
        run = generator.measure()
    assert (run.planned, run.sent) == (60, 60)
    assert run.bound_hits == 50
    assert run.limits == ()
    assert run.limited_by("shared") == HELD_BACK
    assert not run.keeps_up
    assert run.summary.latency["p50"] > 0.2
    assert run.summary.latency["p50"] > run.summary.latency_uncorrected["p50"] >= 0.1
    assert run.summary.messages == 120


def test_calls_that_wait_for_the_peers_stream_limit_are_counted_and_not_late() -> None:
    config = load(rate_rps=400.0, requests=20, method="SayHelloStream")
    server_config = ServerConfig(
        implementation="asyncio", stream_messages=2, stream_interval_ms=250, max_concurrent_streams=4
    )
    with launch(server_config) as server, Generator(config, server.target) as generator:
        run = generator.measure()
    assert by_status(run) == {"OK": 20}
    assert run.held == 16
    assert run.lateness["p50"] < run.summary.latency["p50"] / 2
    assert run.summary.latency["p50"] > 0.1


def test_another_rate_and_warm_up_may_be_measured_on_the_same_connections(quick_server: RunningServer) -> None:
    config = load(rate_rps=100.0, requests=50, warmup_s=0.1)
    with Generator(config, quick_server.target) as generator:
        slow = generator.measure()
        quick = generator.measure(rate_rps=500.0, warmup_s=0.0)
        assert procfs.outgoing_connections(generator.pids, quick_server.port) == 1
    assert (slow.offered_rps, quick.offered_rps) == (100.0, 500.0)
    assert slow.summary.window_s == pytest.approx(0.5)
    assert quick.summary.window_s == pytest.approx(0.1)
    assert len(slow.windows[0].records) == 60
    assert len(quick.windows[0].records) == 50, "no warm-up"
    assert len(slow.windows[0].measured) == 50, "the second window has not touched the first one's records"


def test_spinning_is_no_work(quick_server: RunningServer) -> None:
    config = load(rate_rps=500.0, requests=400, pacing="spin")
    runs: list[LoadRun] = []

    def spun() -> bool:
        """Whether the machine left it time to spin: on a busy one, every send is late already."""
        runs.append(generator.measure())
        return runs[-1].spin_s > runs[-1].cpu_s / 2

    with Generator(config, quick_server.target) as generator:
        assert until(spun)
    assert runs[-1].busy_share < 0.9


@pytest.mark.parametrize(
    ("pacing", "cpus", "workers", "spins"),
    [
        ("auto", {0}, 1, len(os.sched_getaffinity(0)) > 1),
        ("auto", {0}, 2, False),
        ("timer", {0}, 1, False),
        ("spin", {0}, 2, True),
    ],
)
def test_a_generator_spins_where_each_worker_has_a_core(pacing: str, cpus: set[int], workers: int, spins: bool) -> None:
    assert Generator(load(pacing=pacing, workers=workers, rate_rps=1.0), "127.0.0.1:1", cpus=cpus).spins is spins


def test_automatic_workers_are_as_many_as_the_generator_has_cores() -> None:
    def count(cpus: set[int] | None, **levels: Any) -> int:
        return Generator(load(workers=0, **levels), "127.0.0.1:1", cpus=cpus).workers

    assert count({0}) == 1
    assert count({0, 1, 2}) == 3
    assert count({0, 1, 2}, concurrency=2) == 2
    assert count(None) == len(os.sched_getaffinity(0))
