"""The slices of one configuration: ordered from its workers, one after the other, and assembled to one run.

:class:`grpclab.load.generator.Generator` hands them out. Between two of them the workers keep their connections.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from grpclab.errors import MeasurementError, WorkerError
from grpclab.load.core.arrivals import count_stretches
from grpclab.load.core.bounds import SILENCE_S
from grpclab.load.core.failures import FailureEntry
from grpclab.load.core.recorder import Floats
from grpclab.load.core.slices import (
    LATE_ALONE_S,
    LATE_START_S,
    PortWatch,
    Slice,
    SliceLengths,
    StretchFigures,
    WarmUp,
    why_none_counts,
)
from grpclab.load.core.traffic import Traffic, add_counts
from grpclab.load.core.worker_window import SliceBounds, SlicedWindow
from grpclab.load.interference_watch import LOOK_S, SlicesWatch
from grpclab.load.run import LoadRun, assemble
from grpclab.load.worker_messages import (
    CloseSlices,
    EndWindow,
    RunSlice,
    SliceEnded,
    SlicesClosed,
    WindowEnded,
    WorkerAnswer,
)
from grpclab.load.worker_usage import GIVE_UP_S
from grpclab.load.workers import Workers
from grpclab.quantities import duration, milliseconds
from grpclab.system.addresses import UNIX
from grpclab.system.environment import read_text
from grpclab.system.interrupts import raised

DELAY_EACH_S = 0.0015
"""The time until the common start of a slice, for each worker: long enough for it to receive its order. One worker
alone begins at once."""
OVERDUE_S = 0.1
"""A slice that takes longer than its lengths by this is looked at meanwhile."""
WARM_UP_S = 0.25
"""The shortest warm-up: the lengths of slices follow it."""
WARM_UPS = 3
"""The most attempts at a warm-up."""
WARM_UP = -1
"""The number of the warm-up among the slices."""


class SlicedLoad:
    """Any number of slices of one configuration, on workers that are connected."""

    def __init__(
        self,
        workers: Workers,
        target: str,
        *,
        remote: bool,
        seed: int,
        drain_s: float,
        why_out: Callable[[Sequence[WindowEnded]], str],
    ) -> None:
        """`drain_s`: the time that calls may go on after a counted stretch, where their deadline is not longer.
        `why_out`: the words for workers that have nothing left to send.
        """
        client = workers.config.client
        self._workers = workers
        self._load = workers.config.load
        self._seed = seed
        self.drain_s = max(drain_s, client.deadline_s or 0.0)
        self._ports = PortWatch(local_ports(target, remote=remote) if client.pooling == "per_call" else None)
        self._why_out = why_out
        self._files = workers.open_slices(self._load.rate_rps)
        self._schedule_s, self._rate_rps = 0.0, 0.0
        self._measured: list[_MeasuredSlice] = []
        self._watch: SlicesWatch | None = None
        self._out_because = ""
        """The reason why there can be no further slice."""
        self._out: list[WindowEnded] = []
        """The workers that had nothing left to send."""

    def warm_up(self) -> WarmUp:
        """Load for the configuration's warm-up. Raises WorkerError, StorageError, and MeasurementError where there is
        nothing left to send."""
        seconds, calls = max(self._load.warmup_s, WARM_UP_S), 0
        for attempt in range(WARM_UPS):
            ramp_s = 0.0 if attempt else seconds / 2
            load = self._run(WARM_UP, SliceLengths(ramp_s=ramp_s, counted_s=seconds - ramp_s)).slice
            calls += load.calls
            if load.exhausted:
                raise MeasurementError(f"the warm-up was not completed: {load.invalid}")
            if load.started or load.drained_at >= load.closed_at + self.drain_s:
                break
            # No call began in the second half: calls are long, or the machine was busy. Then all of it counts.
        return WarmUp(
            calls=calls,
            latency_p50_s=load.latency_p50_s,
            latency_p99_s=load.latency_p99_s,
            throughput_rps=load.throughput_rps or load.calls / (load.drained_at - load.started_at),
        )

    def watch(self, parties: Mapping[str, Collection[int]]) -> None:
        """Watch the machine and the processes of these parties during the slices; this takes some milliseconds."""
        self._watch = SlicesWatch(parties)

    def slice(self, lengths: SliceLengths) -> Slice:
        """Measure one slice. Raises WorkerError, StorageError."""
        number = len(self._measured)
        if self._watch is not None:
            self._watch.begin()
        measured = self._run(number, lengths)
        if self._watch is not None:
            self._watch.end(number)
        self._measured.append(measured)
        return measured.slice

    def _run(self, number: int, lengths: SliceLengths) -> _MeasuredSlice:
        workers = self._workers
        length_s = lengths.ramp_s + lengths.counted_s
        starts_at = time.perf_counter() + (DELAY_EACH_S * workers.count if workers.count > 1 else 0.0)
        self._out_because = self._out_because or self._ports.refusal(starts_at, round(self._rate_rps * length_s))
        if self._out_because:
            return _MeasuredSlice(slice=_nothing_sent(number, starts_at, self._out_because))
        workers.send(
            RunSlice(
                number=number,
                starts_at=starts_at,
                ramp_s=lengths.ramp_s,
                counted_s=lengths.counted_s,
                drain_s=self.drain_s,
                schedule_s=self._schedule_s,
                together=workers.count > 1,
            )
        )
        answers: dict[int, WorkerAnswer] = {}
        with raised():
            if not workers.collect(answers, length_s + OVERDUE_S, every_s=length_s + OVERDUE_S):
                self._wait(answers, length_s + 2 * self.drain_s + GIVE_UP_S + SILENCE_S)
        parts = workers.in_order(answers, SliceEnded)
        slice_ = _slice(parts, lengths, invalid=self._why_invalid(parts), exhausted=bool(self._out_because))
        measured = _MeasuredSlice(slice=slice_, parts=parts, schedule_s=self._schedule_s)
        self._schedule_s += max(0.0, slice_.tail_ended_at - slice_.started_at)
        self._ports.note(slice_.drained_at, slice_.calls)
        self._rate_rps = slice_.calls / (slice_.drained_at - slice_.started_at)
        return measured

    def _wait(self, answers: dict[int, WorkerAnswer], patience_s: float) -> None:
        """Wait for a slice that takes longer than it should. Raises WorkerError where it does not end."""
        workers, cut = self._workers, False

        def look() -> None:
            nonlocal cut
            if self._watch is not None:
                self._watch.look(time.perf_counter())
            if not cut and any(isinstance(each, SliceEnded) and each.cut for each in answers.values()):
                cut = True  # a worker has nothing left to send: the others would go on with fewer callers
                workers.send(EndWindow(cut_at=time.perf_counter(), drain_s=0.0))

        if not workers.collect(answers, patience_s, every_s=LOOK_S, tick=look):
            raise WorkerError(f"{', '.join(workers.names(without=answers))} did not come to the end of a slice")

    def _why_invalid(self, parts: Sequence[SliceEnded]) -> str:
        """Return why a slice does not count, "" where it does; notes where there can be no further one."""
        self._out = [part.counted for part in parts if part.counted.ran_out_at is not None]
        if self._out:
            self._out_because = self._why_out(self._out)
        elif any(part.cut for part in parts):
            return "it was ended before its time"
        late_s = max(part.late_s for part in parts)
        if not self._out and late_s > (LATE_START_S if len(parts) > 1 else LATE_ALONE_S):
            return f"a worker of the load generator began {milliseconds(late_s)} late"
        still_s = max(part.counted.still_s for part in parts)
        if not self._out and still_s > 0:
            return f"the load generator stood still for {duration(still_s, 'sentence')}, as if it were stopped"
        return self._out_because

    # ---- the run ---------------------------------------------------------------------------------------------------

    def close(self, keep: Collection[int] | None = None) -> LoadRun:
        """End the slices, and return those that count: the valid ones, of `keep` only where it is given.

        Raises MeasurementError where none of them does, WorkerError, StorageError.
        """
        workers = self._workers
        workers.send(CloseSlices())
        answers: dict[int, WorkerAnswer] = {}
        if not workers.collect(answers, SILENCE_S):
            raise WorkerError(f"{', '.join(workers.names(without=answers))} did not end the slices")
        closed = workers.in_order(answers, SlicesClosed)
        counting = [each for each in self._measured if not each.slice.invalid]
        if keep is not None:
            counting = [each for each in counting if each.slice.number in keep]
        records = workers.records(self._files)
        if not counting:
            reasons = why_none_counts(each.slice.invalid for each in self._measured)
            raise MeasurementError(f"no slice of the load counts: {reasons or 'none was measured'}")
        slices = [each.slice for each in counting]
        bounds = [
            SliceBounds(
                started_at=each.started_at,
                opened_at=each.opened_at,
                closed_at=each.closed_at,
                drained_at=each.drained_at,
            )
            for each in slices
        ]
        ended = [_joined([each.parts[at].counted for each in counting], slices, last) for at, last in enumerate(closed)]
        rate_rps, planned = self._load.rate_rps, None
        if rate_rps is not None:
            planned = count_stretches(
                rate_rps,
                self._load.arrival,
                self._seed,
                [
                    (each.schedule_s, each.slice.started_at, each.slice.opened_at, each.slice.closed_at)
                    for each in counting
                ],
            )
        run = assemble(
            [SlicedWindow.of(each, bounds) for each in records],
            ended,
            rate_rps=rate_rps,
            planned=planned,
            stopped=self._out_because,
            interference=None if self._watch is None else self._watch.interference([each.number for each in slices]),
        )
        traffic = run.traffic + Traffic(goaways=workers.goaways())
        ceiling = any(part.ceiling for part in self._out)
        return dataclasses.replace(run, traffic=traffic, ran_out=bool(self._out) and not ceiling, ceiling=ceiling)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _MeasuredSlice:
    """A slice with the answers of its workers, and the time of the schedule at its start."""

    slice: Slice
    parts: Sequence[SliceEnded] = ()
    schedule_s: float = 0.0


def _slice(parts: Sequence[SliceEnded], lengths: SliceLengths, *, invalid: str, exhausted: bool) -> Slice:
    """Make one slice of the workers' parts."""
    starts_at = parts[0].started_at
    opened_at = starts_at + lengths.ramp_s
    figures = StretchFigures.of_workers([part.stretch for part in parts])
    return Slice(
        number=parts[0].number,
        started_at=starts_at,
        opened_at=opened_at,
        closed_at=opened_at + lengths.counted_s,
        tail_ended_at=max(part.tail_ended_at for part in parts),
        drained_at=max(part.drained_at for part in parts),
        calls=sum(part.calls for part in parts),
        late_s=max(part.late_s for part in parts),
        client_cpu_s=sum(part.cpu_s for part in parts),
        client_busy_s=max(max(0.0, part.counted.cpu_s - part.counted.spin_s) for part in parts),
        client_waited_s=sum(part.waited_s for part in parts),
        invalid=invalid,
        exhausted=exhausted,
        **dataclasses.asdict(figures),
    )


def _nothing_sent(number: int, at: float, why: str) -> Slice:
    """Make a slice in which no call was sent, and after which there is none."""
    nothing: Floats = np.empty(0)
    figures = StretchFigures.of(nothing, nothing, nothing.astype(np.uint8), opened_at=at, closed_at=at)
    return Slice(
        number=number,
        started_at=at,
        opened_at=at,
        closed_at=at,
        tail_ended_at=at,
        drained_at=at,
        calls=0,
        late_s=0.0,
        client_cpu_s=0.0,
        client_busy_s=0.0,
        client_waited_s=0.0,
        invalid=why,
        exhausted=True,
        **dataclasses.asdict(figures),
    )


def _joined(counted: Sequence[WindowEnded], slices: Sequence[Slice], closed: SlicesClosed) -> WindowEnded:
    """Make one window of the slices of one worker: everything added up."""
    failures, before_s = [], 0.0
    for part, each in zip(counted, slices, strict=True):
        failures += [
            dataclasses.replace(entry, first_at=_counted_at(entry, each, slices[0].opened_at + before_s))
            for entry in part.failures
        ]
        before_s += each.counted_s
    return WindowEnded(
        cpu_s=sum(part.cpu_s for part in counted),
        spin_s=sum(part.spin_s for part in counted),
        busy_s=sum(part.busy_s for part in counted),
        loop_s=sum(part.loop_s for part in counted),
        waited_s=sum(part.waited_s for part in counted),
        admitted=sum(part.admitted for part in counted),
        ran_out_at=None,
        made=closed.made,
        unsent=sum(part.unsent for part in counted),
        still_s=sum(part.still_s for part in counted),
        held=sum(part.held for part in counted),
        bound_hits=sum(part.bound_hits for part in counted),
        connections_lost=sum(part.connections_lost for part in counted),
        outage_s=sum(part.outage_s for part in counted),
        traffic=closed.traffic,
        encodings=functools.reduce(add_counts, (part.encodings for part in counted), {}),
        failures=tuple(failures),
        answers=closed.answers,
    )


def _counted_at(entry: FailureEntry, of: Slice, opens_at: float) -> float:
    """The end of a failed call on the clock of counted time, on which its slice opens at `opens_at`."""
    return opens_at + min(max(0.0, entry.first_at - of.opened_at), of.counted_s)


def local_ports(target: str, *, remote: bool) -> int | None:
    """Return the local ports for connections to a target; None where one that was closed can be used again at once.

    `remote`: it is on another machine. Linux reuses ports of closed connections to its own by default
    (``net.ipv4.tcp_tw_reuse``, ip-sysctl.rst).
    """
    if target.startswith(UNIX):
        return None
    reuse = (read_text(Path("/proc/sys/net/ipv4/tcp_tw_reuse")) or "").strip()
    bounds = (read_text(Path("/proc/sys/net/ipv4/ip_local_port_range")) or "").split()
    if len(bounds) != 2 or reuse == "1" or (reuse == "2" and not remote):
        return None
    return int(bounds[1]) - int(bounds[0]) + 1
