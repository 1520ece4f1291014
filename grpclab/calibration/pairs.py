"""Groups that are measured as a study does it, and the work that plants a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pandas as pd

from grpclab.analysis.inference.core_speed import EVEN
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.calibration.plan import shuffled
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.study.group import run_group
from grpclab.study.group_result import GroupMember, GroupResult
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan
from grpclab.system.temporary import TemporaryFolder

STUDY = "calibration"
FIRST_WORK_US = 50.0
"""The work in the handler that is tried first, to find out what work costs."""


@dataclass(frozen=True, kw_only=True)
class PairFigures:
    """What a group brought: the figures of its members by name, its slices, and how long all of it took.

    `failed` says why there is nothing to be compared; "" where there is.
    """

    metrics: Mapping[str, Mapping[str, float]]
    limits: Mapping[str, str]
    slices: pd.DataFrame
    seconds: float
    failed: str = ""

    def ln_ratio(self, baseline: str, candidate: str, metric: str = "throughput_rps") -> float:
        """The logarithm of candidate over baseline, as comparisons take it; NaN where there is none."""
        even = self.ln_ratio_whole(baseline, candidate, EVEN[metric]) if metric in EVEN else math.nan
        return self.ln_ratio_whole(baseline, candidate, metric) if math.isnan(even) else even

    def ln_ratio_whole(self, baseline: str, candidate: str, metric: str = "throughput_rps") -> float:
        """The same of the metric itself, whatever the speed of the cores was."""
        both = [float(self.metrics.get(name, {}).get(metric, math.nan)) for name in (candidate, baseline)]
        return math.log(both[0] / both[1]) if not self.failed and min(both) > 0 else math.nan


def measure(
    configs: Mapping[str, TrialConfig],
    *,
    cores: CorePlan,
    seed: int,
    block: int,
    interleaved: bool,
    counted_s: float,
    profile: bool = False,
) -> PairFigures:
    """Measure fresh servers of these configurations, the first one being the hub, for `counted_s` seconds each.

    With `interleaved` in slices; otherwise each alone in one window, one after the other in random order.
    """
    names = list(configs)
    group = PlannedGroup(
        hub=names[0],
        members=tuple(names),
        interleaved=interleaved,
        reason="" if interleaved else "asked for",
        counted_s=counted_s,
    )
    with TemporaryFolder() as root:
        members = []
        for order, name in enumerate(shuffled(names, seed, block)):
            config = configs[name].replace({"load.requests": None, "load.duration_s": counted_s})
            members.append(_member(root, name, config, block=block, order=order, profile=profile))
        result = run_group(members, root, group=group, cores=cores, seed=seed)
    return PairFigures(
        metrics={name: dict(trial.metrics) for name, trial in result.trials.items()},
        limits={name: trial.limited_by for name, trial in result.trials.items()},
        slices=result.slices(),
        seconds=result.seconds,
        failed=_failed(result, interleaved=interleaved),
    )


def _member(root: Path, name: str, config: TrialConfig, *, block: int, order: int, profile: bool) -> GroupMember:
    trial = f"{block:02}-{order:03}-{name}"
    (root / trial).mkdir()
    identity = TrialIdentity(
        study=STUDY, trial=trial, scenario=STUDY, configuration=name, block=block, order=order, group=0
    )
    return GroupMember(config=config, identity=identity, folder=root / trial, profile=profile)


def _failed(result: GroupResult, *, interleaved: bool) -> str:
    """Why a group does not say what it was measured for."""
    reasons = [f"{name}: {trial.invalid_reason}" for name, trial in result.trials.items() if not trial.valid]
    if interleaved:
        reasons += [f"{name} was measured alone: {reason}" for name, reason in result.alone.items()]
    return "; ".join(reasons)


def work_us(
    config: TrialConfig, slower: float, *, cores: CorePlan, seed: int, counted_s: float, rounds: int = 3
) -> float:
    """The handler work, in µs, that makes a call of this configuration take `slower` times as long, by throughput.

    PairFigures with work that makes it take half as long again at least, which noise hides less, and taken to be in
    proportion. Raises MeasurementError where nothing can be measured.
    """
    slopes: list[float] = []
    failed, tried_us = "", FIRST_WORK_US
    for number in range(rounds + 1):
        configs = {"none": config, "some": config.replace({"server.handler_work_us": round(tried_us, 1)})}
        found = measure(configs, cores=cores, seed=seed, block=number, interleaved=True, counted_s=counted_s)
        longer = math.expm1(-found.ln_ratio("none", "some"))
        failed = failed or found.failed
        if longer > 0:
            slopes.append(longer / tried_us)
            if len(slopes) == 1:  # it only says what to try
                tried_us = max(0.5, slower - 1) / slopes[0]
    if not slopes:
        raise MeasurementError(
            f"no difference could be planted in the server: {failed or 'work in the handler has no effect'}"
        )
    return round((slower - 1) / fmean(slopes[1:] or slopes), 2)
