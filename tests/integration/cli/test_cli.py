"""The command line as its users meet it: a process, its two streams of text and its exit code."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from grpclab.cli import commands
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.servers.process import child, foreground
from grpclab.servers.process.launcher import RunningServer
from tests.support.command import GRPCLAB, assert_refused, run, unused_port
from tests.support.greeting import greeter_at, hello
from tests.support.serving import serving

COMMANDS = [
    "serve",
    "bench",
    "study",
    "compare",
    "bisect",
    "report",
    "profile",
    "notebook",
    "certs",
    "doctor",
    "factors",
    "menu",
]
VARIABLES = ("GRPC_SERVER_PORT", "GRPC_KEEPALIVE_TIMEOUT", "GRPC_CONCURRENCY_LIMIT", "GRPCLAB_LOG", "PPROF_PORT")


@pytest.fixture(autouse=True, scope="module")
def clean_surroundings() -> Iterator[None]:
    """No variables of ours, and Ctrl-C not ignored, as it is in what a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("PPROF_ENABLED", "false")  # or port 3000 of this machine would decide
        yield
    signal.signal(signal.SIGINT, before)


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """`grpclab` with these words, to its end, in this process."""

    def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                code = commands.main(list(words))
            except SystemExit as end:
                code = int(end.code or 0)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return run


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port that nobody listens on."""
    return unused_port()


# ---- help --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "-")
def test_every_command_explains_itself(here: Here, command: list[str]) -> None:
    done = here(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: grpclab", *command]))
    assert set(COMMANDS) <= set(done.stdout.split()) or command


# ---- serve and bench ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["basic", "optimized"])
def test_a_variant_is_served_loaded_and_stopped(variant: str) -> None:
    with serving(variant, "--port", "0") as server:
        assert server.announced.startswith(f"{variant} server on 127.0.0.1:")
        assert "Ctrl-C stops it" in server.announced
        done = run("bench", server.target, "-n", "1000", "-c", "10", "--warmup", "0")
        assert (done.returncode, done.stderr) == (0, "")
        code, out, err = server.stop()
    assert code == 0
    assert re.fullmatch(r"served 1,000 calls, at most \d+ at once\n", out)
    assert err == ""


@pytest.mark.parametrize("variant", ["basic", "reference"])
def test_a_server_that_others_reach_says_so_in_one_line(variant: str) -> None:
    command = [*GRPCLAB, "serve", variant, "--port", "0", "--host", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert announced.startswith(f"{variant} server on 0.0.0.0:")
    (line,) = (line for line in said.splitlines() if line.startswith("grpclab: "))
    assert "greet.GreeterService" in line
    assert ("grpc.reflection.v1alpha.ServerReflection" in line) == (variant == "basic")


def test_sigterm_ends_serve_like_ctrl_c() -> None:
    with serving("basic", "--port", "0") as server:
        assert server.stop(signal.SIGTERM) == (0, "served 0 calls, at most 0 at once\n", "")


# ---- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["serve", "basic", "--port", "70000"], "--port=70000 is not a port: expected a whole number from 0 to 65535"),
        (["serve", "basic", "--port", "-1"], "--port=-1 is not a port"),
        (
            ["serve", "basic", "--set", "client.pooling=shared"],
            "client.pooling=shared: expected a server factor",
        ),
        (["serve", "basic", "--set", "server.threads=0"], r"invalid server\.threads=0: expected integer from 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_right_is_refused_with_2(here: Here, words: list[str], pattern: str) -> None:
    assert_refused(here(*words), 2, pattern)


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("GRPC_SERVER_PORT", "abc", "GRPC_SERVER_PORT=abc is not a port: expected a whole number from 0 to 65535"),
        ("GRPC_SERVER_PORT", "", "GRPC_SERVER_PORT= is not a port"),
        ("GRPC_KEEPALIVE_TIMEOUT", "soon", "variable GRPC_KEEPALIVE_TIMEOUT: invalid .*=soon: expected"),
        ("GRPC_CONCURRENCY_LIMIT", "0", "variable GRPC_CONCURRENCY_LIMIT: invalid .*=0: expected"),
        ("GRPCLAB_LOG", "loud", "invalid GRPCLAB_LOG=loud: expected one of debug, info"),
    ],
)
def test_a_variable_that_cannot_be_right_is_refused_by_its_name(
    here: Here, name: str, value: str, pattern: str
) -> None:
    assert_refused(here("serve", "basic", env={name: value}), 2, pattern)


def test_a_target_that_nobody_serves_is_3(closed_port: int) -> None:
    done = run("bench", f"127.0.0.1:{closed_port}")
    assert_refused(done, 3, rf"no server responded at 127\.0\.0\.1:{closed_port}.*`grpclab serve")


@pytest.mark.parametrize("variant", ["basic", "optimized"])
def test_a_taken_port_is_3(quick_server: RunningServer, variant: str) -> None:
    done = run("serve", variant, "--port", str(quick_server.port))
    assert_refused(done, 3, rf"port {quick_server.port} on 127\.0\.0\.1 is in use: stop the program that listens there")


def test_a_folder_without_a_study_is_2(here: Here, tmp_path: Path) -> None:
    assert_refused(here("report", str(tmp_path)), 2, f"no study in {tmp_path}:")


def test_a_report_is_no_study_to_report_on(here: Here, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("<html>")
    assert_refused(here("report", str(page)), 2, f"no study in {page}: .*load_study")


def test_verbose_shows_the_traceback() -> None:
    done = run("bench", "-n", "0", "-v")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


MISTAKES = [
    ([], "grpclab", "no command given"),
    (["benhc"], "grpclab", "unknown command 'benhc': did you mean bench"),
    (["--foo", "bench"], "grpclab", "unknown option --foo"),
    (["bench", "--conccurency", "5"], "grpclab bench", "unknown option --conccurency: did you mean --concurrency"),
    (["bench", "--conc", "5"], "grpclab bench", "unknown option --conc"),
    (["bench", "--format", "xml"], "grpclab bench", "invalid --format=xml: expected summary, json, csv, html, "),
    (["bench", "--rate"], "grpclab bench", "no value for --rate: expected RATE"),
    (["serve", "basic", "--port", "x"], "grpclab serve", "invalid --port=x: expected a whole number"),
    (["compare", "a", "b", "c"], "grpclab compare", "unexpected argument 'c'"),
    (["study", "--desing", "idle"], "grpclab study", "unknown option --desing: did you mean --design"),
]


@pytest.mark.parametrize(("words", "usage", "said"), MISTAKES, ids=str)
def test_a_mistake_is_two_lines_the_usage_of_that_command_and_what_is_wrong(
    words: list[str], usage: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        commands.main(words)
    out, err = capsys.readouterr()
    first, second, end = err.split("\n")
    assert (out, end) == ("", "")
    assert first.startswith(f"usage: {usage} ")
    assert second.startswith("grpclab: ")
    assert said in second


HEAVY = ("pandas", "scipy", "matplotlib", "pyarrow", "papermill", "seaborn", "jinja2")


def test_help_and_mistakes_load_only_the_core(tmp_path: Path) -> None:
    cases = [
        *([name, "--help"] for name in COMMANDS),
        *(words for words, _, _ in MISTAKES),
        ["compare", "basic", "optimised"],
        ["compare", "basic", "basic", "--min-effect", "2"],
        ["compare", "basic", "basic", "--blocks", "1"],
        ["compare", "basic", "basic", "--b-set", "server.thread=3"],
        ["compare", "basic", "basic", "--data", "{}"],
        ["study", "--design", "fast"],
        ["study", "--design", "idle", "--requests", "5"],
        ["study", "--file", "no.toml"],
        ["report", "none"],
        ["profile"],
        ["serve"],
        ["notebook", "none"],
    ]
    code = (
        "import contextlib, io, sys\n"
        "from grpclab.cli import commands as cli\n"
        f"for words in {cases!r}:\n"
        "  with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: code = cli.main(words)\n"
        "    except SystemExit as end: code = end.code\n"
        "  assert code == (0 if '--help' in words else 2), (words, code)\n"
        f"  assert not [name for name in {HEAVY!r} if name in sys.modules], words\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""


# ---- flag beats variable beats default ---------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Level], int]]:
    """What `serve` would serve with these words: its settings and its port."""
    seen: list[tuple[dict[str, Level], int]] = []

    def remember(name: str, settings: dict[str, Level], where: object, port: int, **others: object) -> None:
        seen.append((settings, port))

    monkeypatch.setattr(foreground, "serve_in_foreground", remember)
    monkeypatch.setattr(child, "configure_logging", lambda level: None)
    monkeypatch.setattr(child, "leave", sys.exit)

    def serve(*words: str, **environ: str) -> tuple[dict[str, Level], int]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit, match=r"^0$"):
                commands.main(["serve", *words])
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


def test_optimized_has_a_desk_unless_told_not_to_and_basic_only_if_told(
    served: Callable[..., tuple[dict[str, Level], int]],
) -> None:
    desk = {"server.metrics": True, "server.desk": True}
    assert desk.items() <= served("optimized", PPROF_ENABLED="", PPROF_PORT="0")[0].items()
    assert desk.items() <= served("basic", PPROF_ENABLED="true", PPROF_PORT="0")[0].items()
    assert not desk.items() & served("basic", PPROF_ENABLED="")[0].items()
    assert not desk.items() & served("optimized", PPROF_ENABLED="false")[0].items()
    words = ("optimized", "--set", "server.metrics=false")
    assert served(*words, PPROF_ENABLED="true", PPROF_PORT="0")[0]["server.metrics"] is False


def test_the_variables_take_effect(closed_port: int) -> None:
    environ = {
        "GRPC_SERVER_PORT": str(closed_port),
        "GRPC_CONCURRENCY_LIMIT": "1",
        "PPROF_ENABLED": "true",
        "PPROF_PORT": "0",
    }
    stream = ["--set", "server.stream_messages=2", "--set", "server.stream_interval_ms=1000"]
    with serving("basic", *stream, env=environ) as server, greeter_at(server.target) as stub:
        assert server.port == closed_port
        inside = stub.SayHelloStream(hello(), timeout=60)
        next(inside)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.SayHello(hello(), timeout=60)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(list(inside)) == 1
        code, out, err = server.stop()
        assert re.search(r", diagnostics server on http://127.0.0.1:\d+; Ctrl-C", server.announced)
    assert (code, out, err) == (0, "served 1 calls, at most 1 at once\n", "")


def test_the_flags_beat_them(closed_port: int) -> None:
    environ = {"GRPC_SERVER_PORT": str(closed_port), "GRPC_CONCURRENCY_LIMIT": "1", "GRPCLAB_LOG": "error"}
    words = ["--port", "0", "--set", "server.max_concurrent_rpcs=none", "--set", "server.stream_interval_ms=50"]
    with serving("basic", *words, env=environ) as server, greeter_at(server.target) as stub:
        assert server.port != closed_port
        inside = stub.SayHelloStream(hello(), timeout=60)
        next(inside)
        assert stub.SayHello(hello(), timeout=60).message == "Hello world!"
        assert len(list(inside)) == 4


# ---- the commands that only tell ---------------------------------------------------------------------------


def test_doctor_tells_people_and_programs(here: Here) -> None:
    done = here("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    told = here("doctor", "--json", "-")
    assert (told.returncode, told.stderr) == (0, "")
    findings = json.loads(told.stdout)
    assert {tuple(finding) for finding in findings} == {("name", "state", "value", "advice")}
    assert {finding["state"] for finding in findings} <= {"ok", "warn", "fail"}
    for finding in findings:
        assert finding["name"] in done.stdout


def test_factors_lists_every_factor_with_its_levels(here: Here) -> None:
    done = here("factors")
    assert (done.returncode, done.stderr) == (0, "")
    for name, factor in FACTORS.items():
        assert re.search(rf"^{re.escape(name)} +{re.escape(factor.meaning)}$", done.stdout, re.MULTILINE)
        assert factor.range_text in done.stdout
