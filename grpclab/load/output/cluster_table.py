"""The generator processes of a load from a cluster, as a table."""

from __future__ import annotations

import math

from grpclab import quantities as qty
from grpclab.load.cluster_figures import GeneratorFigures
from grpclab.load.result import LoadResult
from grpclab.load.run import GENERATOR_BOUND
from grpclab.text.printable import printable

LOST = "lost; not counted elsewhere"
CLUSTER_TITLES = ("calls", "calls/s", "late p99", "busy", "clock offset")
"""The titles of the figures of one process."""


def cluster_rows(result: LoadResult) -> list[tuple[str, ...]]:
    """The name and the cells of each process, as CLUSTER_TITLES has them, and a mark where it was the limit, or was
    lost: then only its calls are known.
    """
    if result.cluster is None:
        return []
    return [
        *(
            (printable(one.name, 60), *_cells(one), GENERATOR_BOUND if one.limits else "")
            for one in result.cluster.generators
        ),
        *((printable(one.name, 60), f"{one.calls:,}", "", "", "", "", LOST) for one in result.cluster.lost),
    ]


def _cells(one: GeneratorFigures) -> tuple[str, ...]:
    late = "-" if math.isnan(one.late_p99_s) else qty.milliseconds(one.late_p99_s)
    offset = f"{_clock(one.offset_s)} ±{qty.milliseconds(one.bound_s)}"
    return f"{one.calls:,}", f"{one.calls_per_s:,.1f}", late, f"{one.busy_share:.0%}", offset


def _clock(seconds: float) -> str:
    """An offset, which may be that of two machines that were started on different days."""
    return f"{seconds:+,.1f} s" if abs(seconds) >= 10 else qty.duration_in(seconds, "ms", "+,.2f")


def cluster_lines(result: LoadResult) -> list[str]:
    """Return the table as lines of text; nothing where the load came from this machine alone."""
    if result.cluster is None:
        return []
    rows = cluster_rows(result)
    width = max(len("generators"), *(len(name) for name, *_ in rows))
    lines = [f"  {'cluster':<12} {result.cluster.sentence}"]
    titles = ("generators", *CLUSTER_TITLES, "")
    for name, calls, rate, late, busy, offset, mark in (titles, *rows):
        lines.append(f"  {name:<{width}}{calls:>13}{rate:>13}{late:>12}{busy:>7}   {offset:<24}{mark}".rstrip())
    return lines
