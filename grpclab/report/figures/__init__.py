"""The figures of a report, each a function of a :class:`~grpclab.report.study.Study`.

Each answers one question and returns a FigureBlock, or None where the study holds nothing to answer it with:
the page then says so in a line.
"""

from __future__ import annotations

from grpclab.report.figures.curves import latency, throughput
from grpclab.report.figures.engines import engines
from grpclab.report.figures.forest import forest, sweeps
from grpclab.report.figures.idle import idle
from grpclab.report.figures.ladder import ladder
from grpclab.report.figures.shares import profile
from grpclab.report.figures.timeline import timeline
from grpclab.report.figures.windows import windows

__all__ = ["engines", "forest", "idle", "ladder", "latency", "profile", "sweeps", "throughput", "timeline", "windows"]
