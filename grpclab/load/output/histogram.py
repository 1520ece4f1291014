"""A histogram of latencies in equal steps from the fastest to the slowest, as ghz draws it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grpclab import quantities as qty
from grpclab.load.core.recorder import Floats

STEPS = 10
BAR, LONGEST_BAR = "∎", 40
"""What the bars of a text are made of, as in ghz, and columns of the longest one."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The number of calls up to `mark_s` seconds and above the mark before; the first bucket has the fastest ones."""

    mark_s: float
    calls: int


def buckets(latency_s: Floats) -> list[Bucket]:
    """Eleven buckets; none without calls."""
    if not len(latency_s):
        return []
    marks = np.linspace(latency_s.min(), latency_s.max(), STEPS + 1)
    slots = np.searchsorted(marks, latency_s, side="left").clip(max=STEPS)
    counts = np.bincount(slots, minlength=len(marks))
    return [Bucket(mark_s=float(mark), calls=int(count)) for mark, count in zip(marks, counts, strict=True)]


def bar_lengths(drawn: Sequence[Bucket], longest: int) -> list[int]:
    """The length of each bucket's bar, in whole units; that of the fullest bucket is `longest`."""
    most = max((bucket.calls for bucket in drawn), default=0)
    return [(bucket.calls * longest + most // 2) // most if most else 0 for bucket in drawn]


def bars(drawn: Sequence[Bucket]) -> list[str]:
    """A line for each bucket: its mark, its calls, and its bar; none where all calls took the same time."""
    if not drawn or drawn[0].mark_s == drawn[-1].mark_s:
        return []
    rows = zip(drawn, bar_lengths(drawn, LONGEST_BAR), strict=True)
    return [f"  {qty.milliseconds(b.mark_s):>12} {b.calls:>15,}   {BAR * length}".rstrip() for b, length in rows]
