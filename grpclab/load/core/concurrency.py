"""A schedule of concurrency as a person writes it: ``5:50:5@10s`` is steps, ``5:50@60s`` a ramp. Pure.

It is a load shape of a closed loop: the calls in flight at its end, and how they get there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from grpclab.errors import FactorError, UsageError, invalid
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.load.core.arrivals import MAX_STEPS
from grpclab.quantities import seconds

_SCHEDULE = re.compile(r"(?P<start>\d{1,9}):(?P<stop>\d{1,9})(?::(?P<step>\d{1,9}))?@(?P<time>[^@:]+)", re.ASCII)
_EXPECTED = "calls in flight, e.g. 50, steps FROM:TO:STEP@HOLD, e.g. 5:50:5@10s, or a ramp FROM:TO@TIME, e.g. 5:50@60s"


def concurrency_levels(word: str, called: str = "--concurrency", beside: Sequence[str] = ()) -> dict[str, Level]:
    """Return the levels of a schedule: of the calls in flight at its end, and of the load shape. Raises UsageError.

    `called`: the option, as the user wrote it. `beside`: the options among ``rate`` and ``arrival`` that stand beside
    it, with which it has no meaning. TO is included where a step falls on it; FROM may be above TO.
    """
    if beside:
        expected = (
            f"no --{beside[0]} with a concurrency schedule; to limit the calls in flight at a rate, use --max-in-flight"
        )
        raise UsageError(invalid(called, word, expected))
    match = _SCHEDULE.fullmatch(word.strip())
    if not match:
        raise UsageError(invalid(called, word, _EXPECTED))
    start, stop = int(match["start"]), int(match["stop"])
    try:
        time_s = seconds(match["time"], bare="s")
        for callers in (start, stop):
            FACTORS["load.concurrency"].check(callers)
    except (ValueError, FactorError):
        raise UsageError(invalid(called, word, _EXPECTED)) from None
    if match["step"] is None:
        return _levels(stop, f"ramp:{start / stop!r}@{time_s:.12g}s", called, word)
    step = int(match["step"])
    if not step or (count := abs(stop - start) // step + 1) > MAX_STEPS:
        raise UsageError(invalid(called, word, f"a step of 1 or more, and at most {MAX_STEPS:,} steps"))
    each = [start + (step if stop > start else -step) * number for number in range(count)]
    shares = ",".join(repr(callers / each[-1]) for callers in each)
    return _levels(each[-1], f"steps:{shares}@{time_s:.12g}s", called, word)


def _levels(callers: int, arrival: str, called: str, word: str) -> dict[str, Level]:
    try:
        FACTORS["load.arrival"].check(arrival)
    except FactorError:  # the numbers are fine: it is the time
        raise UsageError(invalid(called, word, "a time from 0.001 s to 86,400 s after the @")) from None
    return {"load.concurrency": callers, "load.arrival": arrival}
