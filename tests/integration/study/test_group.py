"""Groups really measured: servers beside each other, and what cannot be."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from grpclab.analysis.inference.core_speed import FEWEST_SLICES
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC, OPTIMIZED
from grpclab.servers.process import launcher
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.target import Target
from grpclab.study.group import run_group
from grpclab.study.group_result import GroupMember, GroupResult
from grpclab.study.running_member import GroupTools, RunningMember
from grpclab.study.sliced_passes import SPARE_SLICES
from grpclab.study.target import Subject
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import machine, split_cores
from grpclab.system.programs import descendants
from tests.support import group_server

LOAD = {"load.requests": 200, "load.warmup_s": 0.25, "load.concurrency": 8, "load.duration_s": 5.0}
COMMAND = f"{sys.executable} {group_server.__file__} {{port}}"


def member(folder: Path, name: str, order: int, config: TrialConfig, subject: Subject) -> GroupMember:
    """A member of a group, whose trial goes into a folder of its own."""
    (folder / name).mkdir(parents=True)
    identity = TrialIdentity(study="s", trial=f"00-00-{order:03}-{name}", configuration=name, order=order, group=0)
    return GroupMember(config=config.replace(LOAD), identity=identity, folder=folder / name, subject=subject)


def measured(
    folder: Path,
    configs: Mapping[str, TrialConfig],
    subjects: Mapping[str, Subject] | None = None,
    *,
    counted_s: float = 0.15,
    **levels: Any,
) -> GroupResult:
    """A group of these configurations, the first one its hub."""
    subjects = subjects or {}
    members = [
        member(folder, name, order, config.replace(levels), subjects.get(name, Subject()))
        for order, (name, config) in enumerate(configs.items())
    ]
    group = PlannedGroup(hub=next(iter(configs)), members=tuple(configs), counted_s=counted_s)
    return run_group(members, folder, group=group, cores=split_cores(machine().affinity), seed=1)


def require_interleaved(found: GroupResult) -> None:
    """The group was interleaved, unless this machine stopped the generator in every slice, which the group says."""
    stopped = ["as if it had been stopped" in reason for reason in found.reasons]
    if not found.interleaved and stopped and all(stopped):
        pytest.skip(f"this machine is too busy: {' '.join(found.reasons)}")
    assert found.interleaved, found.reasons


def command(options: str = "") -> Subject:
    """The greeter that a user wrote, by its command."""
    return Subject(target=Target(command=f"{COMMAND} {options}".strip(), ready="tcp"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The calls that each server has counted by its end, by its target."""
    found: dict[str, int] = {}
    stop = RunningServer.stop

    def noted(server: RunningServer) -> None:
        stop(server)
        if server.calls is not None:
            found[server.target] = server.calls

    monkeypatch.setattr(launcher.RunningServer, "stop", noted)
    return found


def test_two_greeters_are_measured_beside_each_other_and_saw_every_call_that_was_made(
    tmp_path: Path, served: dict[str, int]
) -> None:
    found = measured(tmp_path, {"optimized": OPTIMIZED, "basic": BASIC})
    for result in found.trials.values():
        assert result.valid, result.invalid_reason
    require_interleaved(found)
    assert sorted(served.values()) == sorted(int(result.metrics["calls_made"]) for result in found.trials.values())
    frame = pd.read_parquet(tmp_path / "slices.parquet")
    counted = frame[frame["valid"]]
    for name, result in found.trials.items():
        own, metrics = counted[counted["member"] == name], result.metrics
        assert metrics["pass_count"] == len(own) >= 1
        assert metrics["requests"] == own["counted"].sum()
        unused = int((frame["member"] == name).sum()) - len(own)
        assert metrics["requests"] >= LOAD["load.requests"] or unused > SPARE_SLICES + len(own), "unless it is hopeless"
        assert metrics["window_s"] == pytest.approx(own["counted_s"].sum())
        assert metrics["server_cpu_s"] == pytest.approx(own["server_cpu_s"].sum())
        assert metrics["server_cpu_per_call_s"] == pytest.approx(own["server_cpu_s"].sum() / own["calls"].sum())
        assert (tmp_path / name / "result.json").exists()
        assert (tmp_path / name / "server.log").exists()
    assert frame["core_speed"].between(0.05, 20).all()
    enough = counted.groupby("member").size().min() >= FEWEST_SLICES
    assert [result.metrics.get("throughput_even_rps", 0.0) > 0 for result in found.trials.values()] == [enough] * 2
    ends = frame["started_at"] + frame["ramp_s"] + frame["counted_s"] + frame["tail_s"] + frame["drain_s"]
    assert (frame["started_at"].iloc[1:].to_numpy() >= ends.iloc[:-1].to_numpy() - 1e-6).all(), "one at a time"
    assert descendants() == []


def test_an_application_and_a_command_are_measured_beside_each_other(tmp_path: Path) -> None:
    application = Target(app="group_server:register", app_dir=str(Path(group_server.__file__).parent))
    subjects = {"app": Subject(target=application), "command": command()}
    found = measured(tmp_path, dict.fromkeys(subjects, TrialConfig()), subjects)
    assert all(result.valid for result in found.trials.values()), [r.invalid_reason for r in found.trials.values()]
    require_interleaved(found)


@pytest.mark.long
def test_two_servers_with_one_fixed_port_are_measured_one_after_the_other_and_say_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    both = command(f"--metrics-port {port}")
    found = measured(tmp_path, {"a": TrialConfig(), "b": TrialConfig()}, {"a": both, "b": both})
    assert set(found.alone) == {"a", "b"}
    assert all(result.valid for result in found.trials.values()), [r.invalid_reason for r in found.trials.values()]
    assert any("does not start while the others are running" in reason for reason in found.reasons)
    assert [notice.kind for notice in found.trials["a"].notices if notice.kind == "alone"] == ["alone"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--burn 0.6", "of a core even while no calls are in progress"),
        ("--late-work 1000", "of its work after its calls have ended"),
    ],
)
def test_a_server_that_works_outside_its_slices_is_measured_alone(tmp_path: Path, option: str, why: str) -> None:
    subjects = {"a": command(), "b": command(), "busy": command(option)}
    found = measured(tmp_path, dict.fromkeys(subjects, TrialConfig()), subjects, counted_s=1.0)
    assert list(found.alone) == ["busy"]
    assert why in found.alone["busy"] or "of a core even while no calls are in progress" in found.alone["busy"]
    assert all(result.valid for result in found.trials.values()), [r.invalid_reason for r in found.trials.values()]
    quiet, busy = (found.trials[name].metrics["server_cpu_per_call_s"] for name in ("a", "busy"))
    assert busy > quiet


@pytest.mark.long
def test_a_server_that_dies_in_the_middle_is_invalid_and_the_others_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sliced = RunningMember.slice

    def deadly(self: RunningMember, *given: Any) -> Any:
        found = sliced(self, *given)
        if self.name == "basic":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[0], signal.SIGKILL)
        return found

    monkeypatch.setattr(RunningMember, "slice", deadly)
    found = measured(tmp_path, {"optimized": OPTIMIZED, "basic": BASIC, "again": OPTIMIZED})
    assert "SIGKILL" in found.trials["basic"].invalid_reason
    assert (found.trials["optimized"].valid, found.trials["again"].valid) == (True, True)
    assert descendants() == []


@pytest.mark.long
@pytest.mark.parametrize("phase", ["start", "slice"])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    begun = threading.Event()
    method = getattr(RunningMember, phase)

    def noted(self: RunningMember, *given: Any) -> Any:
        begun.set()
        return method(self, *given)

    monkeypatch.setattr(RunningMember, phase, noted)

    def interrupt() -> None:
        begun.wait(60)
        while phase == "start" and not descendants():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, {"optimized": OPTIMIZED, "basic": BASIC})
    thread.join()
    _, left = psutil.wait_procs(descendants(), timeout=60)
    assert left == []
    assert GroupTools().free_bytes() > 0


def test_the_bytes_of_a_call_are_measured_in_slices_too_and_show_compression(tmp_path: Path) -> None:
    levels: dict[str, Level] = {"server.response_bytes": 4000, "load.engine": "wire", "client.pooling": "shared"}
    plain = OPTIMIZED.replace(levels)
    found = measured(tmp_path, {"plain": plain, "gzip": plain.replace({"server.compression": "gzip"})})
    received = {name: result.metrics["received_per_call_bytes"] for name, result in found.trials.items()}
    assert received["plain"] > 4000
    assert received["gzip"] < 1000
    assert "server.compression" not in found.trials["gzip"].without_effect
