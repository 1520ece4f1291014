"""What designs are made of: configurations, comparisons, the order of the trials. Pure.

A design turns parameters into a :class:`~grpclab.analysis.study_plan.StudyPlan` (configurations, headline,
comparisons, curves, ladder, ...), from which the analysis and the report are driven; :func:`schedule` lays the
configurations out in randomized complete blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from grpclab.analysis import fewest_blocks
from grpclab.analysis.study_plan import (
    ArgumentRow,
    PlannedComparison,
    PlannedConfiguration,
    PlannedEngines,
    PlannedHeadline,
    PlannedPart,
    StudyPlan,
)
from grpclab.errors import DesignError, invalid
from grpclab.factors.channel_args import mapping_rows, without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.registries import ENGINES

DELTA = 0.05
"""Smallest effect of interest, as a share."""
METRIC = "throughput_rps"
FAMILY = "throughput"
PREFERRED_CONCURRENCY = 64
PROFILED_BLOCKS = 4
"""So many blocks are looked into after their windows: shares need an interval, not six times the looks."""


def no_verdict(blocks: int) -> str:
    """That so few blocks give no verdict, and how many do; "" where they can."""
    fewest = fewest_blocks()
    return "" if blocks >= fewest else f"no verdict with {blocks} blocks: it takes {fewest} or more (blocks={fewest})"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A place in the schedule."""

    block: int
    order: int
    configuration: str

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.block:02d}-{self.order:03d}-{self.configuration}"


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
        raise DesignError(invalid("engine", engine, f"{' or '.join(ENGINES.builtin)}: this design compares the two"))
    (other,) = (name for name in ENGINES.builtin if name != engine)
    return other


def schedule(configurations: Sequence[str], *, blocks: int, seed: int) -> list[Trial]:
    """Randomized complete blocks: every configuration once a block, in an order drawn from seed and block."""
    trials = []
    for block in range(blocks):
        order = np.random.default_rng([seed, block]).permutation(len(configurations))
        trials += [Trial(block=block, order=i, configuration=configurations[k]) for i, k in enumerate(order)]
    return trials
