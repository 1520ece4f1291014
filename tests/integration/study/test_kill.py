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
from pathlib import Path

import psutil
import pytest

from grpclab.cli import commands
from grpclab.system.paths import notebook
from grpclab.system.subprocesses import STUDY_VARIABLE, TRIAL_VARIABLE
from tests.support.processes import gone, until

GONE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
"""Looking at every process of the machine takes CPU that the study needs."""
PARAMETERS = {
    "study": "kill-test",
    "design": "killed",
    "requests": "100000",
    "max_trial_s": "0.5",
    "blocks": "1",
    "seed": "54",
}
"""In the order drawn from this seed the link comes second, the profiled `many` last."""
DESIGN = Path(__file__).parents[2] / "support" / "killed_study"
"""The package that has this design."""
ROLES = {
    "server": "grpclab.servers.process.child",
    "worker": "grpclab.load.worker",
    "relay": "grpclab.link.emulation",
    "py-spy": "py-spy",
    "trial kernel": "grpclab.study.trial_kernel",
}


def in_study(process: psutil.Process, variable: str = STUDY_VARIABLE, value: str = "kill-test") -> bool:
    try:
        return process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def members() -> list[psutil.Process]:
    """The processes that carry the study's id."""
    return [process for process in psutil.process_iter() if in_study(process)]


def find(role: str) -> psutil.Process | None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(ROLES[role] in word for word in process.cmdline()) and in_study(process):
                return process
    return None


def wait_for(role: str, timeout_s: float = 300.0) -> psutil.Process:
    hit: list[psutil.Process] = []

    def look() -> bool:
        process = find(role)
        if process is not None:
            hit.append(process)
        return bool(hit)

    assert until(look, timeout_s, every_s=LOOK_EVERY_S), f"no {role} came up"
    return hit[0]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder, for this process too, which has the design like those that it starts."""
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(DESIGN), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(DESIGN))
    yield tmp_path
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("GRPCLAB_ROOT") == str(tmp_path):
                process.kill()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


def start_papermill(root: Path) -> subprocess.Popen[bytes]:
    words = [word for name, value in PARAMETERS.items() for word in ("-p", name, value)]
    command = [sys.executable, "-m", "papermill", str(notebook("sweep")), "out.ipynb", *words]
    with (root / "papermill.log").open("ab") as log:
        return subprocess.Popen(command, cwd=root, env=environment(), stdout=log, stderr=log)


STUDY = ["study", *(f"--{name.replace('_', '-')}={value}" for name, value in PARAMETERS.items())]


def trials_of(root: Path) -> list[Path]:
    """What is stored of each trial."""
    return list((root / "results" / "kill-test" / "trials").glob("[!.]*/result.json"))


def finished(root: Path) -> dict[str, int]:
    """The valid trials that are stored, with the moment at which each was written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in trials_of(root) if json.loads(p.read_text())["valid"]}


def kill_and_learn_its_trial(role: str) -> str:
    """Kill the next process of that role; nothing of its trial may remain. Returns the trial's name."""
    victim = wait_for(role)
    trial = victim.environ().get(TRIAL_VARIABLE, "")
    victim.kill()
    if trial:
        gone = until(lambda: not any(in_study(p, TRIAL_VARIABLE, trial) for p in psutil.process_iter()), GONE_WITHIN_S)
        assert gone, f"processes of {trial} outlived its {role}"
    return trial


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
def test_killing_any_process_leaves_nothing_behind_and_loses_no_finished_trial(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    papermill = start_papermill(root)
    killed = [trial for role in ("server", "relay", "worker") if (trial := kill_and_learn_its_trial(role))]
    assert len(killed) == 3

    trial_kernel = wait_for("trial kernel")
    trial_kernel.kill()
    assert until(lambda: gone(trial_kernel), GONE_WITHIN_S)
    wait_for("server")  # a new kernel goes on with the next trial

    kept = finished(root)
    kernel_of(papermill).kill()
    assert until(lambda: not members(), GONE_WITHIN_S), "processes outlived the sweep's kernel"
    assert papermill.wait(60) != 0

    results = {path.parent.name: json.loads(path.read_text()) for path in trials_of(root)}
    for trial in killed:
        assert not results[trial]["valid"]
        assert "SIGKILL" in results[trial]["invalid_reason"] or "died" in results[trial]["invalid_reason"]

    papermill = start_papermill(root)
    assert until(lambda: finished(root), 60, every_s=LOOK_EVERY_S)
    wait_for("worker")
    papermill.kill()
    papermill.wait()
    assert until(lambda: not members(), GONE_WITHIN_S), "processes outlived papermill"
    assert kept.items() <= finished(root).items()

    kept = finished(root)
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_and_learn_its_trial, "py-spy")
        code = commands.main(STUDY)
        killing.result()
    text = capsys.readouterr().out
    assert code == 0, text
    assert kept
    assert kept.items() <= finished(root).items()
    manifest = json.loads((root / "results" / "kill-test" / "manifest.json").read_text())
    assert len(finished(root)) == len(manifest["plan"]["configurations"])
    assert not list((root / "results" / "kill-test" / "trials").glob(".*"))
    assert "report: " in text
    notes = [json.loads(path.read_text())["profile_note"] for path in trials_of(root)]
    assert any("py-spy" in note for note in notes), "that trial is as good as any, it only has no profile"


def test_a_second_run_is_refused_and_ctrl_c_stops_the_first_with_one_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "grpclab", *STUDY]
    study = subprocess.Popen(
        command, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for("worker")
    assert commands.main(STUDY) == 2
    assert "is being measured by another process" in capsys.readouterr().err
    assert until(lambda: len(finished(root)) >= 1, 180)
    wait_for("worker")
    study.send_signal(signal.SIGINT)
    _, errors = study.communicate(timeout=180)
    assert study.returncode == 130
    assert [line for line in errors.splitlines() if line.startswith("grpclab:")] == [errors.splitlines()[-1]]
    assert "trials are stored; the same command continues there" in errors
    assert until(lambda: not members(), GONE_WITHIN_S)
