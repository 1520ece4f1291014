"""The ladder from its top: what each rung gives on the way up, and what is lost where it alone is taken away."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.analysis.inference.interaction import Rung, rungs
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections.tables import Cells, table
from grpclab.report.words import esc


def section(study: FinishedStudy) -> str:
    """The table and a sentence; "" where the plan takes no rung away."""
    found = rungs(study.trials, study.plan, study.metric)
    if not found:
        return ""
    rows: list[Cells] = [
        [
            esc(rung.title),
            f"<b>{qty.ratio(rung.step.mean)}</b> <small>{qty.interval(rung.step.low, rung.step.high)}</small>",
            f"<b>{qty.ratio(rung.top.mean)}</b> <small>{qty.interval(rung.top.low, rung.top.high)}</small>",
            _apart(rung),
        ]
        for rung in found
    ]
    header = ["rung", "on the way up", "at the top", "way up / top"]
    return (
        f"<h3>The same rungs from the top</h3><p>{esc(told(found))} A rung's factors go back to what they were below "
        f"it, all others stay.</p>{table(header, rows, label='The ladder from its top', numeric={1, 2, 3})}"
    )


def told(found: list[Rung]) -> str:
    """Where the two ways disagree, in a sentence."""
    apart = [rung.title for rung in found if rung.disagree]
    if apart:
        return (
            f"The order matters: {words.listing(apart)} "
            f"{'gives' if len(apart) == 1 else 'give'} something else on the way up than at the top."
        )
    return "No rung is seen to give something else on the way up than at the top, within what these blocks can tell."


def _apart(rung: Rung) -> str:
    if rung.apart.blocks == 0:
        return "the same comparison" if rung.step == rung.top else qty.MISSING
    mark = " <b>(differs)</b>" if rung.disagree else ""
    return f"{qty.ratio(rung.apart.mean)}{mark} <small>{qty.interval(rung.apart.low, rung.apart.high)}</small>"
