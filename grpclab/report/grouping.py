"""The comparisons of a study in groups that have a name: by what in the plan each of them is made for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from grpclab.analysis import Comparison
from grpclab.report import words
from grpclab.report.finished import FinishedStudy

HEADLINE, OTHER_METRICS, SIDES = "headline", "the same pair, other metrics", "each side"
ENGINES, LADDER, FEATURES = "engines", "ladder", "features"
OTHERS, NOISE = "other comparisons", "noise (A/A)"
"""The groups that any study may have; beside them each sweep, and each scenario but the headline's, is one."""


def grouped(study: FinishedStudy) -> Iterator[tuple[str, list[Comparison]]]:
    """Every comparison of the verdict once, in groups that have a name, in the order of the plan."""
    planned = _planned(study)
    groups: dict[str, list[Comparison]] = {}
    for key, comparison in study.comparisons.items():
        group = planned.get(key) or planned.get(key[2:]) or _unplanned(study, comparison)
        groups.setdefault(group, []).append(comparison)
    first, last = (HEADLINE, OTHER_METRICS, SIDES, ENGINES, LADDER, FEATURES), (OTHERS, NOISE)
    rest = [group for group in groups if group not in (*first, *last)]
    yield from ((group, groups[group]) for group in (*first, *rest, *last) if group in groups)


def features(study: FinishedStudy) -> Iterator[tuple[str, Comparison]]:
    """The comparisons of a service with and without each of its features, by their titles."""
    for feature in study.plan.features:
        for where, (baseline, candidate) in feature.pairs.items():
            comparison = study.comparison(feature.scenario, study.metric_of_headline, baseline, candidate)
            yield f"{words.plain(feature.title)}, {where}", comparison


def _planned(study: FinishedStudy) -> dict[tuple[str, ...], str]:
    """The groups of what the plan compares: by scenario, metric, baseline and candidate, or by the two sides alone."""
    plan = study.plan
    groups: dict[tuple[str, ...], str] = {part.directed: SIDES for part in plan.parts}
    for planned, group in ((plan.headline, HEADLINE), (plan.aa, NOISE)):
        if planned:
            groups[planned.directed] = group
    for rung in plan.ladder:
        groups.setdefault((rung.baseline, rung.configuration), LADDER)
    for feature in plan.features:
        groups |= dict.fromkeys(feature.pairs.values(), FEATURES)
        if feature.steady_pair:
            groups[feature.steady_pair] = FEATURES
    for sweep in (*plan.sweeps, *plan.windows):
        names = [sweep.base, *(point.configuration for point in sweep.points)]
        for pair in itertools.permutations(dict.fromkeys(names), 2):
            groups.setdefault(pair, words.plain(sweep.title or sweep.factor))
    loaded = [name for row in study.engine_rows.values() for name in row.values()]
    for pair in itertools.permutations(dict.fromkeys(loaded), 2):
        if pair != (study.baseline, study.candidate):
            groups.setdefault(pair, ENGINES)
    return groups


def _unplanned(study: FinishedStudy, comparison: Comparison) -> str:
    """The group of a comparison that no part of the plan asks for by name."""
    if (comparison.baseline, comparison.candidate) == (study.baseline, study.candidate):
        return OTHER_METRICS
    scenario = words.plain(comparison.scenario)
    return OTHERS if scenario in ("", words.plain(study.headline.scenario)) else f"scenario {scenario}"
