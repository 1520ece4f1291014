"""The steps of a schedule of rates, as a table."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.load.result import LoadResult
from grpclab.load.steps import RateStep

STEP_TITLES = ("offered/s", "achieved/s", "p50", "p99", "late p99", "failed")
"""The titles of the cells of a step."""


def step_lines(result: LoadResult) -> list[str]:
    """Return the table as lines of text, and the knee; nothing without a schedule."""
    if not result.steps:
        return []
    rows = [(STEP_TITLES, ""), *((step_cells(step), step_mark(step)) for step in result.steps)]
    lines = [f"  {''.join(f'{cell:>13}' for cell in cells)}   {mark}".rstrip() for cells, mark in rows]
    knee = result.knee
    return lines + (["", f"  {knee.sentence}"] if knee else [])


def step_cells(step: RateStep) -> tuple[str, ...]:
    """The cells of a step, as STEP_TITLES has them."""
    latency = step.run.summary.latency
    return (
        f"{step.rate_rps:,.10g}",
        f"{step.achieved_rps:,.1f}",
        qty.milliseconds(latency["p50"]),
        qty.milliseconds(latency["p99"]),
        qty.milliseconds(step.run.lateness["p99"]),
        f"{step.run.summary.errors:,}",
    )


def step_mark(step: RateStep) -> str:
    """Return what is to be said of a step beside its figures; nothing where all is well."""
    part = f"{step.run.share:.0%} of the planned rate, since workers were lost" if step.run.share < 1 else ""
    return ", ".join(mark for mark in (step.limited_by or ("" if step.keeps_up else "not kept up"), part) if mark)
