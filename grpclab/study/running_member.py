"""A member of a group while the group is measured: its server and generator beside those of the others."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import numpy as np
import psutil

from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import GrpclabError, MeasurementError, ServerError, TargetError, WorkerError
from grpclab.load.core.slices import Slice, SliceLengths, WarmUp, undisturbed
from grpclab.profiling.profiler import Look
from grpclab.study import profile_window
from grpclab.study.group_result import GroupMember
from grpclab.study.set_up import LEAVE_S, SetUp, last_words_of, set_up
from grpclab.study.slice_account import IdleReading, ServerAccount, SliceReading, cpu_over_counted_time
from grpclab.study.trial import run_trial
from grpclab.study.trial_notes import note_calls, note_end, note_evidence, note_load, note_start
from grpclab.study.trial_result import TrialResult, now_text
from grpclab.study.yardstick import Yardstick, running_yardstick
from grpclab.system import procfs
from grpclab.system.accounting import KernelCounts, waited_seconds
from grpclab.system.environment import CorePlan
from grpclab.system.notices import Notice
from grpclab.system.programs import descendants, kill
from grpclab.system.subprocesses import TRIAL_VARIABLE

KILL_EVERY_S = 0.05


class StartMember(Protocol):
    """Have a member's server and generator up and connected; `share` is its number, and of how many."""

    def __call__(self, member: GroupMember, cores: CorePlan, share: tuple[int, int]) -> AbstractContextManager[SetUp]:
        """Raises MeasurementError or UsageError."""


class MeasureAlone(Protocol):
    """Measure a member alone in one window, and write its trial."""

    def __call__(
        self, member: GroupMember, cores: CorePlan, *, counted_s: float, until_idle: bool, notices: tuple[Notice, ...]
    ) -> TrialResult:
        """See :func:`grpclab.study.trial.run_trial`."""


def _start(member: GroupMember, cores: CorePlan, share: tuple[int, int]) -> AbstractContextManager[SetUp]:
    return set_up(
        member.config,
        member.folder,
        cores=cores,
        identity=member.identity,
        subject=member.subject,
        data_files=member.data_files,
        share=share,
    )


def _measure_alone(
    member: GroupMember, cores: CorePlan, *, counted_s: float, until_idle: bool, notices: tuple[Notice, ...]
) -> TrialResult:
    return run_trial(
        member.config,
        member.folder,
        cores=cores,
        identity=member.identity,
        profile=member.profile,
        subject=member.subject,
        expected=member.expected,
        data_files=member.data_files,
        counted_s=counted_s,
        until_idle=until_idle,
        notices=notices,
    )


class IdleReader:
    """Reads what the servers of a group have used, with what their processes started.

    It runs between two slices, where every millisecond is one of hand-over: nothing is read twice.
    """

    def __init__(self) -> None:
        self._started: dict[str, frozenset[int]] = {}
        """By member: the processes that its server had started when it was visited last."""
        self._forks: dict[str, int] = {}
        """By member: the forks of the machine by then; where there was none since, it has started no other."""

    def __call__(
        self,
        servers: Mapping[str, Collection[int]],
        visited: Mapping[str, Collection[int]],
        cores: Collection[int],
    ) -> IdleReading:
        """The servers now, by the processes of each.

        `visited`: those whose slice has ended or begins, by all processes of the measurement of each.
        """
        at_s = time.perf_counter()
        counts = KernelCounts.take({os.getpid(), *(pid for pids in visited.values() for pid in pids)}, quotas=False)
        for name in visited:
            if not counts.forks or self._forks.get(name) != counts.forks:
                self._started[name] = frozenset(procfs.descendants(servers.get(name, ())))
                self._forks[name] = counts.forks
        return IdleReading(
            at_s=at_s,
            cpu_s={name: _used_s(pids, self._started.get(name, ())) for name, pids in servers.items()},
            waited_s={name: self._waited_s(name, servers.get(name, ()), counts) for name in visited},
            cores_s=counts.core_seconds(cores),
            counts=counts,
        )

    def _waited_s(self, name: str, pids: Collection[int], counts: KernelCounts) -> float:
        """The time for which a server's threads have waited; NaN where it is not known of one of its processes."""
        everyone = (*pids, *self._started[name])
        waited = [counts.waited_s[pid] if pid in counts.waited_s else waited_seconds(pid) for pid in everyone]
        known = [seconds for seconds in waited if seconds is not None]
        return math.fsum(known) if known and len(known) == len(waited) else math.nan


def _used_s(pids: Collection[int], started: Collection[int]) -> float:
    """CPU time of the processes of a server so far, and of those that they started; NaN where they are not known."""
    try:
        used = [procfs.cpu_seconds(pid) + procfs.ended_children_seconds(pid) for pid in pids]
    except psutil.Error:
        return math.nan
    for pid in started:
        with contextlib.suppress(psutil.Error):  # it has ended: its parent has waited for it, or will
            used.append(procfs.cpu_seconds(pid) + procfs.ended_children_seconds(pid))
    return math.fsum(used) if used else math.nan


@dataclass(frozen=True, kw_only=True)
class GroupTools:
    """What a group is measured with; tests bring their own."""

    start: StartMember = _start
    begin: Callable[[TrialResult, SetUp, StoredProgram | None], None] = note_start
    read: Callable[[Mapping[str, Collection[int]], Mapping[str, Collection[int]], Collection[int]], IdleReading] = (
        field(default_factory=IdleReader)
    )
    alone: MeasureAlone = _measure_alone
    observe: Callable[..., profile_window.Evidence] = profile_window.observe
    yardstick: Callable[[Collection[int]], AbstractContextManager[Yardstick]] = running_yardstick
    free_bytes: Callable[[], float] = lambda: float(psutil.virtual_memory().available)
    clock: Callable[[], float] = time.perf_counter


class RunningMember:
    """One member: from its server's start to its trial in its folder."""

    def __init__(self, member: GroupMember, tools: GroupTools, cores: CorePlan, share: tuple[int, int]) -> None:
        self.member = member
        self.name = member.name
        self.result = TrialResult(
            identity=member.identity, config=member.config, started_at=now_text(), subject=member.subject
        )
        self.start_error = ""
        """Why its server could not be started, or reached."""
        self.usage_error: GrpclabError | None = None
        self.warm: WarmUp | None = None
        self._tools, self._cores, self._share = tools, cores, share
        self._stack = contextlib.ExitStack()
        self._up: SetUp | None = None
        self._look: Callable[[int], dict[str, Look]] | None = None
        self._opened: procfs.Usage | None = None

    @property
    def up(self) -> SetUp:
        """Its server and generator, which have been started."""
        assert self._up is not None, "it has not been started"
        return self._up

    @property
    def rate_rps(self) -> float | None:
        """The rate of its open loop; None for a closed one."""
        return self.member.config.load.rate_rps

    @property
    def pids(self) -> list[int]:
        """The processes of its server; none where they are not known, or it is not up."""
        return [] if self._up is None else [*self._up.server.pids, *self._up.server.helpers]

    @property
    def processes(self) -> list[int]:
        """All processes of its measurement: those of its server, its link and its load."""
        if self._up is None:
            return []
        generator = self._up.generator
        return [*generator.pids, *(pid for pids in generator.beside.values() for pid in pids)]

    @property
    def failed(self) -> bool:
        """Whether its trial is invalid already."""
        return bool(self.result.invalid_reason)

    def start(self) -> None:
        """Start its server and generator; what goes wrong is in `start_error`, or in `result` and `usage_error`."""
        try:
            up = self._stack.enter_context(self._tools.start(self.member, self._cores, self._share))
        except (ServerError, TargetError, WorkerError) as error:
            self.start_error = str(error)
        except MeasurementError as error:
            self.result.invalid_reason = str(error)
        except GrpclabError as error:
            self.usage_error = error
        else:
            self._up = up
            with self.noted_failures():
                self._tools.begin(self.result, up, self.member.expected)
                self._look = profile_window.begin(up.server, profile=self.member.profile)

    @contextlib.contextmanager
    def noted_failures(self) -> Iterator[None]:
        """Make what goes wrong with the measurement the reason why its trial is invalid; the others go on."""
        try:
            with last_words_of(self.up.server):
                yield
                self.up.require_alive()
        except MeasurementError as error:
            self.result.invalid_reason = self.result.invalid_reason or str(error)

    def warm_up(self) -> None:
        """Warm it up; its load is silent afterwards."""
        with self.noted_failures():
            self.warm = undisturbed(self.up.generator.warm_up, self.rate_rps)

    def usage(self) -> procfs.Usage:
        """The resources of its server so far. Raises ServerError where it has died."""
        try:
            return self.up.server.usage()
        except psutil.Error:
            self.up.server.await_end(LEAVE_S)
            self.up.require_alive()
            raise ServerError("a server process has exited") from None

    def open(self) -> None:
        """Be ready for the first slice."""
        with self.noted_failures():
            self._opened = self.usage()
            self.up.generator.open_slices()

    def prepare(self, lengths: SliceLengths) -> None:
        """Be ready for the next slice, of these lengths."""
        with self.noted_failures():
            self.up.generator.prepare_slice(lengths)

    def slice(self, lengths: SliceLengths) -> Slice | None:
        """One slice; None where it failed."""
        found = None
        with self.noted_failures(), self.up.stand_ins.loading():
            found = self.up.generator.slice(lengths, counts=False)
        return found

    def finished_slices(self) -> list[Slice]:
        """Its slices with their figures, where none follows; none where it has failed."""
        found: list[Slice] = []
        if not self.failed:
            with self.noted_failures():
                found = self.up.generator.finish_slices()
        return found

    def note(self, readings: Sequence[SliceReading], account: ServerAccount) -> None:
        """Take the figures of the slices that count."""
        with self.noted_failures():
            own = [each for each in readings if each.member == self.name and each.counts]
            generator = self.up.generator
            run = generator.close_slices(
                [each.slice.number for each in own],
                {each.slice.number: (each.before.counts, each.after.counts) for each in own},
            )
            opened, closed = self._opened, self.usage()
            assert self._look is not None
            assert opened is not None
            looks = self._look(generator.calls_made)
            note_load(self.result, self.up, run, looks, opened=opened, closed=closed, samples=[])
            used_s = closed.user_s - opened.user_s + closed.kernel_s - opened.kernel_s
            kernel_share = (closed.kernel_s - opened.kernel_s) / used_s if used_s > 0 else math.nan
            self.result.metrics |= account.metrics(kernel_share)
            self.result.notices += account.notices()
            if len(timeline := self.result.timeline):
                middles, shares = cpu_over_counted_time(self.name, readings)
                self.result.timeline = timeline.assign(server_cpu_share=np.interp(timeline["t_s"], middles, shares))

    def observe(self) -> None:
        """Look into it after the measured time, where that is asked for."""
        if self.member.profile and not self.failed:
            with self.noted_failures():
                note_evidence(
                    self.result, self._tools.observe(self.up.server, self.up.generator, cpus=self._cores.generator)
                )

    def note_calls(self) -> None:
        """Note all calls that were sent to it."""
        if not self.failed:
            note_calls(self.result, self.up)

    def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Stop its server and generator, if they are up."""
        up, self._up = self._up, None
        try:
            self._stack.__exit__(kind, error, trace)
        except MeasurementError as failure:
            self.result.invalid_reason = self.result.invalid_reason or str(failure)
        except BaseException:
            if error is None:
                raise
        if up is not None:
            note_end(self.result, up)


def together(tasks: Sequence[Callable[[], None]], trials: Collection[str] = ()) -> None:
    """Do all of this at the same time, and wait for it.

    Where a signal comes in between, the processes of these `trials` are killed until all have ended.
    """
    errors: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        for thread in threads:
            while thread.is_alive():
                _kill_processes_of(trials)
                thread.join(KILL_EVERY_S)
        raise
    if errors:
        raise errors[0]


def _kill_processes_of(trials: Collection[str]) -> None:
    """Kill what this process started for these trials."""
    for process in descendants() if trials else ():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(TRIAL_VARIABLE) in trials:
                kill([process])
