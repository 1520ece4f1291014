"""One slice of the parts of all workers, and one window of all the slices of one worker. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from grpclab.load.core.failures import FailureEntry
from grpclab.load.core.slices import Slice, SliceLengths, StretchFigures
from grpclab.load.core.traffic import add_counts
from grpclab.load.worker_messages import SliceEnded, SlicesClosed, WindowEnded


def joined_slice(parts: Sequence[SliceEnded], lengths: SliceLengths, *, invalid: str, exhausted: bool) -> Slice:
    """Make one slice of the workers' parts."""
    starts_at = parts[0].started_at
    opened_at = starts_at + lengths.ramp_s
    stretches = [part.stretch for part in parts if part.stretch is not None]
    return Slice(
        number=parts[0].number,
        started_at=starts_at,
        opened_at=opened_at,
        closed_at=opened_at + lengths.counted_s,
        tail_ended_at=max(part.tail_ended_at for part in parts),
        drained_at=max(part.drained_at for part in parts),
        calls=sum(part.calls for part in parts),
        started=sum(part.started for part in parts),
        late_s=max(part.late_s for part in parts),
        client_cpu_s=sum(part.cpu_s for part in parts),
        client_busy_s=max(part.busy_s for part in parts),
        client_waited_s=sum(part.waited_s for part in parts),
        invalid=invalid,
        exhausted=exhausted,
        stretch=StretchFigures.of_workers(stretches) if stretches else None,
    )


def nothing_sent(number: int, at: float, why: str) -> Slice:
    """Make a slice in which no call was sent, and after which there is none."""
    return Slice(
        number=number,
        started_at=at,
        opened_at=at,
        closed_at=at,
        tail_ended_at=at,
        drained_at=at,
        calls=0,
        started=0,
        late_s=0.0,
        client_cpu_s=0.0,
        client_busy_s=0.0,
        client_waited_s=0.0,
        invalid=why,
        exhausted=True,
    )


def joined_window(counted: Sequence[WindowEnded], slices: Sequence[Slice], closed: SlicesClosed) -> WindowEnded:
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
