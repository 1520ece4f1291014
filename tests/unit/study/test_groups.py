"""Groups of a study: their schedule, what of them is still to be measured, and their folders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from grpclab.analysis.study_plan import (
    PlannedComparison,
    PlannedConfiguration,
    PlannedGroup,
    PlannedHeadline,
    StudyPlan,
)
from grpclab.errors import DesignError
from grpclab.factors.config import TrialConfig
from grpclab.study.block_count import BlockCount
from grpclab.study.designs.design import ScheduledGroup, schedule_groups, scheduled_group
from grpclab.study.documents import write_json
from grpclab.study.group_order import is_profiled, unmeasured
from grpclab.study.model import Manifest, StoredPilot, StoredResult
from grpclab.study.remaining import Remaining
from grpclab.study.store import Store
from grpclab.study.stored_values import read
from grpclab.study.trial_folders import GROUP
from grpclab.study.trial_result import TrialIdentity, TrialResult

PLAN = StudyPlan(
    blocks=3,
    delta=0.05,
    metric="throughput_rps",
    configurations=tuple(PlannedConfiguration(name=name, scenario="s") for name in ("hub", "x", "y", "z")),
    headline=PlannedHeadline(scenario="s", metric="throughput_rps", baseline="hub", candidate="x"),
    comparisons=(PlannedComparison(scenario="s", metric="throughput_rps", baseline="x", candidate="y"),),
    profiled=("hub",),
    profiled_blocks=1,
    groups=(
        PlannedGroup(hub="hub", members=("hub", "x", "y")),
        PlannedGroup(hub="hub", members=("hub", "z")),
    ),
)
SEED = 7


def results(group: ScheduledGroup, invalid: dict[str, str] | None = None) -> list[StoredResult]:
    """What a group brought; the reasons are those of its invalid members."""
    made = []
    for trial in group.trials:
        why = (invalid or {}).get(trial.configuration, "")
        identity = TrialIdentity(
            trial=trial.name, configuration=trial.configuration, block=trial.block, order=trial.order, group=trial.group
        )
        result = TrialResult(
            identity=identity, config=TrialConfig(), started_at="2026-11-29T12:00:00+00:00", valid=not why
        )
        result.invalid_reason = why
        made.append(result.stored())
    return made


def measured(*groups: ScheduledGroup, invalid: dict[str, str] | None = None) -> list[StoredResult]:
    return [result for group in groups for result in results(group, invalid)]


def after(stored: Iterable[StoredResult]) -> Remaining:
    return Remaining(PLAN, SEED, stored)


# ---- the schedule ------------------------------------------------------------------------------------------------


def test_every_group_is_measured_once_a_block_in_an_order_of_its_own() -> None:
    groups = schedule_groups(replace(PLAN, blocks=40), SEED)
    for block in range(40):
        of = [group for group in groups if group.block == block]
        assert {group.number for group in of} == {0, 1}
        for group in of:
            assert group.number is not None
            assert set(group.names) == set(PLAN.groups[group.number].members)
            assert [trial.order for trial in group.trials] == list(range(len(group.trials)))
    assert {tuple(group.number for group in groups if group.block == block) for block in range(40)} == {(0, 1), (1, 0)}
    assert len({group.names for group in groups if group.number == 0}) == 6, "every order of the three"
    assert groups == schedule_groups(replace(PLAN, blocks=40), SEED)


def test_more_blocks_go_on_where_fewer_ended() -> None:
    fewer, more = (schedule_groups(replace(PLAN, blocks=blocks), SEED) for blocks in (4, 9))
    assert more[: len(fewer)] == fewer


def test_names_say_block_group_and_order() -> None:
    group = scheduled_group(PLAN, 2, 1, SEED)
    assert group.name == "02-01"
    assert [trial.name for trial in group.trials] == [f"02-01-{at:03d}-{name}" for at, name in enumerate(group.names)]


def test_a_plan_without_groups_has_the_trials_that_it_always_had() -> None:
    groups = schedule_groups(replace(PLAN, groups=(), blocks=2), SEED)
    assert [len(group.trials) for group in groups] == [1] * 8
    assert [group.name for group in groups][:4] == [group.trials[0].name for group in groups][:4]
    assert sorted(group.name for group in groups)[0].startswith("00-000-")
    assert {group.number for group in groups} == {None}


# ---- what remains ------------------------------------------------------------------------------------------------


def test_what_was_measured_is_not_measured_again() -> None:
    whole = schedule_groups(PLAN, SEED)
    remaining = after(measured(*whole[:-1]))
    assert [remaining.next(group.block, group.number or 0) for group in whole[:-1]] == [None] * (len(whole) - 1)
    assert remaining.next(whole[-1].block, whole[-1].number or 0) == whole[-1]
    assert set(remaining.missing(PLAN.blocks)) == set(whole[-1].trials)


def test_an_invalid_member_is_measured_again_with_its_hub_and_what_it_is_compared_with() -> None:
    first = scheduled_group(PLAN, 0, 0, SEED)
    remaining = after(measured(first, invalid={"y": "it died"}))
    again = remaining.next(0, 0)
    assert again is not None
    assert again.number == 2
    assert again.name == "00-02"
    assert set(again.names) == {"hub", "x", "y"}, "x is compared with y"
    other = after(measured(scheduled_group(PLAN, 0, 1, SEED), invalid={"z": "it died"})).next(0, 1)
    assert other is not None
    assert (other.number, set(other.names), other.group.hub) == (3, {"hub", "z"}, "hub")
    assert {trial.configuration for trial in remaining.missing(1) if trial.group == 0} == {"y"}


def test_an_invalid_hub_takes_its_candidates_with_it() -> None:
    remaining = after(measured(scheduled_group(PLAN, 0, 0, SEED), invalid={"hub": "it died"}))
    again = remaining.next(0, 0)
    assert again is not None
    assert set(again.names) == {"hub", "x", "y"}


def test_a_pair_of_which_each_was_valid_in_another_group_is_measured_again() -> None:
    first, second = scheduled_group(PLAN, 0, 1, SEED), scheduled_group(PLAN, 0, 3, SEED)
    stored = measured(first, invalid={"z": "it died"}) + measured(second, invalid={"hub": "it died"})
    again = after(stored).next(0, 1)
    assert again is not None
    assert (again.number, set(again.names)) == (5, {"hub", "z"})
    assert after([*stored, *measured(again)]).next(0, 1) is None


def test_what_fails_alike_in_its_first_two_blocks_is_left_out_of_the_others() -> None:
    blocks = [
        measured(scheduled_group(PLAN, block, 0, SEED), invalid={"y": f"port {block} is in use"}) for block in (0, 1)
    ]
    assert after(blocks[0]).left_out(1) == {}
    remaining = after(blocks[0] + blocks[1])
    assert remaining.left_out(2) == {"y": "port 1 is in use"}
    assert remaining.left_out(1) == {}, "there it may be measured again"
    third = remaining.next(2, 0)
    assert third is not None
    assert set(third.names) == {"hub", "x"}
    assert "y" not in {trial.configuration for trial in remaining.missing(3) if trial.block == 2}
    differing = blocks[0] + measured(scheduled_group(PLAN, 1, 0, SEED), invalid={"y": "it answered nothing"})
    assert after(differing).left_out(2) == {}


def test_one_that_failed_in_every_block_so_far_has_failed_before() -> None:
    first = measured(scheduled_group(PLAN, 0, 0, SEED), invalid={"y": "it died"})
    (again,) = (one for one in measured(scheduled_group(PLAN, 1, 0, SEED), invalid={"y": "it died"}) if not one.valid)
    assert after(first).failed_before(again)
    assert not after(measured(scheduled_group(PLAN, 0, 0, SEED))).failed_before(again)
    assert not after([]).failed_before(again)


def test_a_hub_in_two_groups_is_profiled_once() -> None:
    manifest = Manifest(plan=PLAN)
    profiled = [is_profiled(group, "hub", manifest) for group in schedule_groups(PLAN, SEED)]
    assert sum(profiled) == 1
    assert not any(is_profiled(group, "x", manifest) for group in schedule_groups(PLAN, SEED))


# ---- the folders -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "results" / "mine")
    found.open(manifest())
    return found


def manifest(plan: StudyPlan = PLAN, pilot: StoredPilot | None = None) -> Manifest:
    return Manifest(study="mine", design="file", seed=SEED, schema_version=1, plan=plan, pilot=pilot)


def put(store: Store, group: ScheduledGroup) -> None:
    with store.writing_group(group.name, [trial.name for trial in group.trials]) as (folder, folders):
        for stored in results(group):
            write_result(stored, folders[stored.trial])
        write_json(folder / GROUP, unmeasured(group, "") | {"seconds": 2.5})


def write_result(stored: StoredResult, folder: Path) -> None:
    identity = TrialIdentity(
        trial=stored.trial,
        configuration=stored.configuration,
        block=stored.block,
        order=stored.order,
        group=stored.group,
    )
    TrialResult(identity=identity, config=TrialConfig(), started_at=stored.started_at, valid=stored.valid).write(folder)


def test_a_group_is_there_whole_or_not_at_all(store: Store) -> None:
    group = scheduled_group(PLAN, 0, 0, SEED)

    def cut_off() -> None:
        with store.writing_group(group.name, ["00-00-000-hub"]) as (_, folders):
            write_result(results(group)[0], folders["00-00-000-hub"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert store.results() == {}
    assert list(store.groups_folder.iterdir()) == []
    put(store, group)
    assert set(store.results()) == {trial.name for trial in group.trials}
    assert {path.name for path in store.groups_folder.iterdir()} == {"00-00"}
    assert {path.name for path in (store.groups_folder / "00-00").iterdir()} == {GROUP}
    assert store.seconds_of_groups(1) == {(0, 0): 2.5}


def test_trials_whose_group_was_cut_off_do_not_count_and_the_next_run_removes_them(store: Store) -> None:
    first, second = scheduled_group(PLAN, 0, 0, SEED), scheduled_group(PLAN, 0, 1, SEED)
    put(store, first)
    put(store, second)
    (store.groups_folder / second.name).rename(store.groups_folder / f".{second.name}")
    assert set(store.results()) == {trial.name for trial in first.trials}
    assert store.damaged() == {}
    with store.lock():
        assert {path.name for path in store.trials_folder.iterdir()} == {trial.name for trial in first.trials}
        assert [path.name for path in store.groups_folder.iterdir()] == [first.name]


def test_a_damaged_group_is_set_aside_with_its_trials(store: Store) -> None:
    first, second = scheduled_group(PLAN, 0, 0, SEED), scheduled_group(PLAN, 0, 1, SEED)
    put(store, first)
    put(store, second)
    (store.groups_folder / second.name / GROUP).write_text("{")
    names = {trial.name for trial in second.trials}
    assert set(store.damaged()) == names
    assert all(GROUP in why for why in store.damaged().values())
    with store.lock():
        store.set_aside()
    assert {path.name for path in (store.folder / "damaged").iterdir()} == {f"{name}.1" for name in {*names, "00-01"}}
    assert set(store.results()) == {trial.name for trial in first.trials}
    assert store.damaged() == {}


def test_a_damaged_trial_of_a_group_is_set_aside_alone(store: Store) -> None:
    group = scheduled_group(PLAN, 0, 1, SEED)
    put(store, group)
    victim = next(trial.name for trial in group.trials if trial.configuration == "z")
    (store.trials_folder / victim / "result.json").write_text("{")
    assert set(store.damaged()) == {victim}
    with store.lock():
        store.set_aside()
    again = Remaining(PLAN, SEED, store.results().values()).next(0, 1)
    assert again is not None
    assert (again.number, set(again.names)) == (3, {"hub", "z"})


def test_a_folder_of_groups_that_leads_elsewhere_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    store.groups_folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DesignError, match="symbolic link"), store.lock():
        pass


# ---- the number of blocks ----------------------------------------------------------------------------------------


def test_the_number_of_blocks_is_fixed_once_and_the_study_goes_on_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "piloted")
    begun = store.open(manifest(pilot=StoredPilot()))
    assert begun.plan.blocks == 3
    fixed = store.fix_blocks(BlockCount(blocks=12, reason="it is noisy", counted_s=0.5))
    assert (fixed.plan.blocks, fixed.pilot) == (12, StoredPilot(fixed=True, reason="it is noisy", counted_s=0.5))
    assert {group.counted_s for group in fixed.plan.groups} == {0.5}
    assert store.fix_blocks(BlockCount(blocks=99, reason="another")) == fixed == store.manifest()
    assert store.open(manifest(pilot=StoredPilot())).plan.blocks == 12, "the same command continues it"
    with pytest.raises(DesignError, match="different plan"):
        store.open(manifest(replace(PLAN, delta=0.02), pilot=StoredPilot()))
    document = json.loads((store.folder / "manifest.json").read_text())
    assert read(Manifest, document) == fixed


def test_a_study_of_the_first_edition_goes_on_without_groups(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "old")
    store.open(manifest(replace(PLAN, groups=())))
    assert store.open(manifest(pilot=StoredPilot())).plan.groups == ()


def test_what_cannot_be_up_together_makes_another_study(store: Store) -> None:
    apart = tuple(replace(group, interleaved=False, reason="exclusive") for group in PLAN.groups)
    with pytest.raises(DesignError, match="different plan"):
        store.open(manifest(replace(PLAN, groups=apart)))
    regrouped = replace(PLAN, groups=(replace(PLAN.groups[0], pass_s=0.5), *PLAN.groups[1:]))
    assert store.open(manifest(regrouped)).plan.groups == PLAN.groups, "it goes on with its own"
