"""Handlers that wait and handlers that do not: when threads and asyncio help, in words beside the figure."""

from __future__ import annotations

from grpclab.analysis.study_plan import PlannedWaiting
from grpclab.report import figures, words
from grpclab.report.figures.waiting import comparisons, pair
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Paragraph, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Handlers that wait", "waiting", 120, False


def section(study: FinishedStudy) -> list[Piece] | None:
    """The sentence and the figure; None where the plan has no such scenario."""
    if not study.plan.waiting:
        return None
    block = figures.waiting(study)
    if not block:
        return [Missing(text="The waiting scenario has no valid trial.")]
    return [Paragraph(text=lead(study)), block]


def lead(study: FinishedStudy) -> str:
    """A sentence on what is measured, and the results."""
    waiting = study.plan.waiting or PlannedWaiting()
    wait = words.plain(waiting.handler_wait_ms)
    wait = f"{wait} ms" if wait.replace(".", "").isdigit() else f"for {wait} (ms)"
    ladder = (
        " In the ladder, handlers never wait, so additional threads only compete for the same CPU."
        if study.plan.ladder
        else ""
    )
    return (
        f"Threads help handlers that wait, not handlers that compute. Here, each handler waits {wait} without using "
        f"the CPU, as it would when it calls a database, with {waiting.in_flight} calls in "
        f"flight.{results(study)}{ladder}"
    )


def results(study: FinishedStudy) -> str:
    """Each comparison in a few words; "" for none."""
    texts = [f"{pair(c)}: {words.estimate(c)}, {c.verdict}" for c in comparisons(study)]
    return f" {words.sentence_case('; '.join(texts))}." if texts else ""
