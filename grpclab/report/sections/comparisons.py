"""Every comparison of the study: the forest plot, and a table with all that is known of each."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.metrics import metric_words
from grpclab.report import figures, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.tables import Cells, Missing, Piece, Table, badge, below, bold, limits

TITLE, ANCHOR, PLACE, FOLDED = "All comparisons", "comparisons", 180, True


def section(study: FinishedStudy) -> list[Piece]:
    """The forest plots, and the table."""
    lacking = Missing(text="No comparison has two blocks in which both sides are valid.")
    drawn: list[Piece] = [*figures.forest(study)] or [lacking]
    listed = table(study)
    return [*drawn, listed] if listed else drawn


def table(study: FinishedStudy) -> Table | None:
    """Every comparison with its interval, p, verdict and what there is to know about it; None without any."""
    rows: list[Cells] = []
    for group, members in grouped(study):
        rows.append([group])
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
                    (title, below(sides), below(note) if note else ""),
                    (bold(words.ratio_of(c)), *limits(c.limited_by)),
                    words.interval_of(c),
                    badge(c.verdict),
                    qty.p_value(c.p_adjusted),
                    str(c.blocks),
                ]
            )
    if not rows:
        return None
    header = ["comparison", "ratio", "95 % interval", "verdict", "p adjusted", "blocks"]
    return Table(header=header, rows=rows, label="Every comparison", numeric={1, 2, 4, 5})
