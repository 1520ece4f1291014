"""The report's flamegraphs, out of the stacks that trials hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pandas as pd

from grpclab.profiling import flamegraph
from grpclab.report.finished import Profiles
from grpclab.report.sections.flamegraphs import section
from grpclab.study.designs.design import schedule
from grpclab.study.parameters import StudyParameters
from grpclab.study.runner import Study
from tests.support import synthetic
from tests.support.pages import html_of

WAITING = "main (a.py:1);epoll_wait (libc.so.6)"


def profiles(first: str, second: str) -> Profiles:
    blocks = range(2)
    return {
        "stacks": {
            first: {block: {"main (a.py:1);send (b.py:2)": 6, "main (a.py:1);parse (b.py:3)": 4} for block in blocks},
            second: {block: {"main (a.py:1);parse (b.py:3)": 4, WAITING: 90} for block in blocks},
        },
        "perf": {},
    }


def test_both_sides_are_drawn_once_and_what_changed_most_is_listed() -> None:
    made = synthetic.full_study()
    study = made.finished()
    html = html_of(section(made.finished(profiles=profiles(study.baseline, study.candidate))))
    packed = re.findall(r'data-stacks="([^"]*)"', html)
    assert [sum(flamegraph.unpack(text).values()) for text in packed] == [20, 8], "what waited is left out"
    assert "8 active samples in 2 blocks" in html
    assert "−60.0 points" in html
    assert "+60.0 points" in html
    assert section(made.finished(profiles={"stacks": {study.baseline: {0: {WAITING: 5}}}})) is None


def test_the_only_script_that_may_run_is_ours(nightly_report: Path) -> None:
    page = nightly_report.read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 3
    policy = page[page.index("script-src") : page.index("img-src")]
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in page[page.index("script-src") : page.index("img-src")]


def test_a_study_gathers_the_stacks_of_its_valid_profiled_trials(tmp_path: Path) -> None:
    study = Study.prepare(StudyParameters(study="s", design="quick", blocks=2), root=tmp_path)
    profiled = study.plan.profiled
    names = study.plan.names
    rows = []
    for trial in schedule(names, blocks=2, seed=1):
        folder = study.store.trials_folder / trial.name
        folder.mkdir(parents=True)
        (folder / "stacks.folded").write_text(f"main;{trial.configuration} {trial.block + 1}\n")
        valid = (trial.configuration, trial.block) != (profiled[0], 1)
        rows.append({"trial": trial.name, "configuration": trial.configuration, "block": trial.block, "valid": valid})
    found = study.artifacts(pd.DataFrame(rows)).profiles
    assert json.loads(json.dumps(found)) == {
        "stacks": {
            profiled[0]: {"0": {f"main;{profiled[0]}": 1}},
            profiled[1]: {"0": {f"main;{profiled[1]}": 1}, "1": {f"main;{profiled[1]}": 2}},
        }
    }
