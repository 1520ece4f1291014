"""One load on one target from the generator processes of a cluster, which begin at the same moment.

::

    with ClusterGenerator(cluster, config, target, call=call) as generator:
        run = generator.measure()              # a LoadRun
        generator.figures                      # the part of each process

One process runs in each Dask worker (:mod:`grpclab.load.machine_worker`). Processes divide the load as those of one
machine do: process w of N takes the arrivals w, w+N, ... of one schedule, and calls, concurrency, connections and
requests are divided exactly. Their clocks are compared before and after; the orders carry each machine's own moments.

A process that is lost ends the load, as its part of the rate would be missing in every figure; or the others go on, and
every figure says which part of the load they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from grpclab.cluster.connection import Cluster
from grpclab.errors import WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.cluster_collection import collected
from grpclab.load.cluster_figures import ClusterFigures
from grpclab.load.cluster_losses import STOP, Losses
from grpclab.load.cluster_processes import ClusterProcesses, GeneratorProcess, LostProcessError, result_of
from grpclab.load.cluster_window import ClusterWindow
from grpclab.load.core.bounds import plan_bounds
from grpclab.load.generator import CUT_DRAIN_S, DRAIN_S
from grpclab.load.run import LoadProgress, LoadRun, merge_reports
from grpclab.load.worker_messages import Connect, Failed, WindowEnded
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
        on_lost: str = STOP,
    ) -> None:
        """Prepare the load. `records`: fetch the record of each call. `on_lost`: what becomes of the load when a
        process is lost, one of ON_LOST. Otherwise as :class:`Generator`.
        """
        self._processes = ClusterProcesses(cluster, config)
        self.config = self._processes.config
        self.target = target
        self._cluster = cluster
        self._call, self._security, self._allowance = call, security, allowance
        self._seed = seed
        self._records = records
        self._losses = Losses(cluster, self._processes, on_lost=on_lost)
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
        count = self._processes.planned
        ends_at = time.perf_counter() + (math.inf if self._allowance is None else self._allowance.time_s)
        for process in self._processes:
            index = process.index
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

    @property
    def ended_by(self) -> WorkerError | None:
        """The loss that has ended the load, where one has."""
        return self._losses.ended_by

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

        What a lost process has measured is in no figure. Where its loss ends the window, `ended_by` says so, and the
        figures are those of the others up to then. Raises WorkerError where nothing was measured, and where nobody is
        left; it says what was sent by then.
        """
        window = self._begin(rate_rps, watch_s)
        bounds = window.bounds

        def step() -> None:
            reports = [process.progress for process in self._processes if process.progress is not None]
            if reports and (progress is not None or (stop_when is not None and not window.stopped)):
                state = merge_reports(reports, time.perf_counter() - bounds.opens_at, watch_s)
                if progress is not None:
                    progress(state)
                if stop_when is not None and not window.stopped and (reason := stop_when(state)):
                    window.stopped = reason
                    window.end(CUT_DRAIN_S)
            if not window.stopped and (reason := self._why_out()):
                window.stopped = reason
                window.end(CUT_DRAIN_S)

        patience_s = bounds.patience_s(self.config, DRAIN_S) + self._start_delay_s()
        try:
            with raised():
                ended = self._collect(window, patience_s, step)
            if not ended:
                window.stopped = window.stopped or f"calls had not ended after {patience_s:,.0f} s"
                self._cut(window, 0.0)
        except KeyboardInterrupt:
            if not keep_on_interrupt:
                raise
            window.interrupted = True
            try:
                with hurried():
                    self._cut(window, CUT_DRAIN_S)
            except KeyboardInterrupt:
                self._cut(window, 0.0)
        while True:
            try:
                return self._run(window)
            except LostProcessError as error:
                self._losses.lose(error, window)

    def _start_delay_s(self) -> float:
        """The time until the common start: every process has its order by then, however slow the network."""
        slowest = max(process.clock.bound_s for process in self._processes)
        return START_DELAY_S + self._processes.every_s + ROUND_TRIPS * 2 * slowest

    def _begin(self, rate_rps: float | None, watch_s: Sequence[float]) -> ClusterWindow:
        """Order a window from every process. Raises WorkerError where an order came too late."""
        while True:
            try:
                self._processes.compare_clocks()
                break
            except LostProcessError as error:
                self._losses.lose(error)
        bounds = plan_bounds(
            self.config.load, time.perf_counter() + self._start_delay_s(), self._seed, rate_rps=rate_rps
        )
        window = ClusterWindow(
            processes=self._processes, bounds=bounds, arrival=self.config.load.arrival, seed=self._seed
        )
        acknowledged: list[tuple[GeneratorProcess, Any]] = []
        for process in [*self._processes]:
            process.progress = None
            try:
                acknowledged.append((process, process.order(window.order(process, watch_s))))
            except LostProcessError as error:
                self._losses.lose(error, window)
        for process, one in acknowledged:
            try:
                at = process.clock.here(result_of(process, one))
            except LostProcessError as error:
                self._losses.lose(error, window)
                continue
            if at > bounds.starts_at:
                window.end(0.0)
                late_ms = (at - bounds.starts_at) * 1e3
                raise WorkerError(
                    f"{process.name} received the start message {late_ms:,.0f} ms after the start time: the scheduler "
                    "or the network is too slow"
                )
        return window

    def _collect(self, window: ClusterWindow, timeout_s: float, step: Callable[[], None]) -> bool:
        """Wait until every process has ended its window; False where some have not after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while running := [process for process in self._processes if process.answer is None]:
            try:
                self._processes.ask(running)
            except LostProcessError as error:
                self._losses.lose(error, window)
            step()
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        for process in self._processes:
            if isinstance(process.answer, Failed):
                raise process.answer.error
        return True

    def _cut(self, window: ClusterWindow, drain_s: float) -> None:
        """End the window and, after `drain_s`, its calls. Raises WorkerError."""
        window.end(drain_s)
        if not self._collect(window, drain_s + 15.0, lambda: None):
            names = ", ".join(process.name for process in self._processes if process.answer is None)
            raise WorkerError(f"{names} did not finish within {drain_s + 15:.0f} s")

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

    # ---- figures -------------------------------------------------------------------------------------------------

    def _run(self, window: ClusterWindow) -> LoadRun:
        """The run of a window that every process has ended. Raises LostProcessError."""
        bounds = window.bounds
        answers = [(process, process.answer) for process in self._processes]
        ended = [(process, answer) for process, answer in answers if isinstance(answer, WindowEnded)]
        ran_out = [process.clock.here(answer.ran_out_at) for process, answer in ended if answer.ran_out_at is not None]
        if ran_out:
            window.stopped = window.stopped or self._why_out()
            bounds.cut_at = min(bounds.cut_at, *ran_out)
        run, figures = collected(window, address=self._cluster.address, records=self._records)
        self.figures = self._losses.told(figures, window)
        ceilings = any(answer.ceiling for _, answer in ended)
        return dataclasses.replace(run, ran_out=bool(ran_out) and not ceilings, ceiling=ceilings)

    def connections(self) -> int:
        """Count the connections that the processes that are left have to the target now."""
        futures = [(process, process.actor.connections()) for process in self._processes]
        found = 0
        for process, one in futures:
            with contextlib.suppress(LostProcessError):  # it has measured all that it had to
                found += result_of(process, one)
        return found
