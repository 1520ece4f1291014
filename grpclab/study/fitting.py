"""What the stored first blocks of a study fix: the plan that a budget leaves, and the number of blocks."""

from __future__ import annotations

from grpclab.analysis.study_plan import StudyPlan
from grpclab.study import collection, profile_window
from grpclab.study.block_count import BlockCount, by_noise
from grpclab.study.model import StoredPilot
from grpclab.study.store import Store
from grpclab.study.stored_groups import noise_of_slices
from grpclab.study.wall_budget import GroupTimes, Trimmed, trimmed, within_budget

BESIDE_GROUP_S = 0.5
"""Rough cost of a group beside its measurement: its notebook, what is written."""


def times_of_groups(store: Store, plan: StudyPlan, blocks: int, *, at_once: int = 1) -> GroupTimes:
    """The wall time of the groups of the first blocks, of which `at_once` are measured at the same time."""
    seconds = {place: value / at_once for place, value in store.seconds_of_groups(blocks).items()}
    return GroupTimes.of(
        plan, seconds, beside_s=BESIDE_GROUP_S / at_once, profile_s=profile_window.length_s() / at_once
    )


def trimmed_plan(store: Store, plan: StudyPlan, pilot: StoredPilot, *, at_once: int = 1) -> Trimmed | None:
    """The plan that a budget would leave of this one, by the costs of the first block; None where it stays.

    It stays without a budget, once it was trimmed, and where more than one block is stored.
    """
    trials = collection.frame(store.results().values())
    if pilot.reason or pilot.budget_s is None or trials.empty or trials["block"].nunique() > 1:
        return None
    return trimmed(trials, plan, times_of_groups(store, plan, 1, at_once=at_once), pilot.budget_s)


def fitted_blocks(store: Store, plan: StudyPlan, pilot: StoredPilot, *, at_once: int = 1) -> BlockCount | None:
    """The number of blocks, and with a budget the counted time, by the pilot's noise and costs.

    None where no trial of the pilot is valid.
    """
    trials = collection.frame(store.results().values())
    trials = trials[trials["block"] < pilot.blocks]
    if not trials["valid"].any():
        return None
    times = times_of_groups(store, plan, pilot.blocks, at_once=at_once)
    if pilot.budget_s is None:
        return by_noise(trials, plan, times.block_s(range(len(plan.groups))))
    given = plan.blocks if pilot.blocks_given else None
    slices_sd = noise_of_slices(store.folder, plan.headline)
    return within_budget(trials, plan, times, pilot.budget_s, blocks=given, slices_sd=slices_sd)
