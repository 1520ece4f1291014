"""Every comparison of the study: the forest plot, and a table with all that is known of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.inference.pairing import together
from grpclab.analysis.judgement import IN_TURN
from grpclab.metrics import metric_words
from grpclab.report import figures, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.tables import (
    Cells,
    Composed,
    Contents,
    ItemList,
    Missing,
    Piece,
    Table,
    badge,
    below,
    bold,
    interval,
    limits,
    number,
    ratio,
)

TITLE, ANCHOR, PLACE, FOLDED = "All comparisons", "comparisons", 180, True
OFTEN = 3
"""What is said of more comparisons than this is said once, beneath the table."""


@dataclass(frozen=True, kw_only=True)
class EveryComparison(Composed):
    """The forest plots, the table, and what it refers to by number, since it is to be said of many."""

    drawn: tuple[Piece, ...]
    table: Table | None
    often: tuple[str, ...]

    @property
    def pieces(self) -> Contents:
        """The figures, the table, the list that it refers to."""
        return [self.drawn, self.table, ItemList(items=self.often, ordered=True) if self.often else None]


def section(study: FinishedStudy) -> EveryComparison:
    """The forest plots, and the table."""
    lacking = Missing(text="No comparison has two blocks in which both sides are valid.")
    often = _often([c for _, members in grouped(study) for c in members])
    return EveryComparison(drawn=tuple(figures.forest(study)) or (lacking,), table=table(study), often=tuple(often))


def table(study: FinishedStudy) -> Table | None:
    """Every comparison with its interval, p, verdict and what there is to know about it; None without any."""
    rows: list[Cells] = []
    often = _often([c for _, members in grouped(study) for c in members])
    for group, members in grouped(study):
        rows.append([group])
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
                    (title, below(sides), below(note) if note else ""),
                    (bold(ratio(c)), *limits(c.limited_by)),
                    interval(c),
                    badge(c.verdict),
                    number(qty.p_value(c.p_adjusted), c.p_adjusted),
                    number(str(c.blocks), c.blocks),
                ]
            )
    if not rows:
        return None
    header = ["comparison", "ratio", "95% interval", "verdict", "adjusted p", "blocks"]
    return Table(header=header, rows=rows, label="Every comparison", numeric={1, 2, 4, 5})


def _notes(c: Comparison) -> list[str]:
    """What there is to know about a comparison, each thing apart."""
    notes = together(words.plain(c.note).split("; "))
    if c.verdict == "inconclusive" and c.blocks_needed:
        notes.append(f"{c.blocks_needed} blocks would be enough for a verdict")
    return [note for note in dict.fromkeys((*notes, *map(words.plain, c.obstacles))) if note]


def _often(comparisons: list[Comparison]) -> list[str]:
    """What is to be said of many comparisons, the first to be read first."""
    times = Counter(note for c in comparisons for note in _notes(c))
    return [note for note, count in times.items() if count > OFTEN]
