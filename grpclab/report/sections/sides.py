"""The share of each side: the changes of server and client apart, and both together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    Card,
    Cells,
    Composed,
    Contents,
    Paragraph,
    Table,
    badge,
    bold,
    interval,
    limits,
    ratio,
)

TITLE, ANCHOR, PLACE, FOLDED = "The effect of each side", "sides", 30, False


APART = 0.02
"""A product of the parts that is further from the whole than this share is pointed out."""


@dataclass(frozen=True, kw_only=True)
class Sides(Composed):
    """A card for each part of the headline and one for the whole, and what is to be said if they do not multiply.

    The table has the same parts, for media without cards.
    """

    cards: tuple[Card, ...]
    sentence: str
    table: Table

    TEMPLATE = "sections/sides.html.j2"

    @property
    def pieces(self) -> Contents:
        """The sentence and the table."""
        return [Paragraph(text=self.sentence) if self.sentence else None, self.table]


def section(study: FinishedStudy) -> Sides | None:
    """The parts of the headline, each a factor of the last card; None where the plan has none."""
    if not study.plan.parts:
        return None
    cards, parts = [], []
    for part in study.plan.parts:
        c = study.comparison(part.scenario, part.metric or study.metric, part.baseline, part.candidate)
        parts.append(c)
        more = (f"{words.with_interval(c)} ", badge(c.verdict)) if c.computed else c.note or "no ratio"
        cards.append(
            Card(
                value=(ratio(c), *limits(c.limited_by)),
                what=(
                    bold(part.side or part.title),
                    f": {study.title(part.candidate)} against {study.title(part.baseline)}",
                ),
                more=more,
            )
        )
    whole = study.headline
    together = (bold("both together"), ", the headline")
    cards.append(Card(value=ratio(whole), what=together, more=words.with_interval(whole)))
    return Sides(cards=tuple(cards), sentence=_product(parts, whole), table=_table(study))


def _table(study: FinishedStudy) -> Table:
    """A row for each part that could be tested, and one for both together."""
    parts = [*study.parts(), ("both together, the headline", study.headline)]
    rows: list[Cells] = [
        [title, (bold(ratio(c)), *limits(c.limited_by)), interval(c), badge(c.verdict)] for title, c in parts
    ]
    header = ["part", "ratio", "95% interval", "verdict"]
    return Table(header=header, rows=rows, label=TITLE, numeric={1, 2})


def _product(parts: Sequence[Comparison], whole: Comparison) -> str:
    """That the parts do not multiply to the whole, which is measured apart from them; "" where they nearly do."""
    product = math.prod(part.ratio for part in parts)
    if not product > 0 or not whole.ratio > 0 or abs(math.log(product / whole.ratio)) <= APART:
        return ""
    return (
        f"Multiplied together, the parts give {qty.ratio(product)}; measured directly, the combination gives "
        f"{qty.ratio(whole.ratio)}."
    )
