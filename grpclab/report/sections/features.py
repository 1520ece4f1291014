"""What each feature of a production service costs: a sentence, and a table of throughput and CPU per call."""

from __future__ import annotations

from collections.abc import Iterator

from grpclab.analysis import Comparison
from grpclab.analysis.study_plan import PlannedFeature
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import BREAK, Cell, Cells, Paragraph, Piece, Table, badge, bold, limits, small

TITLE, ANCHOR, PLACE, FOLDED = "What each feature costs", "features", 45, False
CPU = "server_cpu_per_call_s"
HOW = (
    "Each ratio compares a server that has the feature with the same server without it: 0.90× of the throughput is a "
    "cost of 10%."
)
HEADINGS = {
    "alone": "alone: added to optimized",
    "in production": "in production: removed from the variant production, which keeps the others",
}


def section(study: FinishedStudy) -> list[Piece] | None:
    """The sentences and the table; None where the plan has no features."""
    if not study.plan.features:
        return None
    return [Paragraph(text=f"{summary(study)} {HOW}"), table(study)]


def summary(study: FinishedStudy) -> str:
    """The features that change throughput, the most expensive first, and how many do not."""
    verdicts: dict[str, list[str]] = {}
    slower = []
    for feature in study.plan.features:
        c = _compared(study, feature, "alone")
        title = words.plain(feature.title)
        verdicts.setdefault(c.verdict if c.computed else "inconclusive", []).append(title)
        if c.computed and c.verdict == "slower":
            slower.append((c.ratio, f"{title} ({words.ratio_of(c)})"))
    effect = f"{100 * study.delta:g}%"
    told = []
    if slower:
        told.append(f"Alone, these cost throughput: {words.listing(text for _, text in sorted(slower))}.")
    if faster := verdicts.get("faster"):
        told.append(f"Faster with it: {words.listing(faster)}.")
    if same := verdicts.get("equivalent"):
        told.append(f"No cost of {effect} or more: {words.listing(same)}.")
    if open_ := verdicts.get("inconclusive"):
        told.append(f"Undecided: {words.listing(open_)}.")
    return " ".join(told)


def table(study: FinishedStudy) -> Table:
    """A row for each feature that is added alone, then one for each that is taken from all of them."""
    rows: list[Cells] = []
    for where, heading in HEADINGS.items():
        measured = [feature for feature in study.plan.features if where in feature.pairs]
        rows += [[heading], *([words.plain(one.title), *_cells(study, one, where)] for one in measured)]
    header = ["feature", "throughput", "CPU per call", "verdict"]
    return Table(header=header, rows=rows, label="What each feature costs", numeric={1, 2})


def _cells(study: FinishedStudy, feature: PlannedFeature, where: str) -> Iterator[Cell]:
    throughput = _compared(study, feature, where)
    yield _estimated(throughput)
    yield _estimated(_compared(study, feature, where, CPU))
    yield badge(throughput.verdict) if throughput.computed else throughput.note


def _compared(study: FinishedStudy, feature: PlannedFeature, where: str, metric: str = "") -> Comparison:
    return study.comparison(feature.scenario, metric or study.metric_of_headline, *feature.pairs[where])


def _estimated(c: Comparison) -> Cell:
    """A ratio with its interval."""
    return bold(words.ratio_of(c)), *limits(c.limited_by), BREAK, small(words.interval_of(c))
