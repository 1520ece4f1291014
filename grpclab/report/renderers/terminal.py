"""A study as a table in plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.study_plan import PlannedPart, PlannedRung
from grpclab.metrics import metric_words
from grpclab.report import words
from grpclab.report.figures.waiting import comparisons as waiting
from grpclab.report.finished import FinishedStudy

WIDTH = 100
"""The most columns of :func:`table`."""

Comparison = Mapping[str, Any]


def table(study: FinishedStudy) -> str:
    """The comparisons that matter in plain text, :data:`WIDTH` columns at most.

    The headline, parts, ladder, handlers that wait and A/A; in a study without parts and ladder, every level that was
    compared.
    """
    rows: list[tuple[str, Comparison]] = [(title(study.headline, "the headline"), study.headline)]
    rows += [(f"  in {metric_words(str(c['metric']))}", c) for c in _other_metrics(study)]
    rows += [(f"  {part_title(entry, c)}", c) for entry, c in study.parts()]
    rows += [(f"  ladder: {_rung(entry)}", c) for entry, c in study.rungs()]
    rows += [
        (f"  ladder: {_rung(entry)}", {"verdict": "not testable here"})
        for entry in study.plan.ladder
        if entry.not_testable
    ]
    rows += [(f"  {title(c, 'handlers that wait')}", c) for c in waiting(study) if c is not study.headline]
    if not (study.plan.parts or study.plan.ladder):
        shown = [c for _, c in rows]
        rows += [(f"  {title(c, 'another')}", c) for c in _other_candidates(study) if c not in shown]
    if aa := study.verdict.get("aa"):
        rows.append((title(aa, "A/A"), aa))
    cells = [["", "ratio", "95 % interval", "verdict"]]
    cells += [[name.rstrip(), *_plain_cells(c)] for name, c in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    widths[0] = max(12, min(widths[0], WIDTH - sum(widths[1:]) - 6))
    lines = [
        f"{_cut(name, widths[0]):<{widths[0]}}  {ratio:>{widths[1]}}  {between:>{widths[2]}}  {verdict}"
        for name, ratio, between, verdict in cells
    ]
    return "\n".join(line[:WIDTH].rstrip() for line in lines)


def _cut(title: str, width: int) -> str:
    indent = len(title) - len(title.lstrip(" "))
    return " " * indent + words.short(title, width - indent).replace("…", "~")


def _plain_cells(c: Comparison) -> list[str]:
    labels = [words.plain(label) for label in c.get("limited_by") or [] if label]
    verdict = words.plain(c.get("verdict") or "-") + (f" ({', '.join(labels)})" if labels else "")
    found = [qty.ratio(c.get("ratio")), words.interval_of(c), words.short(verdict, 44)]
    return [text.replace("×", "x").replace(qty.MISSING, "-").replace("…", "~") for text in found]


def _rung(rung: PlannedRung) -> str:
    """A rung's title, and whether optimized rejects it."""
    return words.plain(rung.title) + ("" if rung.kept else " (rejected)")


def part_title(part: PlannedPart, c: Comparison) -> str:
    """A part's title, with its side in front where the title does not begin with it."""
    name, side = words.plain(part.title or title(c, "a part")), words.plain(part.side)
    return name if name.startswith(side) else f"{side}: {name}"


def _other_metrics(study: FinishedStudy) -> list[Comparison]:
    """The headline's two compared in anything else."""
    first = study.headline
    keys = ("scenario", "baseline", "candidate")
    return [
        c
        for c in study.verdict.get("comparisons") or []
        if all(c.get(key) == first.get(key) for key in keys) and c.get("metric") not in (None, first.get("metric"))
    ]


def _other_candidates(study: FinishedStudy) -> list[Comparison]:
    """What else was compared in the headline's metric."""
    first = study.headline
    return [
        c
        for c in study.verdict.get("comparisons") or []
        if c.get("metric") == first.get("metric") and c.get("candidate") != first.get("candidate")
    ]


def title(c: Comparison, otherwise: str) -> str:
    """The title of a comparison, or what it compares; `otherwise` where it says neither."""
    sides = f"{c.get('candidate')} against {c.get('baseline')}" if c.get("candidate") else otherwise
    return words.plain(c.get("title") or sides)
