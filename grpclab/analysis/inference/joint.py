"""Several runs of one plan as one estimate: a random-effects mean with the interval of Hartung and Knapp. Pure.

Each run gives ln ratio and its standard error; runs differ by more than that says, since each is of another day or
another machine. See :mod:`.random_effects`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grpclab.analysis.inference.edition import TODAY, Rules
from grpclab.analysis.inference.random_effects import Pooled, hartung_knapp
from grpclab.analysis.inference.verdict import Comparison, Verdict, judge

FEWEST_RUNS = 3
"""From so many runs on there is one interval; of two, its one degree of freedom would say nothing."""


@dataclass(frozen=True, kw_only=True)
class JointVerdict:
    """Runs of one plan together: the ratio of each, their spread, and from FEWEST_RUNS on one interval and a verdict.

    `low` and `high` are the least and the greatest ratio of a run, `ratio` is the geometric mean of the runs. Below
    FEWEST_RUNS there is no interval and no verdict beyond ``inconclusive``.
    """

    runs: tuple[Comparison, ...]
    ratio: float
    low: float
    high: float
    pooled: Pooled | None
    verdict: Verdict

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95% interval of the ratio, NaN below FEWEST_RUNS."""
        if self.pooled is None:
            return math.nan, math.nan
        return math.exp(self.pooled.low), math.exp(self.pooled.high)

    @property
    def bound(self) -> bool:
        """Whether the load generator was the limit of a run."""
        return any(run.bound_sides for run in self.runs)

    @property
    def blocks(self) -> int:
        """All blocks of the runs."""
        return sum(run.blocks for run in self.runs)


def joined(runs: Sequence[Comparison], *, delta: float, rules: Rules = TODAY) -> JointVerdict:
    """The runs of one comparison together, each with its interval; those without are left out.

    From FEWEST_RUNS on the verdict is that of the pooled ratio, its interval and its p, by the same margins. A run in
    which the load generator was the limit makes it ``inconclusive``, as in a single study.
    """
    known = tuple(run for run in runs if run.computed and run.has_interval and run.ci_high > run.ci_low)
    logs = np.array([math.log(run.ratio) for run in known])
    errors = [run.standard_error for run in known]
    ends = (math.exp(logs.min()), math.exp(logs.max())) if known else (math.nan, math.nan)
    if len(known) < FEWEST_RUNS:
        mean = math.exp(logs.mean()) if known else math.nan
        return JointVerdict(runs=known, ratio=mean, low=ends[0], high=ends[1], pooled=None, verdict="inconclusive")
    pooled = hartung_knapp(logs, errors)
    bound = {side for run in known for side in run.bound}
    verdict = judge(
        metric=known[0].metric,
        ratio=math.exp(pooled.mean),
        ci_low=math.exp(pooled.low),
        ci_high=math.exp(pooled.high),
        p_value=pooled.p_value,
        delta=delta,
        blocks=sum(run.blocks for run in known),
        rules=rules,
        bound=bound,
    )
    return JointVerdict(
        runs=known, ratio=math.exp(pooled.mean), low=ends[0], high=ends[1], pooled=pooled, verdict=verdict
    )
