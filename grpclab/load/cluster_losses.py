"""The generator processes of a cluster that are lost while they load, and what becomes of the load then."""

from __future__ import annotations

import dataclasses
import time

from grpclab.cluster.connection import Cluster
from grpclab.errors import WorkerError
from grpclab.load.cluster_figures import ClusterFigures, LostGenerator
from grpclab.load.cluster_processes import ClusterProcesses, GeneratorProcess, LostProcessError
from grpclab.load.cluster_window import ClusterWindow
from grpclab.load.core.bounds import Bounds
from grpclab.load.generator import CUT_DRAIN_S
from grpclab.load.steps import rate_text

STOP, CONTINUE = ON_LOST = "stop", "continue"
"""What becomes of the load when a process is lost: it ends, or the others go on with their part of it."""


class Losses:
    """The processes of a load that were lost."""

    def __init__(self, cluster: Cluster, processes: ClusterProcesses, *, on_lost: str) -> None:
        """`on_lost`: one of ON_LOST."""
        self._cluster, self._processes, self._goes_on = cluster, processes, on_lost == CONTINUE
        self.ended_by: WorkerError | None = None
        """The loss that has ended the load, in the words for its error."""
        self._lost: list[tuple[GeneratorProcess, str, int]] = []
        """Each process with the reason, and its calls in its last window by its last answer."""

    def lose(self, error: LostProcessError, window: ClusterWindow | None = None) -> None:
        """Go on without a process, or end the `window`, if one is measured.

        Raises WorkerError where there is nothing to go on with, and where nothing was measured that could be kept.
        """
        process, text = error.process, self._text(error, window)
        measured = window is not None and process.heard_at > window.bounds.opens_at
        alone = self._cluster.client.status != "running" or len(self._processes) == 1
        if alone or not (self._goes_on or measured):
            if window is not None:
                window.end(0.0)
            raise WorkerError(text)
        self._lost.append((process, error.reason, 0 if process.progress is None else process.progress.calls))
        self._processes.lose(process)
        if window is None or self._goes_on:
            return
        if self.ended_by is None:
            self.ended_by = WorkerError(text)
            window.stopped = window.stopped or f"{process.name} was lost"
            window.end(CUT_DRAIN_S)

    def _text(self, error: LostProcessError, window: ClusterWindow | None) -> str:
        """What each process had done when one was lost, as far as that is known."""
        lost, address = error.process, self._cluster.address
        down = "" if self._cluster.client.status == "running" else f"the Dask scheduler at {address} was lost"
        if window is None:
            return f"{down or error}. The window had not started yet"
        calls = {process.index: process.progress.calls if process.progress else 0 for process in self._processes}
        after_s = max(0.0, time.perf_counter() - window.bounds.opens_at)
        why = ", because its rate would have been lower than planned" if len(calls) > 1 else ""
        ended = f"The load was ended after {after_s:.1f} s{why}"
        if down:
            done = f"by their last answers, the processes had completed {sum(calls.values()):,} calls"
            return f"{down}; {done}. {ended}"
        heard_s = max(0.0, lost.heard_at - window.bounds.opens_at)
        own = calls.pop(lost.index, 0)
        others = f", and the others {sum(calls.values()):,}" if calls else ""
        return (
            f"{error}; when it last answered, {heard_s:.1f} s into the window, it had completed {own:,} calls{others}. "
            f"{ended}"
        )

    def told(self, figures: ClusterFigures, window: ClusterWindow) -> ClusterFigures:
        """Return the figures of the processes that are left, with those that were lost up to now."""
        if not self._lost:
            return figures
        opens_at = window.bounds.opens_at
        lost = tuple(
            LostGenerator(
                name=process.name,
                address=process.worker.address,
                reason=reason,
                heard_s=process.heard_at - opens_at,
                calls=calls if process.heard_at > opens_at else 0,
            )
            for process, reason, calls in self._lost
        )
        remained = self._remained(window.bounds)
        return dataclasses.replace(figures, lost=lost, ended=self.ended_by is not None, remained=remained)

    def _remained(self, bounds: Bounds) -> str:
        """The part of the load that the processes that are left send, in words."""
        share, load = len(self._processes) / self._processes.planned, self._processes.config.load
        if bounds.rate_rps is None:
            callers = sum(process.part.load.concurrency for process in self._processes)
            return f"{callers:,} of {load.concurrency:,} calls in flight"
        if bounds.varies:
            return f"{share:.0%} of the rate"
        return f"{rate_text(bounds.rate_rps * share)} of {rate_text(bounds.rate_rps)}"
