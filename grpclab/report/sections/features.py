"""What each feature of a production service costs: a sentence, and a table of throughput, CPU per call and latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.inference.ratios import numbers
from grpclab.analysis.planned_feature import PlannedFeature
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
ALONE = "alone"
LATENCY, LATENCY_HEADER = "latency_p99_s", "p99 at half load"
LATENCY_HOW = "The p99 latency is that of an open loop of {rates}, about half the throughput of optimized."
LONG_HOW = (
    "Servers with tracing send spans later, so these servers were measured in windows of {window}, and their CPU time "
    "counts until they are idle again."
)
STAND_INS = {"collector_cores": "the stand-in for a trace collector", "scraper_cores": "the stand-in for Prometheus"}
STAND_INS_HOW = "On the load generator's cores, {used}."
HEADINGS = {
    ALONE: "alone: added to optimized",
    f"{ALONE}, asyncio": "alone: added to optimized on asyncio",
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
    notes = [summary(study), HOW, _latency_note(study), _long_note(study), _stand_ins_note(study)]
    return [
        Paragraph(text=" ".join(filter(None, notes))),
        table(study),
    ]


def _latency_note(study: FinishedStudy) -> str:
    """A sentence on the open loops; "" without any."""
    rates: dict[str, float] = {}
    for feature in study.plan.features:
        if pair := feature.steady_pair:
            rate_rps = study.plan.configuration(pair[0]).config.load.rate_rps
            rates |= {} if rate_rps is None else {words.plain(feature.implementation): rate_rps}
    told = [f"{qty.amount(rate)} requests/s{f' on {name}' if name else ''}" for name, rate in rates.items()]
    return LATENCY_HOW.format(rates=words.listing(told)) if told else ""


def _long_note(study: FinishedStudy) -> str:
    """A sentence on long windows; "" without any."""
    windows = [group.counted_s for group in study.plan.groups if group.until_idle]
    return LONG_HOW.format(window=qty.rough_duration(max(windows))) if windows else ""


def _stand_ins_note(study: FinishedStudy) -> str:
    """A sentence on what stood in for other parties used, by the configuration in which it used most; "" for none."""
    told = []
    for metric, name in STAND_INS.items():
        used = [numbers(study.rows(one.name), metric).median() for one in study.plan.configurations]
        known = [cores for cores in used if not math.isnan(cores)]
        if known:
            told.append(f"{name} used {'up to ' if len(known) > 1 else ''}{qty.cores(max(known))}")
    return STAND_INS_HOW.format(used=words.listing(told)) if told else ""


def summary(study: FinishedStudy) -> str:
    """The features that change throughput, or the client's CPU time, the most expensive first, and the others."""
    of_server: dict[str, list[PlannedFeature]] = {}
    for feature in study.plan.features:
        if not feature.of_client:
            of_server.setdefault(words.plain(feature.implementation), []).append(feature)
    of_client = [feature for feature in study.plan.features if feature.of_client]
    told = []
    for name, some in of_server.items():
        told += _costs(study, some, f"throughput on {name}" if name else "throughput")
    return " ".join([*told, *_costs(study, of_client, "CPU time in the client")])


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
    header = ["feature", "throughput", "CPU per call", *([LATENCY_HEADER] if _has_latency(study) else []), "verdict"]
    return Table(header=header, rows=rows, label="What each feature costs", numeric=set(range(1, len(header) - 1)))


def _has_latency(study: FinishedStudy) -> bool:
    return any(feature.steady_pair for feature in study.plan.features)


def _cells(study: FinishedStudy, feature: PlannedFeature, where: str) -> Iterator[Cell]:
    judged = _judged(study, feature, where)
    yield _estimated(_compared(study, feature, where))
    yield _estimated(_compared(study, feature, where, feature.cpu_metric))
    if _has_latency(study):
        pair = feature.steady_pair if where.startswith(ALONE) else None
        yield _estimated(study.comparison(feature.scenario, LATENCY, *pair)) if pair else ""
    yield badge(judged.verdict) if judged.computed else judged.note


def _judged(study: FinishedStudy, feature: PlannedFeature, where: str) -> Comparison:
    """The comparison whose verdict counts: throughput tells little of a client that waits for its server."""
    return _compared(study, feature, where, feature.cpu_metric if feature.of_client else "")


def _compared(study: FinishedStudy, feature: PlannedFeature, where: str, metric: str = "") -> Comparison:
    return study.comparison(feature.scenario, metric or study.metric_of_headline, *feature.pairs[where])


def _estimated(c: Comparison) -> Cell:
    """A ratio with its interval."""
    return bold(ratio(c)), *limits(c.limited_by), BREAK, small(interval(c))
