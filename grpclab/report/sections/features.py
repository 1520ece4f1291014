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
    "Each ratio is a server with the feature against the same server without it: 0.90× of the throughput is a cost of "
    "10 %. Alone: added to optimized. In production: taken from the variant production, in which the others stay."
)


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
        c = _alone(study, feature)
        title = words.plain(feature.title)
        verdicts.setdefault(c.verdict if c.computed else "inconclusive", []).append(title)
        if c.computed and c.verdict == "slower":
            slower.append((c.ratio, f"{title} ({words.ratio_of(c)})"))
    effect = f"{100 * study.delta:g} %"
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
    """A row for each feature: its cost alone, then with all others."""
    header = [
        "feature",
        "throughput, alone",
        "CPU per call, alone",
        "verdict, alone",
        "throughput, in production",
        "CPU per call, in production",
        "verdict, in production",
    ]
    rows: list[Cells] = [[words.plain(feature.title), *_cells(study, feature)] for feature in study.plan.features]
    return Table(header=header, rows=rows, label="What each feature costs", numeric={1, 2, 4, 5})


def _cells(study: FinishedStudy, feature: PlannedFeature) -> Iterator[Cell]:
    for where in ("alone", "in production"):
        if where not in feature.pairs:
            yield from ("", "", "not in it")
            continue
        baseline, candidate = feature.pairs[where]
        throughput = study.comparison(feature.scenario, study.metric_of_headline, baseline, candidate)
        yield _estimated(throughput)
        yield _estimated(study.comparison(feature.scenario, CPU, baseline, candidate))
        yield badge(throughput.verdict) if throughput.computed else throughput.note


def _alone(study: FinishedStudy, feature: PlannedFeature) -> Comparison:
    return study.comparison(feature.scenario, study.metric_of_headline, *feature.pairs["alone"])


def _estimated(c: Comparison) -> Cell:
    """A ratio with its interval."""
    return bold(words.ratio_of(c)), *limits(c.limited_by), BREAK, small(words.interval_of(c))
