"""What designs are made of: configurations, comparisons, the order of the trials. Pure.

A design turns parameters into a :class:`~grpclab.analysis.study_plan.StudyPlan` (configurations, headline,
comparisons, curves, ladder, ...), from which the analysis and the report are driven; :func:`schedule_groups` lays its
groups out in randomized complete blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from grpclab.analysis.study_plan import (
    ArgumentRow,
    PlannedComparison,
    PlannedConfiguration,
    PlannedEngines,
    PlannedGroup,
    PlannedHeadline,
    PlannedPart,
    StudyPlan,
)
from grpclab.errors import DesignError, invalid
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.factors.tonic import mapping_rows
from grpclab.metrics import metric_named, of_call

DELTA = 0.05
"""Smallest effect of interest, as a share."""
METRIC = "throughput_rps"
FAMILY = "throughput"
OF_EACH_CALL = ("throughput_rps", "latency_p99_s")
"""The metrics in which each call of a mix is compared."""
PREFERRED_CONCURRENCY = 64
PROFILED_BLOCKS = 3
"""So many blocks are looked into after their windows: shares need an interval, not six times the looks."""


def no_verdict(blocks: int) -> str:
    """That so few blocks give no verdict, and how many do; "" where they can."""
    from grpclab.analysis import fewest_blocks  # pandas and scipy, which a mistake does not need

    fewest = fewest_blocks()
    return (
        ""
        if blocks >= fewest
        else f"a verdict needs at least {fewest} blocks, but {blocks} are planned: set blocks={fewest}"
    )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A place in the schedule; `order` is that in its group, or in its block where there are no groups."""

    block: int
    order: int
    configuration: str
    group: int | None = None

    @property
    def name(self) -> str:
        """Its folder's name."""
        group = "" if self.group is None else f"{self.group:02d}-"
        return f"{self.block:02d}-{group}{self.order:03d}-{self.configuration}"


@dataclass(frozen=True, kw_only=True)
class ScheduledGroup:
    """A group in one block, with its trials in their order. The `number` is None where the plan has no groups: then
    it is one trial.

    The number modulo the number of planned groups is the place of `group` in the plan: it grows by that with each time
    that members of the group are measured again in the block.
    """

    block: int
    number: int | None
    group: PlannedGroup
    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """The name of its folder, or of its only trial."""
        return self.trials[0].name if self.number is None else f"{self.block:02d}-{self.number:02d}"

    @property
    def names(self) -> tuple[str, ...]:
        """Its configurations in the order of its trials."""
        return tuple(trial.configuration for trial in self.trials)


@dataclass
class Configurations:
    """Collects configurations by name, and what is to be said of them."""

    configurations: dict[str, PlannedConfiguration] = field(default_factory=dict)
    comparisons: list[PlannedComparison] = field(default_factory=list)

    def add(self, name: str, title: str, scenario: str, config: TrialConfig, *, hosted: bool = False) -> str:
        """One more configuration, `hosted` where it is an application's; returns its name."""
        self.configurations[name] = PlannedConfiguration(
            name=name,
            title=title,
            scenario=scenario,
            settings=config.differences(TrialConfig()),
            without_effect=without_effect(config, hosted=hosted),
        )
        return name

    def compare(
        self, title: str, scenario: str, baseline: str, candidate: str, *, metric: str = METRIC
    ) -> PlannedComparison:
        """Compare two of them; returns the comparison."""
        added = comparison(title, scenario, baseline, candidate, metric=metric)
        self.comparisons.append(added)
        return added

    def compare_calls(
        self, title: str, scenario: str, baseline: str, candidate: str, shares: Mapping[str, float]
    ) -> None:
        """Compare two of them in each call of a mix, whose `shares` are given: its throughput, and its p99 latency
        where the calls that are planned can carry one."""
        planned = min(most_calls(self.configurations[name].config.load) for name in (baseline, candidate))
        for call, share in shares.items():
            for metric in OF_EACH_CALL:
                if share * planned >= metric_named(metric).fewest_calls:
                    self.compare(title, scenario, baseline, candidate, metric=of_call(metric, call))

    def plan(self, *, blocks: int, delta: float = DELTA, metric: str = METRIC) -> StudyPlan:
        """The plan that measures and compares them, in the order in which they were added, and has nothing else."""
        return StudyPlan(
            blocks=blocks,
            delta=delta,
            metric=metric,
            configurations=tuple(self.configurations.values()),
            comparisons=tuple(self.comparisons),
            engines=PlannedEngines(),
            mapping=argument_rows(),
        )


def most_calls(load: LoadConfig) -> float:
    """The calls of a load in its longest window; a closed loop that ends by time alone plans no number."""
    return min(bound_by_n(load), bound_by_z(load))


def bound_by_n(load: LoadConfig) -> float:
    """The calls that a load has by its number alone."""
    return math.inf if load.requests is None else load.requests


def bound_by_z(load: LoadConfig) -> float:
    """The calls of an open loop in its longest window; a closed loop plans none."""
    return math.inf if load.rate_rps is None or load.duration_s is None else load.rate_rps * load.duration_s


def comparison(title: str, scenario: str, baseline: str, candidate: str, *, metric: str = METRIC) -> PlannedComparison:
    """The comparison of two configurations; all comparisons of one metric are a family."""
    return PlannedComparison(
        title=title,
        scenario=scenario,
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        family=FAMILY if metric == METRIC else metric,
    )


def headline(
    title: str,
    scenario: str,
    baseline: str,
    candidate: str,
    *,
    labels: tuple[str, str],
    at: str = "",
    metric: str = METRIC,
) -> PlannedHeadline:
    """The comparison that a study turns on; `labels` are the words for its sides, baseline first."""
    compared = comparison(title, scenario, baseline, candidate, metric=metric)
    return PlannedHeadline(**vars(compared), baseline_label=labels[0], candidate_label=labels[1], at=at)


def part(compared: PlannedComparison, *, side: str, phrase: str, already: str = "") -> PlannedPart:
    """A comparison as the share of one side in the headline."""
    return PlannedPart(**vars(compared), side=side, phrase=phrase, already=already)


def argument_rows() -> tuple[ArgumentRow, ...]:
    """The table "from tonic to grpcio", which every plan holds."""
    return tuple(ArgumentRow(**row) for row in mapping_rows())


def other_engine(engine: str) -> str:
    """The second of the two built-in engines, which a design compares. Raises DesignError for an engine of another
    package."""
    if engine not in ENGINES.builtin:
        raise DesignError(
            invalid("engine", engine, f"{' or '.join(ENGINES.builtin)}, since this design compares the two")
        )
    (other,) = (name for name in ENGINES.builtin if name != engine)
    return other


def blocks_with_profiles(plan: StudyPlan) -> int:
    """The number of blocks in which the configurations to profile are profiled."""
    return plan.blocks if plan.profiled_blocks is None else plan.profiled_blocks


def profiled_in(plan: StudyPlan, place: int) -> list[str]:
    """The configurations that are profiled in the group at a place: each in the first of its groups."""
    firsts = {name: at for at, group in reversed([*enumerate(plan.groups)]) for name in group.members}
    return [name for name in plan.profiled if firsts.get(name) == place]


def schedule_groups(plan: StudyPlan, seed: int) -> list[ScheduledGroup]:
    """Randomized complete blocks: every group once a block, in an order drawn from seed and block.

    A plan without groups has a group of one trial for each configuration.
    """
    scheduled: list[ScheduledGroup] = []
    for block in range(plan.blocks):
        if plan.groups:
            order = np.random.default_rng([seed, block]).permutation(len(plan.groups))
            scheduled += [
                scheduled_group(plan, block, int(number), seed) for number in order if plan.groups[number].is_in(block)
            ]
            continue
        for trial in schedule(plan.names, blocks=1, seed=seed, first=block):
            alone = PlannedGroup(hub=trial.configuration, members=(trial.configuration,))
            scheduled.append(ScheduledGroup(block=block, number=None, group=alone, trials=(trial,)))
    return scheduled


def scheduled_group(
    plan: StudyPlan, block: int, number: int, seed: int, members: Sequence[str] | None = None
) -> ScheduledGroup:
    """The group of this number in a block, or these `members` of it; their order is drawn from seed, block, number."""
    planned = plan.groups[number % len(plan.groups)]
    if members is not None and (names := [name for name in planned.members if name in members]):
        planned = replace(planned, hub=planned.hub if planned.hub in names else names[0], members=tuple(names))
    drawn = np.random.default_rng([seed, block, number + 1]).permutation(len(planned.members))
    trials = tuple(
        Trial(block=block, group=number, order=order, configuration=planned.members[k]) for order, k in enumerate(drawn)
    )
    return ScheduledGroup(block=block, number=number, group=planned, trials=trials)


def schedule(configurations: Sequence[str], *, blocks: int, seed: int, first: int = 0) -> list[Trial]:
    """Randomized complete blocks: every configuration once a block, in an order drawn from seed and block."""
    trials = []
    for block in range(first, first + blocks):
        order = np.random.default_rng([seed, block]).permutation(len(configurations))
        trials += [Trial(block=block, order=i, configuration=configurations[k]) for i, k in enumerate(order)]
    return trials
