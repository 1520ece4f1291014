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
from grpclab.study.store import Store

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
from grpclab.study import group_order, runner, trial_result
from grpclab.study.trial_result import TrialResult

real_replace = Path.replace

def run(root, moment, victim):
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)

    def measure_group(self, group, folder, folders):
        (folder / "trial.ipynb").touch()
        for trial in group.trials:
            identity = group_order.identity_of(group, trial.configuration, self.manifest)
            config = self.plan.configuration(trial.configuration).config
            result = TrialResult(identity=identity, config=config, started_at="2026-01-01T00:00:00+00:00", valid=True)
            result.metrics["throughput_rps"] = 100.0
            (folders[trial.name] / "server.log").touch()
            if group.name == victim and moment == "before":
                die()
            if group.name == victim and moment == "during":
                trial_result.write_json = lambda path, value: (path.with_name(".half").write_text('{"schema_'), die())
            result.write(folders[trial.name])
        return ""

    def replace(self, target):
        of_group = self.parent.name == "groups" and self.name == "." + victim
        of_member = self.parent.name == "members" and self.name.startswith(victim + "-")
        if of_member and moment == "after" or of_group and moment == "group":
            die()
        moved = real_replace(self, target)
        if of_member and moment == "member" or of_group and moment == "renamed":
            die()
        return moved

    runner.Study.measure_group = measure_group
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


@pytest.mark.parametrize("moment", ["before", "during", "after", "member", "group", "renamed"])
def test_a_study_killed_while_it_writes_a_group_ends_with_the_trials_of_an_undisturbed_one(
    tmp_path: Path, moment: str, run: Runs
) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    study = Study.described(tmp_path / "s.toml", root=tmp_path)
    planned = {group.name: sorted(trial.name for trial in group.trials) for group in study.groups}
    names = list(planned)
    victim = names[len(names) // 2]
    assert run(tmp_path, moment, victim) == -signal.SIGKILL
    folder = tmp_path / "results" / "s"
    whole = names[: names.index(victim) + (moment == "renamed")]
    assert sorted(path.parent.name for path in folder.glob("groups/[!.]*/group.json")) == sorted(whole)
    assert sorted(study.store.results()) == sorted(name for group in whole for name in planned[group])
    assert study.store.damaged() == {}
    before = written(folder)
    assert bool(list(folder.glob("groups/.*"))) == (moment != "renamed")

    assert run(tmp_path, "never", victim) == 0
    every = sorted(name for trials in planned.values() for name in trials)
    assert int((tmp_path / "trials").read_text()) == len(every)
    assert sorted(path.name for path in (folder / "trials").iterdir()) == every, "none twice, none half"
    assert sorted(path.name for path in (folder / "groups").iterdir()) == sorted(planned)
    kept = {path: at for path, at in before.items() if path.parent.name in study.store.results()}
    assert kept.items() <= written(folder).items(), "what was there was not measured again"
    for path in folder.glob("trials/*/result.json"):
        assert json.loads(path.read_text())["valid"]


def written(folder: Path) -> dict[Path, int]:
    """When each result of a whole group was written."""
    whole = Store(folder).results()
    return {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/result.json") if path.parent.name in whole}


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
    assert verdict["warnings"][0].startswith("mixed: trials were measured in a different environment (1 of 18")
    assert "But this result mixes machines or versions" in verdict["sentence"]
    page = (tmp_path / "reports" / "s.html").read_text()
    assert "But this result mixes machines or versions" in page
