"""Frames for figures: levels of configurations, steps of the ladder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from grpclab.analysis.inference.pairing import block_columns, block_values, together
from grpclab.analysis.inference.ratios import log_t_interval, trials_of
from grpclab.analysis.inference.validity import limits_of
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.judgement import compare_planned, headline_of, judge_family, other_comparisons
from grpclab.analysis.study_plan import PlannedComparison, PlannedRung, StudyPlan


def levels(trials: pd.DataFrame, configurations: Sequence[str], metric: str) -> pd.DataFrame:
    """The level of a positive metric in each configuration, in the given order.

    Columns: configuration, mean (geometric mean over blocks), ci_low, ci_high (95% t interval on the logarithms, NaN
    below two blocks), all in the metric's unit, blocks (int), limited_by (labels joined by ", "), note (which blocks
    were left out and why, "" if none).
    """
    rows = []
    for name in configurations:
        measured = trials_of(trials, name, columns=block_columns(metric))
        values, reasons = block_values(measured, metric)
        interval = log_t_interval(list(values.values()))
        notes = together(
            f"block {block} was left out because the trial {why}" for block, why in sorted(reasons.items())
        )
        rows.append(
            {
                "configuration": name,
                "mean": interval.mean,
                "ci_low": interval.low,
                "ci_high": interval.high,
                "blocks": interval.blocks,
                "limited_by": ", ".join(limits_of(trials, name)),
                "note": "; ".join(notes) if not measured.empty else f"no trial of {name}",
            }
        )
    names = ["configuration", "mean", "ci_low", "ci_high", "blocks", "limited_by", "note"]
    return pd.DataFrame(rows, columns=names)


def ladder_steps(trials: pd.DataFrame, plan: StudyPlan, metric: str, judged: Iterable[Comparison] = ()) -> pd.DataFrame:
    """The rungs of the plan's ladder, each compared with the rung that it builds on.

    Columns: name, title, configuration, baseline, kept (bool), not_testable (reason or ""), ratio, ci_low, ci_high,
    verdict, cumulative. Verdicts are adjusted within the family of all the plan's comparisons on that metric, so they
    agree with verdict.json; `judged` are those that it holds, which are not judged again. `cumulative` is the product
    of the ratios along the kept rungs: 1 for the first rung, NaN for rejected ones. A rung that could not be tested or
    measured has NaN, never 1; its verdict is "" if it was not tried.
    """
    steps = [_step(rung, plan, metric) for rung in plan.ladder]
    tried = [step for step in steps if step]
    known = {_sides(comparison): comparison for comparison in judged if comparison.metric == metric}
    if not all(_sides(step) in known for step in tried):
        known = _judged(trials, plan, metric, tried)

    product: dict[str, float] = {}
    rows = []
    for rung, step in zip(plan.ladder, steps, strict=True):
        comparison = known.get(_sides(step)) if step else None
        ratio = comparison.ratio if comparison else math.nan
        cumulative = math.nan
        if rung.kept and rung.configuration:
            first = not product and not rung.not_testable
            cumulative = 1.0 if first and not step else product.get(rung.baseline, 1.0 if first else math.nan) * ratio
            product[rung.configuration] = cumulative
        rows.append(
            {
                "name": rung.name,
                "title": rung.title,
                "configuration": rung.configuration,
                "baseline": rung.baseline,
                "kept": rung.kept,
                "not_testable": rung.not_testable,
                "ratio": ratio,
                "ci_low": comparison.ci_low if comparison else math.nan,
                "ci_high": comparison.ci_high if comparison else math.nan,
                "verdict": comparison.verdict if comparison else "",
                "cumulative": cumulative,
            }
        )
    names = [
        "name",
        "title",
        "configuration",
        "baseline",
        "kept",
        "not_testable",
        "ratio",
        "ci_low",
        "ci_high",
    ]
    return pd.DataFrame(rows, columns=[*names, "verdict", "cumulative"])


def _step(rung: PlannedRung, plan: StudyPlan, metric: str) -> PlannedComparison | None:
    """A rung against the one it starts from; None for the first, and for what cannot be tested here."""
    scenarios = {configuration.name: configuration.scenario for configuration in plan.configurations}
    step = plan.completed(
        PlannedComparison(
            title=rung.title,
            scenario=scenarios.get(rung.configuration, ""),
            metric=metric,
            baseline=rung.baseline,
            candidate=rung.configuration,
        )
    )
    return step if step.testable and not rung.not_testable and step.baseline != step.candidate else None


def _judged(
    trials: pd.DataFrame, plan: StudyPlan, metric: str, steps: Sequence[PlannedComparison]
) -> dict[tuple[str, str, str], Comparison]:
    """Every comparison on that metric by scenario, baseline and candidate, as `analyse` judges it."""
    headline = headline_of(plan)
    family = [planned for planned in other_comparisons(plan) if planned.metric == metric]
    listed = {_sides(planned) for planned in family}
    alone = _sides(headline) if headline.metric == metric else None
    for step in steps:
        if _sides(step) not in listed and _sides(step) != alone:
            family.append(step)
            listed.add(_sides(step))
    judged = judge_family(trials, family, plan)
    if alone:
        judged.append(compare_planned(trials, headline, plan, exact=True))
    return {_sides(comparison): comparison for comparison in judged}


def _sides(comparison: Comparison | PlannedComparison) -> tuple[str, str, str]:
    """Scenario, baseline and candidate."""
    return comparison.scenario, comparison.baseline, comparison.candidate
