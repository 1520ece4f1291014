"""Every comparison of the study: the forest plot, and a table with all that is known of each."""

from __future__ import annotations

from collections import Counter

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.judgement import IN_TURN
from grpclab.metrics import metric_words
from grpclab.report import figures, tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.words import esc

TITLE, ANCHOR = "All comparisons", "comparisons"
OFTEN = 3
"""What is said of more comparisons than this is said once, beneath the table."""


def section(study: FinishedStudy) -> str:
    """The forest plots, and the table."""
    blocks = figures.forest(study)
    drawn = "".join(block.html() for block in blocks)
    return (drawn or tables.none("No comparison has two blocks in which both sides are valid.")) + table(study)


def table(study: FinishedStudy) -> str:
    """Every comparison with its interval, p, verdict and what there is to know about it; "" without any."""
    rows: list[tables.Cells] = []
    often = _often([c for _, members in grouped(study) for c in members])
    for group, members in grouped(study):
        rows.append([esc(group)])
        for c in members:
            notes = _notes(c)
            marks = " ".join(f"[{number}]" for number, text in enumerate(often, 1) if text in notes)
            shown = [IN_TURN for text in notes if text in often and text.startswith(f"{IN_TURN}: ")]
            shown += [text for text in notes if text not in often]
            note = "; ".join([*shown, *([f"see {marks}"] if marks else [])])
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
    beneath = "".join(f"<li>{esc(text)}</li>" for text in often)
    drawn = tables.table(header, rows, label="Every comparison", numeric={1, 2, 4, 5})
    return f"{drawn}{f'<ol>{beneath}</ol>' if beneath else ''}"


def _notes(c: Comparison) -> list[str]:
    """What there is to know about a comparison, each thing apart."""
    notes = words.plain(c.note).split("; ")
    if c.verdict == "inconclusive" and c.blocks_needed:
        notes.append(f"{c.blocks_needed} blocks would decide it")
    return [note for note in dict.fromkeys((*notes, *map(words.plain, c.obstacles))) if note]


def _often(comparisons: list[Comparison]) -> list[str]:
    """What is to be said of many comparisons, the first to be read first."""
    times = Counter(note for c in comparisons for note in _notes(c))
    return [note for note, count in times.items() if count > OFTEN]
