"""The command line as its users meet it: a process, its two streams of text and its exit code."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import greeter_at, hello, until

from grpclab import cli, procfs
from grpclab.config import FACTORS, Level
from grpclab.servers import child, foreground
from grpclab.servers.launcher import RunningServer

GRPCLAB = [sys.executable, "-m", "grpclab"]
COMMANDS = ["serve", "bench", "study", "report", "doctor", "factors"]
VARIABLES = ("GRPC_SERVER_PORT", "GRPC_KEEPALIVE_TIMEOUT", "GRPC_CONCURRENCY_LIMIT", "GRPCLAB_LOG", "PPROF_ENABLED")

GHZ_FIELDS = {
    *("name", "endReason", "date", "options", "count", "total", "average", "fastest", "slowest", "rps"),
    *("errorDistribution", "statusCodeDistribution", "latencyDistribution", "histogram", "details", "tags"),
}


@pytest.fixture(autouse=True, scope="module")
def clean_surroundings() -> Iterator[None]:
    """No variables of ours, and Ctrl-C not ignored, as it is in what a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`grpclab` with these words, to its end."""
    return subprocess.run(
        [*GRPCLAB, *words], capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **(env or {})}
    )


@dataclass
class Serving:
    """`grpclab serve`, running."""

    process: subprocess.Popen[str]
    announced: str
    target: str

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Its exit code, and what else it wrote to its two streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serving(*words: str, env: dict[str, str] | None = None) -> Iterator[Serving]:
    """`grpclab serve` with these words until the block is left."""
    command = [*GRPCLAB, "serve", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            target = re.search(r" on (127\.0\.0\.1:\d+) ", announced)
            assert target is not None, f"{announced!r} {process.communicate(timeout=20)}"
            yield Serving(process=process, announced=announced, target=target[1])
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


# ---- help --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "-")
def test_every_command_explains_itself(command: list[str]) -> None:
    done = run(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: grpclab", *command]))
    assert set(COMMANDS) <= set(done.stdout.split()) or command


def test_the_help_of_bench_names_all_its_options_and_their_defaults() -> None:
    text = run("bench", "--help").stdout
    for option in ("--requests", "-n", "--duration", "-z", "--concurrency", "-c", "--connections", "--workers"):
        assert option in text
    for option in ("--engine", "--warmup", "--deadline", "--format", "--output", "-o", "--json", "--set"):
        assert option in text
    assert "localhost:50051" in text
    assert "(default: 500)" in text
    assert "(default: 50)" in text


# ---- serve and bench ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["basic", "optimized"])
def test_a_variant_is_served_loaded_and_stopped(variant: str) -> None:
    with serving(variant, "--port", "0") as server:
        assert server.announced.startswith(f"{variant} server on 127.0.0.1:")
        assert "Ctrl-C stops it" in server.announced
        done = run("bench", server.target, "-n", "300", "-c", "10", "--warmup", "0")
        assert (done.returncode, done.stderr) == (0, "")
        code, out, err = server.stop()
    assert code == 0
    assert re.fullmatch(r"served 300 calls, at most \d+ at once\n", out)
    assert err == ""


def test_sigterm_ends_serve_like_ctrl_c() -> None:
    with serving("basic", "--port", "0") as server:
        assert server.stop(signal.SIGTERM) == (0, "served 0 calls, at most 0 at once\n", "")


def test_the_summary_says_what_was_seen(quick_server: RunningServer) -> None:
    done = run("bench", quick_server.target, "-n", "400", "-c", "8", "--connections", "2", "--warmup", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    first, *_ = text.splitlines()
    assert first == f"SayHello at {quick_server.target}: 8 in flight, engine grpcio, a pool of 2"
    assert re.search(r"calls +400\n", text)
    assert re.search(r"succeeded +400 +100\.0%\n", text)
    assert re.search(r"failed +0 +0\.0%\n", text)
    assert re.search(r"throughput +[\d,.]+ requests/s\n", text)
    assert re.search(r"p95 +[\d.,]+ ms\n", text)
    assert re.search(r"p99 +- +needs 1,000 calls \(10 beyond it\)\n", text)
    assert re.search(r"connections +2 +open at the end, seen from outside\n", text)
    assert re.search(r"generator +\d+% +of a core", text)


def assert_ghz(report: dict[str, Any], calls: int) -> None:
    assert set(report) == GHZ_FIELDS | {"grpclab"}
    assert report["count"] == calls
    assert sum(report["statusCodeDistribution"].values()) == calls
    assert len(report["details"]) == calls
    assert sum(mark["count"] for mark in report["histogram"]) == report["statusCodeDistribution"].get("OK", 0)
    assert isinstance(report["total"], int)
    assert report["fastest"] <= report["average"] <= report["slowest"] <= max(report["total"], report["slowest"])


def test_json_is_what_scripts_for_ghz_read(quick_server: RunningServer) -> None:
    done = run("bench", quick_server.target, "-n", "1200", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert_ghz(report, 1200)
    assert report["endReason"] == "normal"
    assert report["statusCodeDistribution"] == {"OK": 1200}
    assert report["errorDistribution"] == {}
    assert [row["percentage"] for row in report["latencyDistribution"]] == [10, 25, 50, 75, 90, 95, 99]
    assert report["options"]["host"] == quick_server.target
    assert report["rps"] == pytest.approx(1200 / (report["total"] / 1e9))


def test_csv_has_a_line_for_each_call(quick_server: RunningServer) -> None:
    done = run("bench", quick_server.target, "-n", "60", "--format", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 60
    assert {row["status"] for row in rows} == {"OK"}
    assert all(float(row["start_s"]) >= 0 and float(row["latency_s"]) > 0 for row in rows)


@pytest.mark.parametrize("more", [[], ["--format", "json"], ["--format", "csv"]])
def test_json_on_standard_output_stands_there_alone(quick_server: RunningServer, more: list[str]) -> None:
    done = run("bench", quick_server.target, "-n", "60", "--json", "-", *more)
    assert_ghz(json.loads(done.stdout), 60)


def test_files_are_written_beside_each_other(quick_server: RunningServer, tmp_path: Path) -> None:
    rows, report = tmp_path / "rows.csv", tmp_path / "report.json"
    words = ["-n", "60", "--format", "csv", "-o", str(rows), "--json", str(report)]
    done = run("bench", quick_server.target, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(rows.read_text().splitlines()) == 61
    assert_ghz(json.loads(report.read_text()), 60)


def test_failed_calls_are_in_every_output_and_not_in_the_exit_code(quick_server: RunningServer, tmp_path: Path) -> None:
    stream = ["--set", "load.method=SayHelloStream", "--deadline", "0.015"]
    done = run("bench", quick_server.target, "-n", "40", *stream, "--json", str(tmp_path / "report.json"))
    assert done.returncode == 0
    assert re.search(r"failed +40 +100\.0%\n", done.stdout)
    assert re.search(r"DEADLINE_EXCEEDED +40 +100\.0%\n", done.stdout)
    report = json.loads((tmp_path / "report.json").read_text())
    assert_ghz(report, 40)
    assert report["statusCodeDistribution"] == {"DeadlineExceeded": 40}
    assert report["errorDistribution"] == {"rpc error: code = DeadlineExceeded": 40}


def test_a_duration_alone_is_a_bound_of_its_own(quick_server: RunningServer) -> None:
    done = run("bench", quick_server.target, "-z", "0.5", "--format", "json")
    report = json.loads(done.stdout)
    assert report["endReason"] == "timeout"
    assert report["total"] == pytest.approx(0.5e9)
    assert report["count"] > 0
    assert report["options"]["total"] == 0


# ---- Ctrl-C ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", ["0", "60"])
def test_ctrl_c_prints_what_was_measured_by_then(
    quick_server: RunningServer, tmp_path: Path, warmup: str, ours: Callable[[], list[int]]
) -> None:
    report_file = tmp_path / "report.json"
    before = procfs.cpu_seconds(quick_server.pids[0])
    command = [*GRPCLAB, "bench", quick_server.target, "-z", "60", "--warmup", warmup, "--json", str(report_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        assert until(lambda: procfs.cpu_seconds(quick_server.pids[0]) > before + 0.2)
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=20)
    assert (bench.returncode, err) == (130, "")
    assert "interrupted: this is what had been measured by then" in out
    report = json.loads(report_file.read_text())
    assert_ghz(report, report["count"])
    assert report["endReason"] == "cancel"
    assert report["total"] < 60e9
    if warmup == "0":
        assert report["count"] > 0
        assert report["rps"] == pytest.approx(report["count"] / (report["total"] / 1e9))
    else:
        assert report["count"] == 0
    assert ours() == []


# ---- what goes wrong ---------------------------------------------------------------------------------------


def assert_refused(done: subprocess.CompletedProcess[str], code: int, pattern: str) -> None:
    """One line on standard error, and nothing on standard output."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("grpclab: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert re.search(pattern, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["bench", "--set", "server.windows_kib=1"], r"unknown factor 'server\.windows_kib': did you mean"),
        (["bench", "--set", "load.requests"], "is not a setting: write section.name=level"),
        (["bench", "-n", "0"], r"load\.requests=0 is not possible: it takes integer from 1"),
        (["bench", "-n", "abc"], r"load\.requests=abc is not possible: it takes integer from 1"),
        (["bench", "-c", "-5"], r"load\.concurrency=-5 is not possible"),
        (["bench", "--connections", "0"], "--connections 0 is not possible: give 1 or more"),
        (["bench", "-n", "none"], "give at least one bound"),
        (["bench", "--workers", "9", "-c", "3"], r"load\.concurrency=3 cannot be divided over load\.workers=9"),
        (["bench", "localhost:99999"], "'localhost:99999' is not HOST:PORT"),
        (["bench", "localhost"], "'localhost' is not HOST:PORT"),
        (["bench", "192.0.2.1:50051"], r"'192\.0\.2\.1:50051' is not on this machine"),
        (["bench", "example.org:443"], "is not on this machine"),
        (["serve", "basic", "--port", "70000"], "--port=70000 is not a port: give a whole number from 0 to 65535"),
        (["serve", "basic", "--port", "-1"], "--port=-1 is not a port"),
        (["serve", "basic", "--set", "client.pooling=shared"], r"client\.pooling is not a factor of the server"),
        (["serve", "basic", "--set", "server.threads=0"], r"server\.threads=0 is not possible"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_right_is_refused_with_2(words: list[str], pattern: str) -> None:
    assert_refused(run(*words), 2, pattern)


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("GRPC_SERVER_PORT", "abc", "GRPC_SERVER_PORT=abc is not a port: give a whole number from 0 to 65535"),
        ("GRPC_SERVER_PORT", "", "GRPC_SERVER_PORT= is not a port"),
        ("GRPC_KEEPALIVE_TIMEOUT", "soon", "variable GRPC_KEEPALIVE_TIMEOUT: .*=soon is not possible"),
        ("GRPC_CONCURRENCY_LIMIT", "0", "variable GRPC_CONCURRENCY_LIMIT: .*=0 is not possible"),
        ("GRPCLAB_LOG", "loud", "GRPCLAB_LOG=loud is not possible: it is one of debug, info"),
    ],
)
def test_a_variable_that_cannot_be_right_is_refused_by_its_name(name: str, value: str, pattern: str) -> None:
    assert_refused(run("serve", "basic", env={name: value}), 2, pattern)


def test_a_target_that_nobody_serves_is_3(closed_port: int) -> None:
    done = run("bench", f"127.0.0.1:{closed_port}")
    assert_refused(done, 3, rf"nothing answers at 127\.0\.0\.1:{closed_port}.*`grpclab serve")


@pytest.mark.parametrize("variant", ["basic", "optimized"])
def test_a_taken_port_is_3(quick_server: RunningServer, variant: str) -> None:
    done = run("serve", variant, "--port", str(quick_server.port))
    assert_refused(done, 3, rf"port {quick_server.port} on 127\.0\.0\.1 is taken: stop what listens there")


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    option: str, closed_port: int, tmp_path: Path
) -> None:
    file = tmp_path / "nowhere" / "out"
    done = run("bench", f"127.0.0.1:{closed_port}", option, str(file))
    assert_refused(done, 2, f"cannot write {file}: No such file or directory")


def test_a_run_that_fails_leaves_no_empty_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("what was here before")
    words = ["--json", str(tmp_path / "new"), "-o", str(kept)]
    assert_refused(run("bench", "192.0.2.1:1", *words), 2, "not on this machine")
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_text() == "what was here before"


def test_a_folder_without_a_study_is_2(tmp_path: Path) -> None:
    assert_refused(run("report", str(tmp_path)), 2, f"no study in {tmp_path}")


def test_verbose_shows_the_traceback() -> None:
    done = run("bench", "-n", "0", "-v")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("words", [[], ["serve"], ["serve", "fast"], ["bench", "--format", "xml"], ["fly"]])
def test_words_that_are_no_command_are_2_with_the_usage(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: grpclab")
    assert "Traceback" not in done.stderr


# ---- flag beats variable beats default ---------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Level], int]]:
    """What `serve` would serve with these words: its settings and its port."""
    seen: list[tuple[dict[str, Level], int]] = []

    def remember(name: str, settings: dict[str, Level], host: str, port: int, *, quiet: bool) -> None:
        seen.append((settings, port))

    monkeypatch.setattr(foreground, "serve_in_foreground", remember)
    monkeypatch.setattr(child, "configure_logging", lambda level: None)
    monkeypatch.setattr(child, "leave", sys.exit)

    def serve(*words: str, **environ: str) -> tuple[dict[str, Level], int]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit, match=r"^0$"):
                cli.main(["serve", *words])
        return seen.pop()

    return serve


@pytest.mark.parametrize(
    ("variable", "factor", "default"),
    [
        ("GRPC_KEEPALIVE_TIMEOUT", "server.keepalive_timeout_s", 20.0),
        ("GRPC_CONCURRENCY_LIMIT", "server.max_concurrent_rpcs", None),
    ],
)
def test_a_flag_beats_a_variable_beats_the_default(
    served: Callable[..., tuple[dict[str, Level], int]], variable: str, factor: str, default: Level
) -> None:
    assert served("optimized")[0].get(factor) == default
    assert served("optimized", **{variable: "7"})[0][factor] == 7
    assert served("optimized", "--set", f"{factor}=9", **{variable: "7"})[0][factor] == 9


def test_the_port_comes_from_the_flag_the_variable_or_the_variant(
    served: Callable[..., tuple[dict[str, Level], int]],
) -> None:
    assert served("basic")[1] == 50052
    assert served("optimized")[1] == 50051
    assert served("optimized", GRPC_SERVER_PORT="1234")[1] == 1234
    assert served("optimized", "--port", "0", GRPC_SERVER_PORT="1234")[1] == 0


def test_the_variables_take_effect(closed_port: int) -> None:
    environ = {
        "GRPC_SERVER_PORT": str(closed_port),
        "GRPC_CONCURRENCY_LIMIT": "1",
        "PPROF_ENABLED": "true",
        "PPROF_PORT": "3456",
    }
    stream = ["--set", "server.stream_messages=2", "--set", "server.stream_interval_ms=500"]
    with serving("basic", *stream, env=environ) as server, greeter_at(server.target) as stub:
        assert server.port == closed_port
        inside = stub.SayHelloStream(hello(), timeout=20)
        next(inside)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.SayHello(hello(), timeout=20)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(list(inside)) == 1
        code, out, err = server.stop()
    assert (code, out) == (0, "served 1 calls, at most 1 at once\n")
    assert re.fullmatch(r".*WARNING.* PPROF_ENABLED is set, but .* port 3456\n", err)


def test_the_flags_beat_them(closed_port: int) -> None:
    environ = {"GRPC_SERVER_PORT": str(closed_port), "GRPC_CONCURRENCY_LIMIT": "1", "GRPCLAB_LOG": "error"}
    words = ["--port", "0", "--set", "server.max_concurrent_rpcs=none", "--set", "server.stream_interval_ms=50"]
    with serving("basic", *words, env=environ) as server, greeter_at(server.target) as stub:
        assert server.port != closed_port
        inside = stub.SayHelloStream(hello(), timeout=20)
        next(inside)
        assert stub.SayHello(hello(), timeout=20).message == "Hello world!"
        assert len(list(inside)) == 4


# ---- the commands that only tell ---------------------------------------------------------------------------


def test_doctor_tells_people_and_programs() -> None:
    done = run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    told = run("doctor", "--json", "-")
    assert (told.returncode, told.stderr) == (0, "")
    findings = json.loads(told.stdout)
    assert {tuple(finding) for finding in findings} == {("name", "state", "value", "advice")}
    assert {finding["state"] for finding in findings} <= {"ok", "warn", "fail"}
    for finding in findings:
        assert finding["name"] in done.stdout


def test_factors_lists_every_factor_with_its_levels() -> None:
    done = run("factors")
    assert (done.returncode, done.stderr) == (0, "")
    for name, factor in FACTORS.items():
        assert re.search(rf"^{re.escape(name)} +{re.escape(factor.meaning)}$", done.stdout, re.MULTILINE)
        assert factor.range_text in done.stdout
