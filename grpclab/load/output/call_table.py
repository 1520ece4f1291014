"""The figures of each call of a mix, as a table."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.load.result import CallResult, LoadResult

CALL_TITLES = ("share", "calls", "failed", "requests/s", "p50", "p99")
"""The titles of the figures of one call of a mix."""


def call_cells(call: CallResult, calls: int) -> tuple[str, ...]:
    """The cells of one call of a mix of which so many `calls` were made, as CALL_TITLES has them."""
    summary = call.summary
    return (
        f"{qty.percent_of(summary.requests, calls)}",
        f"{summary.requests:,}",
        f"{summary.errors:,}",
        f"{summary.throughput_rps:,.1f}",
        qty.milliseconds(summary.latency["p50"]),
        qty.milliseconds(summary.latency["p99"]),
    )


def call_lines(result: LoadResult) -> list[str]:
    """Return the table as lines of text; nothing where one call is made always."""
    if not result.calls:
        return []
    width = max(len(call.name) for call in result.calls)
    rows = [
        (call.name, "  ".join(f"{cell:>11}" for cell in call_cells(call, result.run.summary.requests)), call.path[1:])
        for call in result.calls
    ]
    titles = ("each call", "  ".join(f"{title:>11}" for title in CALL_TITLES), "")
    return [f"  {name:<{max(width, 9)}}  {cells}  {path}".rstrip() for name, cells, path in (titles, *rows)]
