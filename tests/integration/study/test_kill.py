"""What happens to a study when its processes are killed, one after the other, with SIGKILL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from grpclab.cli import commands
from grpclab.system.paths import notebook
from grpclab.system.subprocesses import STUDY_VARIABLE, TRIAL_VARIABLE
from tests.support.processes import carrying, gone, until

GONE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
"""Looking at every process of the machine takes CPU that the study needs."""
STUDY_NAME = f"kill-test-{os.getpid()}"
"""Its own in each process that runs tests: whatever carries it is looked for on the whole machine."""
PARAMETERS = {
    "study": STUDY_NAME,
    "design": "killed",
    "requests": "100000",
    "max_trial_s": "0.5",
    "blocks": "4",
    "seed": "54",
}
"""A group of three in each block."""
MEMBERS = {"few", "many", "linked"}
DESIGN = Path(__file__).parents[2] / "support" / "killed_study"
"""The package that has this design."""
ROLES = {
    "server": "grpclab.servers.process.child",
    "worker": "grpclab.load.worker",
    "relay": "grpclab.link.emulation",
    "py-spy": "py-spy",
    "trial kernel": "grpclab.study.trial_kernel",
}


def members() -> list[psutil.Process]:
    """The processes that carry the study's id."""
    return carrying(STUDY_VARIABLE, STUDY_NAME)


def is_a(process: psutil.Process, role: str) -> bool:
    try:
        return any(ROLES[role] in word for word in process.cmdline())
    except psutil.Error:
        return False


def find(role: str) -> psutil.Process | None:
    return next((process for process in members() if is_a(process, role)), None)


def wait_for(role: str, timeout_s: float = 300.0) -> psutil.Process:
    hit: list[psutil.Process] = []

    def look() -> bool:
        process = find(role)
        if process is not None:
            hit.append(process)
        return bool(hit)

    assert until(look, timeout_s, every_s=LOOK_EVERY_S), f"no {role} came up"
    return hit[0]


STARTED: list[subprocess.Popen[bytes]] = []
"""What a test started, for which its fixture waits, however the test ends."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder, for this process too, which has the design like those that it starts."""
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(DESIGN), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(DESIGN))
    yield tmp_path
    for process in carrying("GRPCLAB_ROOT", str(tmp_path)):
        with contextlib.suppress(psutil.Error):
            process.kill()
    while STARTED:
        STARTED.pop().communicate()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


def start_papermill(root: Path) -> subprocess.Popen[bytes]:
    words = [word for name, value in PARAMETERS.items() for word in ("-p", name, value)]
    command = [sys.executable, "-m", "papermill", str(notebook("sweep")), "out.ipynb", *words]
    with (root / "papermill.log").open("ab") as log:
        STARTED.append(subprocess.Popen(command, cwd=root, env=environment(), stdout=log, stderr=log))
    return STARTED[-1]


STUDY = ["study", *(f"--{name.replace('_', '-')}={value}" for name, value in PARAMETERS.items())]


@dataclass(frozen=True)
class Group:
    """A group as it is stored: when ``group.json`` was written, and the results of its trials by configuration."""

    written_ns: int
    results: dict[str, dict[str, Any]]

    @property
    def valid(self) -> set[str]:
        """The configurations whose trial counts."""
        return {name for name, result in self.results.items() if result["valid"]}


def groups_of(root: Path) -> dict[str, Group]:
    """The groups that are stored, in the order of their names."""
    folder, found = root / "results" / STUDY_NAME, {}
    for path in sorted((folder / "groups").glob("[!.]*/group.json")):
        members = json.loads(path.read_text())["members"]
        results = {
            each["configuration"]: json.loads((folder / "trials" / each["trial"] / "result.json").read_text())
            for each in members
        }
        found[path.parent.name] = Group(path.stat().st_mtime_ns, results)
    return found


def group_of(trial: str) -> str:
    """The group that a trial belongs to, by its name."""
    return "-".join(trial.split("-")[:2])


def trial_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(TRIAL_VARIABLE, "")
    except psutil.Error:
        return ""


def connected(server: psutil.Process) -> bool:
    try:
        return any(each.status == psutil.CONN_ESTABLISHED for each in server.net_connections("tcp"))
    except psutil.Error:
        return False


def wait_for_a_group_in_the_middle(role: str) -> psutil.Process:
    """A process of that role in a group of several whose servers have all had calls, or are about to."""
    hit: list[psutil.Process] = []
    seen: set[int] = set()

    def look() -> bool:
        servers = [process for process in members() if is_a(process, "server")]
        up = {server.pid for server in servers if connected(server)}
        if len(servers) > 1 and len(up) == len(servers) and up <= seen:
            hit.extend(process for process in [find(role)] if process is not None)
        seen.clear()
        seen.update(up)
        return bool(hit)

    assert until(look, 300, every_s=LOOK_EVERY_S), f"there was no group with a {role}"
    return hit[0]


def kill_in_the_middle(role: str, root: Path) -> tuple[str, str]:
    """Kill a process of that role in a group of several; nothing of its trial may remain, and the others count.

    Returns the names of the group and of the configuration.
    """
    victim = wait_for_a_group_in_the_middle(role)
    trial = trial_of(victim)
    victim.kill()
    assert trial
    ended = until(lambda: not carrying(TRIAL_VARIABLE, trial), GONE_WITHIN_S)
    assert ended, f"processes of {trial} outlived its {role}"
    name = group_of(trial)
    assert until(lambda: name in groups_of(root), 120, every_s=LOOK_EVERY_S), f"no group {name}"
    group = groups_of(root)[name]
    (lost,) = group.results.keys() - group.valid
    assert group.results[lost]["trial"] == trial
    reason = group.results[lost]["invalid_reason"]
    assert "was killed by SIGKILL" in reason
    assert len(group.valid) >= 1, "the others of its group count"
    return name, lost


def kernel_of(papermill: subprocess.Popen[bytes]) -> psutil.Process:
    """The kernel in which papermill runs sweep.ipynb."""
    hit: list[psutil.Process] = []

    def look() -> bool:
        for child in psutil.Process(papermill.pid).children():
            if any("ipykernel_launcher" in word for word in child.cmdline()):
                hit.append(child)
        return bool(hit)

    assert until(look, 60, every_s=LOOK_EVERY_S)
    return hit[0]


@pytest.mark.long
def test_killing_any_process_leaves_nothing_behind_and_loses_no_finished_group(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    papermill = start_papermill(root)
    lost = [kill_in_the_middle(role, root) for role in ("server", "relay", "worker")]

    wait_for_a_group_in_the_middle("server")
    trials = {trial_of(process) for process in members()} - {""}
    trial_kernel = wait_for("trial kernel")
    trial_kernel.kill()
    assert until(lambda: gone(trial_kernel), GONE_WITHIN_S)
    (killed,) = {group_of(trial) for trial in trials}
    assert until(lambda: not any(trial_of(p) in trials for p in members()), GONE_WITHIN_S), "they outlived its kernel"
    wait_for_a_group_in_the_middle("server")  # a new kernel goes on with the same members
    group = groups_of(root)[killed]
    assert {result["invalid_reason"] for result in group.results.values()} == {"the trial's kernel died"}

    kept = groups_of(root)
    kernel_of(papermill).kill()
    assert until(lambda: not members(), GONE_WITHIN_S), "processes outlived the sweep's kernel"
    assert papermill.wait(60) != 0
    assert kept.items() <= groups_of(root).items()

    papermill = start_papermill(root)
    assert until(lambda: len(groups_of(root)) > len(kept), 120, every_s=LOOK_EVERY_S)
    wait_for_a_group_in_the_middle("worker")
    papermill.kill()
    papermill.wait()
    assert until(lambda: not members(), GONE_WITHIN_S), "processes outlived papermill"
    assert kept.items() <= groups_of(root).items()

    kept = groups_of(root)
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(lambda: wait_for("py-spy").kill())
        code = commands.main(STUDY)
        killing.result()
    text = capsys.readouterr().out
    assert code == 0, text
    groups = groups_of(root)
    assert kept.items() <= groups.items()
    assert not list((root / "results" / STUDY_NAME).glob("*/.*")), "halves"
    assert "report: " in text
    for block in range(int(PARAMETERS["blocks"])):
        valid = [group.valid for name, group in groups.items() if int(name.split("-")[0]) == block]
        assert set().union(*valid) == MEMBERS
        assert all(any({"few", name} <= some for some in valid) for name in MEMBERS), "each beside its hub"
    assert all(not groups[name].results[configuration]["valid"] for name, configuration in lost)
    profiled = [group.results["many"] for group in groups.values() if "many" in group.results]
    assert any("py-spy" in result["profile_note"] and result["valid"] for result in profiled), "it only has no profile"


def test_a_second_run_is_refused_and_ctrl_c_stops_the_first_with_one_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "grpclab", *STUDY, "--profile=false"]
    study = subprocess.Popen(
        command, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for("worker")
    assert commands.main([*STUDY, "--profile=false"]) == 2
    assert "is being measured by another process" in capsys.readouterr().err
    assert until(lambda: len(groups_of(root)) >= 1, 180)
    wait_for("worker")
    study.send_signal(signal.SIGINT)
    _, errors = study.communicate(timeout=180)
    assert study.returncode == 130
    assert [line for line in errors.splitlines() if line.startswith("grpclab:")] == [errors.splitlines()[-1]]
    assert "trials are stored; the same command resumes from there" in errors
    assert until(lambda: not members(), GONE_WITHIN_S)
