"""The design of ``grpclab compare``: two sides, one question. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from grpclab.analysis.study_plan import PlannedComparison, StudyPlan
from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.effective import unknown_factors
from grpclab.factors.levels import Level
from grpclab.metrics import metric_named, metric_words
from grpclab.study.designs.design import (
    Configurations,
    argument_rows,
    bound_by_n,
    bound_by_z,
    headline,
    most_calls,
)
from grpclab.study.sides import A, B, Side

SCENARIO = "compare"
CLOSED, OPEN = "throughput_rps", "latency_p99_s"
OTHERS = (CLOSED, "latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")


def metric_of(config: TrialConfig) -> str:
    """What such a load is for: throughput of a closed loop, p99 latency of an open one."""
    return CLOSED if config.load.rate_rps is None else OPEN


def plan(sides: Mapping[str, Side], *, blocks: int, delta: float) -> StudyPlan:
    """The plan of the study, as :func:`grpclab.study.designs.default_design.plan` gives it.

    A percentile that the planned calls cannot carry is left out, and said once. Raises UsageError where it is the
    metric of the verdict.
    """
    planned = Configurations()
    for name, side in sides.items():
        planned.add(name, f"{name.upper()}: {side.label}", SCENARIO, side.config, hosted=bool(side.subject.app))
        planned.configurations[name] = replace(planned.configurations[name], settings=_known_settings(side))
    settings = {factor for configuration in planned.configurations.values() for factor in configuration.settings}
    metric = metric_of(sides[A].config)
    title = f"{sides[B].label} against {sides[A].label}"
    left_out = too_few_calls(sides)
    if metric in left_out:
        raise UsageError(f"the verdict on an open loop uses its p99 latency: {left_out[metric]}")
    for other in OTHERS:
        if other != metric and other not in left_out:
            planned.compare(title, SCENARIO, A, B, metric=other)
    both, other_shares = sides[A].subject.call_shares, sides[B].subject.call_shares
    shares = {call: share for call, share in both.items() if call in other_shares}
    planned.compare_calls(title, SCENARIO, A, B, shares)
    if OPEN not in left_out and (few := too_few_of_a_call(sides, shares)):
        left_out["calls"] = few
    return replace(
        planned.plan(blocks=blocks, delta=delta, metric=metric),
        mapping=tuple(row for row in argument_rows() if row.factor in settings),
        headline=headline(
            title, SCENARIO, A, B, labels=(f"A ({sides[A].label})", f"B ({sides[B].label})"), metric=metric
        ),
        left_out=tuple(left_out.values()),
        aa=PlannedComparison(),
        without_aa=True,
        subjects={name: side.subject.stored() for name, side in sides.items()},
    )


def _known_settings(side: Side) -> dict[str, Level]:
    settings = side.config.differences(TrialConfig())
    unknown = unknown_factors(side.subject, settings)
    return {factor: level for factor, level in settings.items() if factor not in unknown}


def too_few_of_a_call(sides: Mapping[str, Side], shares: Mapping[str, float]) -> str:
    """The calls of a mix that a trial will not make often enough for their p99 latency, in a sentence; "" for none."""
    needed, planned = metric_named(OPEN).fewest_calls, min(most_calls(side.config.load) for side in sides.values())
    few = {call: share * planned for call, share in shares.items() if share * planned < needed}
    if not few:
        return ""
    rarest = min(few, key=lambda call: few[call])
    return (
        f"{metric_words(OPEN)} of {', '.join(few)} needs {needed:,} of each call in each trial, but "
        f"{few[rarest]:,.0f} of {rarest} are planned: raise -n"
    )


def too_few_calls(sides: Mapping[str, Side]) -> dict[str, str]:
    """The metrics that need more calls than a trial will make at most, each with a sentence that says so."""
    loads = [side.config.load for side in sides.values()]
    planned = min(most_calls(load) for load in loads)
    reasons = {}
    for metric in OTHERS:
        needed = metric_named(metric).fewest_calls
        if planned < needed:
            bounds = {"-n": bound_by_n, "-z": bound_by_z}
            short = [option for option, bound in bounds.items() if min(map(bound, loads)) < needed]
            reasons[metric] = (
                f"{metric_words(metric)} needs {needed:,} calls in each trial, but {planned:,.0f} are planned: "
                f"raise {' and '.join(short)}"
            )
    return reasons
