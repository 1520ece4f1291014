"""The share of each side: the changes of server and client apart, and both together."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.report import tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "What each side gives", "sides"


def section(study: FinishedStudy) -> str:
    """The parts of the headline as a chain of numbers; "" where the plan has none."""
    if not study.plan.parts:
        return ""
    cards = []
    for part in study.plan.parts:
        c = study.comparison(part.scenario, part.metric or study.metric, part.baseline, part.candidate)
        estimate = f"{words.with_interval(c)} {tables.badge(c.verdict)}"
        more = estimate if c.computed else esc(c.note or "no ratio")
        cards.append(
            tables.card(
                f"{words.ratio_of(c)}{tables.limits(c.limited_by)}",
                f"<b>{esc(part.side or part.title)}</b>: "
                f"{esc(study.title(part.candidate))} against {esc(study.title(part.baseline))}",
                more,
            )
        )
    whole = study.headline
    cards.append(tables.card(qty.ratio(whole.ratio), "<b>both together</b>, the headline", words.with_interval(whole)))
    signs = ["×"] * (len(cards) - 2) + ["="]
    chain = cards[0] + "".join(
        f'<span class="gl-sign">{sign}</span>{card}' for sign, card in zip(signs, cards[1:], strict=True)
    )
    return f'<div class="gl-cards gl-chain">{chain}</div>'
