"""The figures of a report, each a function of a :class:`~grpclab.report.finished.FinishedStudy`.

Each line imports only from those above it::

    curves        curves over a factor, usually the concurrency: throughput, and percentiles of latency
    distribution  how latency is distributed
    engines       what the client costs
    history       what became of the same configuration, and of the same headline, from study to study
    idle          silent connections: how long until the first call succeeds again, and how many fail until then
    ladder        the ladder
    offered       latency over the offered rate of an open loop, with the knee: where calls begin to queue
    ratio_marks   ratios as dots with intervals: the marks that the forest plot and the sweeps share
    headline      every block of the headline as a dot, the mean with its interval, the A/A below
    forest        every comparison of the study as a dot with its interval: the forest plot
    shares        where the time of the profiled configurations goes
    slices        both sides of the headline slice by slice, and their ratio: whether the noise is shared
    sweeps        one factor at a time: the ratio of each level to the base
    timeline      every trial in the order it ran
    trial         a single trial, for its own notebook: the run over time, and latency by percentile
    waiting       handlers that wait and handlers that do not
    windows       how throughput depends on a setting of size: one panel for each entry of the plan's `windows`

Each answers one question and returns a FigureBlock, or None where the study holds nothing to answer it with:
the page then says so in a line.
"""

from __future__ import annotations

from grpclab.report.figures.curves import latency, throughput
from grpclab.report.figures.distribution import latency_distribution
from grpclab.report.figures.engines import engines
from grpclab.report.figures.forest import forest
from grpclab.report.figures.headline import headline
from grpclab.report.figures.idle import idle
from grpclab.report.figures.ladder import ladder
from grpclab.report.figures.offered import offered_rates
from grpclab.report.figures.shares import VIEWS, profile
from grpclab.report.figures.slices import slices
from grpclab.report.figures.sweeps import sweeps
from grpclab.report.figures.timeline import timeline
from grpclab.report.figures.waiting import waiting
from grpclab.report.figures.windows import windows

__all__ = [
    "VIEWS",
    "engines",
    "forest",
    "headline",
    "idle",
    "ladder",
    "latency",
    "latency_distribution",
    "offered_rates",
    "profile",
    "slices",
    "sweeps",
    "throughput",
    "timeline",
    "waiting",
    "windows",
]
