"""Every comparison of the study: the forest plot, and a table with all that is known of each."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.metrics import metric_words
from grpclab.report import figures, tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
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
    for group, members in grouped(study):
        rows.append([esc(group)])
        for c in members:
            notes = [words.plain(c.note)]
            if c.verdict == "inconclusive" and c.blocks_needed:
                notes.append(f"{c.blocks_needed} blocks would decide it")
            if c.generator_limited:
                notes.append(f"the load generator was the limit: {words.plain(c.remedy)}")
            note = "; ".join(n for n in notes if n)
            title = words.plain(c.title).removeprefix(f"{group}: ")
            sides = f"{metric_words(c.metric)}, {c.candidate} against {c.baseline}"
            rows.append(
                [
                    f"{esc(title)}<small>{esc(sides)}</small>{f'<small>{esc(note)}</small>' if note else ''}",
                    f"<b>{words.ratio_of(c)}</b>{tables.limits(c.limited_by)}",
                    words.interval_of(c),
                    tables.badge(c.verdict),
                    esc(qty.p_value(c.p_adjusted)),
                    esc(c.blocks),
                ]
            )
    if not rows:
        return ""
    header = ["comparison", "ratio", "95 % interval", "verdict", "p adjusted", "blocks"]
    return tables.table(header, rows, label="Every comparison", numeric={1, 2, 4, 5})
