"""An application, hosted: what `register` gets and may do, what is added, what is told, and how it ends."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2

from grpclab.cli.commands import main
from grpclab.errors import GrpclabError, ServerError, UsageError
from grpclab.factors.config import ServerConfig
from grpclab.load.peer_probe import server_settings
from grpclab.servers.hosting.application import launch_application
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.target import App
from grpclab.servers.targets import ServerStart, rehearse
from grpclab.study.running_member import IdleReader
from grpclab.system import procfs
from grpclab.system.channels import open_channel
from tests.support.applications import ask, ask_at_once, call_inside, services_at, write
from tests.support.command import assert_refused, run
from tests.support.processes import gone, until

HEALTH, REFLECTION = "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
SYNC, ASYNCIO = ServerConfig(), ServerConfig(implementation="asyncio")
OWN = {"shelf": "a b", "depth": "7"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ended") / "ended"


@pytest.fixture(scope="module")
def sync_server(folder: Path, ended: Path) -> Iterator[RunningServer]:
    """A server of threads that some tests share."""
    config = ServerConfig(threads=2, max_concurrent_streams=7, adaptive_window=False, window_kib=128)
    env = {"ENDED_FILE": str(ended)}
    with launch_application("telling:register", config, arguments=OWN, app_dir=str(folder), env=env) as server:
        yield server


@pytest.fixture(scope="module")
def asyncio_server(folder: Path, ended: Path) -> Iterator[RunningServer]:
    """A server on uvloop, with TLS, that some tests share."""
    config = ServerConfig(implementation="asyncio", event_loop="uvloop", threads=2, tls=True)
    env = {"ENDED_FILE": str(ended)}
    with launch_application(
        "telling:register_async", config, app_dir=str(folder), cwd=str(folder.parent), env=env
    ) as server:
        yield server


def test_register_gets_the_real_server_and_its_parameters_once(sync_server: RunningServer) -> None:
    (registered,) = ask(sync_server)["registered"]
    given = {"threads": 2, "shelf": "a b", "depth": 7}
    assert registered == {"kind": "sync", "given": given, "cwd": os.getcwd()}


def test_an_application_of_package_greet_runs_in_a_process_without_our_own(sync_server: RunningServer) -> None:
    fact = ask(sync_server)
    assert fact["ours"] == []
    assert fact["pid"] == sync_server.pids[0] != os.getpid()


def test_health_and_reflection_are_added_where_the_application_has_none(sync_server: RunningServer) -> None:
    assert services_at(sync_server) == {"greet.GreeterService", HEALTH, REFLECTION}
    with open_channel(sync_server.target) as channel:
        check: Any = channel.unary_unary(
            f"/{HEALTH}/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        for name in ("", "greet.GreeterService"):
            answer = check(health_pb2.HealthCheckRequest(service=name), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert not sync_server.own_health


def test_the_descriptors_come_with_the_answer(sync_server: RunningServer) -> None:
    (file,) = (FileDescriptorProto.FromString(text) for text in sync_server.descriptors)
    assert file.package == "greet"
    assert [service.name for service in file.service] == ["GreeterService", "Other"]


def test_the_files_and_versions_are_the_programs_identity(sync_server: RunningServer, folder: Path) -> None:
    files = {file.name: file for file in sync_server.program.files}
    assert set(files) == {"greet_pb2.py", "greet_pb2_grpc.py", "telling.py"}
    assert files["telling.py"].bytes == (folder / "telling.py").stat().st_size
    assert set(sync_server.program.versions) == {"python", "grpcio", "protobuf"}


def test_what_the_application_prints_is_in_its_log(sync_server: RunningServer) -> None:
    assert "a line that the application prints" in sync_server.log_path.read_text()


def test_threads_bound_the_calls_inside_a_server_of_threads(sync_server: RunningServer) -> None:
    assert max(fact["inside"] for fact in ask_at_once(sync_server, 8, id_=20)) <= 2


def test_channel_arguments_take_effect(sync_server: RunningServer) -> None:
    settings = server_settings(sync_server.target)
    assert settings.max_concurrent_streams == 7
    assert settings.initial_window_size == 128 * 1024


def test_an_async_register_gets_the_asyncio_server(asyncio_server: RunningServer, folder: Path) -> None:
    fact = ask(asyncio_server)
    assert fact["registered"] == [{"kind": "aio", "given": {}, "cwd": str(folder.parent)}]
    assert fact["thread"] == "MainThread"


def test_plain_handlers_of_an_asyncio_server_run_in_as_many_threads_as_the_factor_says(
    asyncio_server: RunningServer,
) -> None:
    facts = ask_at_once(asyncio_server, 8, service="greet.Other", id_=20)
    assert max(fact["inside"] for fact in facts) <= 2
    assert {fact["thread"] for fact in facts} <= {"handler_0", "handler_1"}
    assert asyncio_server.threaded == ("/greet.Other/Tell",)


def test_what_is_imported_later_is_known_in_the_end_and_the_application_is_closed(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = tmp_path / "ended"
    caplog.set_level(logging.INFO)
    env = {"ENDED_FILE": str(ended), "PATH": None}
    with (
        contextlib.ExitStack() as calls,
        launch_application("telling:register_async", ASYNCIO, app_dir=str(folder), env=env) as server,
    ):
        assert "late_part.py" not in {file.name for file in server.program.files}
        ask(server)
        assert not ended.exists()
        kept = calls.enter_context(call_inside(server, ended, service="greet.Other"))
    assert kept.result()
    assert ended.read_text() == "inside answered aclosed "
    assert server.program_at_end is not None
    assert "late_part.py" in {file.name for file in server.program_at_end.files}
    assert "late_part.py" in caplog.text


def test_a_plain_object_is_closed_after_the_drain(folder: Path, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    env = {"ENDED_FILE": str(ended)}
    config = ServerConfig(processes=2, spare_threads=3)
    with (
        contextlib.ExitStack() as calls,
        launch_application("telling:register", config, arguments=OWN, app_dir=str(folder), env=env) as server,
    ):
        answered = set()

        def all_answered() -> bool:
            answered.add(ask(server)["pid"])
            return answered == set(server.pids)

        assert until(all_answered)
        assert len(ask(server)["registered"]) == 1
        words = [" ".join(psutil.Process(pid).cmdline()) for pid in server.pids]
        assert all(word.endswith("host.py") for word in words)  # spawned: a forked one has its parent's arguments too
        assert len({psutil.Process(pid).ppid() for pid in server.pids}) == 1
        processes = [psutil.Process(pid) for pid in server.pids]
        calls.enter_context(call_inside(server, ended))
    words = ended.read_text().split()
    assert sorted(words) == ["answered", "closed", "closed", "inside"]
    assert words[-1] == "closed"  # of the process that had the call inside
    assert all(map(gone, processes))


def test_the_applications_own_health_and_reflection_stay_the_only_ones(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with launch_application("telling:with_own_health", SYNC, app_dir=str(folder)) as server:
        assert services_at(server) == {"only.this.Service"}
        assert server.own_health
        assert server.health == "NOT_SERVING"
    assert [notice.kind for notice in server.notices] == ["health"]
    assert "NOT_SERVING" in caplog.text


def refusal(kind: type[GrpclabError], app: str, folder: Path, config: ServerConfig = SYNC, **options: Any) -> str:
    """The one line in which a start ends."""
    with pytest.raises(kind) as refused, launch_application(app, config, app_dir=str(folder), **options):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "config", "part"),
    [
        ("with_a_port", SYNC, "it adds a port (telling.py, line "),
        ("with_a_start", ASYNCIO, "it starts the server (telling.py, line "),
        ("with_async_handlers", SYNC, "the handler for /greet.GreeterService/Tell is async"),
        ("with_a_number", SYNC, "got int"),
        ("register_async", SYNC, "async def; set server.implementation=asyncio"),
        ("registr", SYNC, "did you mean register or "),
        ("ENDED", SYNC, "got str"),
        ("register", SYNC, "set arg.shelf"),
    ],
)
def test_what_cannot_be_right_is_refused(folder: Path, name: str, config: ServerConfig, part: str) -> None:
    line = refusal(UsageError, f"telling:{name}", folder, config)
    assert line.startswith("invalid ")
    assert part in line


def test_a_module_that_is_not_there_is_refused_with_the_nearest_names(folder: Path) -> None:
    line = refusal(UsageError, "teling:register", folder)
    assert line.endswith("there is no teling; did you mean telling?")
    line = refusal(UsageError, "foreground:register", folder)  # which lies beside the host, and is not meant
    assert "there is no foreground" in line


@pytest.mark.parametrize(
    ("app", "part"),
    [
        (
            "telling:failing",
            "registering telling:failing failed: UnicodeDecodeError: 'ascii' codec can't decode byte 0xff in position"
            " 0: ordinal not in range(128) (telling.py, line {line}: codecs.decode(b'\\xff', 'ascii'))",
        ),
        (
            "broken_import:register",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"
            " (broken_import.py, line 2: import no_such_library)",
        ),
        (
            "broken_syntax:register",
            "SyntaxError: '(' was never closed (broken_syntax.py, line 1: def register(server:)",
        ),
    ],
)
def test_an_exception_is_told_with_the_last_line_of_the_applications_own(
    folder: Path, tmp_path: Path, app: str, part: str
) -> None:
    lines = (folder / "telling.py").read_text().splitlines()
    log = tmp_path / "server.log"
    with (
        pytest.raises(ServerError) as failed,
        launch_application(app, SYNC, app_dir=str(folder), log_path=log),
    ):
        pass
    assert part.format(line=lines.index("    codecs.decode(b'\\xff', 'ascii')") + 1) in str(failed.value)
    assert failed.value.exit_code == 3
    (note,) = failed.value.__notes__
    assert note.startswith("Traceback (most recent call last):")
    assert note in log.read_text()


def test_what_goes_wrong_while_it_is_closed_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with launch_application("telling:closing_badly", ASYNCIO, app_dir=str(folder)) as server:
        pass
    assert "OSError: the till is locked (telling.py, line " in server.trouble
    assert [notice.text for notice in server.notices] == [server.trouble]
    assert server.trouble in caplog.text


@pytest.mark.long  # it takes the 5 s
def test_a_close_that_does_not_end_is_cut_short(folder: Path) -> None:
    with launch_application("telling:closing_late", SYNC, app_dir=str(folder)) as server:
        process = psutil.Process(server.pids[0])
    assert "close() of telling:closing_late did not return within 5 s" in server.trouble
    assert gone(process)


@pytest.mark.parametrize("how", ["stop", "abandon"])
def test_nothing_that_an_application_starts_outlives_it(folder: Path, ours: Callable[[], list[int]], how: str) -> None:
    with launch_application("telling:with_children", SYNC, app_dir=str(folder)) as server:
        assert len(ours()) == 2
        getattr(server, how)()
    assert ours() == []


def test_an_application_that_does_not_register_in_time_is_told_where_it_is(folder: Path) -> None:
    (folder / "waiting.py").write_text("import time\n\n\ndef register(server):\n    time.sleep(600)\n")
    line = refusal(ServerError, "waiting:register", folder, timeout_s=5)
    assert "waiting.py, line 5: time.sleep(600)" in line


def test_a_file_that_changes_while_it_is_measured_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = folder / "changing.py"
    own.write_text("def register(server): ...\n")
    with launch_application("changing:register", SYNC, app_dir=str(folder)) as server:
        own.write_text("def register(server): ...  # now\n")
    assert [notice.kind for notice in server.notices] == ["changed"]
    assert "changing.py" in caplog.text


@pytest.mark.parametrize(
    ("name", "config"), [("with_a_yield", SYNC), ("with_a_hidden_yield", SYNC), ("with_an_async_yield", ASYNCIO)]
)
def test_a_generator_is_told_as_such_with_the_way_to_mend_it(folder: Path, name: str, config: ServerConfig) -> None:
    told = rf"^invalid app=telling:{name}: expected a function that registers and returns, but it is a generator"
    with (
        pytest.raises(UsageError, match=told) as caught,
        launch_application(f"telling:{name}", config, app_dir=str(folder)),
    ):
        pass
    assert "close()" in str(caught.value)


def test_the_cpu_of_processes_that_an_application_forks_is_the_servers(folder: Path) -> None:
    with launch_application("telling:with_a_pool", SYNC, app_dir=str(folder)) as server:
        before = server.usage()
        worker_cpu_s = ask(server)["worker_cpu_s"]
        after = server.usage()
        in_slices = IdleReader()({"it": server.pids}, {"it": server.pids}, ()).cpu_s["it"]
        (worker,) = procfs.descendants(server.pids)
        os.kill(worker, signal.SIGKILL)
        assert until(lambda: not procfs.descendants(server.pids))
        ended = server.usage()
    assert worker_cpu_s >= 0.5
    assert after.cpu_s - before.cpu_s >= 0.4
    assert after.user_s + after.kernel_s >= 0.4
    assert in_slices >= after.cpu_s, "of a group's slices, too"
    assert ended.cpu_s >= after.cpu_s - 0.02, "what has ended still counts; the kernel counts it in ticks"


def test_a_rehearsal_refuses_the_level_of_any_trial_before_one_is_measured(folder: Path) -> None:
    target = App("telling:register", app_dir=str(folder))
    starts = [
        ServerStart(config=SYNC, target=target, own={"arg.shelf": "a", "arg.depth": depth}) for depth in ("1", "2")
    ]
    rehearse(starts)
    with pytest.raises(UsageError, match=r"^invalid arg\.depth=deep: expected a whole number$"):
        rehearse([*starts, ServerStart(config=SYNC, target=target, own={"arg.shelf": "a", "arg.depth": "deep"})])
    rehearse([ServerStart(config=SYNC)])  # nothing of ours is started for it


def test_serve_runs_an_application_in_the_foreground_until_a_signal(
    folder: Path, tmp_path: Path, ours: Callable[[], list[int]]
) -> None:
    command = [sys.executable, "-m", "grpclab", "serve", "--app", "telling:register", "--app-dir", str(folder)]
    settings = ["--set", "arg.shelf=a b", "--set", f"env.ENDED_FILE={tmp_path / 'ended'}", "--port", "0"]
    with subprocess.Popen([*command, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline().startswith("telling:register on 127.0.0.1:")
        serving.terminate()
        _, errors = serving.communicate(timeout=120)
    assert serving.returncode == 0
    assert errors == "a line that the application prints\n"
    assert (tmp_path / "ended").read_text() == "closed "
    assert ours() == []


def test_bench_loads_an_application_that_it_hosts_and_asks_no_reflection(
    folder: Path, ours: Callable[[], list[int]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("grpclab.load.calls.schema.from_server")
    words = ["bench", "--app", "telling:register", "--app-dir", str(folder), "--call", "greet.GreeterService/Tell"]
    load = ["-n", "20", "--set", "load.warmup_s=0", "--set", "server.threads=3", "--set", "arg.shelf=a"]
    assert main([*words, *load, "-q", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["count"] == 20
    factors = told["grpclab"]["server_factors"]
    assert (factors["server.threads"], factors["server.implementation"], factors["arg.shelf"]) == (3, "sync", "a")
    assert "server.handler_work_us" not in factors
    assert ours() == []


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["bench", "localhost:1", "--app", "a:b"], "both specify the server"),
        (["bench", "--cwd", "."], "--cwd cannot be used here: it only works with --app"),
        (["bench", "--app", "a:b", "--tls"], "set server.tls"),
        (["serve", "basic", "--app", "a:b"], "both specify the server"),
        (["serve", "--python", "x"], "--python cannot be used here: it only works with --app"),
    ],
)
def test_options_that_do_not_go_with_an_application_are_refused(words: list[str], pattern: str) -> None:
    assert_refused(run(*words), 2, pattern)
