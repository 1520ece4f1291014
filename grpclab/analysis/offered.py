"""Open-loop configurations of a study as series over the offered rate, and the knee of each. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from grpclab.analysis.curves import levels
from grpclab.analysis.study_plan import PlannedConfiguration
from grpclab.factors.registries import ARRIVALS
from grpclab.load.run import HELD_BACK, KEPT_SHARE
from grpclab.load.steps import KEPT_TAIL

RATE = "load.rate_rps"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One rate of a series: what was offered and answered, requests/s, and latencies with intervals, seconds."""

    configuration: str
    offered_rps: float
    achieved_rps: float
    p50_s: float
    p99_s: float
    p99_low_s: float
    p99_high_s: float
    limited_by: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """Configurations that differ in the offered rate alone, by ascending rate."""

    rates: tuple[Rate, ...]

    @property
    def knee(self) -> Rate | None:
        """The highest rate that was kept up with, and all below it; None if not even the lowest was.

        Kept up with: at least KEPT_SHARE of the calls came back as fast as they were offered, and p99 (p50 where
        there are too few calls for it) is at most KEPT_TAIL times that of the lowest rate, as in `grpclab bench`. A
        rate at which the generator was the limit says nothing of the server and ends the search.
        """
        kept = None
        for rate in self.rates:
            if rate.limited_by or rate.achieved_rps < KEPT_SHARE * rate.offered_rps or self._queues(rate):
                break
            kept = rate
        return kept

    def _queues(self, rate: Rate) -> bool:
        for tail, first in ((rate.p99_s, self.rates[0].p99_s), (rate.p50_s, self.rates[0].p50_s)):
            if math.isfinite(tail) and math.isfinite(first):
                return tail > KEPT_TAIL * first
        return False

    def sentence(self) -> str:
        """Where the knee is, in words."""
        first, last, knee = self.rates[0], self.rates[-1], self.knee
        if knee is last:
            return f"there is no knee, because the server kept up with every rate up to {last.offered_rps:,.0f}/s"
        after = self.rates[self.rates.index(knee) + 1] if knee else first
        rate = f"{after.offered_rps:,.0f}/s"
        if after.limited_by not in ("", HELD_BACK):
            where = f"is at {knee.offered_rps:,.0f}/s or above" if knee else "is not known"
            return f"the knee {where}, because the load generator was the limit at {rate}"
        if after.achieved_rps < KEPT_SHARE * after.offered_rps:
            why = f"at {rate}, only {after.achieved_rps:,.0f}/s were answered"
        else:
            why = f"at {rate}, the tail latency was more than {KEPT_TAIL:g} times that at the lowest rate"
        if knee is None:
            return f"there is no knee, because the server did not keep up even with the lowest rate ({why})"
        return f"the knee is at {knee.offered_rps:,.0f}/s: {why}"


def series(trials: pd.DataFrame, configurations: Sequence[PlannedConfiguration]) -> list[Series]:
    """Every set of two or more configurations of a plan that differ in the offered rate alone.

    Rates without a valid trial, or with too few calls for any percentile, are left out.
    """
    alike: dict[str, list[tuple[float, str]]] = {}
    for one in configurations:
        settings = dict(one.settings)
        rate = settings.pop(RATE, None)
        if _varies(str(settings.get("load.arrival", "constant"))):
            continue  # what is answered has a mean below or above that rate
        if isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0 and trials.size:
            key = json.dumps([one.scenario, settings], sort_keys=True, default=str)
            alike.setdefault(key, []).append((float(rate), one.name))
    every = []
    for members in alike.values():
        by_rate = dict(reversed(members))  # of two with one rate the first in the plan: the other is an A/A arm
        names = [by_rate[rate] for rate in sorted(by_rate)]
        rates = [rate for rate in _rates(trials, names, sorted(by_rate)) if math.isfinite(rate.p50_s)]
        if len(rates) > 1:
            every.append(Series(rates=tuple(rates)))
    return every


def _varies(arrival: str) -> bool:
    """Whether the rate of a load shape changes on its way; not known of one that is not installed here."""
    return arrival.partition(":")[0] in ARRIVALS and bool(ARRIVALS.resolve(arrival).varies)


def _rates(trials: pd.DataFrame, names: list[str], offered: list[float]) -> list[Rate]:
    achieved, p50, p99 = (
        levels(trials, names, metric) for metric in ("throughput_rps", "latency_p50_s", "latency_p99_s")
    )
    return [
        Rate(
            configuration=name,
            offered_rps=rate,
            achieved_rps=float(achieved["mean"].iloc[at]),
            p50_s=float(p50["mean"].iloc[at]),
            p99_s=float(p99["mean"].iloc[at]),
            p99_low_s=float(p99["ci_low"].iloc[at]),
            p99_high_s=float(p99["ci_high"].iloc[at]),
            limited_by=str(achieved["limited_by"].iloc[at]),
        )
        for at, (name, rate) in enumerate(zip(names, offered, strict=True))
    ]
