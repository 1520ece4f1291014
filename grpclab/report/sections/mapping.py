"""The settings of the Rust demo: what each is here, whether it acted, and how far it moved the result."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.factors.effective import CHECKED
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.tables import (
    BREAK,
    Cell,
    Cells,
    Paragraph,
    Piece,
    Span,
    Table,
    badge,
    below,
    bold,
    code,
    interval,
    ratio,
    small,
)

TITLE, ANCHOR, PLACE, FOLDED = "From tonic to grpcio", "mapping", 210, True

LEAD = (
    "tonic is the gRPC library of the Rust demo, whose README claims +277% for these settings. For each "
    "setting, the table shows the grpcio counterpart, whether that took effect here, and how much it changed the "
    "result."
)
MOST_TRIED = 2
"""So many comparisons tell of one setting: those that change the fewest others."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A comparison in which a factor differs between the sides, with so many others."""

    comparison: Comparison
    others: int


def section(study: FinishedStudy) -> list[Piece] | None:
    """The table; None where the plan has none. Of a comparison it holds only what was set on a side."""
    rows: list[Cells] = [
        [
            (code(row.tonic), below(code(row.factor)) if row.factor else ""),
            (code(row.grpcio), below(row.note)),
            _effect(study, row.factor),
            _moved(study, row.factor),
        ]
        for row in study.plan.mapping
        if not study.plan.subjects or _where_set(study, row.factor)
    ]
    header = ["tonic, factor", "grpcio", "takes effect", "effect on the result"]
    table = Table(header=header, rows=rows, label="From tonic to grpcio", widest=-1)
    return [Paragraph(text=LEAD), table] if rows else None


def tried(study: FinishedStudy, factor: str) -> list[Tried]:
    """The judged comparisons that tell most of a factor: of each scenario those that change the fewest others."""
    by_scenario: dict[str, list[Tried]] = {}
    for _, group in grouped(study):
        for comparison in group:
            changed = _differences(study, comparison.baseline, comparison.candidate)
            if factor in changed and comparison.computed:
                one = Tried(comparison=comparison, others=len(changed) - 1)
                by_scenario.setdefault(comparison.scenario, []).append(one)
    best = [min(of, key=lambda one: one.others) for of in by_scenario.values()]
    fewest = [one for scenario, of in by_scenario.items() for one in of if one not in best and one.others == 0]
    return sorted([*best, *fewest], key=lambda one: one.others)[:MOST_TRIED]


def _differences(study: FinishedStudy, baseline: str, candidate: str) -> set[str]:
    """The factors in which two configurations differ by the plan."""
    ours, theirs = study.configuration(baseline).settings, study.configuration(candidate).settings
    return {factor for factor in {**ours, **theirs} if ours.get(factor) != theirs.get(factor)}


def _where_set(study: FinishedStudy, factor: str) -> list[str]:
    """The configurations in which the plan sets a factor."""
    return [name for name, c in study.configurations.items() if factor in c.settings]


def _effect(study: FinishedStudy, factor: str) -> str:
    """Whether the factor acted where it was set, as the trials saw it."""
    if not factor:
        return "cannot be set in grpcio"
    where = _where_set(study, factor)
    if not where:
        return "not set in this study"
    reasons = [study.without_effect(name).get(factor, "") for name in where]
    silent = [reason for reason in reasons if reason]
    if not silent:
        return "yes, as advertised" if factor in CHECKED else "set; not visible from outside"
    reason = silent[0]
    if len(silent) == len(where):
        return f"no: {reason}"
    return f"set, but without effect in {qty.count(len(silent), 'configuration')}: {reason}"


def _moved(study: FinishedStudy, factor: str) -> Cell:
    results = tried(study, factor) if factor else []
    if not results:
        return qty.MISSING
    return [(BREAK if at else "", *_result(one)) for at, one in enumerate(results)]


def _result(one: Tried) -> tuple[str | Span, ...]:
    c = one.comparison
    with_others = f", with {qty.count(one.others, 'other setting')}" if one.others else ""
    where = small(f"{c.scenario}: {c.title}{with_others}")
    return bold(ratio(c)), " ", interval(c), " ", badge(c.verdict), BREAK, where
