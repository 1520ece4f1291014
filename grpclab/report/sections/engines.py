"""The cost of the client: the same servers loaded by both engines."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import figures
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
    interval,
    limits,
    number,
    ratio,
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
                        bold(number(qty.amount(level.mean), level.mean)),
                        BREAK,
                        small(number(qty.interval(level.low, level.high), level.low, level.high)),
                        *limits(row.limits),
                    ),
                    *_judged(c),
                    number(qty.duration(row.server_cpu_s.mean), row.server_cpu_s.mean),
                    number(qty.duration(row.client_cpu_s.mean), row.client_cpu_s.mean),
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
    return (bold(ratio(comparison)), BREAK, small(interval(comparison))), badge(comparison.verdict)
