"""A study as a table in plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.study_plan import PlannedRung
from grpclab.metrics import metric_words
from grpclab.report import together, words
from grpclab.report.figures.waiting import comparisons as waiting
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import features

WIDTH = 100
"""The columns of :func:`table`, where there are as many."""
LEAST = 60
"""The fewest columns; a narrower terminal breaks the rows."""


def table(study: FinishedStudy, width: int = WIDTH) -> str:
    """The comparisons that matter in plain text, `width` columns at most.

    The headline, parts, ladder, features, handlers that wait and A/A; in a study without parts, ladder and features,
    every level that was compared. Below them, what was measured together and what was not.
    """
    width = max(LEAST, min(WIDTH, width))
    cells = [["", "ratio", "95% interval", "verdict"], *_rows(study)]
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    widths[0] = max(12, min(widths[0], width - sum(widths[1:]) - 6))
    lines = [
        f"{_cut(name, widths[0]):<{widths[0]}}  {ratio:>{widths[1]}}  {between:>{widths[2]}}  {verdict}"
        for name, ratio, between, verdict in cells
    ]
    shown = together.line(study)
    more = textwrap.wrap(f"measured together: {shown}", width) if shown else []
    return "\n".join([*(line[:width].rstrip() for line in lines), *more])


def _rows(study: FinishedStudy) -> Iterator[list[str]]:
    """The rows of the table: a title, ratio, interval and verdict."""
    yield _row(words.title_of(study.headline, "the headline"), study.headline)
    shown = [study.headline]
    for c in _other_metrics(study):
        yield _row(f"  in {metric_words(c.metric)}", c)
        shown.append(c)
    for title, c in study.parts():
        yield _row(f"  {title}", c)
    for rung, c in study.rungs():
        yield _row(f"  ladder: {_rung(rung)}", c)
    for title, c in features(study):
        yield _row(f"  {title}", c)
    yield from (
        [f"  ladder: {_rung(rung)}", "-", "-", "not testable here"] for rung in study.plan.ladder if rung.not_testable
    )
    for c in waiting(study):
        if c is not study.headline:
            yield _row(f"  {words.title_of(c)}", c)
            shown.append(c)
    if not (study.plan.parts or study.plan.ladder or study.plan.features):
        yield from (_row(f"  {words.title_of(c)}", c) for c in _other_candidates(study) if c not in shown)
    if aa := study.verdict.aa:
        yield _row(words.title_of(aa), aa)


def _cut(title: str, width: int) -> str:
    indent = len(title) - len(title.lstrip(" "))
    return " " * indent + words.short(title, width - indent).replace("…", "~")


def _row(title: str, c: Comparison) -> list[str]:
    """A comparison in the cells of a row."""
    labels = [words.plain(label) for label in c.limited_by if label]
    verdict = words.plain(c.verdict_words) + (f" ({', '.join(labels)})" if labels else "")
    cells = [qty.ratio(c.ratio), words.interval_of(c), words.short(verdict, 44)]
    return [title.rstrip(), *(text.replace(qty.MISSING, "-").replace("…", "~") for text in cells)]


def _rung(rung: PlannedRung) -> str:
    """A rung's title, and whether optimized rejects it."""
    return words.plain(rung.title) + ("" if rung.kept else " (rejected)")


def _other_metrics(study: FinishedStudy) -> list[Comparison]:
    """The headline's two compared in anything else."""
    first = study.headline
    same = (first.scenario, first.baseline, first.candidate)
    return [
        c
        for c in study.verdict.comparisons
        if (c.scenario, c.baseline, c.candidate) == same and c.metric not in ("", first.metric)
    ]


def _other_candidates(study: FinishedStudy) -> list[Comparison]:
    """The other comparisons in the headline's metric."""
    first = study.headline
    return [c for c in study.verdict.comparisons if c.metric == first.metric and c.candidate != first.candidate]
