"""The cost of the client: the same servers loaded by both engines."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import figures, words
from grpclab.report.figures.engines import by_engine, clients, sentence, variants
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    BREAK,
    Cell,
    Cells,
    Missing,
    Paragraph,
    Piece,
    Table,
    badge,
    below,
    bold,
    limits,
    small,
)

TITLE, ANCHOR, PLACE, FOLDED = "The cost of the client", "engines", 70, False


def section(study: FinishedStudy) -> list[Piece] | None:
    """The sentence, the figure and the table; None where the plan measures with one engine."""
    if not study.engine_rows:
        return None
    block = figures.engines(study)
    if not block:
        return [Missing(text="No configuration measured with both engines has a valid trial.")]
    listed = table(study)
    return [Paragraph(text=sentence(study)), block, *([listed] if listed else [])]


def table(study: FinishedStudy) -> Table | None:
    """The numbers of the figure of engines with their intervals and verdicts; None without any."""
    rows: list[Cells] = []
    for client in clients(study):
        rows.append([client.variant])
        for row in client.rows:
            level = row.throughput_rps
            c = client.comparison if row.engine == "wire" else None
            rows.append(
                [
                    (row.engine, below("against grpcio") if c else ""),
                    (
                        bold(qty.amount(level.mean)),
                        BREAK,
                        small(qty.interval(level.low, level.high)),
                        *limits(row.limits),
                    ),
                    *_judged(c),
                    qty.duration(row.server_cpu_s.mean),
                    qty.duration(row.client_cpu_s.mean),
                ]
            )
    if compared := by_engine(study):
        baseline, candidate = variants(study)
        rows.append([f"{candidate} against {baseline}"])
        rows += [[engine, "", *_judged(c), "", ""] for engine, c in compared]
    header = ["engine", "requests/s", "ratio", "verdict", "server CPU per call", "client CPU per call"]
    return Table(header=header, rows=rows, label="Engines", numeric={1, 2, 4, 5}) if rows else None


def _judged(comparison: Comparison | None) -> tuple[Cell, Cell]:
    """A ratio with its interval, and its verdict; nothing where there is no comparison."""
    if not comparison:
        return "", ""
    if not comparison.computed:
        return qty.MISSING, comparison.note
    between = words.interval_of(comparison)
    return (bold(words.ratio_of(comparison)), BREAK, small(between)), badge(comparison.verdict)
