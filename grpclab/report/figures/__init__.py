"""The figures of a report, each a function of a :class:`~grpclab.report.study.Study`.

Each answers one question and returns a FigureBlock, or None where the study holds nothing to answer it with:
the page then says so in a line.
"""

from __future__ import annotations

from collections.abc import Iterator

from grpclab.report.blocks import FigureBlock
from grpclab.report.figures.curves import latency, throughput
from grpclab.report.figures.distribution import latency_distribution
from grpclab.report.figures.engines import engines
from grpclab.report.figures.forest import forest
from grpclab.report.figures.idle import idle
from grpclab.report.figures.ladder import ladder
from grpclab.report.figures.offered import offered_rates
from grpclab.report.figures.shares import VIEWS, profile
from grpclab.report.figures.sweeps import sweeps
from grpclab.report.figures.timeline import timeline
from grpclab.report.figures.waiting import waiting
from grpclab.report.figures.windows import windows
from grpclab.report.study import Study

__all__ = [
    "album",
    "engines",
    "forest",
    "idle",
    "ladder",
    "latency",
    "latency_distribution",
    "offered_rates",
    "profile",
    "sweeps",
    "throughput",
    "timeline",
    "waiting",
    "windows",
]


def album(study: Study) -> Iterator[FigureBlock]:
    """Every figure of a report, in its order."""
    curves = study.entries("curves")
    found = [
        engines(study),
        *(draw(study, curve) for draw in (throughput, latency) for curve in curves),
        latency_distribution(study),
        offered_rates(study),
        idle(study) if study.plan.get("idle") else None,
        waiting(study),
        ladder(study),
        windows(study),
        sweeps(study),
        *(profile(study, view) for view in VIEWS),
        *forest(study),
        timeline(study),
    ]
    yield from (block for block in found if block is not None)
