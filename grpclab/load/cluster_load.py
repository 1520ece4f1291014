"""One load on one target from the generator processes of a cluster, which begin at the same moment.

::

    with ClusterGenerator(cluster, config, target, call=call) as generator:
        run = generator.measure()              # a LoadRun
        generator.figures                      # the part of each process

One process runs in each Dask worker (:mod:`grpclab.load.machine_worker`). Processes divide the load as those of one
machine do: process w of N takes the arrivals w, w+N, ... of one schedule, and calls, concurrency, connections and
requests are divided exactly. Their clocks are compared before and after; the orders carry each machine's own moments.

A process that is lost ends the load: its part of the rate would be missing in every figure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from grpclab.cluster.connection import Cluster
from grpclab.errors import WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.cluster_collection import collected
from grpclab.load.cluster_figures import ClusterFigures
from grpclab.load.cluster_processes import ClusterProcesses, result_of
from grpclab.load.core.bounds import Bounds, plan_bounds
from grpclab.load.generator import CUT_DRAIN_S, DRAIN_S
from grpclab.load.machine_worker import PartBounds
from grpclab.load.run import LoadProgress, LoadRun, merge_reports
from grpclab.load.worker_messages import (
    Connect,
    EndWindow,
    Failed,
    MeasureWindow,
    WindowEnded,
)
from grpclab.load.workers import CONNECT_TIMEOUT_S
from grpclab.system.allowance import Allowance
from grpclab.system.interrupts import hurried, raised
from grpclab.system.transport import PLAINTEXT, Security

START_DELAY_S, ROUND_TRIPS = 0.5, 50
"""The time until the common start, and the round trips of the slowest process that are added to it."""


class ClusterGenerator:
    """The load of one configuration on one target from a cluster; its connections stay open over several windows."""

    def __init__(
        self,
        cluster: Cluster,
        config: TrialConfig,
        target: str,
        *,
        call: CallSpec,
        security: Security = PLAINTEXT,
        allowance: Allowance | None = None,
        seed: int = 1,
        connect_timeout_s: float | None = None,
        records: bool = False,
    ) -> None:
        """Prepare the load. `records`: fetch the record of each call. Otherwise as :class:`Generator`."""
        self._processes = ClusterProcesses(cluster, config)
        self.config = self._processes.config
        self.target = target
        self._cluster = cluster
        self._call, self._security, self._allowance = call, security, allowance
        self._seed = seed
        self._records = records
        self._patience_s = CONNECT_TIMEOUT_S if connect_timeout_s is None else connect_timeout_s
        self.figures: ClusterFigures | None = None
        """The part of each process in the last window."""

    def __enter__(self) -> ClusterGenerator:
        try:
            self._processes.place(f"{self._call.path.removeprefix('/')} at {self.target}")
            self._processes.compare_clocks()
            self._connect()
        except BaseException:
            self._processes.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()

    def _connect(self) -> None:
        """Connect every process to the target. Raises TargetError, WorkerError, PluginError."""
        count = len(self._processes)
        ends_at = time.perf_counter() + (math.inf if self._allowance is None else self._allowance.time_s)
        for index, process in enumerate(self._processes):
            question = process.order(
                Connect(
                    config=process.part,
                    target=self.target,
                    security=self._security,
                    allowance=None if self._allowance is None else self._allowance.of_worker(index, count),
                    ends_at=process.clock.there(ends_at),
                    call=self._call.of_worker(index, count, seed=self._seed),
                    callers=self.config.load.concurrency,
                    residence=False,
                    spin=self._processes.spins(process),
                    worker=index,
                    workers=count,
                    seed=self._seed,
                    connect_timeout_s=self._patience_s,
                )
            )
            result_of(process, question)
        self._processes.wait_connected(self._patience_s)

    # ---- the measured window -------------------------------------------------------------------------------------

    def measure(
        self,
        *,
        keep_on_interrupt: bool = False,
        rate_rps: float | None = None,
        progress: Callable[[LoadProgress], None] | None = None,
        stop_when: Callable[[LoadProgress], str | None] | None = None,
        watch_s: Sequence[float] = (),
    ) -> LoadRun:
        """Warm up, then measure one window; the arguments are those of :meth:`Generator.measure`.

        Raises WorkerError where a process, its machine or the scheduler is lost; it says what was sent by then.
        """
        self._processes.compare_clocks()
        bounds = plan_bounds(
            self.config.load,
            time.perf_counter() + self._start_delay_s(),
            self._seed,
            rate_rps=rate_rps,
        )
        self._begin(bounds, watch_s)
        stopped, interrupted = "", False

        def step() -> None:
            nonlocal stopped
            reports = [process.progress for process in self._processes if process.progress is not None]
            if reports and (progress is not None or (stop_when is not None and not stopped)):
                state = merge_reports(reports, time.perf_counter() - bounds.opens_at, watch_s)
                if progress is not None:
                    progress(state)
                if stop_when is not None and not stopped and (reason := stop_when(state)):
                    stopped = reason
                    self._end(bounds, CUT_DRAIN_S)
            if not stopped and (reason := self._why_out()):
                stopped = reason
                self._end(bounds, CUT_DRAIN_S)

        patience_s = bounds.patience_s(self.config, DRAIN_S) + self._start_delay_s()
        try:
            with raised():
                ended = self._collect(bounds, patience_s, step)
            if not ended:
                stopped = stopped or f"calls had not ended after {patience_s:,.0f} s"
                self._cut(bounds, 0.0)
        except KeyboardInterrupt:
            if not keep_on_interrupt:
                raise
            interrupted = True
            try:
                with hurried():
                    self._cut(bounds, CUT_DRAIN_S)
            except KeyboardInterrupt:
                self._cut(bounds, 0.0)
        return self._run(bounds, stopped=stopped, interrupted=interrupted)

    def _start_delay_s(self) -> float:
        """The time until the common start: every process has its order by then, however slow the network."""
        slowest = max(process.clock.bound_s for process in self._processes)
        return START_DELAY_S + self._processes.every_s + ROUND_TRIPS * 2 * slowest

    def _begin(self, bounds: Bounds, watch_s: Sequence[float]) -> None:
        """Order the window from every process. Raises WorkerError where an order came too late."""
        acknowledged = []
        for index, process in enumerate(self._processes):
            process.progress = None
            there = process.clock.there
            acknowledged.append(
                process.order(
                    MeasureWindow(
                        starts_at=there(bounds.starts_at),
                        opens_at=there(bounds.opens_at),
                        closes_at=None if bounds.closes_at is None else there(bounds.closes_at),
                        requests=self._requests(bounds, index),
                        rate_rps=bounds.rate_rps,
                        record=None,
                        progress=True,
                        drain_s=DRAIN_S,
                        watch_s=tuple(watch_s),
                    )
                )
            )
        for process, one in zip(self._processes, acknowledged, strict=True):
            at = process.clock.here(result_of(process, one))
            if at > bounds.starts_at:
                self._end(bounds, 0.0)
                late_ms = (at - bounds.starts_at) * 1e3
                raise WorkerError(
                    f"{process.name} received its order {late_ms:,.0f} ms after the common start: the scheduler or the "
                    "network is too slow"
                )

    def _requests(self, bounds: Bounds, index: int) -> int | None:
        """The calls after which the window of one process ends; None is no limit."""
        if bounds.rate_rps is None:
            return None if bounds.by_time else self._processes[index].part.load.requests
        return (bounds.due.of_worker(index, len(self._processes)) or None) if bounds.due else None

    def _collect(self, bounds: Bounds, timeout_s: float, step: Callable[[], None]) -> bool:
        """Wait until every process has ended its window; False where some have not after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while running := [process for process in self._processes if process.answer is None]:
            try:
                self._processes.ask(running)
            except WorkerError as error:
                raise self._lost(bounds, error) from None
            step()
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        for process in self._processes:
            if isinstance(process.answer, Failed):
                raise process.answer.error
        return True

    def _cut(self, bounds: Bounds, drain_s: float) -> None:
        """End the window and, after `drain_s`, its calls. Raises WorkerError."""
        self._end(bounds, drain_s)
        if not self._collect(bounds, drain_s + 15.0, lambda: None):
            names = ", ".join(process.name for process in self._processes if process.answer is None)
            raise WorkerError(f"{names} did not finish within {drain_s + 15:.0f} s")

    def _end(self, bounds: Bounds, drain_s: float) -> None:
        """Tell every process to end the running window now, and its calls after `drain_s`."""
        bounds.cut_at = min(time.perf_counter(), bounds.cut_at)
        for process in self._processes:
            if process.answer is None:
                with contextlib.suppress(Exception):  # a lost one is noticed by its silence
                    process.actor.order(EndWindow(cut_at=process.clock.there(bounds.cut_at), drain_s=drain_s))

    def _why_out(self) -> str:
        """What a process had no more of, its part of the allowance or requests; nothing while each has some."""
        out = [p.answer for p in self._processes if isinstance(p.answer, WindowEnded) and p.answer.ran_out_at]
        if not out:
            return ""
        ceiling = next((answer.ceiling for answer in out if answer.ceiling), "")
        if ceiling and self._allowance is not None:
            return self._allowance.reached(ceiling)
        return (
            f"all {self._call.supply or 0:,} requests have been sent, and repeating them is not allowed: provide more "
            "requests, make fewer calls, or add --data-repeat"
        )

    def _lost(self, bounds: Bounds, error: WorkerError) -> WorkerError:
        """End the load of the others. Returns the error with what each had done, as far as that is known."""
        self._end(bounds, 0.0)
        calls = {process.name: process.progress.calls if process.progress else 0 for process in self._processes}
        after_s = max(0.0, time.perf_counter() - bounds.opens_at)
        ended = f"The load was ended after {after_s:.1f} s, as its rate would be lower than planned"
        if self._cluster.client.status != "running":
            done = f"by their last answers, the processes had completed {sum(calls.values()):,} calls"
            return WorkerError(f"the Dask scheduler at {self._cluster.address} was lost; {done}. {ended}")
        known = ""
        lost = next((process for process in self._processes if str(error).startswith(f"{process.name} ")), None)
        if lost is not None:
            heard_s = max(0.0, lost.heard_at - bounds.opens_at)
            others = sum(count for name, count in calls.items() if name != lost.name)
            known = (
                f"; when it last answered, {heard_s:.1f} s into the window, it had completed {calls[lost.name]:,} "
                f"calls, and the others {others:,}"
            )
        return WorkerError(f"{error}{known}. {ended}")

    # ---- figures -------------------------------------------------------------------------------------------------

    def _run(self, bounds: Bounds, *, stopped: str, interrupted: bool) -> LoadRun:
        answers = [process.answer for process in self._processes]
        ended = [answer for answer in answers if isinstance(answer, WindowEnded)]
        ran_out = [
            process.clock.here(answer.ran_out_at)
            for process, answer in zip(self._processes, ended, strict=True)
            if answer.ran_out_at is not None
        ]
        if ran_out:
            bounds.cut_at = min(bounds.cut_at, *ran_out)
            stopped = stopped or self._why_out()
        cut = interrupted or bool(stopped)
        planned = None if bounds.rate_rps is None else bounds.planned(self.config.load.arrival, self._seed)
        parts = [self._bounds_of(bounds, index, cut) for index in range(len(self._processes))]
        run, self.figures = collected(
            self._processes,
            bounds,
            parts,
            address=self._cluster.address,
            records=self._records,
            planned=planned,
            stopped=stopped,
            interrupted=interrupted,
        )
        ceilings = any(answer.ceiling for answer in ended)
        return dataclasses.replace(run, ran_out=bool(ran_out) and not ceilings, ceiling=ceilings)

    def _bounds_of(self, bounds: Bounds, index: int, cut: bool) -> PartBounds:
        there = self._processes[index].clock.there
        due = None
        if bounds.rate_rps is not None and bounds.due is not None and not cut:
            due = bounds.due.of_worker(index, len(self._processes))
        return PartBounds(
            opened_at=there(bounds.opens_at),
            open_loop=bounds.rate_rps is not None,
            requests=self._requests(bounds, index) if bounds.rate_rps is None else None,
            closes_at=None if bounds.closes_at is None else there(bounds.closes_at),
            held_open=bounds.rate_rps is not None and not cut,
            cut_at=there(bounds.cut_at),
            planned=due,
        )

    def connections(self) -> int:
        """Count the connections that the processes have to the target now."""
        futures = [process.actor.connections() for process in self._processes]
        return sum(result_of(process, one) for process, one in zip(self._processes, futures, strict=True))
