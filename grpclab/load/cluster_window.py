"""One window of a load from a cluster while it is measured: what each process is told of it, and how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab.load.cluster_processes import ClusterProcesses, GeneratorProcess
from grpclab.load.core.bounds import Bounds
from grpclab.load.generator import DRAIN_S
from grpclab.load.machine_worker import PartBounds
from grpclab.load.worker_messages import EndWindow, MeasureWindow


@dataclass(kw_only=True)
class ClusterWindow:
    """A window that the processes of a cluster measure. One that is lost keeps its part of it, which nobody sends."""

    processes: ClusterProcesses
    """Those that are left."""
    bounds: Bounds
    arrival: str
    seed: int
    stopped: str = ""
    """The reason why it was ended before its time."""
    interrupted: bool = False
    """Ctrl-C ended it."""

    @property
    def cut(self) -> bool:
        """Whether it was ended before its time."""
        return self.interrupted or bool(self.stopped)

    def requests(self, process: GeneratorProcess) -> int | None:
        """The calls after which the window of one process ends; None is no limit."""
        bounds = self.bounds
        if bounds.rate_rps is None:
            return None if bounds.by_time else process.part.load.requests
        return (bounds.due.of_worker(process.index, self.processes.planned) or None) if bounds.due else None

    def order(self, process: GeneratorProcess, watch_s: Sequence[float]) -> MeasureWindow:
        """The order of one process, with the moments of its own clock."""
        bounds, there = self.bounds, process.clock.there
        return MeasureWindow(
            starts_at=there(bounds.starts_at),
            opens_at=there(bounds.opens_at),
            closes_at=None if bounds.closes_at is None else there(bounds.closes_at),
            requests=self.requests(process),
            rate_rps=bounds.rate_rps,
            record=None,
            progress=True,
            drain_s=DRAIN_S,
            watch_s=tuple(watch_s),
        )

    def part(self, process: GeneratorProcess) -> PartBounds:
        """The bounds of the part of one process, once the window is over."""
        bounds, there = self.bounds, process.clock.there
        due = None
        if bounds.rate_rps is not None and bounds.due is not None and not self.cut:
            due = bounds.due.of_worker(process.index, self.processes.planned)
        return PartBounds(
            opened_at=there(bounds.opens_at),
            open_loop=bounds.rate_rps is not None,
            requests=self.requests(process) if bounds.rate_rps is None else None,
            closes_at=None if bounds.closes_at is None else there(bounds.closes_at),
            held_open=bounds.rate_rps is not None and not self.cut,
            cut_at=there(bounds.cut_at),
            planned=due,
        )

    def planned(self) -> int | None:
        """The calls that were due from the processes that are left; None in a closed loop."""
        if self.bounds.rate_rps is None:
            return None
        due = self.bounds.planned_window(self.arrival, self.seed)
        return sum(due.of_worker(process.index, self.processes.planned) for process in self.processes)

    def end(self, drain_s: float) -> None:
        """Tell every process to end the running window now, and its calls after `drain_s`."""
        self.bounds.cut_at = min(time.perf_counter(), self.bounds.cut_at)
        for process in self.processes:
            if process.answer is None:
                with contextlib.suppress(Exception):  # a lost one is noticed by its silence
                    process.actor.order(EndWindow(cut_at=process.clock.there(self.bounds.cut_at), drain_s=drain_s))
