"""The slices of one configuration: ordered from its workers, one after the other, and assembled to one run.

:class:`grpclab.load.generator.Generator` hands them out. Between two of them the workers keep their connections.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from grpclab.errors import MeasurementError, WorkerError
from grpclab.load.core.arrivals import count_stretches
from grpclab.load.core.bounds import SILENCE_S
from grpclab.load.core.recorder import Records
from grpclab.load.core.slices import (
    LATE_ALONE_S,
    LATE_START_S,
    STAGGER_S,
    Slice,
    SliceLengths,
    StretchFigures,
    WarmUp,
    ramp_of,
    stretch_figures,
    why_none_counts,
)
from grpclab.load.core.traffic import Traffic
from grpclab.load.core.worker_window import SliceBounds, SlicedWindow
from grpclab.load.interference_watch import LOOK_S, SlicesWatch
from grpclab.load.local_ports import PortWatch, local_ports
from grpclab.load.run import LoadRun, assemble
from grpclab.load.slice_parts import joined_slice, joined_window, nothing_sent
from grpclab.load.worker_messages import (
    BeginSlice,
    CloseSlices,
    EndWindow,
    PrepareSlice,
    SliceEnded,
    SlicesClosed,
    WorkerAnswer,
)
from grpclab.load.worker_usage import GIVE_UP_S
from grpclab.load.workers import Workers
from grpclab.quantities import duration, milliseconds
from grpclab.system.accounting import KernelCounts
from grpclab.system.interrupts import raised

DELAY_S, DELAY_EACH_S = 0.001, 0.0002
"""The time until the common start of a slice, and what is added for each worker: long enough for workers that are ready
to receive their order. One worker alone begins at once."""
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
        why_out: Callable[[str], str],
    ) -> None:
        """`drain_s`: the time that calls may go on after a counted stretch, where their deadline is not longer.
        `why_out`: the words for a ceiling that was reached, or, where there is none, for requests that were all sent.
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
        self._out: list[SliceEnded] = []
        """The workers that had nothing left to send."""
        self._prepared: SliceLengths | None = None
        """The lengths of the slice for which the workers are ready, if they are."""
        self._turn_s = 0.0
        """The median latency of a closed loop, by its warm-up: after so long, its callers are where they were."""
        self._finished: _Finished | None = None

    def warm_up(self) -> WarmUp:
        """Load for the configuration's warm-up. Raises WorkerError, StorageError, and MeasurementError where there is
        nothing left to send."""
        seconds, calls = max(self._load.warmup_s, WARM_UP_S), 0
        for attempt in range(WARM_UPS):
            ramp_s = 0.0 if attempt else seconds / 2
            load = self._run(WARM_UP, SliceLengths(ramp_s=ramp_s, counted_s=seconds - ramp_s)).slice
            calls += load.calls
            if load.exhausted:
                raise MeasurementError(f"the warm-up did not complete: {load.invalid}")
            if load.started or load.drained_at >= load.closed_at + self.drain_s:
                break
            # No call began in the second half: calls are long, or the machine was busy. Then all of it counts.
        figures = load.stretch
        assert figures is not None, "a warm-up's are worked out at once"
        if self._load.rate_rps is None and math.isfinite(figures.latency_p50_s):
            self._turn_s = figures.latency_p50_s
        return WarmUp(
            calls=calls,
            latency_p50_s=figures.latency_p50_s,
            latency_p99_s=figures.latency_p99_s,
            throughput_rps=load.throughput_rps or load.calls / (load.drained_at - load.started_at),
        )

    def watch(self, parties: Mapping[str, Collection[int]]) -> None:
        """Watch the machine and the processes of these parties during the slices; this takes some milliseconds."""
        self._watch = SlicesWatch(parties)

    def prepare(self, lengths: SliceLengths) -> None:
        """Have the workers ready for the next slice; it may begin much later. Raises WorkerError."""
        number = len(self._measured)
        self._prepare(number, self._of(number, lengths))

    def slice(self, lengths: SliceLengths, *, counts: bool = True) -> Slice:
        """Measure one slice. Without `counts` the kernel's are left to the caller. Raises WorkerError, StorageError."""
        number = len(self._measured)
        if self._watch is not None:
            self._watch.begin(counts=counts)
        measured = self._run(number, lengths)
        if self._watch is not None and counts:
            self._watch.end(number)
        self._measured.append(measured)
        return measured.slice

    def _of(self, number: int, lengths: SliceLengths) -> SliceLengths:
        """The lengths of one slice: its ramp is its own."""
        return dataclasses.replace(lengths, ramp_s=ramp_of(number, lengths.ramp_s, self._turn_s))

    def _prepare(self, number: int, lengths: SliceLengths) -> None:
        if self._prepared is not None or self._out_because:
            return
        length_s = lengths.ramp_s + lengths.counted_s
        self._out_because = self._ports.refusal(time.perf_counter(), round(self._rate_rps * length_s))
        if self._out_because:
            return
        self._prepared = lengths
        self._workers.send(
            PrepareSlice(
                number=number,
                ramp_s=lengths.ramp_s,
                counted_s=lengths.counted_s,
                drain_s=self.drain_s,
                schedule_s=self._schedule_s,
                stagger_s=self._turn_s if self._turn_s > STAGGER_S else 0.0,
                together=self._workers.count > 1,
                warm_up=number == WARM_UP,
            )
        )

    def _run(self, number: int, lengths: SliceLengths) -> _MeasuredSlice:
        workers, lengths = self._workers, self._of(number, lengths)
        self._prepare(number, lengths)
        length_s = lengths.ramp_s + lengths.counted_s
        starts_at = time.perf_counter() + (DELAY_S + DELAY_EACH_S * workers.count if workers.count > 1 else 0.0)
        if self._out_because:
            return _MeasuredSlice(slice=nothing_sent(number, starts_at, self._out_because))
        assert self._prepared == lengths, "the lengths of all slices are one"
        workers.send(BeginSlice(starts_at=starts_at))
        self._prepared = None
        answers: dict[int, WorkerAnswer] = {}
        with raised():
            if not workers.collect(answers, length_s + OVERDUE_S, every_s=length_s + OVERDUE_S):
                self._wait(answers, length_s + 2 * self.drain_s + GIVE_UP_S + SILENCE_S)
        parts = workers.in_order(answers, SliceEnded)
        slice_ = joined_slice(parts, lengths, invalid=self._why_invalid(parts), exhausted=bool(self._out_because))
        measured = _MeasuredSlice(slice=slice_, schedule_s=self._schedule_s)
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
            raise WorkerError(f"{', '.join(workers.names(without=answers))} did not reach the end of a slice")

    def _why_invalid(self, parts: Sequence[SliceEnded]) -> str:
        """Return why a slice does not count, "" where it does; notes where there can be no further one."""
        self._out = [part for part in parts if part.out]
        if self._out:
            self._out_because = self._why_out(next((part.ceiling for part in self._out if part.ceiling), ""))
        elif any(part.cut for part in parts):
            return "it ended early"
        late_s = max(part.late_s for part in parts)
        if not self._out and late_s > (LATE_START_S if len(parts) > 1 else LATE_ALONE_S):
            return f"a worker of the load generator started {milliseconds(late_s)} late"
        still_s = max(part.still_s for part in parts)
        if not self._out and still_s > 0:
            return f"the load generator stalled for {duration(still_s)}, as if it had been stopped"
        return self._out_because

    # ---- the run ---------------------------------------------------------------------------------------------------

    def finish(self) -> list[Slice]:
        """End the slices, and return them with the figures of their stretches. Raises WorkerError, StorageError."""
        if self._finished is None:
            workers = self._workers
            assert self._prepared is None, "a slice that was prepared is measured"
            workers.send(CloseSlices())
            answers: dict[int, WorkerAnswer] = {}
            if not workers.collect(answers, SILENCE_S):
                raise WorkerError(f"{', '.join(workers.names(without=answers))} did not end the slices")
            closed, records = workers.in_order(answers, SlicesClosed), workers.records(self._files)
            slices = [each.slice for each in self._measured]
            by_worker = [stretch_figures(each.start_s, each.latency_s, each.status, slices) for each in records]
            stretches = map(StretchFigures.of_workers, zip(*by_worker, strict=True))
            slices = [
                dataclasses.replace(each, stretch=stretch) for each, stretch in zip(slices, stretches, strict=True)
            ]
            self._finished = _Finished(closed=closed, records=records, slices=slices)
        return list(self._finished.slices)

    def close(
        self,
        keep: Collection[int] | None = None,
        idle: Mapping[int, tuple[KernelCounts, KernelCounts]] | None = None,
    ) -> LoadRun:
        """Return the slices that count as one run: the valid ones, of `keep` only where it is given. They are finished.

        `idle`: by number, the kernel's counts before and after each slice, where whoever ordered it took them. Raises
        MeasurementError where no slice counts, WorkerError, StorageError.
        """
        workers = self._workers
        self.finish()
        assert self._finished is not None
        closed, records = self._finished.closed, self._finished.records
        counting = [each for each in self._measured if not each.slice.invalid]
        if keep is not None:
            counting = [each for each in counting if each.slice.number in keep]
        if not counting:
            reasons = why_none_counts(each.slice.invalid for each in self._measured)
            raise MeasurementError(f"no slice is usable: {reasons or 'none was measured'}")
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
        ended = [joined_window([last.counted[each.number] for each in slices], slices, last) for last in closed]
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
            interference=None
            if self._watch is None
            else self._watch.interference([each.number for each in slices], idle or {}),
        )
        traffic = run.traffic + Traffic(goaways=workers.goaways())
        ceiling = any(part.ceiling for part in self._out)
        return dataclasses.replace(run, traffic=traffic, ran_out=bool(self._out) and not ceiling, ceiling=ceiling)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _MeasuredSlice:
    """A slice, and the time of the schedule at its start."""

    slice: Slice
    schedule_s: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finished:
    """What the workers have left when there is no further slice."""

    closed: Sequence[SlicesClosed]
    records: Sequence[Records]
    slices: Sequence[Slice]
