"""The cost of the client: the same servers loaded by both engines."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import figures, tables, words
from grpclab.report.figures.engines import by_engine, clients, sentence, variants
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "What the client costs", "engines"


def section(study: FinishedStudy) -> str:
    """The sentence, the figure and the table; "" where the plan measures with one engine."""
    if not study.engine_rows:
        return ""
    block = figures.engines(study)
    if not block:
        return tables.none("No trial of the configurations that both engines load is valid.")
    return f"<p>{esc(sentence(study))}</p>{block.html()}{table(study)}"


def table(study: FinishedStudy) -> str:
    """The numbers of the figure of engines with their intervals and verdicts; "" without any."""
    rows: list[tables.Cells] = []
    for client in clients(study):
        rows.append([esc(client.variant)])
        for row in client.rows:
            level = row.throughput_rps
            c = client.comparison if row.engine == "wire" else None
            rows.append(
                [
                    esc(row.engine) + ("<small>against grpcio</small>" if c else ""),
                    f"<b>{qty.amount(level.mean)}</b><br><small>{qty.interval(level.low, level.high)}</small>"
                    f"{tables.limits(row.limits)}",
                    *_judged(c),
                    qty.duration(row.server_cpu_s.mean),
                    qty.duration(row.client_cpu_s.mean),
                ]
            )
    if compared := by_engine(study):
        baseline, candidate = variants(study)
        rows.append([f"{esc(candidate)} against {esc(baseline)}"])
        rows += [[esc(engine), "", *_judged(c), "", ""] for engine, c in compared]
    header = ["engine", "requests/s", "ratio", "verdict", "server CPU per call", "client CPU per call"]
    return tables.table(header, rows, label="Engines", numeric={1, 2, 4, 5}) if rows else ""


def _judged(comparison: Comparison | None) -> tuple[str, str]:
    """A ratio with its interval, and its verdict; nothing where there is no comparison."""
    if not comparison:
        return "", ""
    if not comparison.computed:
        return qty.MISSING, esc(comparison.note)
    between = words.interval_of(comparison)
    return f"<b>{words.ratio_of(comparison)}</b><br><small>{between}</small>", tables.badge(comparison.verdict)
