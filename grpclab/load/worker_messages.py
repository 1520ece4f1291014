"""The messages between the load generator and its worker processes. Pure.

A worker receives one :class:`Connect` and answers :class:`Connected` or :class:`Failed`. Any number of windows follow.
:class:`MeasureWindow` begins one and :class:`EndWindow` may cut it short. The answer, when all its calls are over, is
:class:`WindowEnded` or Failed; any number of :class:`WindowProgress` come before it.

A window may be cut into slices: :class:`OpenSlices` (no answer), any number of :class:`PrepareSlice` and
:class:`BeginSlice`, which are answered by :class:`SliceEnded` or Failed, and :class:`CloseSlices`, answered by
:class:`SlicesClosed` or Failed. EndWindow cuts a slice short. Several workers say :class:`TailEnded` during a slice,
and each waits for :class:`EndTail` then, so that the load goes on until none of them has a counted call under way.

Moments are seconds of ``time.perf_counter``, which all processes of a machine share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grpclab.errors import GrpclabError, MissingDependencyError, PluginError, StorageError, TargetError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.failures import FailureEntry
from grpclab.load.core.kept_answers import AnswerSample
from grpclab.load.core.running import RunningCalls
from grpclab.load.core.slices import StretchFigures
from grpclab.load.core.traffic import Traffic
from grpclab.system.allowance import Allowance
from grpclab.system.transport import Security

# ---- to a worker ---------------------------------------------------------------------------------------------


class WorkerOrder:
    """Whatever a worker may receive."""


@dataclass(frozen=True, kw_only=True)
class Connect(WorkerOrder):
    """The worker's part of the load: one engine, connected to one target."""

    config: TrialConfig
    """Its own part where a level is divided over the workers."""
    target: str
    security: Security
    allowance: Allowance | None = None
    """Its part of what may be sent, where the target is on another machine."""
    ends_at: float = math.inf
    """The moment at which the allowance's time is over."""
    call: CallSpec
    callers: int
    """The calls in flight of all workers together, in a closed loop."""
    residence: bool
    """Record the reference server's own account of the time that each call was inside it."""
    spin: bool
    """An open loop may keep a core busy between sends."""
    worker: int
    """The number of this worker, from 0, of `workers`."""
    workers: int
    seed: int
    connect_timeout_s: float


@dataclass(frozen=True, kw_only=True)
class MeasureWindow(WorkerOrder):
    """One window. No call is made before `starts_at`, which all workers have in common; the schedule of an open loop
    begins there. The warm-up lies between it and `opens_at`.
    """

    starts_at: float
    opens_at: float
    closes_at: float | None
    requests: int | None
    """Calls after which the window ends; None is no limit."""
    rate_rps: float | None
    """The rate of all workers together; None is a closed loop."""
    record: Path | None
    """The file for the records of the calls."""
    progress: bool
    """Report while the window runs."""
    drain_s: float
    """The time that calls may go on after `closes_at`."""
    watch_s: tuple[float, ...]
    """The limits of latency that are watched meanwhile."""


@dataclass(frozen=True, kw_only=True)
class EndWindow(WorkerOrder):
    """End the running window at a moment, and after `drain_s` the calls under way."""

    cut_at: float
    drain_s: float


@dataclass(frozen=True, kw_only=True)
class OpenSlices(WorkerOrder):
    """Slices follow, whose calls are recorded in one file."""

    record: Path
    rate_rps: float | None
    """The rate of all workers together; None is a closed loop."""


@dataclass(frozen=True, kw_only=True)
class PrepareSlice(WorkerOrder):
    """One slice, which is to begin at :class:`BeginSlice`: what it takes to begin is done before."""

    number: int
    ramp_s: float
    counted_s: float
    drain_s: float
    """The time that calls may go on after the counted stretch."""
    schedule_s: float
    """The time of an open loop's schedule at the start."""
    stagger_s: float
    """The callers of a closed loop begin evenly over so long."""
    together: bool
    """Other workers run the slice as well: wait for EndTail."""
    warm_up: bool
    """It is a warm-up: its figures are needed at once, and it is none of the slices."""


@dataclass(frozen=True, kw_only=True)
class BeginSlice(WorkerOrder):
    """Begin the slice that was prepared. No call is made before `starts_at`, which all workers have in common; one
    worker alone begins as soon after it as it can, and its slice then.
    """

    starts_at: float


@dataclass(frozen=True, kw_only=True)
class EndTail(WorkerOrder):
    """No worker has a counted call under way: start no further call."""


@dataclass(frozen=True, kw_only=True)
class CloseSlices(WorkerOrder):
    """There are no further slices."""


# ---- from a worker -------------------------------------------------------------------------------------------


class WorkerAnswer:
    """Whatever a worker may send."""


@dataclass(frozen=True, kw_only=True)
class Connected(WorkerAnswer):
    """The engine is connected."""


_FAILURES: Mapping[str, type[GrpclabError]] = {
    "target": TargetError,
    "plugin": PluginError,
    "dependency": MissingDependencyError,
    "storage": StorageError,
}


@dataclass(frozen=True, kw_only=True)
class Failed(WorkerAnswer):
    """The worker could not do what its last order says."""

    kind: Literal["target", "plugin", "dependency", "storage"]
    text: str

    @property
    def error(self) -> GrpclabError:
        """The error that stands for it in the generator's process."""
        return _FAILURES[self.kind](self.text)


@dataclass(frozen=True, kw_only=True)
class WindowProgress(WorkerAnswer):
    """A window while it runs, counted from its opening."""

    calls: int
    """Calls that have ended."""
    errors: int
    latency_p99_s: float
    """The p99 of the calls that ended lately; NaN with too few of them."""
    over: bool
    """The window is over, and calls are still under way."""
    running: RunningCalls


@dataclass(frozen=True, kw_only=True)
class WindowEnded(WorkerAnswer):
    """The figures of a window beside the records of its calls, since it opened."""

    cpu_s: float
    """CPU time of the process."""
    spin_s: float
    """The part of it that was spinning."""
    busy_s: float
    """The time in which it was used."""
    loop_s: float
    """CPU time of the event loop's thread."""
    waited_s: float
    """The time in which that thread could have run and had no core."""
    admitted: int
    ran_out_at: float | None
    """The moment at which the requests were used up, where they are not to repeat."""
    ceiling: str = ""
    """The ceiling of the allowance that was reached, if one was."""
    spent: int = 0
    """The calls taken from the allowance since the engine connected."""
    made: int = 0
    """The calls that were sent since the engine connected, whatever became of them."""
    unsent: int
    """Calls that were due and never sent."""
    still_s: float
    """The time in which the event loop stood still."""
    held: int
    """This and the next three are the engine's: :class:`grpclab.load.engines.engine.Counters`."""
    bound_hits: int
    connections_lost: int
    outage_s: float
    traffic: Traffic
    """The traffic since the engine connected."""
    encodings: Mapping[str, int]
    failures: tuple[FailureEntry, ...]
    answers: tuple[AnswerSample, ...] = ()
    """The answers that were kept, those of the warm-up included."""


@dataclass(frozen=True, kw_only=True)
class TailEnded(WorkerAnswer):
    """No counted call of this worker is under way in the running slice."""


@dataclass(frozen=True, kw_only=True)
class SliceEnded(WorkerAnswer):
    """One slice in one worker, as far as whoever goes on has to know it. See :class:`grpclab.load.core.slices.Slice`.

    It is sent when the last call has ended, before anything of the slice is worked out.
    """

    number: int
    started_at: float
    late_s: float
    """The time from the start that was ordered to the worker's own."""
    tail_ended_at: float
    drained_at: float
    cut: bool
    """The slice was ended before its time."""
    calls: int
    started: int
    """The calls that started in the counted stretch, or were planned to."""
    cpu_s: float
    """From start to drained, spinning included."""
    waited_s: float
    """From start to drained, of the event loop."""
    busy_s: float
    """CPU time within the counted stretch, without spinning."""
    still_s: float
    """The time in which the event loop stood still."""
    out: bool
    """There is nothing left to send."""
    ceiling: str
    """This and the next two as WindowEnded has them."""
    spent: int
    made: int
    stretch: StretchFigures | None = None
    """Of a warm-up."""


@dataclass(frozen=True, kw_only=True)
class SlicesClosed(WorkerAnswer):
    """The end of the slices."""

    counted: tuple[WindowEnded, ...]
    """Of each slice, in their order: the figures of the counted stretch, and what failed of its calls; without traffic
    and answers."""
    made: int
    traffic: Traffic
    answers: tuple[AnswerSample, ...]
