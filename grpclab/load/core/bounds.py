"""The division of a load over its workers, and the bounds of its window. Pure: the time is passed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from grpclab.errors import FactorError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core.arrivals import Change, LoadShape, PlannedWindow, plan_window
from grpclab.load.core.gate import share

PLANNING_S = 50e-9
"""Time to draw one arrival of an open loop, amply; the schedule is drawn before the load starts."""
NO_DEADLINE_S = 60.0
"""The longest time in which no call ends, for a window that ends by its number of calls and has no deadline."""
MOST_BEGINNINGS = 50
"""Callers that begin one after the other do so at no more moments than this."""
SILENCE_S = 15.0
"""A worker counts as lost when it has not answered for this time after the latest end of its window."""


def auto_workers(config: TrialConfig, cpus: Collection[int]) -> int:
    """Return the number of workers: one for each core, as far as there is work for each."""
    changing = [callers for _, callers in caller_changes(config.load)]
    return min([len(cpus), *_divided(config).values(), *changing])


def split(config: TrialConfig) -> list[TrialConfig]:
    """Return the configuration of each worker, in which every divisible level is divided exactly.

    Raises FactorError where there is less to divide than there are workers.
    """
    workers, divided = config.load.workers, _divided(config)
    for name, total in divided.items():
        if total < workers:
            raise FactorError(f"{name}={total} cannot be divided among load.workers={workers}: use fewer workers")
    if (fewest := min((callers for _, callers in caller_changes(config.load)), default=workers)) < workers:
        raise FactorError(
            f"load.arrival={config.load.arrival}: {fewest} calls in flight cannot be divided among"
            f" load.workers={workers}: use fewer workers"
        )
    parts = {name: share(total, workers) for name, total in divided.items()}
    return [config.replace({name: part[index] for name, part in parts.items()}) for index in range(workers)]


def connections(config: TrialConfig) -> int:
    """Return the connections that the client has open at once; 1 for an open loop that opens one for each call."""
    if config.client.pooling == "pool":
        return config.client.connections
    closed = config.load.rate_rps is None
    return _callers(config.load, max) if config.client.pooling == "per_call" and closed else 1


def caller_changes(
    load: LoadConfig, *, concurrency: int | None = None, opens_at: float = 0.0, worker: int = 0, workers: int = 1
) -> list[Change]:
    """Return the changes of the calls in flight of one worker; none where they stay the same, or in an open loop.

    `concurrency` is that of all workers, by default the load's own. The first change holds before the window opens.
    """
    callers = None if load.rate_rps is not None else ARRIVALS.resolve(load.arrival).callers
    changes = [] if callers is None else callers(load.concurrency if concurrency is None else concurrency)
    return [(opens_at + since_s, share(number, workers)[worker]) for since_s, number in changes]


def staggered(callers: int, *, starts_at: float, over_s: float) -> list[Change]:
    """Return the changes with which callers begin evenly over a time; none where they begin at once.

    Callers that begin together end together wherever all calls take equally long: a stretch of 4.9 such times then
    counts 4 or 5 calls of each.
    """
    steps = min(callers, MOST_BEGINNINGS)
    if steps < 2 or over_s <= 0:
        return []
    return [(starts_at + over_s * step / steps, math.ceil(callers * (step + 1) / steps)) for step in range(steps)]


def _callers(load: LoadConfig, choose: Callable[[Iterable[int]], int]) -> int:
    """Return the fewest or the most calls that are in flight in a closed loop."""
    return choose([number for _, number in caller_changes(load)] or [load.concurrency])


def _divided(config: TrialConfig) -> dict[str, int]:
    """The factors that are divided over the workers. The calls of an open loop are not: its schedule is."""
    load = config.load
    divided = {"load.max_in_flight": load.max_in_flight}
    if load.rate_rps is None:
        divided["load.concurrency"] = load.concurrency
        if load.requests is not None:
            divided["load.requests"] = load.requests
    if config.client.pooling == "pool":
        divided["client.connections"] = config.client.connections
    return divided


@dataclass(kw_only=True)
class Bounds:
    """The start of a window (with its warm-up), its opening and its end; seconds on the workers' common clock."""

    starts_at: float
    opens_at: float
    closes_at: float | None
    rate_rps: float | None = None
    """The rate of an open loop; None is a closed loop."""
    due: PlannedWindow | None = None
    """The arrivals of an open loop that belong to the window; None where it ends by its time alone."""
    varies: bool = False
    """Its rate changes on its way: `rate_rps` is the one that its load shape is given."""
    by_time: bool = False
    """It ends by its time alone, whatever number of calls the load asks for."""
    cut_at: float = math.inf
    """The moment at which it was ended before its time."""

    def planned(self, arrival: str, seed: int) -> int:
        """Count the arrivals of an open loop that were due in the window, up to its end or until it was cut short."""
        return self.planned_window(arrival, seed).count

    def planned_window(self, arrival: str, seed: int) -> PlannedWindow:
        """Return the arrivals of an open loop that were due in the window, up to its end or until it was cut short."""
        assert self.rate_rps is not None
        assert self.due is not None
        if self.cut_at >= self.due.closes_at:
            return self.due
        return plan_window(
            self.rate_rps,
            arrival,
            starts_at=self.starts_at,
            seed=seed,
            opens_at=self.opens_at,
            closes_at=max(self.cut_at, self.opens_at),
        )

    def offered_rps(self, planned: int | None) -> float | None:
        """Return the rate that was offered: the one asked for, or the mean of the `planned` calls where it varies."""
        if self.rate_rps is None or planned is None or not self.varies:
            return self.rate_rps
        end = min(self.cut_at, math.inf if self.due is None else self.due.closes_at)
        return planned / (end - self.opens_at) if self.opens_at < end < math.inf else self.rate_rps

    def patience_s(self, config: TrialConfig, drain_s: float) -> float:
        """Return the longest time before the window is cut short, `drain_s` beyond its end included."""
        load, deadline = config.load, config.client.deadline_s or NO_DEADLINE_S
        if self.closes_at is not None:
            return self.closes_at - self.starts_at + drain_s + SILENCE_S
        assert load.requests is not None
        return self.opens_at - self.starts_at + deadline * (2 + load.requests / _callers(load, min)) + SILENCE_S


def plan_bounds(
    load: LoadConfig,
    starts_at: float,
    seed: int,
    *,
    rate_rps: float | None = None,
    warmup_s: float | None = None,
    window_s: float | None = None,
) -> Bounds:
    """Return the window of a load that starts at `starts_at`, or later where its schedule takes time to draw.

    `rate_rps` and `warmup_s` take the place of the load's own, `window_s` that of its requests and its duration.
    """
    if window_s is not None:
        load = replace(load, requests=None, duration_s=window_s)
    rate_rps = load.rate_rps if rate_rps is None else rate_rps
    warmup_s = load.warmup_s if warmup_s is None else warmup_s
    if rate_rps is None:
        opens_at = starts_at + warmup_s
        closes_at = None if load.duration_s is None else opens_at + load.duration_s
        return Bounds(starts_at=starts_at, opens_at=opens_at, closes_at=closes_at, by_time=window_s is not None)
    shape: LoadShape = ARRIVALS.resolve(load.arrival)
    length_s = min(load.duration_s or math.inf, (load.requests or math.inf) / rate_rps)
    starts_at += (warmup_s + length_s) * rate_rps * shape.peak * PLANNING_S
    opens_at = starts_at + warmup_s
    due = plan_window(
        rate_rps,
        load.arrival,
        starts_at=starts_at,
        seed=seed,
        opens_at=opens_at,
        closes_at=None if load.duration_s is None else opens_at + load.duration_s,
        requests=load.requests,
    )
    return Bounds(
        starts_at=starts_at,
        opens_at=opens_at,
        closes_at=due.closes_at,
        rate_rps=rate_rps,
        due=due,
        varies=shape.varies,
    )
