"""Slices made by hand, for the tests of what is made of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from grpclab.load.core.slices import Slice, StretchFigures

_FIGURES = StretchFigures(
    counted_ok=150,
    started=150,
    errors=0,
    under_way_opened=8,
    under_way_closed=8,
    longest_s=0.004,
    latency_p50_s=0.001,
    latency_p99_s=0.002,
)
_OF_STRETCH = {each.name for each in dataclasses.fields(StretchFigures)}


def made_slice(number: int = 0, started_at: float = 0.0, **fields: Any) -> Slice:
    """A finished slice of 25 ms ramp, 75 ms stretch, 1 ms tail and 1 ms drain, with 200 calls, 150 of them counted.

    `fields`: others of the slice and of its stretch.
    """
    one = Slice(
        number=number,
        started_at=started_at,
        opened_at=started_at + 0.025,
        closed_at=started_at + 0.1,
        tail_ended_at=started_at + 0.101,
        drained_at=started_at + 0.102,
        calls=200,
        started=150,
        late_s=0.0,
        client_cpu_s=0.05,
        client_busy_s=0.03,
        client_waited_s=0.0,
    )
    figures = dataclasses.replace(_FIGURES, **{name: fields[name] for name in _OF_STRETCH & fields.keys()})
    own = {name: value for name, value in fields.items() if name == "started" or name not in _OF_STRETCH}
    moved = dataclasses.replace(one, stretch=figures, **own)
    assert not math.isnan(moved.started_at)
    return moved
