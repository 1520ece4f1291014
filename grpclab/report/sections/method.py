"""The procedure of the measurement, and the rules of its judgement."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import rules_of
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR, PLACE, FOLDED = "Method", "method", 250, True


_ENGINES = {
    "grpcio": "grpc.aio, with the full cost of a Python client",
    "wire": "HTTP/2 frames encoded in advance, so the client is rarely the limit",
}


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """What was done, and the rules; `margins` is "" by the rules of the first edition, whose margin is `delta`.

    `engines` are the load generators, each with what it is, "" where that is not known.
    """

    configurations: str
    blocks: str
    trials: str
    valid: str
    profiled: bool
    grouped: bool
    aa: bool
    delta: str
    margins: str
    engines: tuple[tuple[str, str], ...]


def section(study: FinishedStudy) -> Procedure:
    """The procedure of the measurement, and the rules of its judgement."""
    plan = study.plan
    names = sorted({engine for name in study.configurations if (engine := study.engine(name))})
    return Procedure(
        configurations=qty.count(len(study.configurations), "configuration"),
        blocks=qty.count(plan.blocks, "block"),
        trials=qty.count(len(study.trials), "trial"),
        valid=f"{int(study.trials['valid'].sum()):,}",
        profiled=bool(plan.profiled),
        grouped=bool(plan.groups),
        aa=study.has_aa and not plan.without_aa,
        delta=f"{100 * study.delta:g} %",
        margins=study.margin_words.removeprefix("from ") if rules_of(plan).mirrored else "",
        engines=tuple((name, _ENGINES.get(name, "")) for name in names),
    )
