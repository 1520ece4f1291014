"""A schedule of rates: a measured window for each, and the knee, the highest rate that was kept up with. Pure."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab.load.core.call_figures import summaries_by_call
from grpclab.load.core.failures import combine
from grpclab.load.core.merging import WindowCounts
from grpclab.load.core.summary import Summary, lateness, summarise
from grpclab.load.core.traffic import add_counts
from grpclab.load.run import HELD_BACK, LoadRun

KEPT_TAIL = 10.0
"""A rate was kept up with if the run keeps up, and if its tail is not so many times that at the lowest rate: by then
there is a queue."""


def rate_text(rate_rps: float) -> str:
    """A rate in words: ``2,500/s``."""
    return f"{rate_rps:,.10g}/s"


@dataclass(frozen=True, kw_only=True)
class RateStep:
    """One rate of the schedule and its window."""

    rate_rps: float
    run: LoadRun
    limited_by: str
    """The result of :meth:`LoadRun.limited_by`."""

    @property
    def achieved_rps(self) -> float:
        """Successful calls per second."""
        return self.run.summary.throughput_rps

    @property
    def keeps_up(self) -> bool:
        """Return whether the calls came back as fast as they were due."""
        return self.run.keeps_up


@dataclass(frozen=True, kw_only=True)
class Knee:
    """The rate of a schedule from which it is not kept up with."""

    rate_rps: float | None
    """The highest rate that was kept up with, and all below it; None if not even the lowest was."""
    sentence: str


def find_knee(steps: Sequence[RateStep]) -> Knee:
    """The knee of one or more steps, taken by ascending rate.

    A step that the generator could not send properly says nothing of the server: it ends the search, and the
    sentence says so instead of naming a limit of the server.
    """
    ordered = sorted(steps, key=lambda step: step.rate_rps)
    first, last_kept = ordered[0], None
    for step in ordered:
        if step.limited_by not in ("", HELD_BACK):
            if last_kept is None:
                return Knee(
                    rate_rps=None,
                    sentence=f"no knee: the generator was the limit even at the lowest rate, {_rate(step)}",
                )
            return Knee(
                rate_rps=last_kept.rate_rps,
                sentence=f"knee: the server kept up with {_rate(last_kept)}; at {_rate(step)}, the generator was the "
                "limit, so the server may be able to do more",
            )
        why = _why_not(step, first)
        if why and last_kept is None:
            return Knee(
                rate_rps=None,
                sentence=f"no knee: the server did not keep up even with the lowest rate, {_rate(step)}, since {why}",
            )
        if why and last_kept is not None:
            return Knee(
                rate_rps=last_kept.rate_rps,
                sentence=f"knee: the server kept up with {_rate(last_kept)}; at {_rate(step)}, {why}",
            )
        last_kept = step
    return Knee(
        rate_rps=ordered[-1].rate_rps,
        sentence=f"no knee: the server kept up with every rate up to {_rate(ordered[-1])}",
    )


def _rate(step: RateStep) -> str:
    return rate_text(step.rate_rps)


def _why_not(step: RateStep, first: RateStep) -> str:
    """Return the reason why a step counts as not kept up with; nothing if it was."""
    if not step.keeps_up:
        return f"only {step.achieved_rps:,.1f}/s were answered"
    latency, first_latency = step.run.summary.latency, first.run.summary.latency
    for name in ("p99", "p95", "p90", "p50"):
        if not math.isnan(latency[name]) and not math.isnan(first_latency[name]):
            if latency[name] > KEPT_TAIL * first_latency[name]:
                return f"{name} was {latency[name] / first_latency[name]:,.0f}× that at the lowest rate"
            break
    return ""


def merged(runs: Sequence[LoadRun]) -> LoadRun:
    """Join windows measured one after the other: calls and times added up, percentiles over all calls.

    Where the records stayed on the machines of a cluster, these are as precise as the slots of the histograms: 0.025%.
    """
    if len(runs) == 1:
        return runs[0]
    windows = [window for run in runs for window in run.windows]
    counts: tuple[WindowCounts, ...] = ()
    if windows:
        whole, by_call, late = summarise(windows), summaries_by_call(windows), lateness(windows)
    else:
        counts = functools.reduce(_added, (run.counts for run in runs))
        whole, *of_calls = (one.summary({}) for one in counts)
        by_call, late = tuple(of_calls), counts[0].lateness({})
    begins = [run.windows[0].opened_at if run.windows else run.opened_at for run in runs]
    return dataclasses.replace(
        runs[-1],  # the last knows how it ended: interrupted or stopped
        windows=windows,
        counts=counts,
        distributions=counts[0].distributions if counts else {},
        opened_at=begins[0],
        share=min(run.share for run in runs),
        summary=_joined(whole, [run.summary for run in runs]),
        by_call=tuple(_joined(one, parts) for one, *parts in zip(by_call, *(run.by_call for run in runs), strict=True)),
        cpu_s=sum(run.cpu_s for run in runs),
        spin_s=sum(run.spin_s for run in runs),
        busy_share=max(run.busy_share for run in runs),
        offered_rps=_mean_offered(runs),
        planned=sum(run.planned for run in runs),
        sent=sum(run.sent for run in runs),
        unsent=sum(run.unsent for run in runs),
        lateness=late,
        held=sum(run.held for run in runs),
        bound_hits=sum(run.bound_hits for run in runs),
        still_s=max(run.still_s for run in runs),
        held_back="; ".join(dict.fromkeys(run.held_back for run in runs if run.held_back)),
        connections_lost=sum(run.connections_lost for run in runs),
        failures=combine((begin - begins[0], run.failures) for begin, run in zip(begins, runs, strict=True)),
        outage_s=sum(run.outage_s for run in runs),
        encodings=functools.reduce(add_counts, (run.encodings for run in runs)),
        limits=tuple(dict.fromkeys(limit for run in runs for limit in run.limits)),
        interference=functools.reduce(operator.add, (run.interference for run in runs)),
        silence=max(run.silence for run in runs),
    )


def _added(one: tuple[WindowCounts, ...], other: tuple[WindowCounts, ...]) -> tuple[WindowCounts, ...]:
    return tuple(mine + theirs for mine, theirs in zip(one, other, strict=True))


def _joined(whole: Summary, parts: Sequence[Summary]) -> Summary:
    """The figures of all windows, with their time and their calls added up."""
    seconds = sum(part.window_s for part in parts)
    good = sum(part.throughput_rps * part.window_s for part in parts)
    return dataclasses.replace(whole, window_s=seconds, throughput_rps=good / seconds if seconds else 0.0)


def _mean_offered(runs: Sequence[LoadRun]) -> float | None:
    """The calls that were due in all windows, over their length; None if one was a closed loop."""
    seconds = sum(run.summary.window_s for run in runs)
    if any(run.offered_rps is None for run in runs) or not seconds:
        return None
    return sum(run.planned for run in runs) / seconds
