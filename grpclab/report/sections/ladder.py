"""The ladder from basic to optimized: what each rung gives on the way up and at the top, and why it is kept or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.inference.interaction import MeasuredRung, rungs
from grpclab.factors.variants import LADDER
from grpclab.report import figures, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    Cell,
    Cells,
    Composed,
    Contents,
    Heading,
    Missing,
    Paragraph,
    Piece,
    Table,
    bold,
    link,
    number,
    small,
)

TITLE, ANCHOR, PLACE, FOLDED = "The ladder", "ladder", 130, False


_WHY = {rung.title: rung.why for rung in LADDER}
"""For plans of before a rung said it itself."""


@dataclass(frozen=True, kw_only=True)
class LadderReasons(Composed):
    """Why each rung is kept or rejected: a sentence, a table, and whether handlers that wait are another case."""

    lead: str
    waiting: bool
    table: Table

    @property
    def pieces(self) -> Contents:
        """The sentence and the table below their heading."""
        waiting = (
            " Handlers in the ladder do not wait, so threads and asyncio do not help them. For handlers that do wait, "
            "see ",
            link("Handlers that wait", "waiting"),
            ".",
        )
        lead = Paragraph(text=(self.lead, *(waiting if self.waiting else ())))
        return [Heading(text="Why each rung is kept or rejected"), lead, self.table]


@dataclass(frozen=True, kw_only=True)
class LadderFromTop(Composed):
    """The rungs taken away from the top one at a time: a sentence and a table."""

    sentence: str
    table: Table

    @property
    def pieces(self) -> Contents:
        """The sentence and the table below their heading."""
        text = (
            f"{self.sentence} In each of these comparisons, the factors of one rung are reset to their values below "
            "that rung, and all other factors stay as they are."
        )
        return [Heading(text="Removing one rung at a time"), Paragraph(text=text), self.table]


@dataclass(frozen=True, kw_only=True)
class LadderShown(Composed):
    """The figure, the reasons and the ladder from its top, as far as there are any."""

    picture: Piece
    reasons: LadderReasons | None = None
    top: LadderFromTop | None = None

    @property
    def pieces(self) -> Contents:
        """All three, in this order."""
        return [self.picture, self.reasons, self.top]


def section(study: FinishedStudy) -> LadderShown | None:
    """The figure, why each rung is kept or rejected, and the ladder from its top; None where the plan has none."""
    if not study.plan.ladder:
        return None
    block = figures.ladder(study)
    if not block:
        return LadderShown(picture=Missing(text="No rung of the ladder has two blocks in which both sides are valid."))
    return LadderShown(picture=block, reasons=_reasons(study), top=from_the_top(study))


# ---- why each rung is kept or rejected ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A rung, whether `optimized` keeps it, on what evidence, and how this study compares it with the rung before."""

    title: str
    kept: bool
    why: str
    comparison: Comparison

    @property
    def ratio(self) -> float:
        """This study's ratio; NaN where it has none."""
        return self.comparison.ratio

    @property
    def stands(self) -> str:
        """The position of this study on the decision, in a few words."""
        verdict = self.comparison.verdict
        if not self.comparison.computed:
            return "not measured here"
        if verdict in ("faster", "slower"):
            return "this study agrees" if (verdict == "faster") == self.kept else "this study says the opposite"
        if verdict == "equivalent":
            return "this study finds no difference"
        return "this study points the other way, but within the noise" if self.against else "undecided in this study"

    @property
    def against(self) -> bool:
        """Whether this study's ratio points the other way, decided or not."""
        apart = self.comparison.computed and self.comparison.verdict != "equivalent"
        return apart and (self.ratio < 1 if self.kept else self.ratio > 1)


def decisions(study: FinishedStudy) -> Iterator[Decision]:
    """The rungs above the first, in their order."""
    for rung in study.plan.ladder[1:]:
        name, baseline = rung.configuration, rung.baseline
        scenario = study.configuration(name).scenario
        yield Decision(
            title=words.plain(rung.title or name),
            kept=rung.kept,
            why=words.plain(rung.why or _WHY.get(rung.title, "")),
            comparison=study.comparison(scenario, study.metric, baseline, name) if name and baseline else Comparison(),
        )


def lead(decided: list[Decision]) -> str:
    """The origin of the decisions, and the rungs that this study sees otherwise, in plain text."""
    text = (
        "Earlier studies, with 18 blocks in total, decided which rungs the optimized variant keeps, so that every "
        "study measures the same ladder; the table shows the ratios found then. This study only shows whether its "
        "own results agree."
    )
    against = [
        f"{d.title} ({'kept' if d.kept else 'rejected'}, here {qty.ratio(d.ratio)})" for d in decided if d.against
    ]
    return f"{text} In this study, the ratio points the other way for {words.listing(against)}." if against else text


def _reasons(study: FinishedStudy) -> LadderReasons | None:
    """The sentence and the table; None without a rung above the first."""
    decided = list(decisions(study))
    if not decided:
        return None
    rows: list[Cells] = [
        [
            d.title,
            _estimated(d.ratio, d.comparison.ci_low, d.comparison.ci_high),
            "kept" if d.kept else "rejected",
            d.why or qty.MISSING,
            d.stands,
        ]
        for d in decided
    ]
    header = ["rung", "here", "in optimized", "evidence", "this study"]
    table = Table(header=header, rows=rows, label="Why each rung is kept or rejected", numeric={1}, widest=3)
    return LadderReasons(lead=lead(decided), waiting=bool(study.plan.waiting), table=table)


def _estimated(ratio: float, low: float, high: float) -> Cell:
    """A ratio with its interval; a dash for none."""
    if not math.isfinite(ratio):
        return qty.MISSING
    return bold(number(qty.ratio(ratio), ratio)), " ", small(number(qty.interval(low, high), low, high))


# ---- the ladder from its top ----------------------------------------------------------------------------------------


def from_the_top(study: FinishedStudy) -> LadderFromTop | None:
    """The table and a sentence; None where the plan takes no rung away."""
    measured = rungs(study.trials, study.plan, study.metric)
    if not measured:
        return None
    rows: list[Cells] = [
        [
            rung.title,
            _estimated(rung.step.mean, rung.step.low, rung.step.high),
            _estimated(rung.top.mean, rung.top.low, rung.top.high),
            _apart(rung),
        ]
        for rung in measured
    ]
    header = ["rung", "on the way up", "at the top", "way up / top"]
    table = Table(header=header, rows=rows, label="Removing one rung at a time", numeric={1, 2, 3})
    return LadderFromTop(sentence=order_sentence(measured), table=table)


def order_sentence(measured: list[MeasuredRung]) -> str:
    """A sentence on the rungs for which the two ways disagree."""
    apart = [rung.title for rung in measured if rung.disagree]
    if apart:
        return (
            f"The order matters: {words.listing(apart)} {'has' if len(apart) == 1 else 'have'} a different effect "
            "on the way up than at the top."
        )
    return "As far as these blocks can show, no rung has a different effect on the way up than at the top."


def _apart(rung: MeasuredRung) -> Cell:
    if rung.apart.blocks == 0:
        return "the same comparison" if rung.step == rung.top else qty.MISSING
    mark = (" ", bold("(differs)")) if rung.disagree else ""
    apart = rung.apart
    between = number(qty.interval(apart.low, apart.high), apart.low, apart.high)
    return number(qty.ratio(apart.mean), apart.mean), mark, " ", small(between)
