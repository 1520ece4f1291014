"""What each feature of a production service costs: a sentence, and a table of throughput and CPU per call."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from grpclab.analysis import Comparison
from grpclab.analysis.study_plan import PlannedFeature
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    BREAK,
    Cell,
    Cells,
    Paragraph,
    Piece,
    Table,
    badge,
    bold,
    interval,
    limits,
    ratio,
    small,
)

TITLE, ANCHOR, PLACE, FOLDED = "What each feature costs", "features", 45, False
HOW = (
    "Each ratio compares a service that has the feature with the same service without it, so 0.90× means that the "
    "feature costs 10% of the throughput."
)
HEADINGS = {
    "alone": "alone: added to optimized",
    "in production": "in production: removed from the production variant, which keeps all other features",
    "in the client": (
        "in the client: added to optimized's Python client (engine grpcio); the CPU time and the verdict refer to "
        "the client"
    ),
}


def section(study: FinishedStudy) -> list[Piece] | None:
    """The sentences and the table; None where the plan has no features."""
    if not study.plan.features:
        return None
    return [Paragraph(text=f"{summary(study)} {HOW}"), table(study)]


def summary(study: FinishedStudy) -> str:
    """The features that change throughput, or the client's CPU time, the most expensive first, and the others."""
    of_server = [feature for feature in study.plan.features if not feature.of_client]
    of_client = [feature for feature in study.plan.features if feature.of_client]
    return " ".join([*_costs(study, of_server, "throughput"), *_costs(study, of_client, "CPU time in the client")])


def _costs(study: FinishedStudy, features: Iterable[PlannedFeature], what: str) -> list[str]:
    """A sentence for each kind of verdict on what the features cost."""
    verdicts: dict[str, list[str]] = {}
    slower = []
    for feature in features:
        c = _judged(study, feature, next(iter(feature.pairs)))
        title = words.plain(feature.title)
        verdicts.setdefault(c.verdict if c.computed else "inconclusive", []).append(title)
        if c.computed and c.verdict == "slower":
            slower.append((-abs(math.log(c.ratio)), f"{title} ({words.ratio_of(c)})"))
    told = []
    if slower:
        told.append(f"Features that cost {what}: {words.listing(text for _, text in sorted(slower))}.")
    if faster := verdicts.get("faster"):
        told.append(f"Features that improve {what}: {words.listing(faster)}.")
    if same := verdicts.get("equivalent"):
        told.append(f"Features that cost less than {100 * study.delta:g}% in {what}: {words.listing(same)}.")
    if open_ := verdicts.get("inconclusive"):
        told.append(f"Features with an inconclusive cost in {what}: {words.listing(open_)}.")
    return told


def table(study: FinishedStudy) -> Table:
    """A row for each feature that is added alone, then one for each that is taken from all of them."""
    rows: list[Cells] = []
    for where, heading in HEADINGS.items():
        measured = [feature for feature in study.plan.features if where in feature.pairs]
        if measured:
            rows += [[heading], *([words.plain(one.title), *_cells(study, one, where)] for one in measured)]
    header = ["feature", "throughput", "CPU per call", "verdict"]
    return Table(header=header, rows=rows, label="What each feature costs", numeric={1, 2})


def _cells(study: FinishedStudy, feature: PlannedFeature, where: str) -> Iterator[Cell]:
    judged = _judged(study, feature, where)
    yield _estimated(_compared(study, feature, where))
    yield _estimated(_compared(study, feature, where, feature.cpu_metric))
    yield badge(judged.verdict) if judged.computed else judged.note


def _judged(study: FinishedStudy, feature: PlannedFeature, where: str) -> Comparison:
    """The comparison whose verdict counts: throughput tells little of a client that waits for its server."""
    return _compared(study, feature, where, feature.cpu_metric if feature.of_client else "")


def _compared(study: FinishedStudy, feature: PlannedFeature, where: str, metric: str = "") -> Comparison:
    return study.comparison(feature.scenario, metric or study.metric_of_headline, *feature.pairs[where])


def _estimated(c: Comparison) -> Cell:
    """A ratio with its interval."""
    return bold(ratio(c)), *limits(c.limited_by), BREAK, small(interval(c))
