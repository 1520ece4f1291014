"""`grpclab bench`: what it writes, its exit codes, and what it measures of a server."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grpclab.servers.process.launcher import RunningServer
from grpclab.system import procfs
from grpclab.testing import fake_target
from tests.support.bench_results import thousand
from tests.support.command import GRPCLAB, Bench
from tests.support.processes import until

GHZ_FIELDS = {
    *("name", "endReason", "date", "options", "count", "total", "average", "fastest", "slowest", "rps"),
    *("errorDistribution", "statusCodeDistribution", "latencyDistribution", "histogram", "details", "tags"),
}


# ---- outputs and exit codes ----------------------------------------------------------------------------------------


def test_a_missed_threshold_is_1_with_one_line_after_the_summary(gave: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = gave(thousand(slo="p50=400ms,errors=5%"))
    assert code == 1
    assert "slo NOT MET: p50" in out
    assert err == "grpclab: --slo not met: p50 was 495.00 ms, 23.7% above the 400ms allowed\n"
    code, out, err = gave(thousand(slo="p999=400ms"), "--format", "json")
    assert (code, json.loads(out)["grpclab"]["slo"][0]["met"]) == (1, False)
    assert err == "grpclab: --slo not met: not enough calls to judge p999=400ms: it needs 10,000, but there were 990\n"
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


@pytest.mark.parametrize(
    "outputs", [["-o", "/dev/full"], ["--json", "/dev/full"], ["--format", "csv", "-o", "/dev/full"]]
)
def test_what_was_measured_is_printed_where_its_file_cannot_be_written(
    gave: Callable[..., tuple[int, str, str]], tmp_path: Path, outputs: list[str]
) -> None:
    report = tmp_path / "junit.xml"
    code, out, err = gave(thousand(slo="p50=600ms"), *outputs, "--junit", str(report))
    assert (code, err) == (3, "grpclab: cannot write /dev/full: No space left on device\n")
    assert re.search(r"^  throughput +\d", out, re.MULTILINE)
    assert "<testsuites" in report.read_text()


# ---- against a server --------------------------------------------------------------------------------------------


def test_the_summary_says_what_was_seen(bench: Bench, quick_server: RunningServer) -> None:
    code, text, err = bench(quick_server.target, "-n", "400", "-c", "8", "--connections", "2", "--warmup", "100ms")
    assert code == 0
    assert err == "grpclab: p99 needs 1,000 calls, but 400 are planned: raise -n (--requests)\n", "before it measures"
    first, *_ = text.splitlines()
    assert first == f"greet.GreeterService/SayHello at {quick_server.target}: 8 in flight, engine wire, a pool of 2"
    assert re.search(r"calls +400\n", text)
    assert re.search(r"succeeded +400 +100\.0%\n", text)
    assert re.search(r"failed +0 +0\.0%\n", text)
    assert re.search(r"throughput +[\d,.]+ requests/s\b", text)
    assert re.search(r"p95 +[\d.,]+ ms\n", text)
    assert re.search(r"p99 +- +needs 1,000 calls \(10 beyond it\), but there were 400", text)
    assert re.search(r"connections +2 +open at the end, according to the operating system\n", text)
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
    ended = report["rps"] * report["total"] / 1e9
    assert ended == pytest.approx(round(ended))
    assert 1200 <= round(ended) < 1200 + report["options"]["concurrency"], "others may end at the very same moment"


def test_csv_has_a_line_for_each_call(bench: Bench, quick_server: RunningServer) -> None:
    words = ["--rate", "200", "-n", "60", "--warmup", "0", "--format", "csv"]
    rows = list(csv.DictReader(bench(quick_server.target, *words)[1].splitlines()))
    assert len(rows) == 60
    assert {row["status"] for row in rows} == {"OK"}
    assert all(float(row["start_s"]) >= 0 and float(row["latency_s"]) > float(row["late_s"]) >= 0 for row in rows)
    assert float(rows[-1]["start_s"]) == pytest.approx(59 / 200, abs=1e-5)


def test_failed_calls_are_in_every_output_and_where_all_fail_in_the_exit_code(bench: Bench, tmp_path: Path) -> None:
    with fake_target(status="DEADLINE_EXCEEDED", text="too late") as target:
        code, out, _ = bench(target.address, "-n", "40", "--warmup", "0", "--json", str(tmp_path / "report.json"))
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
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")
    assert "interrupted: these are the results up to that point" in out
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
