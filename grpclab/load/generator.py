"""The coordinator of the workers: spawn, connect, start at one moment, collect.

::

    with Generator(config, target, cpus={1}) as generator:
        run = generator.measure(tick=sample)      # a LoadRun
        with generator.background():              # the same load again, not recorded, for a profile
            ...
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from grpclab.errors import PluginError, StorageError, TargetError, WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.core.bounds import SILENCE_S, Bounds, auto_workers, connections, plan_bounds, split
from grpclab.load.core.recorder import Records, remove
from grpclab.load.core.traffic import add_counts, read_core_log
from grpclab.load.core.worker_window import Window
from grpclab.load.run import BUSY_LIMIT, LoadProgress, LoadRun, assemble, merge_reports
from grpclab.load.watching import InterferenceWatch
from grpclab.system import ulimits
from grpclab.system.interference import GENERATOR, Interference
from grpclab.system.interrupts import hurried, raised
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, receive_all, receive_any
from grpclab.system.temporary import TemporaryFolder

__all__ = ["BUSY_LIMIT", "Generator", "LoadProgress", "LoadRun", "split"]

CONNECT_TIMEOUT_S = 5.0
"""So long a server may take to be there."""
START_DELAY_S = 0.02
"""The common start lies this far ahead, so that every worker has heard of it."""
DRAIN_S = 3.0
"""So long calls may go on after the end of a window that ends by the clock; then they are given up, and counted."""
CUT_DRAIN_S = 1.0
"""The same where the window was cut short: Ctrl-C, a signal, a threshold that was broken."""
OPENING_GRID_S = 0.01
"""How exactly the coordinator, which sleeps meanwhile, meets the window's opening."""

Message = dict[str, Any]


class Generator:
    """The load of one configuration on one target; its connections stay open over several windows."""

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        *,
        cpus: Collection[int] | None = None,
        env: Mapping[str, str] | None = None,
        root_certificates: bytes | None = None,
        call: CallSpec | None = None,
        seed: int = 1,
        residence: bool = False,
        connect_timeout_s: float | None = None,
    ) -> None:
        """`cpus`: the workers' cores. `call`: what is called, by default our greeter. `seed`: of the arrivals.
        `residence`: record what the reference server tells of each call's time inside it.
        """
        self._cores = sorted(cpus or _usable_cores())
        workers = config.load.workers or auto_workers(config, self._cores)
        self.config = config.replace({"load.workers": workers})
        self._parts = split(self.config)
        ulimits.require_open_files(max(connections(part) for part in self._parts))
        self._pinned = cpus is not None
        self._env = env
        self.aim(target, root_certificates=root_certificates, call=call)
        self._seed = seed
        self._residence = residence
        # An emulated link delays each of the round trips of TCP, TLS and HTTP/2.
        patience_s = CONNECT_TIMEOUT_S if connect_timeout_s is None else connect_timeout_s
        self._connect_timeout_s = patience_s + 5 * config.link.rtt_ms / 1000
        self._stack = contextlib.ExitStack()
        self._workers: list[Child] = []
        self._logs: dict[int, Path] = {}
        """By the worker's number."""
        self._windows = 0
        self.beside: dict[str, list[int]] = {}
        """The processes of the other parties (:mod:`grpclab.system.interference`), for what is said of the window's
        interference: those of the server and the link, as far as they are known."""

    def __enter__(self) -> Generator:
        try:
            self.spawn()
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """End the workers."""
        self._stack.close()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._workers]

    @property
    def workers(self) -> int:
        """How many there are, where the configuration leaves it open as well."""
        return len(self._parts)

    @property
    def spins(self) -> bool:
        """Whether an open loop keeps its cores busy between sends, so as to meet its times."""
        if self.config.load.pacing != "auto":
            return self.config.load.pacing == "spin"
        return self.workers <= len(self._cores) and len(_usable_cores()) > 1

    def spawn(self) -> None:
        """Start the workers, if they are not there yet: while a server starts, they load what they need."""
        if self._workers:
            return
        self._folder = self._stack.enter_context(TemporaryFolder())
        self._stack.callback(self._repeat_what_workers_wrote)
        for index in range(self.workers):
            name = f"load worker {index + 1} of {self.workers}"
            self._workers.append(self._stack.enter_context(self._worker(name, index)))

    def aim(self, target: str, *, root_certificates: bytes | None = None, call: CallSpec | None = None) -> None:
        """Name the target, before :meth:`start`, where it was not known at first."""
        self.target = target
        self._roots = root_certificates.decode() if root_certificates else None
        self._call = call or greeting(self.config.load)

    def start(self, tick: Callable[[], None] | None = None) -> None:
        """Connect the workers; `tick` is called now and then meanwhile. Raises TargetError or WorkerError."""
        for index, (worker, part) in enumerate(zip(self._workers, self._parts, strict=True)):
            worker.send(
                settings=part.differences(TrialConfig()),
                target=self.target,
                roots=self._roots,
                call=self._call.to_json(),
                residence=self._residence,
                spin=self.spins,
                worker=index,
                workers=self.workers,
                seed=self._seed,
                connect_timeout_s=self._connect_timeout_s,
            )
        patience_s = START_TIMEOUT_S + self._connect_timeout_s
        for answer in receive_all(self._workers, patience_s, every_s=0.1, tick=tick):
            if "error" in answer:
                raise (PluginError if answer["kind"] == "plugin" else TargetError)(answer["error"])

    def _worker(self, name: str, index: int) -> Child:
        cpus, env = self._cores_of(index), dict(self._env or {})
        engine = self.config.load.engine
        log = None
        if engine != "grpcio":
            log = self._log(index)
        elif "GRPC_VERBOSITY" not in os.environ:  # whoever set it wants to see C-core's log
            # C-core tells of a server's GOAWAYs in its log only, which is read when the window is over.
            log, env["GRPC_VERBOSITY"] = self._log(index), "INFO"
        return Child("grpclab.load.worker", engine, name=name, cpus=cpus, env=env, log=log)

    def _log(self, index: int) -> IO[bytes]:
        """The file that a worker's standard error goes to."""
        path = self._folder / f"log-{index}"
        self._logs[index] = path
        return self._stack.enter_context(path.open("w+b"))

    def _cores_of(self, index: int) -> list[int] | None:
        """The cores divided, where there are enough of them."""
        if not self._pinned:
            return None
        return self._cores[index :: self.workers] if self.workers <= len(self._cores) else self._cores

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
        progress: Callable[[LoadProgress], None] | None = None,
        stop_when: Callable[[LoadProgress], str | None] | None = None,
        drain_s: float = DRAIN_S,
        watch_s: Sequence[float] = (),
    ) -> LoadRun:
        """Warm up, be silent for as long as the load asks, then measure one window.

        `on_open` is called when it opens, `tick` now and then.

        `rate_rps` and `warmup_s` take the place of the configuration's. About four times a second, `progress` is
        told how the window goes, and `stop_when` may end it by giving a reason;
        `watch_s` are limits of latency whose breaking it tells of. With `keep_on_interrupt`, Ctrl-C
        ends the window early instead of raising KeyboardInterrupt, and a second one the calls under way. Calls that
        are under way `drain_s` after the end of the window are given up: recorded as NOT_ENDED. Raises WorkerError if
        a worker dies or does not come to an end, StorageError if the records cannot be written.
        """
        if self.config.load.pause_s and warmup_s is None:
            with raised():
                with self.background():
                    time.sleep(self.config.load.warmup_s)
                time.sleep(self.config.load.pause_s)
            warmup_s = 0.0
        watch = InterferenceWatch(
            {GENERATOR: self.pids, **self.beside}
        )  # takes some milliseconds: before the start is fixed
        bounds = plan_bounds(
            self.config.load, time.perf_counter() + START_DELAY_S, self._seed, rate_rps=rate_rps, warmup_s=warmup_s
        )
        files = self._order(bounds, report=bool(progress or stop_when), drain_s=drain_s, watch_s=watch_s)
        opened, next_tick, stopped = False, 0.0, ""

        def step() -> None:
            nonlocal opened, next_tick
            now = time.perf_counter()
            if not opened and now >= bounds.opens_at:
                opened = True
                if on_open is not None:
                    on_open()
                watch.open(late_s=now - bounds.opens_at)
            watch.look()
            if tick is not None and now >= next_tick:
                next_tick = now + every_s
                tick()

        def told(reports: Collection[Message]) -> None:
            nonlocal stopped
            seen = merge_reports(reports, time.perf_counter() - bounds.opens_at, watch_s)
            if progress is not None:
                progress(seen)
            if stop_when is not None and not stopped and (reason := stop_when(seen)):
                stopped = reason
                self._close(bounds)

        answers: dict[int, Message] = {}
        patience_s = bounds.patience_s(self.config, drain_s)
        interrupted = False
        try:
            with raised():
                ended = self._collect(answers, patience_s, tick=step, told=told)
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

    def _cut(self, bounds: Bounds, answers: dict[int, Message], drain_s: float = CUT_DRAIN_S) -> None:
        """End the window and, after `drain_s`, its calls; collect the answers. Raises WorkerError."""
        self._close(bounds, drain_s)
        if not self._collect(answers, drain_s + SILENCE_S):
            names = ", ".join(worker.name for worker in self._workers if worker.pid not in answers)
            raise WorkerError(f"{names} did not come to an end within {drain_s + SILENCE_S:.0f} s")

    @contextlib.contextmanager
    def background(self, limit_s: float = 60.0) -> Iterator[None]:
        """The same load, unrecorded, while the block runs; it ends by itself after `limit_s`."""
        now = time.perf_counter()
        bounds = Bounds(starts_at=now, opens_at=now, closes_at=now + limit_s, rate_rps=self.config.load.rate_rps)
        self._order(bounds, record=False)
        try:
            yield
        finally:
            with contextlib.suppress(WorkerError):
                self._cut(bounds, {})

    def _order(
        self,
        bounds: Bounds,
        *,
        record: bool = True,
        report: bool = False,
        drain_s: float = DRAIN_S,
        watch_s: Sequence[float] = (),
    ) -> list[Path]:
        """Tell the workers of a window; returns the files that they will write."""
        self._windows += 1
        files = [self._folder / f"window-{self._windows}-worker-{index}" for index in range(self.workers)]
        for index, (worker, part, file) in enumerate(zip(self._workers, self._parts, files, strict=True)):
            requests = part.load.requests
            if bounds.rate_rps is not None:  # its calls are divided by the schedule; None of them: the end holds
                requests = bounds.due.of_worker(index, self.workers) or None if bounds.due else None
            worker.send(
                starts_at=bounds.starts_at,
                opens_at=bounds.opens_at,
                closes_at=bounds.closes_at,
                requests=requests if record else None,
                rate_rps=bounds.rate_rps,
                record=str(file) if record else None,
                progress=report,
                drain_s=drain_s,
                watch_s=list(watch_s),
            )
        return files

    def _close(self, bounds: Bounds, drain_s: float = CUT_DRAIN_S) -> None:
        """End the running window now, and its calls after `drain_s`."""
        bounds.cut_at = min(time.perf_counter(), bounds.cut_at)
        for worker in self._workers:
            worker.send(close=bounds.cut_at, drain_s=drain_s)

    def _collect(
        self,
        answers: dict[int, Message],
        timeout_s: float,
        *,
        tick: Callable[[], None] | None = None,
        told: Callable[[Collection[Message]], None] | None = None,
    ) -> bool:
        """Wait until every worker has its answer among the `answers`; their reports go to `told` meanwhile.

        False where some have none after `timeout_s`. Raises WorkerError if a worker dies.
        """
        end = time.monotonic() + timeout_s
        reports: dict[int, Message] = {}
        while running := [worker for worker in self._workers if worker.pid not in answers]:
            left = max(0.0, end - time.monotonic())
            heard = told_more = False
            for worker, message in receive_any(running, left, every_s=OPENING_GRID_S, tick=tick):
                heard = True
                if "progress" in message:
                    reports[worker.pid], told_more = message["progress"], True
                else:
                    answers[worker.pid] = message
            if not heard and left <= 0:
                return False
            if told is not None and told_more:
                told(reports.values())
        return True

    def _run(
        self,
        bounds: Bounds,
        files: list[Path],
        answers: dict[int, Message],
        interference: Interference,
        *,
        stopped: str,
        interrupted: bool = False,
    ) -> LoadRun:
        told = [answers[worker.pid] for worker in self._workers]
        if failure := next((answer["error"] for answer in told if "error" in answer), None):
            raise StorageError(failure)
        cut = interrupted or bool(stopped)
        windows = []
        for file, part in zip(files, self._parts, strict=True):
            windows.append(
                Window(
                    records=Records.load(file, residence=self._residence),
                    opened_at=bounds.opens_at,
                    requests=part.load.requests if bounds.rate_rps is None else None,
                    closes_at=bounds.closes_at,
                    held_open=bounds.rate_rps is not None and not cut,
                    cut_at=bounds.cut_at,
                )
            )
            remove(file)  # a long run's is large; the map keeps it as long as it is needed
        planned = None if bounds.rate_rps is None else bounds.planned(self.config.load.arrival, self._seed)
        run = assemble(
            windows,
            told,
            rate_rps=bounds.rate_rps,
            planned=planned,
            interrupted=interrupted,
            stopped=stopped,
            interference=interference,
        )
        for log in self._logs.values():
            goaways, _ = read_core_log(_lines(log))
            run.traffic.goaways = add_counts(run.traffic.goaways, goaways)
        return run

    def _repeat_what_workers_wrote(self) -> None:
        """On standard error, as if they had written there. What one that died wrote is in the error about its end."""
        for index, log in self._logs.items():
            if index < len(self._workers) and self._workers[index].died:
                continue
            _, others = read_core_log(_lines(log))
            if others:
                print(*others, sep="\n", file=sys.stderr)


def _lines(log: Path) -> list[str]:
    """The lines of a log; none where the folder of temporary files has been cleared."""
    try:
        return log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _usable_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
