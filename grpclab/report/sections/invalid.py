"""The trials that do not count."""

from __future__ import annotations

from grpclab.report import tables
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Invalid trials", "invalid"


def section(study: FinishedStudy) -> str:
    """The trials that do not count, each with its reason; "" for none."""
    bad = study.trials[~study.trials["valid"]].sort_values(["block", "order"])
    rows = [
        [
            f"<code>{esc(row.trial or row.configuration)}</code>",
            esc(study.title(str(row.configuration))),
            str(row.block),
            esc(row.invalid_reason or "no reason given"),
        ]
        for row in bad.itertuples(index=False)
    ]
    return (
        tables.table(["trial", "configuration", "block", "reason"], rows, label="Invalid trials", numeric={2})
        if rows
        else ""
    )
