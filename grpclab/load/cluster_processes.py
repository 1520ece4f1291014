"""The generator processes of a load in a Dask cluster: started, connected, asked for news, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpclab.cluster.clocks import ClockOffset, exchanged
from grpclab.cluster.connection import Cluster, ClusterWorker
from grpclab.errors import MeasurementError, WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.core.bounds import auto_workers, split
from grpclab.load.machine_worker import LEASE_S, MachineWorker, News
from grpclab.load.worker_messages import Failed, WindowProgress, WorkerAnswer, WorkerOrder
from grpclab.system.subprocesses import START_TIMEOUT_S

SILENCE_S = 4.0
"""A process whose Dask worker does not answer for this time counts as lost."""
NEWS_EVERY_S = 0.2
"""The time from one question for news to the next."""
QUESTIONS_PER_S = 500
"""The questions that a scheduler passes on, for all processes together."""
CLOCK_TIMEOUT_S = 10.0
"""The time in which some clocks have to be read."""
CLOCKS_AT_ONCE = 4
"""The clocks that are read side by side; more would wait for one another."""


@dataclass(kw_only=True)
class GeneratorProcess:
    """One generator process, as far as it is known here."""

    index: int
    """Its number among all processes of the load, lost ones included."""
    worker: ClusterWorker
    part: TrialConfig
    actor: Any = None
    clock: ClockOffset = field(default_factory=lambda: ClockOffset(offset_s=0.0, bound_s=0.0))
    question: Any = None
    """The question for news that is under way."""
    asked_at: float = -math.inf
    heard_at: float = math.nan
    progress: WindowProgress | None = None
    answer: WorkerAnswer | None = None
    """The answer to the last order."""

    @property
    def name(self) -> str:
        return f"{self.worker.host} {self.worker.name}"

    def order(self, order: WorkerOrder) -> Any:
        """Pass an order on, whose answer is then outstanding; returns the question about its arrival.

        Raises LostProcessError.
        """
        self.answer = None
        try:
            return self.actor.order(order)
        except Exception as error:
            raise LostProcessError(self, _reason(error)) from None


class LostProcessError(WorkerError):
    """A generator process of a cluster, its machine or the way to it is lost. `reason` is a part of a sentence."""

    def __init__(self, process: GeneratorProcess, reason: str) -> None:
        super().__init__(f"{process.name} was lost: {reason}")
        self.process, self.reason = process, reason


class ClusterProcesses:
    """The generator processes of one configuration, one in each of some Dask workers, in their order.

    Iteration yields those that are left.
    """

    def __init__(self, cluster: Cluster, config: TrialConfig) -> None:
        """Choose the workers: as many as `load.workers` says, or all that there is work for."""
        workers = config.load.workers
        if workers <= 1:
            workers = auto_workers(config, range(len(cluster.workers)))
        self.config = config.replace({"load.workers": workers})
        self._cluster = cluster
        chosen = _spread(cluster)[:workers]
        self._all = [
            GeneratorProcess(index=index, worker=worker, part=part)
            for index, (worker, part) in enumerate(zip(chosen, split(self.config), strict=True))
        ]
        self.planned = len(self._all)
        """The processes that the load was divided among, lost ones included."""
        self._over = threading.Event()

    def __iter__(self) -> Iterator[GeneratorProcess]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def lose(self, process: GeneratorProcess) -> None:
        """Go on without a process. It is told to end, in case it is still there; otherwise its lease ends it."""
        self._all = [one for one in self._all if one is not process]
        with contextlib.suppress(Exception):
            process.actor.close()
        process.actor = None

    def place(self, purpose: str) -> None:
        """Start one process in each Dask worker, which is taken for this `purpose`. Raises MeasurementError."""
        futures = [
            self._cluster.client.submit(
                MachineWorker,
                purpose,
                self.config.load.engine,
                self._cluster.cores_of(process.worker),
                actor=True,
                workers=[process.worker.address],
                allow_other_workers=False,
                pure=False,
            )
            for process in self._all
        ]
        for process, future in zip(self._all, futures, strict=True):
            try:
                process.actor = future.result(timeout=START_TIMEOUT_S)
            except MeasurementError as error:
                raise MeasurementError(f"{process.name}: {error}") from None
            except TimeoutError:
                raise MeasurementError(
                    f"{process.name} did not start its generator process within {START_TIMEOUT_S:g} s: is it busy with "
                    "something else?"
                ) from None
            except Exception as error:
                raise WorkerError(f"{process.name} could not start its generator process: {error}") from None
        keeping = threading.Thread(
            target=contextvars.copy_context().run, args=(self._keep_leases,), name="leases", daemon=True
        )
        keeping.start()

    def _keep_leases(self) -> None:
        """Ask every process for its clock now and then, so that it goes on while this one is occupied."""
        while not self._over.wait(LEASE_S / 4):
            for process in self._all:
                with contextlib.suppress(Exception):  # whoever needs the process notices
                    process.actor.clock()

    def close(self) -> None:
        """End the processes; one that cannot be told ends when its lease is over."""
        self._over.set()
        closing = []
        for process in self._all:
            if process.actor is not None:
                with contextlib.suppress(Exception):
                    closing.append(process.actor.close())
        end = time.monotonic() + SILENCE_S
        for one in closing:
            with contextlib.suppress(Exception):
                one.result(timeout=max(0.1, end - time.monotonic()))
        for process in self._all:
            process.actor = None

    def compare_clocks(self) -> list[ClockOffset]:
        """Estimate the offset of each clock, several at a time. Raises LostProcessError."""

        async def read(process: GeneratorProcess) -> ClockOffset:
            return await asyncio.wait_for(exchanged(process.actor.clock, time.perf_counter), CLOCK_TIMEOUT_S)

        async def all_of(processes: Sequence[GeneratorProcess]) -> list[ClockOffset | BaseException]:
            return await asyncio.gather(*map(read, processes), return_exceptions=True)

        found: list[ClockOffset] = []
        for first in range(0, len(self._all), CLOCKS_AT_ONCE):
            part = self._all[first : first + CLOCKS_AT_ONCE]
            try:
                answers = self._cluster.client.sync(all_of, part, callback_timeout=2 * CLOCK_TIMEOUT_S)
            except Exception as error:  # of the client: no process can be reached
                answers = [error]
            for process, answer in zip(part, answers, strict=False):
                if isinstance(answer, TimeoutError):
                    raise LostProcessError(process, f"its clock could not be read within {CLOCK_TIMEOUT_S:g} s")
                if not isinstance(answer, ClockOffset):
                    raise LostProcessError(process, _reason(answer))
                found.append(answer)
        for process, clock in zip(self._all, found, strict=True):
            process.clock = clock
        return found

    def wait_connected(self, patience_s: float) -> None:
        """Wait until every process has answered its first order. Raises TargetError, WorkerError or PluginError."""
        end = time.monotonic() + START_TIMEOUT_S + patience_s
        while waiting := [process for process in self._all if process.answer is None]:
            self.ask(waiting)
            if time.monotonic() > end:
                raise WorkerError(f"{', '.join(p.name for p in waiting)} did not connect within {patience_s:g} s")
            time.sleep(0.01)
        for process in self._all:
            if isinstance(process.answer, Failed):
                error = process.answer.error
                raise type(error)(f"{process.name}: {error}")

    def spins(self, process: GeneratorProcess) -> bool:
        """Return whether a process may keep its core busy between sends: each one on its machine has its own."""
        if self.config.load.pacing != "auto":
            return self.config.load.pacing == "spin"
        beside = [one for one in self._all if one.worker.machine == process.worker.machine]
        return len(beside) < len(process.worker.cores)

    @property
    def every_s(self) -> float:
        """The time from one question for news to the next, for each process."""
        return max(NEWS_EVERY_S, len(self._all) / QUESTIONS_PER_S)

    def ask(self, processes: Collection[GeneratorProcess]) -> None:
        """Take the news that have come, and ask for more where it is time to. Raises LostProcessError."""
        for process in processes:
            now = time.monotonic()
            if process.question is None:
                if now - process.asked_at >= self.every_s:
                    process.asked_at = now
                    try:
                        process.question = process.actor.news()
                    except Exception as error:
                        raise LostProcessError(process, _reason(error)) from None
            elif process.question.done():
                question, process.question = process.question, None
                self._take(process, result_of(process, question))
            elif now - process.asked_at > SILENCE_S:
                raise LostProcessError(process, f"it did not answer for {SILENCE_S:g} s")

    def _take(self, process: GeneratorProcess, news: News) -> None:
        process.heard_at = time.perf_counter()
        for answer in news.answers:
            if isinstance(answer, WindowProgress):
                process.progress = answer
            else:
                process.answer = answer
        if news.ended and process.answer is None:
            raise LostProcessError(process, news.ended)


def _spread(cluster: Cluster) -> list[ClusterWorker]:
    """The workers, one of each machine, then the next of each, so that a few of them are on many machines."""
    of = {machine: [w for w in cluster.workers if w.machine == machine] for machine in cluster.machines}
    most = max(map(len, of.values()))
    return [workers[turn] for turn in range(most) for workers in of.values() if turn < len(workers)]


def result_of(process: GeneratorProcess, question: Any, timeout_s: float = SILENCE_S) -> Any:
    """Return the answer of a process. Raises LostProcessError where it is lost."""
    try:
        return question.result(timeout=timeout_s)
    except TimeoutError:
        raise LostProcessError(process, f"it did not answer for {timeout_s:g} s") from None
    except Exception as error:
        raise LostProcessError(process, _reason(error)) from None


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
