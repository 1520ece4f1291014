"""What the doctor says of made-up machines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grpclab.cli.doctor import render, summary, to_json
from grpclab.cli.findings import TOOLS, Facts, Finding, diagnose, gather, judge
from grpclab.system.environment import Machine, TimerQuality, timer_quality

VERSIONS = {
    "python": "3.12.1",
    "implementation": "CPython",
    "grpc_environment": {},
    **dict.fromkeys(
        ("grpcio", "protobuf", "uvloop", "py-spy", "papermill", "pandas", "pyarrow", "scipy", "matplotlib"),
        "1.0",
    ),
}
MACHINE = Machine(
    system="Linux",
    cores=8,
    affinity=tuple(range(8)),
    load_average=(0.1, 0.2, 0.3),
    governor="performance",
    turbo=False,
    virtual_machine=False,
    ptrace_scope=0,
    root=False,
    cap_sys_ptrace=False,
    nofile_soft=1_048_576,
    nofile_hard=1_048_576,
)
GOOD = Facts(
    machine=MACHINE,
    versions=VERSIONS,
    py_spy="/bin/py-spy",
    ports=(15000, 60999),
    threads_max=100_000,
    pid_max=4_194_304,
    pids_limit=None,
    nproc=None,
    disk_free_bytes=10**11,
    tools=dict.fromkeys(TOOLS),
    timer=TimerQuality(samples=1000, p50_ms=0.06, p99_ms=0.2, max_ms=1.0),
    ceilings={"wire": 200_000.0, "grpcio": None},
)


def look(name: str, **changes: Any) -> Finding:
    """The finding of that name on a good machine with some facts changed."""
    of_machine = {key: changes.pop(key) for key in changes.keys() & vars(MACHINE).keys()}
    facts = replace(GOOD, machine=replace(MACHINE, **of_machine), **changes)
    (finding,) = [one for one in judge(facts) if one.name == name]
    return finding


def test_a_good_machine_has_nothing_to_do() -> None:
    findings = judge(GOOD)
    assert {f.state for f in findings} == {"ok"}
    assert not any(f.advice for f in findings)
    assert summary(findings) == "This machine is suitable for measurements."


@pytest.mark.parametrize(
    ("name", "changes", "state", "said"),
    [
        ("cores", {"affinity": (0, 1), "cores": 2}, "warn", "more than one server process cannot be tested"),
        ("cores", {"affinity": (0,), "cores": 1}, "fail", "second core"),
        ("cores", {"affinity": (2, 4, 6), "cores": 8}, "ok", "3 of 8 usable: server on 2, 4, generator on 6"),
        ("load", {"load_average": (4.0, 1, 1)}, "warn", "other work"),
        ("load", {"load_average": None}, "ok", "unknown"),
        ("CPU quota", {"cpu_quota_cores": 1.5}, "warn", "whole cores"),
        ("CPU quota", {"cpu_quota_cores": 8.0}, "ok", "8 cores"),
        ("CPU frequency", {"governor": "powersave"}, "warn", "cpupower"),
        ("CPU frequency", {"turbo": True}, "warn", "turbo"),
        (
            "CPU frequency",
            {"governor": None, "turbo": None, "virtual_machine": True},
            "ok",
            "virtual machine",
        ),
        ("CPU frequency", {"governor": None, "turbo": None, "virtual_machine": None}, "ok", "unknown"),
        ("timers", {"timer": TimerQuality(samples=9, p50_ms=0.1, p99_ms=3.2, max_ms=9.0)}, "warn", "below 4 ms"),
        ("ptrace", {"ptrace_scope": 1}, "warn", "kernel.yama.ptrace_scope=0"),
        ("ptrace", {"ptrace_scope": 2}, "warn", "as root"),
        ("ptrace", {"ptrace_scope": 3}, "warn", "and reboot"),
        ("ptrace", {"ptrace_scope": 1, "root": True}, "warn", "SYS_PTRACE"),  # root in a container
        ("ptrace", {"ptrace_scope": 3, "cap_sys_ptrace": True}, "ok", "can attach"),
        ("ptrace", {"ptrace_scope": None}, "ok", "own processes"),
        ("ptrace", {"ptrace_scope": None, "cap_sys_ptrace": None, "system": "Darwin"}, "warn", "as root"),
        (
            "ptrace",
            {"ptrace_scope": None, "cap_sys_ptrace": None, "system": "Darwin", "root": True},
            "ok",
            "can attach",
        ),
        ("py-spy", {"py_spy": None}, "warn", "pip install py-spy"),
        ("open files", {"nofile_soft": 256, "nofile_hard": None}, "warn", "ulimit -n 20200"),
        ("open files", {"nofile_soft": 1024, "nofile_hard": 524_288}, "warn", "ulimit -n 20200"),
        ("open files", {"nofile_soft": 1024, "nofile_hard": 4096}, "warn", "limits.conf"),
        ("open files", {"nofile_soft": 1024, "nofile_hard": 12_000}, "warn", "`ulimit -n 12000`"),
        ("open files", {"nofile_soft": 20_000, "nofile_hard": 20_000}, "ok", "or 9,900 through the link"),
        ("open files", {"nofile_soft": None, "nofile_hard": None}, "ok", "unlimited"),
        ("ports", {"ports": (50000, 60999)}, "warn", "ip_local_port_range"),
        ("ports", {"ports": None}, "ok", "unknown"),
        ("threads", {"threads_max": 8000}, "warn", "threads-max"),
        ("threads", {"pids_limit": 512}, "warn", "pids-limit"),
        ("threads", {"nproc": 4096}, "warn", "ulimit -u"),
        ("threads", {"nproc": 4096, "root": True}, "ok", "100,000"),
        ("threads", dict.fromkeys(["threads_max", "pid_max", "pids_limit", "nproc"]), "ok", "unknown"),
        ("disk", {"disk_free_bytes": 5 * 10**8}, "warn", "free at least 1 GiB"),
        ("disk", {"disk_free_bytes": 10**6}, "fail", "free at least 1 GiB"),
        ("disk", {"disk_free_bytes": None}, "ok", "unknown"),
        ("versions", {"versions": {**VERSIONS, "uvloop": None}}, "warn", "pip install uvloop"),
        ("versions", {"versions": {**VERSIONS, "grpcio": None}}, "fail", "pip install grpcio"),
        ("studies", {"versions": {**VERSIONS, "scipy": None}}, "warn", "[study]"),
        ("perf", {"tools": {"perf": "/usr/bin/perf"}}, "ok", "/usr/bin/perf"),
        ("h2load", {}, "ok", "optional"),
    ],
)
def test_a_finding_says_what_is_wrong_and_what_to_do(name: str, changes: dict[str, Any], state: str, said: str) -> None:
    found = look(name, **changes)
    assert found.state == state
    assert said in f"{found.value} {found.advice}"
    assert bool(found.advice) == (state != "ok")


@pytest.mark.parametrize(
    ("variable", "state"), [("GRPC_TRACE", "warn"), ("GRPC_CONCURRENCY_LIMIT", "ok"), ("GRPC_PROXY", "ok")]
)
def test_variables_that_change_grpcio_are_named(variable: str, state: str) -> None:
    found = look("GRPC_ variables", versions={**VERSIONS, "grpc_environment": {variable: "1"}})
    assert found.state == state
    assert variable in found.value


def test_a_system_without_proc_gives_unknown_and_no_traceback(tmp_path: Path) -> None:
    findings = judge(gather(tmp_path, tmp_path / "missing"))
    values = {f.name: f.value for f in findings}
    assert "unknown" in values["ports"]
    assert "unknown" in values["disk"]
    assert "unknown" in values["CPU frequency"]


def test_the_timer_is_measured_with_the_clock_it_is_given() -> None:
    now = [0.0]
    lateness = iter([0.0002] * 98 + [0.0052] * 2 + [0.2])

    def sleep(seconds: float) -> None:
        now[0] += seconds + next(lateness)

    found = timer_quality(lambda: now[0], sleep, seconds=0.05)
    assert found.samples == 101
    assert found.p50_ms == pytest.approx(0.2)
    assert found.p99_ms == pytest.approx(5.2)
    assert found.max_ms == pytest.approx(200)


def test_the_text_is_aligned_and_each_remedy_stands_below_its_problem() -> None:
    findings = [
        Finding(name="a", state="ok", value="fine"),
        Finding(name="long name", state="fail", value="broken", advice="mend it " * 30),
    ]
    text = render(findings, width=80)
    first, second, *rest = text.splitlines()
    assert first.index("fine") == second.index("broken")
    assert rest[0].lstrip().startswith("-> mend it")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.endswith("1 problem: the lines marked -> say what to do.")
    assert "\x1b" not in text


def test_this_machine_can_be_diagnosed_and_the_findings_are_json() -> None:
    findings = diagnose()
    plain = to_json(findings)
    assert json.loads(json.dumps(plain)) == plain
    assert {"name", "state", "value", "advice"} == set(plain[0])
    assert len({f.name for f in findings}) == len(findings)
    assert render(findings)
