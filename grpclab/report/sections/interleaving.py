"""What was measured together, slice by slice: whether the noise is shared, the groups, and what was measured alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.report import figures, together, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    BREAK,
    Cell,
    Cells,
    Composed,
    Contents,
    Heading,
    Missing,
    Paragraph,
    Piece,
    Table,
    small,
)
from grpclab.report.together import GroupFacts

TITLE, ANCHOR, PLACE, FOLDED = "Measured together", "groups", 220, True


@dataclass(frozen=True, kw_only=True)
class MeasuredTogether(Composed):
    """The figure of the slices, the groups, and a sentence on them."""

    picture: Piece
    line: str
    groups: Table

    @property
    def pieces(self) -> Contents:
        """The figure, then the groups with the rules by which they are measured."""
        text = (
            "In each block, the servers of a group are started fresh and run at the same time, and the load generator "
            "switches between them in random order, slice by slice, until each server has been measured for long "
            "enough. A configuration that is in several groups is measured once in each of them, and comparisons are "
            f"made only within a group. {self.line}."
        )
        return [self.picture, Heading(text="Groups"), Paragraph(text=text), self.groups]


def section(study: FinishedStudy) -> MeasuredTogether | None:
    """The figure and the table of groups; None for a study of the first edition."""
    found = together.groups(study)
    if not found:
        return None
    picture = figures.slices(study) or Missing(text=_why_no_figure(study))
    header = ["hub", "measured with it", "how", "counted per slice", "passes", "time per block"]
    table = Table(header=header, rows=[*_rows(study, found)], label="Groups", numeric={3, 4, 5}, widest=1)
    return MeasuredTogether(picture=picture, line=words.sentence_case(together.line(study)), groups=table)


def _why_no_figure(study: FinishedStudy) -> str:
    if {study.baseline, study.candidate} <= set(study.slices.get("member", ())):
        return "Too few passes have a usable slice of both sides of the headline for a figure."
    return "The sides of the headline were not measured in slices."


def _rows(study: FinishedStudy, found: list[GroupFacts]) -> Iterator[Cells]:
    alone: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        if one.how == together.ALONE:
            alone.setdefault(one.reasons, []).append(one.hub)
            continue
        numbers = [text or qty.MISSING for text in (one.slices, one.passes, one.seconds)]
        yield [study.title(one.hub), _titles(study, one.others), _way(one.how, one.reasons), *numbers]
    for reasons, names in alone.items():
        yield [_titles(study, names), qty.MISSING, _way(together.ALONE, reasons), *[qty.MISSING] * 3]


def _titles(study: FinishedStudy, names: Iterable[str]) -> str:
    return "; ".join(study.title(name) for name in names)


def _way(how: str, reasons: Iterable[str]) -> Cell:
    """How a group was measured, and why so where not in slices."""
    return [how, *((BREAK, small(reason)) for reason in reasons)]
