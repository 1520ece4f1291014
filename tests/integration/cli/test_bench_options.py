"""`grpclab bench`: its help, what its options mean, and what is refused."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grpclab.cli import commands
from grpclab.factors.config import TrialConfig
from grpclab.load.plan import CallRequest
from tests.support.command import Bench, unused_port

# ---- help ----------------------------------------------------------------------------------------------------


def test_the_help_names_all_options_their_groups_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        commands.main(["bench", "--help"])
    text = capsys.readouterr().out
    options = "requests duration warmup concurrency rate arrival pacing connections workers engine deadline seed call"
    options += " connect-timeout details data data-file metadata proto slo abort-on-slo config format output json set"
    for option in options.split():
        assert f"--{option}" in text
    for option in ("-n", "-z", "-c", "-r", "-o", "-q"):
        assert f" {option}, --" in text
    words = " ".join(text.split())
    for default in ("(default: localhost:50051)", "(default: 500)", "(default: 50)", "(default: wire)", "0.5 s)"):
        assert default in words
    headings = re.findall(r"^([a-z ]+):$", text, re.MULTILINE)
    assert headings == [
        *(
            "what to call",
            "security",
            "a server on another machine",
            "length of the run",
            "how to send calls",
            "streams",
            "thresholds",
            "output",
            "options",
            "examples",
        )
    ]
    assert text.count("\n  grpclab bench ") == 11


# ---- what the options mean -------------------------------------------------------------------------------------


def test_options_are_short_for_factors(asked: Callable[..., dict[str, Any]]) -> None:
    words = "-z 2m -c 7 --warmup 250ms --deadline 1.5 --workers auto --engine grpcio --connections 3 -n 9"
    config = asked(*words.split())["config"]
    load, client = config.load, config.client
    assert (load.duration_s, load.concurrency, load.warmup_s, load.workers) == (120.0, 7, 0.25, 0)
    assert (load.engine, load.requests) == ("grpcio", 9)
    assert (client.deadline_s, client.pooling, client.connections) == (1.5, "pool", 3)


def test_without_options_the_defaults_hold(asked: Callable[..., dict[str, Any]]) -> None:
    found = asked()
    assert found["target"] == "localhost:50051"
    assert found["config"] == TrialConfig()
    assert (found["rates"], found["objectives"], found["abort"], found["seed"]) == ((), (), False, 1)
    assert found["watcher"] is None


def test_a_rate_a_schedule_and_thresholds(asked: Callable[..., dict[str, Any]]) -> None:
    found = asked("localhost:7", "-r", "100:300:100@20s", "--slo", "p99=5ms,rps=9", "--abort-on-slo", "--seed", "5")
    assert [step.rate_rps for step in found["rates"]] == [100, 200, 300]
    assert found["config"].load.duration_s == 20.0
    assert [objective.name for objective in found["objectives"]] == ["p99", "rps", "errors"]
    assert (found["target"], found["abort"], found["seed"]) == ("localhost:7", True, 5)
    config = asked("--rate", "100", "--arrival", "poisson", "--pacing", "timer")["config"]
    assert (config.load.rate_rps, config.load.arrival, config.load.pacing) == (100.0, "poisson", "timer")


def test_a_call_with_its_request(
    asked: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--call", "a.B/C", "--metadata", "k=v", "--metadata", "l=w", "--proto", "b.proto"]
    words += ["--proto-path", "x", "--proto-path", "y"]
    assert asked(*words, "--data", '{"x": 1}')["call"] == CallRequest(
        name="a.B/C", data='{"x": 1}', metadata=("k=v", "l=w"), proto="b.proto", proto_path=["x", "y"]
    )
    (tmp_path / "request.json").write_text('{"x": 2}')
    assert asked(*words, "--data-file", str(tmp_path / "request.json"))["call"].data == '{"x": 2}'
    assert asked(*words, "--data", f"@{tmp_path}/request.json")["call"].data == '{"x": 2}'
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"x": 3}'))
    assert asked(*words, "--data-file", "-")["call"].data == '{"x": 3}'


# ---- what cannot be right ----------------------------------------------------------------------------------------


def assert_refused(done: tuple[int, str, str], code: int, pattern: str) -> None:
    """One line on standard error, and nothing on standard output."""
    assert done[:2] == (code, "")
    assert done[2].startswith("grpclab: ")
    assert done[2].count("\n") == 1
    assert re.search(pattern, done[2]), done[2]


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["--set", "server.windows_kib=1"], r"unknown factor 'server\.windows_kib': did you mean"),
        (["--set", "load.requests"], "is not a setting: write section.name=level"),
        (["-n", "0"], r"invalid --requests=0: expected integer from 1"),
        (["-n", "abc"], r"invalid --requests=abc: expected integer from 1"),
        (["-c", "-5"], r"invalid --concurrency=-5: expected"),
        (["--connections", "0"], "invalid --connections=0: expected 1 or more"),
        (["-n", "none"], "set at least one of them"),
        (["--workers", "9", "-c", "3"], r"load\.concurrency=3 cannot be divided among load\.workers=9"),
        (["localhost:99999"], "invalid target=localhost:99999: expected a port from 1 to 65535"),
        (["localhost"], "invalid target=localhost: expected a port"),
        (["192.0.2.1:50051"], r"invalid target=192\.0\.2\.1:50051: expected .* on this machine"),
        (["example.org:443"], "expected an address on this machine"),
        (["-z", "soon"], r"invalid --duration=soon: expected .*, e.g. 500ms"),
        (["--connections", "two"], "invalid --connections=two: expected a whole number"),
        (["--seed", "x"], "invalid --seed=x: expected a whole number"),
        (["--engine", "rust"], r"invalid --engine=rust: expected wire\|grpcio"),
        (["--rate", "fast"], "invalid --rate=fast: expected"),
        (["--arrival", "poisson"], r"load\.arrival=poisson applies only to an open loop: add --rate"),
        (["-n", "9", "--set", "load.requests=4"], r"load\.requests=4: another option already sets load\.requests"),
        (["--rate", "9", "--set", "load.rate_rps=4"], r"--rate and load\.rate_rps both set the rate"),
        (["--format", "csv", "--json", "-"], "--format csv and --json both write to -"),
        (["--details"], "--details lists calls in the JSON output: add --json FILE"),
        (["--connect-timeout", "soon"], "invalid --connect-timeout=soon: expected a time"),
        (["--rate", "5:9:2@1s", "-z", "3"], "--duration and the @1s of --rate both set"),
        (["--data", "{}"], "--data applies only to your own calls: add --call"),
        (["--data-file", "x.json"], "--data-file applies only to your own calls: add --call"),
        (["--call", "a.B/C", "--data", "{}", "--data-file", "x"], "--data and --data-file both specify the request"),
        (
            ["--call", "a.B/C", "--data-file", "no/such"],
            r"invalid --data-file=no/such: expected a readable file in .*/no \(No such file",
        ),
        (["--proto", "x.proto"], "--proto applies only to your own calls: add --call"),
        (["--metadata", "x"], "invalid metadata=x: expected key=value"),
        (["--slo", "p99=5"], "invalid --slo p99=5: expected a time"),
        (["--abort-on-slo"], "--abort-on-slo cannot watch anything: set --slo"),
        (["--slo", "mean=5ms", "--abort-on-slo"], "--abort-on-slo cannot watch mean"),
        (
            ["-n", "999", "--slo", "p99=5ms"],
            "invalid --slo p99=5ms: expected at least 1,000 calls, but 999 are planned",
        ),
        (
            ["-r", "50", "-z", "10", "--slo", "p99=5ms"],
            "invalid --slo p99=5ms: expected at least 1,000 calls, but 500 are",
        ),
        (
            ["-r", "40:90:20@20s", "--slo", "p99=5ms"],
            "expected at least 1,000 calls, but 800 are planned: hold each rate",
        ),
        (
            ["--config", "no/such.toml"],
            r"invalid --config=no/such.toml: expected .*/no \(No such file",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_refused_with_2(bench: Bench, words: list[str], pattern: str) -> None:
    assert_refused(bench(*words), 2, pattern)


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    bench: Bench, option: str, tmp_path: Path
) -> None:
    file = tmp_path / "nowhere" / "out"
    done = bench(f"127.0.0.1:{unused_port()}", option, str(file))
    assert_refused(done, 2, f"cannot write {file}: No such file or directory")


def test_a_run_that_fails_leaves_no_empty_file(bench: Bench, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("what was here before")
    words = ["--json", str(tmp_path / "new"), "-o", str(kept)]
    assert_refused(bench("192.0.2.1:1", *words), 2, "on this machine")
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_text() == "what was here before"
