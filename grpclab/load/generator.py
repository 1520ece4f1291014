"""The load generator: one load on one target, measured in windows that all workers begin at the same moment.

::

    with Generator(config, target, cpus={1}) as generator:
        run = generator.measure(tick=sample)      # a LoadRun
        with generator.background():              # the same load again, not recorded, for a profile
            ...

Or in slices, between which other configurations have their turn (:mod:`grpclab.load.core.slices`)::

        lengths = closed_lengths([generator.warm_up()])
        first, second = generator.slice(lengths), generator.slice(lengths)
        run = generator.close_slices()            # a LoadRun over all of them
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from grpclab.errors import WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.core.bounds import SILENCE_S, Bounds, plan_bounds
from grpclab.load.core.slices import Slice, SliceLengths, WarmUp
from grpclab.load.core.traffic import Traffic
from grpclab.load.interference_watch import InterferenceWatch
from grpclab.load.run import LoadProgress, LoadRun, assemble, merge_reports
from grpclab.load.sliced_load import SlicedLoad
from grpclab.load.worker_messages import WindowEnded, WindowProgress, WorkerAnswer
from grpclab.load.workers import Workers
from grpclab.system.accounting import KernelCounts
from grpclab.system.allowance import Allowance
from grpclab.system.interference import GENERATOR, Interference
from grpclab.system.interrupts import hurried, raised
from grpclab.system.transport import PLAINTEXT, Security

START_DELAY_S = 0.02
"""The time until the common start: long enough for every worker to receive its order."""
DRAIN_S = 3.0
"""The time that calls may go on after a window that ended by the clock; then they are given up, and counted."""
CUT_DRAIN_S = 1.0
"""The time that calls may go on after a window that was cut short: Ctrl-C, a signal, a threshold that was broken."""


class Generator:
    """The load of one configuration on one target; its connections stay open over several windows."""

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        *,
        cpus: Collection[int] | None = None,
        env: Mapping[str, str] | None = None,
        security: Security = PLAINTEXT,
        allowance: Allowance | None = None,
        call: CallSpec | None = None,
        seed: int = 1,
        residence: bool = False,
        connect_timeout_s: float | None = None,
    ) -> None:
        """Prepare the load. `cpus`: the workers' cores. `allowance`: what may be sent at most, to another machine.
        `call`: our greeter's by default. `seed`: of the arrivals.
        `residence`: record the reference server's own account of each call's time inside it.
        """
        self._workers = Workers(
            config, cpus=cpus, env=env, seed=seed, residence=residence, connect_timeout_s=connect_timeout_s
        )
        self.config = self._workers.config
        self._seed = seed
        self._residence = residence
        self._slices: SlicedLoad | None = None
        self.aim(target, security=security, call=call, allowance=allowance)
        self.beside: dict[str, list[int]] = {}
        """The processes of the other parties (:mod:`grpclab.system.interference`), as far as they are known."""

    def __enter__(self) -> Generator:
        try:
            self.spawn()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    @property
    def call(self) -> CallSpec:
        """The call that is made."""
        return self._call

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return self._workers.pids

    @property
    def workers(self) -> int:
        """The number of workers, where the configuration leaves it open as well."""
        return self._workers.count

    @property
    def calls_made(self) -> int:
        """Every call that was sent since the workers connected, up to the end of the last window or slice."""
        return self._workers.calls_made

    @property
    def spent(self) -> int:
        """The calls that were taken from the allowance by then."""
        return self._workers.spent

    @property
    def spins(self) -> bool:
        """Return whether an open loop keeps its cores busy between sends, so as to meet its times."""
        return self._workers.spins

    def spawn(self) -> None:
        """Start the workers, if they are not there yet: while a server starts, they load what they need."""
        self._workers.spawn()

    def aim(
        self,
        target: str,
        *,
        security: Security = PLAINTEXT,
        call: CallSpec | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Name the target before :meth:`start`, where it was unknown at first."""
        self._allowance = allowance
        self.target = target
        self._security = security
        self._call = call or greeting(self.config.load)

    def start(self, tick: Callable[[], None] | None = None) -> None:
        """Connect the workers; `tick` is called now and then meanwhile. Raises TargetError or WorkerError."""
        self._workers.start(self.target, self._call, self._security, self._allowance, tick=tick)

    # ---- the measured window -----------------------------------------------------------------------------------

    def measure(
        self,
        *,
        tick: Callable[[], None] | None = None,
        every_s: float = 0.1,
        on_open: Callable[[], None] | None = None,
        keep_on_interrupt: bool = False,
        rate_rps: float | None = None,
        warmup_s: float | None = None,
        window_s: float | None = None,
        progress: Callable[[LoadProgress], None] | None = None,
        stop_when: Callable[[LoadProgress], str | None] | None = None,
        drain_s: float = DRAIN_S,
        watch_s: Sequence[float] = (),
    ) -> LoadRun:
        """Warm up, be silent for as long as the load asks, then measure one window: `on_open` is called when it opens.

        `rate_rps` and `warmup_s` take the place of the configuration's, `window_s` that of its requests and its
        duration. `tick` is called every `every_s`. About four times a second, `progress` is called with the figures so
        far, and `stop_when` may end the window by returning a reason; `watch_s` are the limits of latency in those
        figures. With `keep_on_interrupt`, Ctrl-C ends the window early instead of raising KeyboardInterrupt, and a
        second one the calls under way. Calls that are under way `drain_s` after the end of the window are given up:
        recorded as NOT_ENDED. Raises WorkerError if a worker dies or does not come to an end, StorageError if the
        records cannot be written.
        """
        if self.config.load.pause_s and warmup_s is None:
            with raised():
                with self.background():
                    time.sleep(self.config.load.warmup_s)
                time.sleep(self.config.load.pause_s)
            warmup_s = 0.0
        watch = InterferenceWatch({GENERATOR: self.pids, **self.beside})
        bounds = plan_bounds(
            self.config.load,
            time.perf_counter() + START_DELAY_S,
            self._seed,
            rate_rps=rate_rps,
            warmup_s=warmup_s,
            window_s=window_s,
        )
        files = self._workers.order(
            bounds, record=True, report=bool(progress or stop_when), drain_s=drain_s, watch_s=watch_s
        )
        opened, next_tick, stopped = False, 0.0, ""
        answers: dict[int, WorkerAnswer] = {}

        def step() -> None:
            nonlocal opened, next_tick, stopped
            now = time.perf_counter()
            if not opened and now >= bounds.opens_at:
                opened = True
                if on_open is not None:
                    on_open()
                watch.open(late_s=now - bounds.opens_at)
            watch.look()
            stopped = stopped or self._end_where_out(bounds, answers)
            if tick is not None and now >= next_tick:
                next_tick = now + every_s
                tick()

        def on_reports(reports: Collection[WindowProgress]) -> None:
            nonlocal stopped
            state = merge_reports(reports, time.perf_counter() - bounds.opens_at, watch_s)
            if progress is not None:
                progress(state)
            if stop_when is not None and not stopped and (reason := stop_when(state)):
                stopped = reason
                self._workers.end_window(bounds, CUT_DRAIN_S)

        patience_s = bounds.patience_s(self.config, drain_s)
        interrupted = False
        try:
            with raised():
                ended = self._workers.collect(answers, patience_s, tick=step, on_reports=on_reports)
            if not ended:
                stopped = stopped or f"calls had not ended after {patience_s:,.0f} s"
                self._cut(bounds, answers, drain_s=0.0)
        except KeyboardInterrupt:
            if not keep_on_interrupt:
                raise
            interrupted = True
            try:
                with hurried():
                    self._cut(bounds, answers)
            except KeyboardInterrupt:
                self._cut(bounds, answers, drain_s=0.0)
        return self._run(bounds, files, answers, watch.close(), stopped=stopped, interrupted=interrupted)

    def _cut(self, bounds: Bounds, answers: dict[int, WorkerAnswer], drain_s: float = CUT_DRAIN_S) -> None:
        """End the window and, after `drain_s`, its calls; collect the answers. Raises WorkerError."""
        self._workers.end_window(bounds, drain_s)
        if not self._workers.collect(answers, drain_s + SILENCE_S):
            names = ", ".join(self._workers.names(without=answers))
            raise WorkerError(f"{names} did not finish within {drain_s + SILENCE_S:.0f} s")

    @contextlib.contextmanager
    def background(self, limit_s: float = 60.0) -> Iterator[None]:
        """Run the same load, unrecorded, while the block runs; it ends by itself after `limit_s`."""
        now = time.perf_counter()
        bounds = Bounds(starts_at=now, opens_at=now, closes_at=now + limit_s, rate_rps=self.config.load.rate_rps)
        self._workers.order(bounds, record=False, report=False, drain_s=DRAIN_S, watch_s=())
        try:
            yield
        finally:
            with contextlib.suppress(WorkerError):
                self._cut(bounds, {})

    # ---- slices --------------------------------------------------------------------------------------------------

    def warm_up(self) -> WarmUp:
        """Load for the configuration's warm-up, then be idle: slices follow, or a window without warm-up.

        Raises WorkerError, StorageError, and MeasurementError where there is nothing left to send.
        """
        return self._opened_slices().warm_up()

    def open_slices(self, *, drain_s: float | None = None) -> None:
        """Make ready for slices: this takes some milliseconds.

        Calls that are under way `drain_s` after a counted stretch are given up; DRAIN_S and the deadline by default.
        """
        slices = self._opened_slices()
        if drain_s is not None:
            slices.drain_s = drain_s
        slices.watch({GENERATOR: self.pids, **self.beside})

    def prepare_slice(self, lengths: SliceLengths) -> None:
        """Have the workers ready for the next slice. Raises WorkerError."""
        self._opened_slices().prepare(lengths)

    def slice(self, lengths: SliceLengths, *, counts: bool = True) -> Slice:
        """Measure one slice, to the end of its last call; without `counts` the caller reads the kernel's around it.

        Raises WorkerError, StorageError.
        """
        return self._opened_slices().slice(lengths, counts=counts)

    def finish_slices(self) -> list[Slice]:
        """End the slices; return all of them, with their figures now. Raises WorkerError, StorageError."""
        return self._opened_slices().finish()

    def close_slices(
        self,
        keep: Collection[int] | None = None,
        idle: Mapping[int, tuple[KernelCounts, KernelCounts]] | None = None,
    ) -> LoadRun:
        """End the slices and return one run over all that are valid; of `keep`, numbers of slices, where it is given.

        `idle`: the kernel's counts around each that was measured without. Raises as :meth:`SlicedLoad.close` does.
        """
        slices, self._slices = self._opened_slices(), None
        return slices.close(keep, idle)

    def _opened_slices(self) -> SlicedLoad:
        if self._slices is None:
            remote = bool(self._security.remote)
            self._slices = SlicedLoad(
                self._workers, self.target, remote=remote, seed=self._seed, drain_s=DRAIN_S, why_out=self._words_out
            )
        return self._slices

    def _run(
        self,
        bounds: Bounds,
        files: list[Path],
        answers: dict[int, WorkerAnswer],
        interference: Interference,
        *,
        stopped: str,
        interrupted: bool = False,
    ) -> LoadRun:
        ended = self._workers.in_order(answers, WindowEnded)
        ran_out = [answer.ran_out_at for answer in ended if answer.ran_out_at is not None]
        if ran_out:
            bounds.cut_at = min(bounds.cut_at, *ran_out)
            stopped = stopped or self._why_out(ended)
        ceilings = [answer.ceiling for answer in ended if answer.ceiling]
        cut = interrupted or bool(stopped)
        windows = self._workers.windows(bounds, files, cut=cut)
        planned = None if bounds.rate_rps is None else bounds.planned(self.config.load.arrival, self._seed)
        if planned is not None and cut:  # a worker that heard of the end late has sent what was due until then
            planned = max(planned, sum(int(window.inside.sum()) for window in windows))
        run = assemble(
            windows,
            ended,
            rate_rps=bounds.offered_rps(planned),
            planned=planned,
            interrupted=interrupted,
            stopped=stopped,
            interference=interference,
        )
        traffic = run.traffic + Traffic(goaways=self._workers.goaways())
        return dataclasses.replace(run, traffic=traffic, ran_out=bool(ran_out) and not ceilings, ceiling=any(ceilings))

    def _end_where_out(self, bounds: Bounds, answers: Mapping[int, WorkerAnswer]) -> str:
        """End the window where a worker has no request left: the others would go on with fewer callers."""
        ended = [answer for answer in answers.values() if isinstance(answer, WindowEnded)]
        if not any(answer.ran_out_at for answer in ended):
            return ""
        self._workers.end_window(bounds, CUT_DRAIN_S)
        return self._why_out(ended)

    def _why_out(self, ended: Collection[WindowEnded]) -> str:
        """Return what a worker had no more of: its part of the allowance, or requests."""
        return self._words_out(next((answer.ceiling for answer in ended if answer.ceiling), ""))

    def _words_out(self, ceiling: str) -> str:
        if ceiling and self._allowance is not None:
            return self._allowance.reached(ceiling)
        return (
            f"all {self._call.supply or 0:,} requests have been sent, and repeating them is not allowed: provide more "
            "requests, make fewer calls, or add --data-repeat"
        )
