"""The looks at a server after its measured window, on real trials."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.generator import Generator
from grpclab.profiling import perf, pyspy, strace
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from tests.support.stored_studies import row_of

BASE: dict[str, Level] = {"load.warmup_s": 0.2, "load.requests": 20_000, "load.duration_s": 1.0}
TOOLS = ("py-spy", "perf", "strace")


def profiled(folder: Path, levels: dict[str, Level]) -> TrialResult:
    cores = split_cores(machine().affinity)
    config = TrialConfig().replace(BASE | levels)
    result = run_trial(config, folder, cores=cores, identity=TrialIdentity(), profile=True)
    assert result.valid, result.invalid_reason
    if result.evidence.profile_note in (pyspy.MISSING_ADVICE, pyspy.PERMISSION_ADVICE):
        pytest.skip(result.evidence.profile_note)
    return result


def at_work(result: TrialResult, family: str) -> float:
    return result.metrics[f"share_{family}"] / (1 - result.metrics["share_wait"])


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyspy.PROFILER, "seconds", 1)
    monkeypatch.setattr(perf.PROFILER, "seconds", 0.5)
    monkeypatch.setattr(strace.PROFILER, "seconds", 0.1)


@pytest.mark.usefixtures("shorter")
def test_a_handler_that_burns_cpu_is_what_the_samples_name(tmp_path: Path) -> None:
    result = profiled(tmp_path, {"server.handler_work_us": 3000, "load.concurrency": 4})
    assert at_work(result, "handler") > 0.5, "more than everything else together"
    assert result.metrics["profile_samples"] > 0


@pytest.mark.usefixtures("shorter")
def test_a_handler_that_waits_uses_little_cpu_and_its_waiting_is_no_work(tmp_path: Path) -> None:
    result = profiled(
        tmp_path,
        {
            "load.method": "SayHelloStream",
            "server.stream_messages": 4,
            "server.stream_interval_ms": 50.0,
            "load.concurrency": 4,
        },
    )
    assert result.metrics["server_cpu_s"] / result.metrics["window_s"] < 0.2
    waits = result.metrics.get("share_wait", 1.0)
    assert waits > 0.5, "without samples py-spy saw nobody at work"
    assert result.metrics.get("perf_share_wait", 0.0) < waits / 2, "perf looks at what runs only, if on a few samples"


@pytest.mark.long
def test_every_look_comes_after_the_window_and_all_agree_on_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, float]] = []
    ended: list[float] = []
    init, measure = subprocess.Popen.__init__, Generator.measure

    def starting(self: Any, command: Any, *rest: Any, **more: Any) -> None:
        name = next((Path(str(word)).name for word in command if Path(str(word)).name in TOOLS), "")
        started.append((name, time.perf_counter()))
        init(self, command, *rest, **more)

    def measuring(self: Any, **options: Any) -> Any:
        run = measure(self, **options)
        ended.append(time.perf_counter())
        return run

    monkeypatch.setattr(subprocess.Popen, "__init__", starting)
    monkeypatch.setattr(Generator, "measure", measuring)
    monkeypatch.setattr(pyspy.PROFILER, "seconds", 1)
    result = profiled(tmp_path, {"load.concurrency": 64})
    looks = [at for name, at in started if name in TOOLS]
    assert looks
    assert min(looks) > ended[0]
    stored = row_of(json.loads((tmp_path / "result.json").read_text()))
    assert stored["server_voluntary_switches_per_call"] > 0
    assert "event_engine" in stored["threads_per_call"]
    if shutil.which("strace") and result.evidence.strace_note != strace.PERMISSION_ADVICE:
        assert result.evidence.strace_note == ""
        assert json.loads(stored["syscalls_per_call_by_name"])["sendmsg"] > 0.2
        assert stored["syscalls_per_call"] == pytest.approx(sum(result.evidence.syscalls_per_call.values()))
    if result.evidence.perf_note in (perf.MISSING_ADVICE, perf.PERMISSION_ADVICE, perf.USER_ONLY_ADVICE):
        pytest.skip(result.evidence.perf_note)
    assert stored["perf_samples"] > 100
    assert stored["perf_kernel_share"] == pytest.approx(stored["server_kernel_share"], abs=0.10)
    threads = {stack.split(";")[0] for stack in result.evidence.perf_stacks}
    assert "event_engine" in threads, "the threads that py-spy cannot see"
    assert (tmp_path / "perf.folded").read_text().count("\n") == len(result.evidence.perf_stacks)


@pytest.mark.usefixtures("shorter")
def test_a_look_that_cannot_be_had_is_a_note_and_the_trial_stays_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    result = profiled(tmp_path, {"load.requests": 200})
    stored = row_of(json.loads((tmp_path / "result.json").read_text()))
    assert stored["perf_note"] == perf.MISSING_ADVICE
    assert stored["strace_note"] == strace.MISSING_ADVICE
    assert result.metrics["profile_samples"] > 0
