"""Every comparison of the study: the forest plot, and a table with all that is known of each."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.metrics import metric_words
from grpclab.report import figures, tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "All comparisons", "comparisons"


def section(study: FinishedStudy) -> str:
    """The forest plots, and the table."""
    blocks = figures.forest(study)
    drawn = "".join(block.html() for block in blocks)
    return (drawn or tables.none("No comparison has two blocks in which both sides are valid.")) + table(study)


def table(study: FinishedStudy) -> str:
    """Every comparison with its interval, p, verdict and what there is to know about it; "" without any."""
    rows: list[tables.Cells] = []
    for group, found in study.listed():
        rows.append([esc(group)])
        for c in found:
            notes = [words.plain(c.get("note") or "")]
            if c.get("verdict") == "inconclusive" and c.get("blocks_needed"):
                notes.append(f"{c['blocks_needed']} blocks would decide it")
            told = "; ".join(n for n in notes if n)
            title = words.plain(c.get("title") or "").removeprefix(f"{group}: ")
            metric = metric_words(str(c.get("metric") or ""))
            sides = f"{metric}, {c.get('candidate')} against {c.get('baseline')}"
            rows.append(
                [
                    f"{esc(title)}<small>{esc(sides)}</small>{f'<small>{esc(told)}</small>' if told else ''}",
                    f"<b>{qty.ratio(c.get('ratio'))}</b>{tables.limits(c.get('limited_by') or [])}",
                    words.interval_of(c),
                    tables.badge(c.get("verdict")),
                    esc(qty.p_value(c.get("p_adjusted"))),
                    esc(c.get("blocks") if c.get("blocks") is not None else qty.MISSING),
                ]
            )
    if not rows:
        return ""
    header = ["comparison", "ratio", "95 % interval", "verdict", "p adjusted", "blocks"]
    return tables.table(header, rows, label="Every comparison", numeric={1, 2, 4, 5})
