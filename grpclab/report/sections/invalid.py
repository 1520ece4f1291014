"""The trials that do not count."""

from __future__ import annotations

from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Cells, Table, name

TITLE, ANCHOR, PLACE, FOLDED = "Invalid trials", "invalid", 240, True


def section(study: FinishedStudy) -> Table | None:
    """The trials that do not count, each with its reason; None without any."""
    bad = study.trials[~study.trials["valid"]].sort_values(["block", "order"])
    rows: list[Cells] = [
        [
            name(row.trial or row.configuration),
            study.title(str(row.configuration)),
            str(row.block),
            str(row.invalid_reason or "no reason given"),
        ]
        for row in bad.itertuples(index=False)
    ]
    header = ["trial", "configuration", "block", "reason"]
    return Table(header=header, rows=rows, label="Invalid trials", numeric={2}) if rows else None
