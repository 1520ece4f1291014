"""`kill -9` at fixed points of writing a trial, and what the next run makes of it; trials of other surroundings.

The trials here measure nothing: what is tested is the study's way of writing them, in a process that is really killed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.cli import commands
from grpclab.study.runner import Study

DESIGN = """
headline = "server.threads=4"
profile = false
blocks = 6
[factors]
server.threads = [10, 4]
"""
RUNS = """
import json, os, signal, sys
from pathlib import Path
import grpclab.analysis, pandas
from grpclab.study import documents, runner, trial_result
from grpclab.study.trial_result import TrialResult

real_write, real_json, real_replace = TrialResult.write, documents.write_json, Path.replace

def run(root, moment, victim):
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)

    def measure(self, config, identity, folder):
        result = TrialResult(identity=identity, config=config, started_at="2026-01-01T00:00:00+00:00", valid=True)
        result.metrics["throughput_rps"] = 100.0
        (folder / "server.log").touch()
        (folder / "trial.ipynb").touch()
        if identity.trial == victim and moment == "before":
            die()
        if identity.trial == victim and moment == "during":
            trial_result.write_json = lambda path, value: (path.with_name(".half").write_text('{"schema_'), die())
        result.write(folder)
        return ""

    def replace(self, target):
        if self.name == "." + victim and moment == "after":
            die()
        moved = real_replace(self, target)
        if self.name == "." + victim and moment == "renamed":
            die()
        return moved

    runner.Study.measure = measure
    Path.replace = replace
    study = runner.Study.described(root / "s.toml", root=root).begin()
    study.run(lambda line: None)
    (root / "trials").write_text(str(len(study.collect())))

for line in sys.stdin:  # each run is a process of its own, in which all is loaded already
    root, moment, victim = json.loads(line)
    if not (child := os.fork()):
        run(Path(root), moment, victim)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Runs:
    """Runs of a study, each in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, root: Path, moment: str, victim: str) -> int:
        """The exit code; a run that ends writes how many trials there are."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(root), moment, victim]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def run() -> Iterator[Runs]:
    with subprocess.Popen(
        [sys.executable, "-c", RUNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Runs(process)


@pytest.mark.parametrize("moment", ["before", "during", "after", "renamed"])
def test_a_study_killed_while_it_writes_a_trial_ends_with_the_trials_of_an_undisturbed_one(
    tmp_path: Path, moment: str, run: Runs
) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    planned = [trial.name for trial in Study.described(tmp_path / "s.toml", root=tmp_path).trials]
    victim = planned[7]
    assert run(tmp_path, moment, victim) == -signal.SIGKILL
    trials = tmp_path / "results" / "s" / "trials"
    whole = {path.parent.name: path.stat().st_mtime_ns for path in trials.glob("[!.]*/result.json")}
    assert sorted(whole) == planned[: 8 if moment == "renamed" else 7]
    assert {path.name for path in trials.iterdir()} - set(whole) == (set() if moment == "renamed" else {f".{victim}"})

    assert run(tmp_path, "never", victim) == 0
    assert int((tmp_path / "trials").read_text()) == len(planned)
    assert sorted(path.name for path in trials.iterdir()) == planned, "none twice, none half"
    again = {path.parent.name: path.stat().st_mtime_ns for path in trials.glob("*/result.json")}
    assert whole.items() <= again.items(), "what was there was not measured again"
    for path in trials.glob("*/result.json"):
        assert json.loads(path.read_text())["valid"]


def test_a_report_of_trials_from_another_machine_or_version_is_refused_or_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Runs
) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    assert run(tmp_path, "never", "") == 0
    folder = tmp_path / "results" / "s"
    one = next(iter(sorted((folder / "trials").glob("*/result.json"))))
    result = json.loads(one.read_text())
    result["measured_on"]["grpcio"] = "1.0.0"
    one.write_text(json.dumps(result))
    assert commands.main(["report", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of 18" in line
    assert "grpcio=1.0.0" in line
    assert "--allow-mixed" in line
    assert commands.main(["report", str(folder), "--allow-mixed"]) == 0
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["warnings"][0].startswith("mixed: trials were measured in other surroundings (1 of 18")
    assert "But it mixes machines or versions" in verdict["sentence"]
    page = (tmp_path / "reports" / "s.html").read_text()
    assert "But it mixes machines or versions" in page
