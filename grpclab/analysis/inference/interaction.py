"""Whether a rung of the ladder gives the same on the way up as at the top: order matters where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from grpclab.analysis.inference.pairing import block_ratios
from grpclab.analysis.inference.ratios import Interval, log_t_interval
from grpclab.analysis.study_plan import StudyPlan


@dataclass(frozen=True, kw_only=True)
class MeasuredRung:
    """What one rung gives, as ratios with intervals: on the way up, taken away from the top, and one over the other.

    `apart` is all NaN where both are the same comparison.
    """

    name: str
    title: str
    step: Interval
    top: Interval
    apart: Interval

    @property
    def disagree(self) -> bool:
        """Whether the interval of one over the other leaves out 1."""
        return self.apart.low > 1 or self.apart.high < 1


def rungs(trials: pd.DataFrame, plan: StudyPlan, metric: str) -> list[MeasuredRung]:
    """The rungs that the plan takes away from the top, in its order; see ``leave_one_out`` of the plan."""
    steps = {rung.name: rung for rung in plan.ladder}
    measured = []
    for omission in plan.leave_one_out:
        step = steps[omission.name]
        up = _ratios(trials, omission.scenario, metric, step.baseline, step.configuration)
        top = _ratios(trials, omission.scenario, metric, omission.without, omission.top)
        same = (step.baseline, step.configuration) == (omission.without, omission.top)
        both = up.to_frame("up").join(top.rename("top"), how="inner")
        apart = log_t_interval([] if same else both["up"] / both["top"])
        measured.append(
            MeasuredRung(
                name=omission.name,
                title=omission.title,
                step=log_t_interval(up),
                top=log_t_interval(top),
                apart=apart,
            )
        )
    return measured


def _ratios(trials: pd.DataFrame, scenario: str, metric: str, baseline: str, candidate: str) -> pd.Series:
    """Ratio by block."""
    frame = block_ratios(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    return frame.set_index("block")["ratio"]
