"""The page of the documentation on the table of metrics: ``make guides`` writes docs/metrics.md anew."""

from __future__ import annotations

from pathlib import Path

from grpclab.metrics import METRICS, Metric, Quantity

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
UNITS: dict[Quantity, str] = {
    "time": "s",
    "rate": "1/s",
    "share": "0 to 1",
    "cores": "cores",
    "bytes": "bytes",
    "count": "number",
    "yes or no": "yes or no",
    "text": "text",
    "JSON": "JSON",
}
BEGINNING = """\
# Columns of a study

`results/STUDY/trials.parquet` has one row per trial. Its columns are the factors (`grpclab factors` lists them) and the
metrics below. Columns use base units. If a trial did not measure a number, the number is NaN; missing text is empty.

The column *better* says which direction is better, if any, and so decides whether a candidate is `faster` or `slower`.
A percentile needs ten calls beyond it: p50 needs 20 calls, p99 needs 1,000, and p99.9 needs 10,000. With fewer calls,
the percentile is NaN.
"""


def page() -> str:
    """The page as Markdown."""
    subjects = dict.fromkeys(metric.subject for metric in METRICS.values())
    return BEGINNING + "".join(
        f"\n## {subject}\n\n| column | unit | what it is | better |\n| --- | --- | --- | --- |\n{_rows(subject)}"
        for subject in subjects
    )


def _rows(subject: str) -> str:
    return "".join(_row(metric) for metric in METRICS.values() if metric.subject == subject)


def _row(metric: Metric) -> str:
    since = f" (since schema version {metric.since})" if metric.since > 1 else ""
    return f"| `{metric.name}` | {UNITS[metric.quantity]} | {metric.meaning}{since} | {metric.better or ''} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
