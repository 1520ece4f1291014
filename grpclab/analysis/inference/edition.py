"""What a verdict asks for, by the edition that measured.

A study of the first edition (its plan has no groups) is judged by the rules that it was measured under, so that what
was published stays what it was; ``grpclab report --rejudge`` applies today's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpclab.analysis.study_plan import StudyPlan
from grpclab.metrics import is_latency


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a verdict. `mirrored`: the margins are 1 / (1 + delta) and 1 + delta, so that exchanging the sides
    mirrors the verdict; else 1 - delta and 1 + delta. `free_generator`: a verdict about a server needs both sides free
    of ``generator-bound``. `free_cores`: where something else used the cores in most trials, a difference counts only
    if the 99.9% interval excludes 1. `fewest_for_t`: the fewest blocks for which a paired t test gives a verdict."""

    edition: int
    mirrored: bool
    free_generator: bool
    free_cores: bool
    fewest_for_t: int

    def margins(self, delta: float) -> tuple[float, float]:
        """The ratios between which a difference is too small to matter."""
        return (1 / (1 + delta) if self.mirrored else 1 - delta), 1 + delta

    def about_server(self, metric: str) -> bool:
        """Whether a verdict on this metric says what a server can do, which a generator at its limit hides."""
        return self.free_generator and (metric == "throughput_rps" or is_latency(metric))


FIRST_EDITION = Rules(edition=1, mirrored=False, free_generator=False, free_cores=False, fewest_for_t=6)
TODAY = Rules(edition=2, mirrored=True, free_generator=True, free_cores=True, fewest_for_t=4)


def rules_of(plan: StudyPlan) -> Rules:
    """The rules of the edition that measured a study: only a plan of the first has no groups."""
    return TODAY if plan.groups else FIRST_EDITION


def ln_margins(delta: float, rules: Rules) -> tuple[float, float]:
    """The logarithms of the margins."""
    low, high = rules.margins(delta)
    return math.log(low), math.log(high)
