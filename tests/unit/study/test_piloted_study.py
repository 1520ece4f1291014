"""Studies that fix their blocks after the first ones, that leave out what fails, that resume: drawn, not measured."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grpclab import OPTIMIZED, Side
from grpclab.errors import UsageError
from grpclab.study import pilot
from grpclab.study.block_count import PILOT_BLOCKS
from grpclab.study.designs import compare_design
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.designs.grouping import NO_SLICES_NEEDED, grouped
from grpclab.study.documents import write_json
from grpclab.study.group_order import identity_of, unmeasured
from grpclab.study.measured_study import StudyInterruptedError
from grpclab.study.model import StoredPilot
from grpclab.study.pilot import Piloted, estimate_comparison
from grpclab.study.runner import Study
from grpclab.study.trial_folders import GROUP
from grpclab.study.trial_result import TrialResult
from grpclab.study.wall_budget import GroupTimes

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


def _design(root: Path) -> Path:
    (root / "s.toml").write_text(DESIGN)
    return root / "s.toml"


def drawn(root: Path, pilot: StoredPilot | None = None, *, large: bool = False) -> DrawnStudy:
    """The study, begun or gone on with; with `large` it has a second group, whose differences are large."""
    planned = Study.described(_design(root), root=root)
    plan = planned.plan
    if large:
        second = replace(plan.groups[0], interleaved=False, reason=NO_SLICES_NEEDED)
        plan = replace(plan, groups=(*plan.groups, second), profiled=tuple(plan.names), profiled_blocks=3)
    study = DrawnStudy(planned.store, replace(planned.manifest, plan=plan, pilot=pilot), root).begin()
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
    assert sum("no difference (within 5%)" in line for line in lines) == 1
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


def test_the_summary_counts_with_the_budget_and_says_what_is_not_measured(tmp_path: Path) -> None:
    whole = Study.described(_design(tmp_path), root=tmp_path)
    plan = replace(whole.plan, left_out=("not measured: TLS needs trustme",))

    def told(pilot: StoredPilot) -> list[str]:
        return Study(whole.store, replace(whole.manifest, plan=plan, pilot=pilot), tmp_path).summary().splitlines()

    assert any(line.startswith("about 5 s to go") for line in told(StoredPilot(budget_s=5.0)))
    assert not any(line.startswith("about 5 s to go") for line in told(StoredPilot(budget_s=5.0, fixed=True)))
    assert "not measured: TLS needs trustme" in told(StoredPilot())


def test_a_budget_shortens_the_counted_time_of_a_slow_machine_after_its_first_block(tmp_path: Path) -> None:
    study = drawn(tmp_path, StoredPilot(budget_s=60.0))
    study.seconds = 12.0
    lines = run(study)
    assert any("counted time is shortened to 0.4 s" in line for line in lines)
    assert {group.counted_s for group in study.plan.groups} == {0.4}
    assert study.plan.blocks == 6
    assert study.manifest.pilot is not None
    assert study.manifest.pilot.counted_s == 0.4
    assert study.manifest.pilot.reason in study.summary()


def test_a_budget_takes_blocks_from_what_carries_no_small_difference_and_the_study_goes_on_so(tmp_path: Path) -> None:
    pilot = StoredPilot(budget_s=60.0)
    study = drawn(tmp_path, pilot, large=True)
    study.seconds, study.stop_at = 18.0, "02-00"
    with pytest.raises(StudyInterruptedError):
        run(study)
    assert (
        "comparisons with large differences are measured in 1 block" in (study.manifest.pilot or StoredPilot()).reason
    )
    again = drawn(tmp_path, pilot, large=True)
    again.seconds = 18.0
    lines = run(again)
    assert sorted({*study.drawn, *again.drawn}) == ["00-00", "00-01", "01-00", "02-00", "03-00", "04-00", "05-00"]
    assert lines[-1].startswith("[21/21]"), "7 groups of 3"
    assert not again.missing()
    assert "in 1 block" in again.summary()


def test_what_always_fails_is_tried_twice_then_left_out_and_told(tmp_path: Path) -> None:
    study = drawn(tmp_path)
    study.failing = {"threads-4": "it died"}
    lines = run(study)
    assert study.drawn == ["00-00", "00-01", "01-00", "02-00", "03-00", "04-00", "05-00"]
    names = [name for name in study.store.results() if name.endswith("threads-4")]
    assert len(names) == 3
    assert sum("threads-4 is left out of the remaining blocks" in line for line in lines) == 1
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


def test_a_budget_beside_a_file_is_kept_when_the_study_goes_on_without_one(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    begun = Study.described(tmp_path / "s.toml", "mine", root=tmp_path, budget_s=600.0).begin()
    assert begun.manifest.pilot == StoredPilot(budget_s=600.0)
    assert (begun.manifest.again or "").endswith("--budget 600")
    assert Study.described(tmp_path / "s.toml", "mine", root=tmp_path).begin().manifest.pilot == begun.manifest.pilot
    other = Study.described(tmp_path / "s.toml", "mine", root=tmp_path, budget_s=60.0).begin()
    assert other.manifest.pilot == begun.manifest.pilot
    assert "started with a budget of 10 min" in other.summary()


def test_a_file_measured_exclusively_has_one_server_up_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    study = Study.described(tmp_path / "s.toml", root=tmp_path, exclusive=True)
    assert not any(group.interleaved for group in study.plan.groups)
    assert (study.manifest.again or "").endswith("--exclusive")


def sided(monkeypatch: pytest.MonkeyPatch, noise: float = 0.02) -> list[str]:
    """Two sides of which a drawn pilot is measured; the list is filled with why they were kept apart."""
    reasons: list[str] = []

    def piloted(sides: Mapping[str, Side], *, delta: float, apart: str, **_: object) -> Piloted:
        reasons.append(apart)
        plan = grouped(compare_design.plan(sides, blocks=PILOT_BLOCKS, delta=delta))
        logs = noise * np.array([-1.0, 1.0, -1.0, 1.0])
        rows = [
            {
                **{"scenario": "compare", "configuration": name, "block": block, "group": 0, "valid": True},
                **{"throughput_rps": float(np.exp(log)) if name == "b" else 1.0, "window_s": 1.0},
            }
            for block, log in enumerate(logs)
            for name in "ab"
        ]
        return Piloted(trials=pd.DataFrame(rows), plan=plan, times=GroupTimes(seconds={(0, 0): 5.0}))

    monkeypatch.setattr(pilot, "piloted", piloted)
    return reasons


@pytest.mark.parametrize(
    ("blocks", "budget_s", "exclusive", "told"),
    [
        (None, None, False, "blocks are planned, enough to decide in four out of five cases"),
        (None, 60.0, False, "budget 60 s: "),
        (None, None, True, "one after the other: the servers cannot run at the same time"),
        (20, None, False, "20 blocks detect an effect of"),
        (5, None, False, "but 5 are planned"),
    ],
)
def test_the_plan_of_a_comparison_says_groups_seconds_and_effects(
    monkeypatch: pytest.MonkeyPatch, blocks: int | None, budget_s: float | None, exclusive: bool, told: str
) -> None:
    reasons, lines = sided(monkeypatch), list[str]()
    sides = {name: Side(label=name, config=OPTIMIZED) for name in "ab"}
    estimate_comparison(
        sides,
        blocks=blocks,
        delta=0.05,
        seed=1,
        write=lines.append,
        progress=lines.append,
        exclusive=exclusive,
        budget_s=budget_s,
    )
    text = "\n".join(lines)
    assert told in text
    assert "00  a, b" in text
    assert "a block takes 5 s" in text
    assert "an effect of 10%" in text
    assert [bool(reason) for reason in reasons] == [exclusive]


def test_a_budget_beside_fewer_blocks_than_the_pilot_has_is_refused() -> None:
    sides = {name: Side(label=name, config=OPTIMIZED) for name in "ab"}
    with pytest.raises(UsageError, match="blocks=3: expected more than 4"):
        estimate_comparison(sides, blocks=3, delta=0.05, seed=1, write=print, progress=print, budget_s=60.0)
