"""A whole study judged: its headline, all other comparisons, the A/A arm, limits, warnings and one sentence.

The headline is the one comparison declared before the run: exact sign-flip test, not adjusted. Every other
comparison is a paired t test, adjusted by Holm in one family per metric. The A/A arm warns about the
machine; it never widens delta, which would count the same noise twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.answer_comparison import answers_caution, answers_notes
from grpclab.analysis.claims import replication
from grpclab.analysis.claims.claim import listing
from grpclab.analysis.disagreement import Judged, disagreement_note
from grpclab.analysis.inference.edition import Rules, rules_of
from grpclab.analysis.inference.pairing import trials_of_pair
from grpclab.analysis.inference.random_effects import machines_note
from grpclab.analysis.inference.ratios import column, consolidated, fewest_blocks, holm, numbers, valid_trials
from grpclab.analysis.inference.stability import block_apart, drift_warning
from grpclab.analysis.inference.validity import (
    CLIENT,
    GENERATOR,
    bound_note,
    client_note,
    errors_note,
    invalid_note,
    limits_of,
    outages_note,
)
from grpclab.analysis.inference.verdict import Comparison, compare
from grpclab.analysis.limits.resources import Limit, limiting_resources
from grpclab.analysis.sentence import sentence
from grpclab.analysis.study_notices import study_notices
from grpclab.analysis.study_plan import PlannedComparison, PlannedHeadline, StoredCores, StudyPlan
from grpclab.errors import DesignError
from grpclab.system.json_fields import Json
from grpclab.system.notices import Notice

IN_TURN = "measured one after the other"
"""What is said of a comparison whose sides do not interleave; the reason may follow."""
SCHEMA_VERSION = 2  # 1: the first; 2: limits


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The findings of a study: the content of verdict.json.

    `warnings` are for people, the most serious first. `aa` is None without an A/A comparison. `limits` contains what
    limited each configuration, in the order of the plan. `notices` contains what happened around the trials; their
    sentences are also in the warnings. If a file has no headline, `headline` has no ratio.
    """

    schema_version: Json = None
    sentence: str = ""
    headline: Comparison = field(default_factory=Comparison)
    comparisons: tuple[Comparison, ...] = ()
    aa: Comparison | None = None
    warnings: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def judged(self) -> tuple[Comparison, ...]:
        """The headline, then every other comparison of the plan."""
        return self.headline, *self.comparisons

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of verdict.json."""
        return {
            "schema_version": self.schema_version,
            "sentence": self.sentence,
            "headline": self.headline.as_dict(),
            "comparisons": [comparison.as_dict() for comparison in self.comparisons],
            "aa": self.aa.as_dict() if self.aa else None,
            "warnings": list(self.warnings),
            "limits": [limit.as_dict() for limit in self.limits],
            "notices": [notice.to_json() for notice in self.notices],
        }


def analyse(
    trials: pd.DataFrame, plan: StudyPlan, cores: StoredCores | None = None, rules: Rules | None = None
) -> Judgement:
    """Judge a study. `trials` has one row per trial; `plan` and `cores` are those of its manifest.

    `rules` are by default those of the edition with which the study was measured.

    Trials that are missing, invalid or without a usable value do not raise an error; they lead to comparisons without a
    ratio, notes and warnings. Raises DesignError if the plan does not name a headline.
    """
    planned, rules = headline_of(plan), rules or rules_of(plan)
    trials = consolidated(trials)
    headline = compare_planned(trials, planned, plan, exact=True, rules=rules)
    comparisons = judge_family(trials, other_comparisons(plan), plan, rules=rules)
    aa = compare_planned(trials, plan.aa_arm, plan, rules=rules) if plan.aa_arm else None

    judged = {c.directed: c for c in (headline, *comparisons)}
    parts = [(part, judged[part.directed]) for part in map(plan.completed, plan.parts) if part.testable]
    statement = sentence(headline, planned, parts)
    answer = replication.answer(replication.claims(trials, judged.values(), plan))
    cautions = [_caution(headline, trials), answers_caution(trials, headline), _aa_caution(aa)]
    return Judgement(
        schema_version=SCHEMA_VERSION,
        sentence=" ".join(text for text in [answer, f"Here {statement}" if answer else statement, *cautions] if text),
        headline=headline,
        comparisons=tuple(comparisons),
        aa=aa,
        warnings=tuple(_warnings(trials, plan, judged, aa)),
        limits=tuple(limiting_resources(trials, plan, cores)),
        notices=study_notices(trials),
    )


def headline_of(plan: StudyPlan) -> PlannedHeadline:
    """The one comparison declared before the run. Raises DesignError where there is none."""
    headline = plan.completed(plan.headline or PlannedHeadline())
    if not headline.testable:
        raise DesignError("the plan has no headline: set its baseline and candidate")
    return headline


def other_comparisons(plan: StudyPlan) -> list[PlannedComparison]:
    """Every comparison of the plan but the headline; parts that it forgot to list stand at the end."""
    headline = headline_of(plan)
    comparisons = [plan.completed(planned) for planned in plan.comparisons]
    listed = {planned.directed for planned in comparisons}
    comparisons += [part for part in map(plan.completed, plan.parts) if part.directed not in listed]
    return [planned for planned in comparisons if planned.testable and planned.directed != headline.directed]


def compare_planned(
    trials: pd.DataFrame,
    planned: PlannedComparison,
    plan: StudyPlan,
    *,
    family: str = "",
    exact: bool = False,
    rules: Rules | None = None,
) -> Comparison:
    """Put a comparison of the plan to the trials, unadjusted; its note says where it was not interleaved, and why."""
    compared = compare(
        trials,
        title=planned.title,
        scenario=planned.scenario,
        metric=planned.metric,
        baseline=planned.baseline,
        candidate=planned.candidate,
        family=family,
        delta=plan.smallest_effect,
        exact=exact,
        rules=rules or rules_of(plan),
    )
    note = "; ".join(text for text in (not_interleaved(trials, planned, plan), compared.note) if text)
    return replace(compared, note=note)


def not_interleaved(trials: pd.DataFrame, planned: PlannedComparison, plan: StudyPlan) -> str:
    """That the sides of a comparison were measured one after the other, and why; "" where their slices interleave.

    By the plan, and by the trials: a member of a group that could not be interleaved was measured alone in one window.
    """
    sides = {planned.baseline, planned.candidate}
    shared = [group for group in plan.groups if sides <= set(group.members)]
    if shared and not any(group.interleaved for group in shared):
        reasons = dict.fromkeys(group.reason for group in shared if group.reason)
        return IN_TURN + (f": {', '.join(reasons)}" if reasons else "")
    pair = valid_trials(
        trials_of_pair(trials, scenario=planned.scenario, baseline=planned.baseline, candidate=planned.candidate)
    )
    alone = pair[numbers(pair, "pass_count").eq(0)]
    if not shared or alone.empty:
        return ""
    counts = column(alone, "configuration").value_counts()
    each = [f"{name} in {counts[name]:,} of {qty.count(_trials(pair, name), 'trial')}" for name in sorted(counts.index)]
    return f"measured alone, one after the other: {', '.join(each)}"


def _trials(pair: pd.DataFrame, name: str) -> int:
    return int(column(pair, "configuration").eq(name).sum())


def judge_family(
    trials: pd.DataFrame, family: Sequence[PlannedComparison], plan: StudyPlan, *, rules: Rules | None = None
) -> list[Comparison]:
    """Compare all of them by the paired t test, in the order given, adjusted by :func:`adjust_family`."""
    rules = rules or rules_of(plan)
    raw = [compare_planned(trials, planned, plan, family=planned.metric, rules=rules) for planned in family]
    return adjust_family(raw, family, rules)


def adjust_family(raw: Sequence[Comparison], family: Sequence[PlannedComparison], rules: Rules) -> list[Comparison]:
    """The comparisons of planned ones, in their order, adjusted by Holm in one family per metric.

    The family carries the metric's name. A comparison that is listed twice, or once in each direction,
    counts once; one without a ratio has no p and does not count.
    """
    keys = [planned.key for planned in family]
    p_values = {key: c.p_value for key, c in zip(keys, raw, strict=True)}
    adjusted: dict[tuple[str, str, frozenset[str]], float] = {}
    tests: dict[str, int] = {}
    for metric in {planned.metric for planned in family}:
        of_metric = {key: p for key, p in p_values.items() if key[1] == metric}
        adjusted |= dict(zip(of_metric, holm(list(of_metric.values())), strict=True))
        tests[metric] = sum(not math.isnan(p) for p in of_metric.values())
    return [
        c.adjusted(adjusted[key], tests=tests[c.metric], rules=rules) if c.computed else c
        for key, c in zip(keys, raw, strict=True)
    ]


def _bound(headline: Comparison, trials: pd.DataFrame) -> str:
    sides = (headline.baseline, headline.candidate)
    pair = trials_of_pair(
        trials, scenario=headline.scenario, baseline=sides[0], candidate=sides[1], columns=("limited_by",)
    )
    limited = [name for name in sides if GENERATOR in limits_of(pair, name, headline.scenario)]
    return bound_note(headline.metric, baseline=headline.baseline, candidate=headline.candidate, limited=limited)


def _caution(headline: Comparison, trials: pd.DataFrame) -> str:
    bound = _bound(headline, trials)
    return f"But {bound}." if bound and headline.computed and not headline.generator_limited else ""


def _aa_caution(aa: Comparison | None) -> str:
    return "But the A/A comparison shows a difference: see the warnings." if aa and aa.excludes_one else ""


def _warnings(
    trials: pd.DataFrame,
    plan: StudyPlan,
    judged: Judged,
    aa: Comparison | None,
) -> list[str]:
    headline, *comparisons = judged.values()
    compared = [headline, *comparisons, *([aa] if aa else [])]
    names = list(dict.fromkeys(name for c in compared for name in (c.baseline, c.candidate)))
    # That calls fail and connections are given up is what is measured where the link forgets connections.
    connected = trials[numbers(trials, "link.idle_timeout_s").isna()]
    warnings = [
        "" if plan.without_aa else _aa_warning(aa),
        disagreement_note(plan.engines, judged, headline.metric),
        _blocks_warning(plan, headline),
        drift_warning(connected, headline.delta),
        _block_apart(headline, trials),
        machines_note(headline.by_machine, headline.between_machines if headline.over_machines else None),
        _bound(headline, trials),
        _bounds_warning(comparisons),
        client_note(name for name in names if CLIENT in limits_of(trials, name)),
        invalid_note(trials),
        errors_note(connected, names),
        outages_note(connected),
        *_gaps_warnings(comparisons),
        *answers_notes(trials, compared),
        _reconnections(plan, headline),
        *(str(notice) for notice in study_notices(trials)),
        *(plan.left_out or ()),
    ]
    return [text for text in warnings if text]


def _reconnections(plan: StudyPlan, headline: Comparison) -> str:
    """What the blocks of a server that ran already are, where the headline is about one."""
    titles = {one.name: one.title for one in plan.configurations}
    sides = dict.fromkeys((headline.baseline, headline.candidate))
    there = [titles.get(name) or name for name in sides if name in plan.subjects and plan.subjects[name].address]
    if not there:
        return ""
    servers, were = ("the server of", "was") if len(there) == 1 else ("the servers of", "were")
    return (
        f"{servers} {' and '.join(there)} {were} already running, so each block opens new connections but does not "
        "start a fresh server, and anything unusual about that process affects every block"
    )


def _block_apart(headline: Comparison, trials: pd.DataFrame) -> str:
    apart = block_apart(
        trials,
        scenario=headline.scenario,
        metric=headline.metric,
        baseline=headline.baseline,
        candidate=headline.candidate,
    )
    return f"in the headline, {apart}" if apart else ""


def _aa_warning(aa: Comparison | None) -> str:
    if aa is None:
        return "the study has no A/A comparison, so this machine's noise has not been checked"
    if not aa.computed:
        return f"the A/A comparison could not be computed ({aa.missing}), so this machine's noise has not been checked"
    if not aa.has_interval:
        return (
            f"the A/A comparison has {aa.blocks} blocks, too few for an interval, so this machine's noise has "
            "not been checked"
        )
    if not aa.excludes_one:
        return ""
    return (
        f"the A/A comparison shows a difference between two copies of the same configuration: {aa.candidate} against "
        f"{aa.baseline} gives {qty.ratio(aa.ratio, 'sentence')} (95% interval {aa.ci_low:.3f} to {aa.ci_high:.3f}, "
        f"{aa.blocks} blocks). This happens by chance in one study in 20. If it was not chance, the blocks are not "
        "independent of what ran before, and every ratio in this study is in doubt"
    )


def _blocks_warning(plan: StudyPlan, headline: Comparison) -> str:
    fewest, counted = fewest_blocks(), headline.blocks
    planned = plan.blocks or counted
    note = f"; {headline.missing}" if headline.missing else ""
    have = f"the headline rests on {counted} of {planned} planned blocks" if counted < planned else ""
    if counted < fewest:
        have = have or f"the study has {counted} block{'' if counted == 1 else 's'}"
        return f"{have}, too few for a verdict (at least {fewest} are needed){note}"
    return f"{have}{note}" if have else ""


def _bounds_warning(comparisons: Iterable[Comparison]) -> str:
    titles = [c.title for c in comparisons if c.computed and GENERATOR in c.limited_by]
    if not titles:
        return ""
    return (
        f"the load generator was at its limit in trials of {_some(titles)}; the note on each says whether the ratio is "
        "a bound"
    )


def _gaps_warnings(comparisons: Sequence[Comparison]) -> list[str]:
    """One warning for each reason why comparisons have no ratio; each comparison is named once."""
    titles: dict[str, list[str]] = {}
    for c in comparisons:
        if not c.computed:
            titles.setdefault(c.missing, []).append(c.title)
    # The sides of one comparison in several metrics have one title; a metric that is missing names itself.
    several = len({c.title for c in comparisons}) > 1
    return [
        f"no ratio could be computed{f' for {_some(of)}' if several else ''}: {reason}" for reason, of in titles.items()
    ]


def _some(titles: Sequence[str]) -> str:
    distinct = [f"'{title}'" for title in dict.fromkeys(titles)]
    return listing([*distinct[:4], f"{len(distinct) - 4} more"] if len(distinct) > 4 else distinct)
