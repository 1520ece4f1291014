"""Studies that fix their blocks after the first ones, that leave out what fails, that resume: drawn, not measured."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.documents import write_json
from grpclab.study.group_order import identity_of, unmeasured
from grpclab.study.measured_study import StudyInterruptedError
from grpclab.study.model import StoredPilot
from grpclab.study.runner import Study
from grpclab.study.trial_folders import GROUP
from grpclab.study.trial_result import TrialResult

DESIGN = """
headline = "server.threads=4"
profile = false
[factors]
server.threads = [10, 4]
"""


class DrawnStudy(Study):
    """A study whose groups are drawn."""

    noise = 0.01
    seconds = 3.0
    failing: Mapping[str, str] = {}
    stop_at = ""
    drawn: list[str]

    def measure_group(self, group: ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:
        if group.name == self.stop_at:
            raise KeyboardInterrupt
        self.drawn.append(group.name)
        for trial in group.trials:
            random = np.random.default_rng([group.block, len(trial.configuration)])
            why = self.failing.get(trial.configuration, "")
            result = TrialResult(
                identity=identity_of(group, trial.configuration, self.manifest),
                config=self.plan.configuration(trial.configuration).config,
                started_at=f"2026-11-29T12:{group.block:02d}:00+00:00",
                valid=not why,
                invalid_reason=why,
            )
            result.metrics |= {"throughput_rps": 100 * np.exp(random.normal(0, self.noise)), "window_s": 1.0}
            result.write(folders[trial.name])
        write_json(folder / GROUP, unmeasured(group, "") | {"seconds": self.seconds})
        return ""


def drawn(root: Path, pilot: StoredPilot | None = None) -> DrawnStudy:
    """The study, begun or gone on with."""
    (root / "s.toml").write_text(DESIGN)
    planned = Study.described(root / "s.toml", root=root)
    study = DrawnStudy(planned.store, replace(planned.manifest, pilot=pilot), root).begin()
    study.drawn = []
    return study


def run(study: Study) -> list[str]:
    lines: list[str] = []
    study.run(lines.append)
    return lines


def test_the_first_four_blocks_fix_how_many_there_are(tmp_path: Path) -> None:
    study = drawn(tmp_path, StoredPilot())
    study.noise = 0.03
    lines = run(study)
    fixed = study.manifest.pilot
    assert fixed is not None
    assert fixed.fixed
    assert study.plan.blocks > 6
    assert len(study.drawn) == study.plan.blocks
    assert fixed.reason in lines
    assert lines[-1].startswith(f"[{len(study.trials)}/{len(study.trials)}]")
    assert sum("no difference (within 5 %)" in line for line in lines) == 1
    again = drawn(tmp_path, StoredPilot())
    run(again)
    assert again.drawn == []
    assert again.plan == study.plan


def test_a_study_that_is_stopped_in_its_pilot_finishes_the_pilot_first(tmp_path: Path) -> None:
    study = drawn(tmp_path, StoredPilot())
    study.stop_at = "02-00"
    with pytest.raises(StudyInterruptedError):
        run(study)
    assert study.manifest.pilot == StoredPilot()
    again = drawn(tmp_path, StoredPilot())
    run(again)
    assert again.drawn[:2] == ["02-00", "03-00"]
    assert again.manifest.pilot is not None
    assert again.manifest.pilot.fixed
    (tmp_path / "other").mkdir()
    undisturbed = drawn(tmp_path / "other", StoredPilot())
    run(undisturbed)
    assert undisturbed.plan.blocks == again.plan.blocks


def test_a_budget_shortens_the_counted_time_of_a_slow_machine_after_its_first_block(tmp_path: Path) -> None:
    study = drawn(tmp_path, StoredPilot(budget_s=60.0))
    study.seconds = 12.0
    lines = run(study)
    assert any("counted time is shortened to 0.5 s" in line for line in lines)
    assert {group.counted_s for group in study.plan.groups} == {0.5}
    assert study.plan.blocks == 6
    assert study.manifest.pilot is not None
    assert study.manifest.pilot.counted_s == 0.5
    assert study.manifest.pilot.reason in study.summary()


def test_what_always_fails_is_tried_twice_then_left_out_and_told(tmp_path: Path) -> None:
    study = drawn(tmp_path)
    study.failing = {"threads-4": "it died"}
    lines = run(study)
    assert study.drawn == ["00-00", "00-01", "01-00", "02-00", "03-00", "04-00", "05-00"]
    names = [name for name in study.store.results() if name.endswith("threads-4")]
    assert len(names) == 3
    assert sum("threads-4 is left out of the other blocks" in line for line in lines) == 1
    assert any(warning.startswith("left out: threads-4") for warning in study.judge().warnings)

    mended = drawn(tmp_path)
    run(mended)
    assert not mended.missing()
    assert sum(r.valid for n, r in mended.store.results().items() if n.endswith("threads-4")) == 6
    assert {trial.group for trial in mended.trials} == {0}
    frame = mended.collect()
    assert list(frame["block"]) == sorted(frame["block"])


def test_a_member_that_fails_once_is_measured_again_with_its_hub_at_once(tmp_path: Path) -> None:
    study = drawn(tmp_path)
    study.failing = {"threads-4": "it died"}
    study.stop_at = "00-01"
    with contextlib.suppress(StudyInterruptedError):
        run(study)
    study.failing, study.stop_at = {}, ""
    lines = run(study)
    assert study.drawn[:3] == ["00-00", "00-01", "01-00"]
    assert {name.split("-", 3)[3] for name in study.store.results() if name.startswith("00-01-")} == {
        "baseline",
        "threads-4",
    }
    assert lines[-1].startswith(f"[{len(study.trials)}/{len(study.trials)}]")
