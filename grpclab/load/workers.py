"""The processes of the load generator: started, connected, given windows, and awaited until each has answered."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.bounds import Bounds, auto_workers, connections, split
from grpclab.load.core.recorder import Records, remove
from grpclab.load.core.traffic import add_counts, read_core_log
from grpclab.load.core.worker_window import Window
from grpclab.load.worker_messages import (
    Connect,
    EndTail,
    EndWindow,
    Failed,
    MeasureWindow,
    OpenSlices,
    SliceEnded,
    TailEnded,
    WindowEnded,
    WindowProgress,
    WorkerAnswer,
    WorkerOrder,
)
from grpclab.system import ulimits
from grpclab.system.allowance import Allowance
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, receive_all, receive_any
from grpclab.system.temporary import TemporaryFolder
from grpclab.system.transport import Security

T = TypeVar("T", bound=WorkerAnswer)

CONNECT_TIMEOUT_S = 5.0
"""The time in which a server has to accept connections."""
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""How many threads numpy's linear algebra has, which no worker uses: by default, one for each core of the machine."""
OPENING_GRID_S = 0.01
"""The precision with which the coordinator, which sleeps meanwhile, meets the window's opening."""


class Workers:
    """The workers of one configuration, one child process each. See :class:`grpclab.load.generator.Generator`."""

    def __init__(
        self,
        config: TrialConfig,
        *,
        cpus: Collection[int] | None,
        env: Mapping[str, str] | None,
        seed: int,
        residence: bool,
        connect_timeout_s: float | None,
    ) -> None:
        self._cores = sorted(cpus or _usable_cores())
        workers = config.load.workers or auto_workers(config, self._cores)
        self.config = config.replace({"load.workers": workers})
        self.parts = split(self.config)
        """The configuration of each worker."""
        ulimits.require_open_files(max(connections(part) for part in self.parts))
        self._pinned = cpus is not None
        self._env = env
        self._seed = seed
        self._residence = residence
        self._calls = 0
        """Those of the mix; 0 where one call is made always."""
        # An emulated link delays each of the round trips of TCP, TLS and HTTP/2.
        patience_s = CONNECT_TIMEOUT_S if connect_timeout_s is None else connect_timeout_s
        self._connect_timeout_s = patience_s + 5 * config.link.rtt_ms / 1000
        self._stack = contextlib.ExitStack()
        self._children: list[Child] = []
        self._logs: dict[int, Path] = {}
        """By the worker's number."""
        self._windows = 0
        self._made: dict[int, int] = {}
        self._spent: dict[int, int] = {}
        """By process id: the calls that a worker has made, and taken from the allowance, since it connected."""
        self._tails: set[int] = set()
        """The workers, by process id, whose tails have ended in the running slice, while others' have not."""

    def close(self) -> None:
        """End the workers."""
        self._stack.close()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._children]

    def names(self, *, without: Collection[int]) -> list[str]:
        """The names of the workers, those of some process ids left out."""
        return [worker.name for worker in self._children if worker.pid not in without]

    @property
    def count(self) -> int:
        """The number of workers, where the configuration leaves it open as well."""
        return len(self.parts)

    @property
    def calls_made(self) -> int:
        """Every call that was sent since the workers connected, as far as they have said by now."""
        return sum(self._made.values())

    @property
    def spent(self) -> int:
        """The calls that were taken from the allowance, likewise."""
        return sum(self._spent.values())

    @property
    def spins(self) -> bool:
        """Return whether an open loop keeps its cores busy between sends, so as to meet its times."""
        if self.config.load.pacing != "auto":
            return self.config.load.pacing == "spin"
        return self.count <= len(self._cores) and len(_usable_cores()) > 1

    def spawn(self) -> None:
        """Start the workers, if they are not there yet: while a server starts, they load what they need."""
        if self._children:
            return
        self._folder = self._stack.enter_context(TemporaryFolder())
        self._stack.callback(self._repeat_logs)
        for index in range(self.count):
            name = f"load worker {index + 1} of {self.count}"
            self._children.append(self._stack.enter_context(self._worker(name, index)))

    def start(
        self,
        target: str,
        call: CallSpec,
        security: Security,
        allowance: Allowance | None,
        *,
        tick: Callable[[], None] | None = None,
    ) -> None:
        """Connect the workers; `tick` is called now and then meanwhile. Raises TargetError or WorkerError."""
        self._calls = 0 if call.mix is None else len(call.mix.calls)
        ends_at = time.perf_counter() + (0.0 if allowance is None else allowance.time_s)
        for index, (worker, part) in enumerate(zip(self._children, self.parts, strict=True)):
            worker.send(
                Connect(
                    config=part,
                    target=target,
                    security=security,
                    allowance=None if allowance is None else allowance.of_worker(index, self.count),
                    ends_at=ends_at,
                    call=call.of_worker(index, self.count, seed=self._seed),
                    callers=self.config.load.concurrency,
                    residence=self._residence,
                    spin=self.spins,
                    worker=index,
                    workers=self.count,
                    seed=self._seed,
                    connect_timeout_s=self._connect_timeout_s,
                )
            )
        patience_s = START_TIMEOUT_S + self._connect_timeout_s
        for answer in receive_all(self._children, patience_s, WorkerAnswer, every_s=0.1, tick=tick):
            if isinstance(answer, Failed):
                raise answer.error

    def _worker(self, name: str, index: int) -> Child:
        one_thread = {name: "1" for name in BLAS_THREADS if name not in os.environ}
        cpus, env = self._cores_of(index), {**one_thread, **(self._env or {})}
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
        """The cores of one worker: a part of them, where there are enough."""
        if not self._pinned:
            return None
        return self._cores[index :: self.count] if self.count <= len(self._cores) else self._cores

    def order(
        self,
        bounds: Bounds,
        *,
        record: bool,
        report: bool,
        drain_s: float,
        watch_s: Sequence[float],
    ) -> list[Path]:
        """Start a window in the workers. Returns the files that they will write."""
        self._windows += 1
        files = [self._folder / f"window-{self._windows}-worker-{index}" for index in range(self.count)]
        for index, (worker, part, file) in enumerate(zip(self._children, self.parts, files, strict=True)):
            requests = None if bounds.by_time else part.load.requests
            if bounds.rate_rps is not None:  # its calls are divided by the schedule; None of them: the end holds
                requests = bounds.due.of_worker(index, self.count) or None if bounds.due else None
            worker.send(
                MeasureWindow(
                    starts_at=bounds.starts_at,
                    opens_at=bounds.opens_at,
                    closes_at=bounds.closes_at,
                    requests=requests if record else None,
                    rate_rps=bounds.rate_rps,
                    record=file if record else None,
                    progress=report,
                    drain_s=drain_s,
                    watch_s=tuple(watch_s),
                )
            )
        return files

    def open_slices(self, rate_rps: float | None) -> list[Path]:
        """Announce slices to the workers. Returns the files that they will write."""
        self._windows += 1
        files = [self._folder / f"slices-{self._windows}-worker-{index}" for index in range(self.count)]
        for worker, file in zip(self._children, files, strict=True):
            worker.send(OpenSlices(record=file, rate_rps=rate_rps))
        return files

    def send(self, order: WorkerOrder) -> None:
        """Send one order to every worker. Raises WorkerError if one is gone."""
        for worker in self._children:
            worker.send(order)

    def end_window(self, bounds: Bounds, drain_s: float) -> None:
        """End the running window now, and its calls after `drain_s`."""
        bounds.cut_at = min(time.perf_counter(), bounds.cut_at)
        for worker in self._children:
            worker.send(EndWindow(cut_at=bounds.cut_at, drain_s=drain_s))

    def collect(
        self,
        answers: dict[int, WorkerAnswer],
        timeout_s: float,
        *,
        every_s: float = OPENING_GRID_S,
        tick: Callable[[], None] | None = None,
        on_reports: Callable[[Collection[WindowProgress]], None] | None = None,
    ) -> bool:
        """Wait until every worker has its answer among the `answers`; their reports go to `on_reports` meanwhile, and
        `tick` is called every `every_s`. Once all of them have said that their tails have ended, they are told so.

        False where some have none after `timeout_s`. Raises WorkerError if a worker dies.
        """
        end = time.monotonic() + timeout_s
        reports: dict[int, WindowProgress] = {}
        while running := [worker for worker in self._children if worker.pid not in answers]:
            left = max(0.0, end - time.monotonic())
            answered = reported = False
            for worker, message in receive_any(running, left, WorkerAnswer, every_s=every_s, tick=tick):
                answered = True
                if isinstance(message, WindowProgress):
                    reports[worker.pid], reported = message, True
                elif isinstance(message, TailEnded):
                    self._tails.add(worker.pid)
                else:
                    answers[worker.pid] = message
                    self._note(worker.pid, message)
            if not answered and left <= 0:
                return False
            if self._tails and all(worker.pid in self._tails or worker.pid in answers for worker in running):
                self._tails.clear()
                self.send(EndTail())
            if on_reports is not None and reported:
                on_reports(reports.values())
        return True

    def _note(self, pid: int, answer: WorkerAnswer) -> None:
        if isinstance(answer, SliceEnded | WindowEnded):
            self._made[pid], self._spent[pid] = answer.made, answer.spent

    def in_order(self, answers: Mapping[int, WorkerAnswer], kind: type[T]) -> list[T]:
        """Return the workers' answers in their order. Raises the error of one that failed."""
        ordered = []
        for pid in self.pids:
            answer = answers[pid]
            if isinstance(answer, Failed):
                raise answer.error
            assert isinstance(answer, kind)
            ordered.append(answer)
        return ordered

    def windows(self, bounds: Bounds, files: Sequence[Path], *, cut: bool) -> list[Window]:
        """Return the window of each worker from the file that it has written, which goes with its last column."""
        windows = []
        for records, part in zip(self.records(files), self.parts, strict=True):
            windows.append(
                Window(
                    records=records,
                    opened_at=bounds.opens_at,
                    requests=part.load.requests if bounds.rate_rps is None and not bounds.by_time else None,
                    closes_at=bounds.closes_at,
                    held_open=bounds.rate_rps is not None and not cut,
                    cut_at=bounds.cut_at,
                )
            )
        return windows

    def records(self, files: Sequence[Path]) -> list[Records]:
        """Return the records in the workers' files, and remove these: a long run's are large."""
        mapped = [Records.load(file, residence=self._residence, calls=self._calls) for file in files]
        for file in files:
            remove(file)  # the map keeps it as long as it is needed
        return mapped

    def goaways(self) -> dict[str, int]:
        """The GOAWAYs in C-core's log, over all workers."""
        counts: dict[str, int] = {}
        for log in self._logs.values():
            counts = add_counts(counts, read_core_log(_lines(log))[0])
        return counts

    def _repeat_logs(self) -> None:
        """Repeat on standard error what the workers wrote there; of one that died, it is in the error about its end."""
        for index, log in self._logs.items():
            if index < len(self._children) and self._children[index].died:
                continue
            _, lines = read_core_log(_lines(log))
            if lines:
                print(*lines, sep="\n", file=sys.stderr)


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
