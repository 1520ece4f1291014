"""The launcher: what it refuses, what it knows of a server from outside, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from grpclab.errors import ServerError
from grpclab.factors.config import ClientConfig, ServerConfig, TrialConfig
from grpclab.load.generator import Generator
from grpclab.servers.process.launcher import launch, log_tail
from tests.support.command import taken_port
from tests.support.greeting import greeter_at, hello
from tests.support.processes import until

can_pin = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")
one_and_several = pytest.mark.parametrize("processes", [1, 2])


# ---- what it refuses ---------------------------------------------------------------------------------------


@one_and_several
@pytest.mark.parametrize("shared", [False, True], ids=["plain", "SO_REUSEPORT"])
def test_a_taken_port_is_refused_in_one_clear_line(processes: int, shared: bool, ours: Callable[[], list[int]]) -> None:
    with taken_port(shared=shared) as port:
        with (
            pytest.raises(ServerError, match=rf"port {port} on 127\.0\.0\.1 is in use: stop the") as refusal,
            launch(ServerConfig(processes=processes), port=port),
        ):
            pass
        assert "\n" not in str(refusal.value)
    assert ours() == []


@one_and_several
def test_a_crash_at_the_start_is_told_with_the_end_of_the_log(
    processes: int, tmp_path: Path, ours: Callable[[], list[int]]
) -> None:
    (tmp_path / "grpc_health.py").write_text("raise RuntimeError('no health today')")
    with (
        pytest.raises(ServerError, match=r"could not be started: .* no health today") as crash,
        launch(ServerConfig(processes=processes), env={"PYTHONPATH": str(tmp_path)}),
    ):
        pass
    assert "\n" not in str(crash.value)
    assert ours() == []


def test_what_ended_it_is_found_between_the_tracebacks_of_two_processes(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    frames = '  File "serving.py", line 90, in serve\n    return _serve_sync(spec, announce)\n'
    log.write_text(
        f"Traceback (most recent call last):\n{frames}OSError: no room\nTraceback (most recent call last):\n{frames}"
    )
    assert log_tail(log) == ": OSError: no room"
    assert log_tail(tmp_path / "none.log") == ""


def test_a_server_that_died_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with launch(ServerConfig(), log_path=log) as server:
        server.require_alive()
        with log.open("a") as file:
            file.write("last words\n")
        os.kill(server.pids[0], signal.SIGKILL)
        assert until(lambda: not server.alive)
        with pytest.raises(ServerError, match=r"the server was killed by SIGKILL: .*last words"):
            server.require_alive()
    assert server.calls is None, "a server that was killed has counted nothing"


# ---- nothing is left behind --------------------------------------------------------------------------------


@one_and_several
@pytest.mark.parametrize("failing", [False, True])
def test_the_block_leaves_no_process_and_no_file(
    processes: int,
    failing: bool,
    ours: Callable[[], list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with contextlib.suppress(ZeroDivisionError), launch(ServerConfig(processes=processes)) as server:
        assert set(server.pids) <= set(ours())
        assert len(ours()) == (1 if processes == 1 else processes + 1)
        if failing:
            raise ZeroDivisionError
    assert ours() == []
    assert list(tmp_path.iterdir()) == []


def test_stopping_twice_is_stopping_once() -> None:
    with launch(ServerConfig()) as server:
        with greeter_at(server.target) as stub:
            stub.SayHello(hello(), timeout=60)
        server.stop()
        server.stop()
        assert not server.alive
    assert (server.calls, server.high_water) == (1, 1)


STUDY_SCRIPT = """
import sys
from grpclab.factors.config import ClientConfig, LinkConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.link.emulation import running_link
from grpclab.load.generator import Generator
from grpclab.servers.process.launcher import launch, log_tail

config = TrialConfig(
    client=ClientConfig(pooling="pool", connections=4),
    load=LoadConfig(requests=None, duration_s=60, workers=2, concurrency=8),
)
with (
    launch(ServerConfig(processes=2)) as server,
    running_link(LinkConfig(rtt_ms=1), server.target) as link,
    Generator(config, link.target) as generator,
):
    generator.measure(on_open=lambda: print("measuring", flush=True))
"""


def test_a_study_that_is_killed_takes_all_its_processes_with_it(ours: Callable[[], list[int]], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUDY_SCRIPT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "measuring\n"
        assert len(ours()) == 1 + 3 + 1 + 2  # itself, the server and its two, the link, the two workers
        script.kill()
    assert until(lambda: ours() == [])


# ---- seen from outside -------------------------------------------------------------------------------------


@can_pin
@pytest.mark.parametrize("core", sorted(os.sched_getaffinity(0))[:2] if sys.platform == "linux" else [0])
def test_every_thread_of_every_process_is_pinned(core: int) -> None:
    with launch(ServerConfig(processes=2), cpus={core}) as server:
        with greeter_at(server.target) as stub:
            stub.SayHello(hello(), timeout=60)
        threads = [t.id for pid in (*server.pids, server.child.pid) for t in psutil.Process(pid).threads()]
        assert len(threads) > 3
        assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}


@can_pin
def test_a_process_per_core_counts_the_cores_it_may_use() -> None:
    with launch(ServerConfig(processes=0), cpus={min(os.sched_getaffinity(0))}) as server:
        assert len(server.pids) == 1


def test_usage_grows_with_the_work_of_all_processes() -> None:
    work_s, calls = 0.005, 40
    with launch(ServerConfig(processes=2, handler_work_us=work_s * 1e6)) as server:
        before = server.usage()
        each = [psutil.Process(pid).cpu_times() for pid in server.pids]
        with contextlib.ExitStack() as stack:
            stubs = [stack.enter_context(greeter_at(server.target)) for _ in range(20)]
            for index in range(calls):
                stubs[index % len(stubs)].SayHello(hello(), timeout=60)
        after = server.usage()
    assert len(each) == 2
    assert after.cpu_s - before.cpu_s >= calls * work_s
    assert after.user_s + after.kernel_s > before.user_s + before.kernel_s
    assert after.peak_rss_bytes >= after.rss_bytes > 0
    assert after.at_s > before.at_s


@one_and_several
def test_connections_are_those_of_the_load_and_not_of_the_launcher(processes: int) -> None:
    config = TrialConfig(client=ClientConfig(pooling="pool", connections=5))
    with launch(ServerConfig(processes=processes)) as server:
        assert sum(server.connections(excluding=[os.getpid()])) == 0
        with greeter_at(server.target) as stub, Generator(config, server.target):
            stub.SayHello(hello(), timeout=60)
            counts = server.connections(excluding=[os.getpid()])
            assert len(counts) == processes
            assert sum(counts) == 5
            assert sum(server.connections()) >= 6
