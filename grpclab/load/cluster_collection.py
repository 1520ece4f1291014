"""The parts of a window collected from the generator processes of a cluster: counts, a few observations, records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from grpclab.cluster.clocks import ClockOffset
from grpclab.load.cluster_figures import ClusterFigures
from grpclab.load.cluster_processes import ClusterProcesses, result_of
from grpclab.load.cluster_window import ClusterWindow
from grpclab.load.core.merging import CountsSum, Slots, Values, joined
from grpclab.load.core.recorder import Floats, Records
from grpclab.load.machine_parts import MeasuredParts, assembled
from grpclab.load.machine_worker import MachinePart, PartBounds
from grpclab.load.run import LoadRun
from grpclab.load.worker_messages import WindowEnded

AT_ONCE = 50
"""The processes that are asked for their counts at a time."""
COUNTING_S = 300.0
"""The time in which a machine has to count its records, or to send them."""


def collected(window: ClusterWindow, *, address: str, records: bool) -> tuple[LoadRun, ClusterFigures]:
    """Return the run of a window that all processes have ended, and the part of each.

    With `records` the record of each call is fetched. Raises LostProcessError where a process is lost meanwhile.
    """
    processes, bounds = window.processes, window.bounds
    part_bounds = [window.part(process) for process in processes]
    clocks = [process.clock for process in processes]
    parts, total = _counted(processes, part_bounds)
    later = processes.compare_clocks()
    measured = MeasuredParts(
        names=tuple(process.name for process in processes),
        workers=tuple(process.worker for process in processes),
        address=address,
        clocks=tuple(clocks),
        bounds_s=tuple(one.until(other) for one, other in zip(clocks, later, strict=True)),
        parts=tuple(parts),
        ended=tuple(process.answer for process in processes if isinstance(process.answer, WindowEnded)),
        counts=total.total(),
    )

    def inside(wanted: tuple[Slots, ...]) -> tuple[Values, ...]:
        questions = [process.actor.inside(wanted) for process in processes]
        answers = [result_of(process, one, COUNTING_S) for process, one in zip(processes, questions, strict=True)]
        return tuple(joined(each) for each in zip(*answers, strict=True))

    return assembled(
        measured,
        bounds,
        inside,
        records=_fetched(processes, clocks, bounds.opens_at) if records else (),
        requests=tuple(one.requests for one in part_bounds),
        planned=window.planned(),
        stopped=window.stopped,
        interrupted=window.interrupted,
        share=len(processes) / processes.planned,
    )


def _counted(processes: ClusterProcesses, part_bounds: Sequence[PartBounds]) -> tuple[list[MachinePart], CountsSum]:
    """The part of each process without its counts, and the sum of all counts."""
    total, parts = CountsSum(), []
    each = list(zip(processes, part_bounds, strict=True))
    for first in range(0, len(each), AT_ONCE):
        some = each[first : first + AT_ONCE]
        questions = [process.actor.part(one) for process, one in some]
        for (process, _), question in zip(some, questions, strict=True):
            part: MachinePart = result_of(process, question, COUNTING_S)
            total.add(part.counts)
            parts.append(dataclasses.replace(part, counts=()))
    return parts, total


def _fetched(processes: ClusterProcesses, clocks: Sequence[ClockOffset], opens_at: float) -> tuple[Records, ...]:
    """The records of all processes, on this machine's clock."""
    questions = [process.actor.records() for process in processes]
    return tuple(
        here(result_of(process, one, COUNTING_S), clock, opens_at)
        for process, one, clock in zip(processes, questions, clocks, strict=True)
    )


def here(records: Records, clock: ClockOffset, opens_at: float) -> Records:
    """Return records of another machine with the moments of this clock; none crosses the opening of the window."""
    opened_there = clock.there(opens_at)

    def moments(there: Floats) -> Floats:
        here = there - clock.offset_s
        before = np.nextafter(opens_at, -math.inf)
        return np.where(there >= opened_there, np.maximum(here, opens_at), np.minimum(here, before))

    return dataclasses.replace(
        records,
        start_s=moments(records.start_s),
        message_start_s=moments(records.message_start_s),
        sent_start_s=moments(records.sent_start_s),
    )
