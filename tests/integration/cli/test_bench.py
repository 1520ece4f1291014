"""`grpclab bench` as its users meet it: options, the file that may give them, outputs and exit codes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from google.protobuf import text_format

from grpclab.cli import commands
from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.load import bench as bench_module
from grpclab.load import plan as plan_module
from grpclab.load.bench import BenchResult
from grpclab.load.calls import encoding, request
from grpclab.load.output.config_file import BenchFile, read_bench_file
from grpclab.servers.process.launcher import RunningServer
from grpclab.system import procfs
from tests.support import kinds
from tests.support.bench_results import SAY_HELLO, thousand
from tests.support.command import GRPCLAB, unused_port
from tests.support.processes import until

GHZ_FIELDS = {
    *("name", "endReason", "date", "options", "count", "total", "average", "fastest", "slowest", "rps"),
    *("errorDistribution", "statusCodeDistribution", "latencyDistribution", "histogram", "details", "tags"),
}

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """`grpclab bench` with these words: its exit code, and what it wrote to its two streams."""

    def run(*words: str) -> tuple[int, str, str]:
        code = commands.main(["bench", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


class Asked(Exception):  # noqa: N818
    """Carries what `bench` would have measured."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What `bench` would measure with these words."""

    def stop(target: str, config: TrialConfig, **more: Any) -> NoReturn:
        raise Asked({"target": target, "config": config} | more)

    def call(target: str, config: TrialConfig, **more: Any) -> Any:
        return more

    monkeypatch.setattr(bench_module, "run_bench", stop)
    monkeypatch.setattr(plan_module, "choose_call", call)

    def ask(*words: str) -> dict[str, Any]:
        with pytest.raises(Asked) as found:
            commands.main(["bench", *words])
        asked: dict[str, Any] = found.value.args[0]
        return asked

    return ask


@pytest.fixture
def gave(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Callable[..., tuple[int, str, str]]:
    """`bench` with these words after a result that is given, not measured."""

    def run(result: BenchResult, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(bench_module, "run_bench", lambda target, config, **_: result)
        monkeypatch.setattr(plan_module, "choose_call", lambda target, config, **_: SAY_HELLO)
        return bench("-n", "1000", *words)

    return run


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
        *("what is called", "how much", "how it is sent", "thresholds", "output", "options", "examples")
    ]
    assert text.count("\n  grpclab bench ") == 4


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
    assert asked(*words, "--data", '{"x": 1}')["call"] == {
        "name": "a.B/C",
        "data": '{"x": 1}',
        "metadata": ("k=v", "l=w"),
        "proto": "b.proto",
        "proto_path": ["x", "y"],
        "wait_s": 0.0,
    }
    (tmp_path / "request.json").write_text('{"x": 2}')
    assert asked(*words, "--data-file", str(tmp_path / "request.json"))["call"]["data"] == '{"x": 2}'
    assert asked(*words, "--data", f"@{tmp_path}/request.json")["call"]["data"] == '{"x": 2}'
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"x": 3}'))
    assert asked(*words, "--data-file", "-")["call"]["data"] == '{"x": 3}'


# ---- the file --------------------------------------------------------------------------------------------------

FILE = """
target = "localhost:7"
duration = 10
connections = 2
rate = 100
slo = { p99 = "5ms", errors = 0.01 }
abort-on-slo = true
call = "a.B/C"
data = { x = [1, 2] }
metadata = { tenant = "a", b = "c" }
data_file = "-"
[set]
client.window_kib = 64
"client.adaptive_window" = false
load.max_in_flight = 77
"""


def read(text: str, name: str = "bench.toml") -> BenchFile:
    return read_bench_file(
        text,
        name,
        words=["target", "duration", "connections", "rate", "slo", "call", "data", "data_file"],
        lists=["metadata"],
        switches=["abort_on_slo"],
    )


def test_a_file_is_the_words_of_a_command_line() -> None:
    found = read(FILE)
    assert found.options == {
        "target": "localhost:7",
        "duration": "10",
        "connections": "2",
        "rate": "100",
        "slo": "p99=5ms,errors=0.01",
        "abort_on_slo": True,
        "call": "a.B/C",
        "data": {"x": [1, 2]},
        "metadata": ["tenant=a", "b=c"],
        "data_file": "-",
    }
    assert found.settings == ["client.window_kib=64", "client.adaptive_window=false", "load.max_in_flight=77"]
    assert read('metadata = ["a=b"]').options == {"metadata": ["a=b"]}
    assert read('metadata = "a=b"').options == {"metadata": ["a=b"]}
    assert read("") == BenchFile(options={}, settings=[])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("duratoin = 3", r"unknown key 'duratoin': the nearest is 'duration'; keys are the flags of bench"),
        ("abort-on-sol = true", r"unknown key 'abort-on-sol': the nearest is 'abort-on-slo'"),
        ("[sets]\na = 1", r"unknown key 'sets': the nearest is 'set'"),
        ("abort-on-slo = 1", r"bench.toml: invalid abort-on-slo=1: expected true or false"),
        (
            "abort-on-slo = true\nabort_on_slo = true",
            r"abort_on_slo is given twice, with a dash and with an underscore",
        ),
        ("duration = 2026-11-23", r"bench.toml: invalid duration=2026-11-23: expected a number, a text, or"),
        ("duration = [1]", r"bench.toml: invalid duration=\[1\]: expected a number"),
        ("set = 3", r"invalid set=3: expected a table of factors: \[set\], and lines"),
        ("[set]\nclient.window = 3", r"set: unknown factor 'client.window': did you mean"),
        ("[set]\nload.requests = []", r"invalid set\.load\.requests=\[\]: expected a number"),
        ("duration = ", r"invalid --config=bench.toml: expected TOML, or JSON: Invalid value \(at"),
        ("duration = " + "9" * 5000, r"invalid --config=bench.toml: expected TOML with less nesting"),
        ("data = " + "[" * 5000, r"invalid --config=bench.toml: expected TOML with less nesting"),
        ("[data]\nts = 2024-01-01T00:00:00.1234567Z", r"data: expected times of six decimals at most"),
    ],
)
def test_what_a_file_cannot_say_is_told_in_one_line_with_its_name(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read(text)
    assert "bench.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = '{\"i32\": 5}'", "i32: 5"),
        ("[data]\ni64 = 9007199254740993.0\nd = 1_0.5\nf = +inf\nmany = [0x10, 1e1]", ""),
        ("[data]\nts = 2024-02-29T12:00:00.5+01:00 # 12:00:00.1234567", "ts { seconds: 1709204400 nanos: 500000000 }"),
        ("[data]\nts = '2024-02-29T12:00:00.123456789Z'", "ts { seconds: 1709208000 nanos: 123456789 }"),
        ('{"data": {"i64": 9007199254740993.0, "d": 10.5, "f": "Infinity", "many": [16, 10]}}', ""),
        ('{"data": {"v": NaN}}', None),
        ("[data.subs]", None),
        ("[data]\nts = 2024-02-29T12:00:00", None),
        ("[data]\nts = 2024-02-29", None),
        ("[data]\ns = 2024-02-29T12:00:00Z", None),
        ("[data]\nv = nan", None),
        ("data = [1]", None),
    ],
)
def test_a_request_in_a_file_is_sent_as_it_was_written(text: str, message: str | None) -> None:
    def sent() -> Any:
        name = "bench.json" if text.startswith("{") else "bench.toml"
        data = read(text, name).options["data"]
        tree = request.parse(data) if isinstance(data, str) else request.from_python(data)
        return kinds.message().FromString(encoding.encode(tree, kinds.kind(), kinds.pool()))

    if message is None:
        with pytest.raises(UsageError, match=r"^invalid data"):
            sent()
    elif message:
        assert sent() == text_format.Parse(message, kinds.message())
    else:
        found = sent()
        assert (found.i64, found.d, found.f, list(found.many)) == (9007199254740993, 10.5, math.inf, [16, 10])


def config_file(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "bench.toml"
    path.write_text(text)
    return ["--config", str(path)]


def test_a_flag_beats_the_file(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    file = config_file(tmp_path, FILE.replace('data_file = "-"', ""))
    found = asked(*file)
    assert (found["target"], found["abort"]) == ("localhost:7", True)
    assert (found["config"].load.duration_s, found["config"].client.connections) == (10.0, 2)
    assert (found["config"].client.window_kib, found["config"].load.max_in_flight) == (64, 77)
    assert found["call"]["metadata"] == ("tenant=a", "b=c")

    flags = ["localhost:8", "-z", "3", "--connections", "1", "--metadata", "tenant=z", "--slo", "p50=9ms"]
    flags += ["--set", "client.window_kib=128", "--rate", "7"]
    found = asked(*file, *flags)
    assert found["target"] == "localhost:8"
    assert (found["config"].load.duration_s, found["config"].client.pooling) == (3.0, "shared")
    assert (found["config"].client.window_kib, found["config"].load.max_in_flight) == (128, 77)
    assert (found["config"].load.rate_rps, found["objectives"][0].text) == (7.0, "9ms")
    assert found["call"]["metadata"] == ("b=c", "tenant=z")


def test_a_flag_beats_the_file_under_another_name_too(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"x": 2}')
    file = config_file(tmp_path, 'data = "{}"\ncall = "a.B/C"\nrate = 100\n[set]\nload.concurrency = 5\n')
    assert asked(*file, "--data-file", str(tmp_path / "request.json"))["call"]["data"] == '{"x": 2}'
    found = asked(*file, "--set", "load.rate_rps=none")
    assert (found["rates"], found["config"].load.rate_rps, found["config"].load.requests) == ((), None, 500)
    assert asked(*file, "-c", "9", "--set", "load.rate_rps=none")["config"].load.concurrency == 9


def test_a_file_may_give_what_is_written_and_where(gave: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    where = tmp_path / "out.csv"
    file = config_file(tmp_path, f"format = 'csv'\noutput = '{where}'\nquiet = true\n")
    assert gave(thousand(), *file) == (0, "", "")
    assert where.read_text().startswith("start_s,late_s,latency_s,status,error\n")
    file = config_file(tmp_path, "format = 'xml'")
    code, out, err = gave(thousand(), *file)
    assert (code, out) == (2, "")
    assert "invalid format=xml: expected one of summary, json, csv" in err


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
        (["-n", "none"], "give at least one bound"),
        (["--workers", "9", "-c", "3"], r"load\.concurrency=3 cannot be divided over load\.workers=9"),
        (["localhost:99999"], "invalid target=localhost:99999: expected a port from 1 to 65535"),
        (["localhost"], "invalid target=localhost: expected a port"),
        (["192.0.2.1:50051"], r"invalid target=192\.0\.2\.1:50051: expected .* on this machine"),
        (["example.org:443"], "expected an address on this machine"),
        (["-z", "soon"], r"invalid --duration=soon: expected .*, as 500ms"),
        (["--connections", "two"], "invalid --connections=two: expected a whole number"),
        (["--seed", "x"], "invalid --seed=x: expected a whole number"),
        (["--engine", "rust"], r"invalid --engine=rust: expected wire\|grpcio"),
        (["--rate", "fast"], "invalid --rate=fast: expected"),
        (["--arrival", "poisson"], r"load\.arrival=poisson: expected a rate with it.*add --rate"),
        (["-n", "9", "--set", "load.requests=4"], r"load\.requests=4: another option sets load\.requests already"),
        (["--rate", "9", "--set", "load.rate_rps=4"], r"--rate and load\.rate_rps both say the rate"),
        (["--format", "csv", "--json", "-"], "--format csv and --json both write to -"),
        (["--details"], "--details lists calls in the JSON: add --json FILE"),
        (["--connect-timeout", "soon"], "invalid --connect-timeout=soon: expected a time"),
        (["--rate", "5:9:2@1s", "-z", "3"], "--duration and the @1s of --rate both say"),
        (["--data", "{}"], "--data belongs to a call of your own: add --call"),
        (["--data-file", "x.json"], "--data-file belongs to a call of your own: add --call"),
        (["--call", "a.B/C", "--data", "{}", "--data-file", "x"], "--data and --data-file both give the request"),
        (
            ["--call", "a.B/C", "--data-file", "no/such"],
            "invalid --data-file=no/such: expected a file .*/no: No such file",
        ),
        (["--proto", "x.proto"], "--proto belongs to a call of your own: add --call"),
        (["--metadata", "x"], "invalid metadata=x: expected key=value"),
        (["--slo", "p99=5"], "invalid --slo p99=5: expected a time"),
        (["--abort-on-slo"], "--abort-on-slo cannot watch anything: give --slo"),
        (["--slo", "mean=5ms", "--abort-on-slo"], "--abort-on-slo cannot watch mean"),
        (["-n", "999", "--slo", "p99=5ms"], "invalid --slo p99=5ms: expected 1,000 calls or more, 999 are planned"),
        (["-r", "50", "-z", "10", "--slo", "p99=5ms"], "invalid --slo p99=5ms: expected 1,000 calls or more, 500 are"),
        (["-r", "40:90:20@20s", "--slo", "p99=5ms"], "expected 1,000 calls or more, 800 are planned: hold each rate"),
        (
            ["--config", "no/such.toml"],
            "invalid --config=no/such.toml: expected .*/no: No such file",
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


# ---- outputs and exit codes ----------------------------------------------------------------------------------------


def test_a_missed_threshold_is_1_with_one_line_after_the_summary(gave: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = gave(thousand(slo="p50=400ms,errors=5%"))
    assert code == 1
    assert "slo NOT MET: p50" in out
    assert err == "grpclab: --slo not met: p50 was 495.00 ms, 23.7% above the 400ms allowed\n"
    code, out, err = gave(thousand(slo="p999=400ms"), "--format", "json")
    assert (code, json.loads(out)["grpclab"]["slo"][0]["met"]) == (1, False)
    assert err == "grpclab: --slo not met: not enough calls to judge p999=400ms: it needs 10,000, there were 990\n"
    assert gave(thousand(slo="p50=600ms"))[::2] == (0, "")


def test_ctrl_c_is_130_whatever_was_missed(gave: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = gave(thousand(slo="p50=400ms", interrupted=True))
    assert (code, err) == (130, "")
    assert "interrupted" in out


def test_a_run_that_was_stopped_is_1(gave: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = gave(thousand(slo="p50=600ms", stopped_because="p99 was 9 ms"))
    assert (code, err) == (1, "grpclab: --slo not met: stopped early: p99 was 9 ms\n")


def assert_ghz(report: dict[str, Any], calls: int) -> None:
    assert set(report) == GHZ_FIELDS | {"grpclab"}
    assert report["count"] == calls
    assert sum(report["statusCodeDistribution"].values()) == calls
    assert len(report["details"]) == (calls if calls <= 1000 else 0)
    assert sum(mark["count"] for mark in report["histogram"]) == report["statusCodeDistribution"].get("OK", 0)
    assert isinstance(report["total"], int)
    assert report["fastest"] <= report["average"] <= report["slowest"] <= max(report["total"], report["slowest"])


@pytest.mark.parametrize("more", [[], ["--format", "json"]])
def test_json_on_standard_output_stands_there_alone(gave: Callable[..., tuple[int, str, str]], more: list[str]) -> None:
    assert_ghz(json.loads(gave(thousand(), "--json", "-", *more)[1]), 1000)


def test_files_are_written_beside_each_other(gave: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    rows, report = tmp_path / "rows.csv", tmp_path / "report.json"
    assert gave(thousand(), "--format", "csv", "-o", str(rows), "--json", str(report)) == (0, "", "")
    assert len(rows.read_text().splitlines()) == 1001
    assert_ghz(json.loads(report.read_text()), 1000)


# ---- against a server --------------------------------------------------------------------------------------------


def test_the_summary_says_what_was_seen(bench: Bench, quick_server: RunningServer) -> None:
    code, text, err = bench(quick_server.target, "-n", "400", "-c", "8", "--connections", "2", "--warmup", "100ms")
    assert code == 0
    assert err == "grpclab: p99 needs 1,000 calls, and 400 are planned: raise -n (--requests)\n", "before it measures"
    first, *_ = text.splitlines()
    assert first == f"greet.GreeterService/SayHello at {quick_server.target}: 8 in flight, engine wire, a pool of 2"
    assert re.search(r"calls +400\n", text)
    assert re.search(r"succeeded +400 +100\.0%\n", text)
    assert re.search(r"failed +0 +0\.0%\n", text)
    assert re.search(r"throughput +[\d,.]+ requests/s\n", text)
    assert re.search(r"p95 +[\d.,]+ ms\n", text)
    assert re.search(r"p99 +- +needs 1,000 calls \(10 beyond it\), there were 400", text)
    assert re.search(r"connections +2 +open at the end, seen from outside\n", text)
    assert re.search(r"generator +\d+% +of a core", text)


def test_json_is_what_scripts_for_ghz_read(bench: Bench, quick_server: RunningServer) -> None:
    code, out, err = bench(quick_server.target, "-n", "1200", "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert_ghz(report, 1200)
    assert report["endReason"] == "normal"
    assert report["statusCodeDistribution"] == {"OK": 1200}
    assert report["errorDistribution"] == {}
    assert [row["percentage"] for row in report["latencyDistribution"]] == [10, 25, 50, 75, 90, 95, 99]
    assert report["options"]["host"] == quick_server.target
    assert report["rps"] == pytest.approx(1200 / (report["total"] / 1e9))


def test_csv_has_a_line_for_each_call(bench: Bench, quick_server: RunningServer) -> None:
    words = ["--rate", "200", "-n", "60", "--warmup", "0", "--format", "csv"]
    rows = list(csv.DictReader(bench(quick_server.target, *words)[1].splitlines()))
    assert len(rows) == 60
    assert {row["status"] for row in rows} == {"OK"}
    assert all(float(row["start_s"]) >= 0 and float(row["latency_s"]) > float(row["late_s"]) >= 0 for row in rows)
    assert float(rows[-1]["start_s"]) == pytest.approx(59 / 200, abs=1e-5)


def test_failed_calls_are_in_every_output_and_where_all_fail_in_the_exit_code(
    bench: Bench, quick_server: RunningServer, tmp_path: Path
) -> None:
    stream = ["--set", "load.method=SayHelloStream", "--deadline", "15ms"]
    code, out, _ = bench(quick_server.target, "-n", "40", *stream, "--json", str(tmp_path / "report.json"))
    assert code == 1
    assert re.search(r"failed +40 +100\.0%\n", out)
    assert re.search(r"DEADLINE_EXCEEDED +40 +100\.0%   the first at", out)
    report = json.loads((tmp_path / "report.json").read_text())
    assert_ghz(report, 40)
    assert report["statusCodeDistribution"] == {"DeadlineExceeded": 40}
    assert sum(report["errorDistribution"].values()) == 40
    assert all(text.startswith("rpc error: code = DeadlineExceeded desc = ") for text in report["errorDistribution"])


def test_a_duration_alone_is_a_bound_of_its_own(bench: Bench, quick_server: RunningServer) -> None:
    report = json.loads(bench(quick_server.target, "-z", "500ms", "--format", "json")[1])
    assert report["endReason"] == "timeout"
    assert report["total"] == pytest.approx(0.5e9)
    assert report["count"] > 0
    assert report["options"]["total"] == 0


def test_on_a_terminal_a_line_tells_of_the_run_and_is_erased(
    bench: Bench, quick_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    words = ["--rate", "100", "-z", "1", "--warmup", "0"]
    code, out, err = bench(quick_server.target, *words)
    assert code == 0
    assert re.search(r"of 1 s  \d+ calls  \d+(\.\d)?/s  0 failed", err)
    assert err.endswith("\r\x1b[2K")
    assert "\x1b" not in out
    assert bench(quick_server.target, *words, "-q")[2] == ""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is not ignored, as it is in what a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("warmup", ["0", "60"])
def test_ctrl_c_prints_what_was_measured_by_then(
    quick_server: RunningServer, tmp_path: Path, warmup: str, ours: Callable[[], list[int]]
) -> None:
    report_file = tmp_path / "report.json"
    before = procfs.cpu_seconds(quick_server.pids[0])
    command = [*GRPCLAB, "bench", quick_server.target, "-z", "60", "--warmup", warmup, "--json", str(report_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert until(lambda: procfs.cpu_seconds(quick_server.pids[0]) > before + 0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
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
