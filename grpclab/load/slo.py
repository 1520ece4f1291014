"""Thresholds: ``--slo p99=5ms,errors=0.1%,rps=1000``, judged at the end or watched while the load runs. Pure.

A latency must not be above its limit (all calls count, whatever became of them), the share of failed calls not
either, the successful calls per second not below. What too few calls were made for is never passed: it is said.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grpclab.errors import UsageError, invalid
from grpclab.load.summary import MIN_BEYOND, PERCENTILES, Summary
from grpclab.units import TIMES, seconds

LATENCIES = (*PERCENTILES, "mean", "max")
KEYS = (*LATENCIES, "errors", "rps")
WATCHABLE = ("p99", "p999", "max", "errors", "rps")
"""What can be told exceeded from the running figures, which have no percentile but p99."""
WATCH_CALLS = 100
"""No run is stopped before so many calls have ended."""
WATCH_REPORTS = 3
"""A running p99 is that of a fraction of a second: so many in a row must be above the limit."""
WATCH_FROM_S = 1.0
"""A rate is not judged before the window has been open for so long."""
EXAMPLE = "p99=5ms,errors=0.1%,rps=1000"


def calls_needed(q: float) -> int:
    """The fewest calls that carry this percentile."""
    return math.ceil(round(MIN_BEYOND / (1 - q), 6))


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One threshold. `limit` is in seconds, a share from 0 to 1, or calls per second; `text` as it was given."""

    name: str
    limit: float
    text: str

    @property
    def at_least(self) -> bool:
        """Whether the figure must not be below the limit, rather than not above it."""
        return self.name == "rps"

    def exceeded(self, figure: float) -> bool:
        """Whether the figure breaks the threshold; NaN never does."""
        return figure < self.limit if self.at_least else figure > self.limit

    def say(self, figure: float) -> str:
        """What was seen: ``was 8.20 ms``, ``were 0.35%``."""
        if self.name == "errors":
            return f"were {figure:.2%}"
        return f"was {figure:,.1f} requests/s" if self.at_least else f"was {figure * 1e3:,.2f} ms"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of one threshold: met, or why not."""

    objective: Objective
    figure: float
    """NaN where there were too few calls."""
    calls: int
    at: str = ""
    """Where in a schedule, as ``3,000/s``."""

    @property
    def met(self) -> bool:
        """Whether the threshold was kept; not if it could not be judged."""
        return not math.isnan(self.figure) and not self.objective.exceeded(self.figure)

    @property
    def sentence(self) -> str:
        """``p99 was 8.20 ms, 64.0% above the 5ms allowed``."""
        objective, name = self.objective, self.objective.name
        where = f" at {self.at}" if self.at else ""
        if math.isnan(self.figure):
            needed = calls_needed(PERCENTILES[name]) if name in PERCENTILES else 1
            judged = f"{name}={objective.text}{where}"
            return f"not enough calls to judge {judged}: it needs {needed:,}, there were {self.calls:,}"
        shown = f"{name} {objective.say(self.figure)}{where}"
        if self.met:
            return f"{shown}, {'at least' if objective.at_least else 'within'} {objective.text}"
        return f"{shown}, {self._distance} the {objective.text} {'asked for' if objective.at_least else 'allowed'}"

    @property
    def _distance(self) -> str:
        """By how much the limit was missed: ``64% above``, ``12 x``."""
        side = "below" if self.objective.at_least else "above"
        if not self.objective.limit:
            return side
        ratio = self.figure / self.objective.limit
        return f"{ratio:,.1f} x" if ratio >= 3 else f"{abs(ratio - 1):.1%} {side}"


def parse_slo(text: str) -> tuple[Objective, ...]:
    """The thresholds of one ``--slo``, in their order. Raises UsageError, one line naming the part that is wrong."""
    found: dict[str, Objective] = {}
    for part in text.split(","):
        name, equals, level = (word.strip() for word in part.partition("="))
        if not equals:
            raise UsageError(f"--slo {part.strip()!r} is not a threshold: write name=limit, as {EXAMPLE}")
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
            raise UsageError(f"--slo has no {name!r}: {hint}")
        if name in found:
            raise UsageError(f"--slo names {name} twice: give one limit for each")
        found[name] = Objective(name=name, limit=_limit(name, level), text=level)
    return tuple(found.values())


def _limit(name: str, text: str) -> float:
    if name in LATENCIES:
        try:
            return seconds(text)
        except ValueError:
            raise UsageError(invalid(f"--slo {name}", text, f"{TIMES}, with its unit")) from None
    try:
        percent = name == "errors" and text.endswith("%")
        value = float(text.removesuffix("%")) / 100 if percent else float(text)
    except ValueError:
        value = math.nan
    if name == "errors" and not 0 <= value <= 1:
        raise UsageError(invalid("--slo errors", text, "a share of calls, as 0.1% or 0.001"))
    if name == "rps" and not 0 < value < math.inf:
        raise UsageError(invalid("--slo rps", text, "the fewest calls per second, as 1000"))
    return value


def judge(objective: Objective, summary: Summary, at: str = "") -> Judgement:
    """What became of a threshold in a measured window; `at` says which, of several."""
    calls = summary.requests
    figures = summary.latency | {
        "mean": summary.latency_mean_s,
        "max": summary.latency_max_s,
        "errors": summary.errors / calls if calls else math.nan,
        "rps": summary.throughput_rps,
    }
    return Judgement(objective=objective, figure=figures[objective.name], calls=calls, at=at)


def judge_steps(objective: Objective, windows: Mapping[str, Summary]) -> Judgement:
    """What became of a threshold in a schedule, `windows` by rate: kept at every rate, or the first that broke it.

    A rate of calls is to be reached by the best of them, since the schedule itself holds the others below.
    """
    judged = [judge(objective, summary, at) for at, summary in windows.items()]
    if objective.at_least:
        return max(judged, key=lambda one: one.figure)
    return next((one for one in judged if not one.met), judged[-1])


def check_watchable(objectives: Sequence[Objective]) -> None:
    """Raise UsageError if none of the thresholds can be watched while the load runs."""
    if not any(o.name in WATCHABLE for o in objectives):
        raise UsageError(
            f"--abort-on-slo cannot watch {', '.join(o.name for o in objectives) or 'anything'}:"
            f" give --slo one of {', '.join(WATCHABLE)}"
        )


@dataclass(kw_only=True)
class Watch:
    """Follows the running figures of one window and says when a threshold is broken."""

    objectives: Sequence[Objective]
    _streak: dict[str, int] = field(default_factory=dict)

    def reason(self, *, elapsed_s: float, calls: int, errors: int, latency_p99_s: float) -> str | None:
        """Why the run may end now, or None. `latency_p99_s` is of the last moments, the rest since the opening."""
        figures: Mapping[str, float] = {
            "errors": errors / calls if calls else math.nan,
            "rps": (calls - errors) / elapsed_s if elapsed_s >= WATCH_FROM_S else math.nan,
            "p99": latency_p99_s,
            "p999": latency_p99_s,  # it and the longest are never below the p99
            "max": latency_p99_s,
        }
        broken = None
        for objective in self.objectives:
            figure = figures.get(objective.name, math.nan)
            if math.isnan(figure):
                continue
            needed = WATCH_REPORTS if objective.name in LATENCIES else 1
            streak = self._streak.get(objective.name, 0) + 1 if objective.exceeded(figure) else 0
            self._streak[objective.name] = streak
            if broken is None and streak >= needed and calls >= WATCH_CALLS:
                shown = "p99" if objective.name in LATENCIES else objective.name
                broken = (
                    f"{shown} {objective.say(figure)} after {calls:,} calls, against the"
                    f" {objective.name}={objective.text} of --slo"
                )
        return broken
