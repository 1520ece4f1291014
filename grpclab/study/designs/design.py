"""What designs are made of: configurations, comparisons, the order of the trials. Pure.

A design is data: it turns parameters into the ``plan`` of the manifest (configurations, headline, comparisons,
curves, ladder, ...), from which the analysis and the report are driven; :func:`schedule` lays the configurations out in
randomized complete blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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

    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    comparisons: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, title: str, scenario: str, config: TrialConfig) -> str:
        """One more configuration; returns its name."""
        self.configurations[name] = {
            "name": name,
            "title": title,
            "scenario": scenario,
            "settings": config.differences(TrialConfig()),
            "without_effect": without_effect(config),
        }
        return name

    def compare(
        self, title: str, scenario: str, baseline: str, candidate: str, *, metric: str = METRIC
    ) -> dict[str, Any]:
        """Compare two of them; returns what the plan says of that."""
        row = comparison(title, scenario, baseline, candidate, metric=metric)
        self.comparisons.append(row)
        return row


def comparison(title: str, scenario: str, baseline: str, candidate: str, *, metric: str = METRIC) -> dict[str, Any]:
    """What a plan says of a comparison; all comparisons of one metric are a family."""
    return {
        "title": title,
        "scenario": scenario,
        "metric": metric,
        "baseline": baseline,
        "candidate": candidate,
        "family": FAMILY if metric == METRIC else metric,
    }


def plain() -> dict[str, Any]:
    """The parts of a plan that only some designs have, all empty: no curve, no ladder, nothing profiled."""
    lists: dict[str, Any] = {
        name: [] for name in ("parts", "curves", "windows", "ladder", "leave_one_out", "sweeps", "profiled")
    }
    return lists | {"engines": {}, "mapping": mapping_rows()}


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
