"""The share of each side: the changes of server and client apart, and both together."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Card, badge, bold, limits

TITLE, ANCHOR, PLACE, FOLDED = "The effect of each side", "sides", 30, False


def section(study: FinishedStudy) -> list[Card] | None:
    """The parts of the headline, each a factor of the last card; None where the plan has none."""
    if not study.plan.parts:
        return None
    cards = []
    for part in study.plan.parts:
        c = study.comparison(part.scenario, part.metric or study.metric, part.baseline, part.candidate)
        more = (f"{words.with_interval(c)} ", badge(c.verdict)) if c.computed else c.note or "no ratio"
        cards.append(
            Card(
                value=(words.ratio_of(c), *limits(c.limited_by)),
                what=(
                    bold(part.side or part.title),
                    f": {study.title(part.candidate)} against {study.title(part.baseline)}",
                ),
                more=more,
            )
        )
    whole = study.headline
    together = (bold("both together"), ", the headline")
    cards.append(Card(value=qty.ratio(whole.ratio), what=together, more=words.with_interval(whole)))
    return cards
