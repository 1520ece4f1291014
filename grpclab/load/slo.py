"""Thresholds: ``--slo p99=5ms,errors=0.1%,rps=1000``, judged at the end or watched while the load runs. Pure.

A latency must not be above its limit, over the calls that succeeded and those that were given up: a call that had
not ended is as long as it had been under way, and where none succeeded no limit is kept. The share of failed calls
must not be above its limit either (IMPLIED_ERRORS, where a latency or a rate is given and no ``errors``), nor the
successful calls per second below theirs. A threshold with too few calls behind it never passes, and says so.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grpclab import quantities as qty
from grpclab.errors import UsageError, invalid
from grpclab.load.core.summary import Summary
from grpclab.load.run import LoadProgress
from grpclab.metrics import MIN_BEYOND, PERCENTILES, calls_needed
from grpclab.quantities import TIMES, seconds

LATENCIES = (*PERCENTILES, "mean", "max")
KEYS = (*LATENCIES, "errors", "rps")
WATCHABLE = (*PERCENTILES, "max", "errors", "rps")
"""The objectives that can be found broken while the load runs."""
IMPLIED_ERRORS = "1%"
"""The most failed calls where thresholds are given, but none for errors."""
WATCH_CALLS = 100
"""After so many calls a share of errors, or a rate, is no chance."""
WATCH_REPORTS = 5
"""The reports in a row (half a second) that must find a percentile broken."""
WATCH_FROM_S = 1.0
"""A rate is not judged before the window has been open for so long."""
STALL_S = 0.5
"""All callers of a closed loop wait for so long at least before that alone breaks a percentile."""
EXAMPLE = "p99=5ms,errors=0.1%,rps=1000"


def calls_for(objectives: Sequence[Objective]) -> int:
    """The fewest calls by which these can be judged."""
    return max((calls_needed(PERCENTILES[o.name]) for o in objectives if o.name in PERCENTILES), default=1)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One threshold. `limit` is in seconds, a share from 0 to 1, or calls per second; `text` as it was given."""

    name: str
    limit: float
    text: str
    implied: bool = False
    """Nobody gave it: it comes with the others."""

    @property
    def at_least(self) -> bool:
        """Return whether the figure must not be below the limit, rather than not above it."""
        return self.name == "rps"

    def exceeded(self, figure: float) -> bool:
        """Return whether the figure breaks the threshold; NaN never does."""
        return figure < self.limit if self.at_least else figure > self.limit

    def phrase(self, figure: float) -> str:
        """Return a figure as the end of a sentence: ``was 8.20 ms``, ``were 0.35%``."""
        if self.name == "errors":
            return f"were {figure:.2%}"
        return f"was {figure:,.1f} requests/s" if self.at_least else f"was {qty.duration_in(figure, 'ms', ',.2f')}"


@dataclass(frozen=True, kw_only=True)
class ObjectiveResult:
    """The result of one threshold: met, or the reason why not."""

    objective: Objective
    figure: float
    """NaN where there were too few calls."""
    calls: int
    """The calls by which it was judged."""
    why: str = ""
    """The reason why it is broken, where no figure shows it."""
    at: str = ""
    """The step of a schedule, as ``3,000/s``."""

    @property
    def met(self) -> bool:
        """Return whether the threshold was kept; not if it could not be judged."""
        return not self.why and not math.isnan(self.figure) and not self.objective.exceeded(self.figure)

    @property
    def sentence(self) -> str:
        """``p99 was 8.20 ms, 64.0% above the 5ms allowed``."""
        implied = f" (implied: --slo does not set errors={self.objective.text})" if self.objective.implied else ""
        return self._phrase + implied

    @property
    def _phrase(self) -> str:
        objective, name = self.objective, self.objective.name
        where = f" at {self.at}" if self.at else ""
        if self.why:
            return f"{name}={objective.text}{where} is not met: {self.why}"
        if math.isnan(self.figure):
            needed = calls_needed(PERCENTILES[name]) if name in PERCENTILES else 1
            judged = f"{name}={objective.text}{where}"
            return f"not enough calls to judge {judged}: it needs {needed:,}, but there were {self.calls:,}"
        shown = f"{name} {objective.phrase(self.figure)}{where}"
        if self.met:
            return f"{shown}, {'at least' if objective.at_least else 'within'} {objective.text}"
        return f"{shown}, {self._distance} the {objective.text} {'required' if objective.at_least else 'allowed'}"

    @property
    def _distance(self) -> str:
        """The distance from the limit: ``64% above``, ``12×``."""
        side = "below" if self.objective.at_least else "above"
        if not self.objective.limit:
            return side
        ratio = self.figure / self.objective.limit
        return f"{ratio:,.1f}×" if ratio >= 3 else f"{abs(ratio - 1):.1%} {side}"


def parse_slo(text: str) -> tuple[Objective, ...]:
    """The thresholds of one ``--slo``, in their order. Raises UsageError, one line naming the part that is wrong."""
    objectives: dict[str, Objective] = {}
    for part in text.split(","):
        name, equals, level = (word.strip() for word in part.partition("="))
        if not equals:
            raise UsageError(f"--slo {part.strip()!r} is not a threshold: expected name=limit, e.g. {EXAMPLE}")
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(KEYS)}"
            raise UsageError(f"--slo has no {name!r}: {hint}")
        if name in objectives:
            raise UsageError(f"--slo sets {name} twice: give it one limit")
        objectives[name] = Objective(name=name, limit=_limit(name, level), text=level)
    return tuple(objectives.values())


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
        raise UsageError(invalid("--slo errors", text, "a share of calls, e.g. 0.1% or 0.001"))
    if name == "rps" and not 0 < value < math.inf:
        raise UsageError(invalid("--slo rps", text, "the fewest calls per second, e.g. 1000"))
    return value


def with_implied(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The thresholds and, where none of them is about errors, IMPLIED_ERRORS: refusing is no way to be fast."""
    if not objectives or any(objective.name == "errors" for objective in objectives):
        return tuple(objectives)
    implied = Objective(name="errors", limit=_limit("errors", IMPLIED_ERRORS), text=IMPLIED_ERRORS, implied=True)
    return (*objectives, implied)


def check_enough(objectives: Sequence[Objective], calls: int | None, mend: str) -> None:
    """Raise UsageError for a percentile that so many planned calls cannot carry; None is a number nobody knows."""
    for objective in objectives:
        needed = calls_needed(PERCENTILES[objective.name]) if objective.name in PERCENTILES else 0
        if calls is not None and calls < needed:
            raise UsageError(
                f"invalid --slo {objective.name}={objective.text}: expected at least {needed:,} calls, but "
                f"{calls:,} are planned: {mend}"
            )


def judge(objective: Objective, summary: Summary, at: str = "") -> ObjectiveResult:
    """Judge a threshold in a measured window; `at` names the window, where there are several."""
    if objective.name in LATENCIES:
        return ObjectiveResult(
            objective=objective,
            figure=summary.latency_judged[objective.name],
            calls=summary.judged,
            why=_why_broken(objective, summary),
            at=at,
        )
    calls = summary.requests + summary.not_ended_before
    errors = summary.errors + summary.not_ended_before
    figure = summary.throughput_rps if objective.at_least else errors / calls if calls else math.nan
    return ObjectiveResult(objective=objective, figure=figure, calls=calls, at=at)


def _why_broken(objective: Objective, summary: Summary) -> str:
    """Return the reason why a latency cannot have been kept where its figure does not show it."""
    if summary.requests + summary.not_ended and not summary.succeeded:
        return "no call succeeded"
    stalled_s = summary.stalled_s
    if stalled_s > max(objective.limit, _allowed_share(objective) * summary.window_s):
        return (
            f"no call completed in the last {stalled_s:.1f} s of {summary.window_s:.1f} s, and all callers were waiting"
        )
    return ""


def _allowed_share(objective: Objective) -> float:
    """The share of calls that may be slower than the limit."""
    return 1 - PERCENTILES.get(objective.name, 1.0)


def judge_steps(objective: Objective, windows: Mapping[str, Summary]) -> ObjectiveResult:
    """Judge a threshold in a schedule, `windows` by rate: kept at every rate, or broken first at one.

    A rate of calls is to be reached by the best of them, since the schedule itself holds the others below.
    """
    judged = [judge(objective, summary, at) for at, summary in windows.items()]
    if objective.at_least:
        return max(judged, key=lambda result: result.figure)
    return next((result for result in judged if not result.met), judged[-1])


def check_watchable(objectives: Sequence[Objective]) -> None:
    """Raise UsageError if none of the thresholds can be watched while the load runs."""
    if not any(o.name in WATCHABLE for o in objectives):
        raise UsageError(
            f"--abort-on-slo cannot watch {', '.join(o.name for o in objectives) or 'anything'}: set --slo for one "
            f"of {', '.join(WATCHABLE)}"
        )


@dataclass(kw_only=True)
class ObjectiveWatch:
    """Follows the running figures of one window and says when a threshold is broken."""

    objectives: Sequence[Objective]
    callers: int | None = None
    """The callers of a closed loop."""
    _streak: dict[str, int] = field(default_factory=dict)

    @property
    def limits_s(self) -> tuple[float, ...]:
        """The limits of latency among them, each once."""
        return tuple(dict.fromkeys(o.limit for o in self.objectives if o.name in (*PERCENTILES, "max")))

    def reason(self, progress: LoadProgress) -> str | None:
        """Return the reason why the run may end now, or None."""
        for objective in self.objectives:
            reason = _broken(objective, progress)
            streak = self._streak[objective.name] = self._streak.get(objective.name, 0) + 1 if reason else 0
            at_once = objective.name in ("max", "errors") or (objective.name == "rps" and progress.calls >= WATCH_CALLS)
            if objective.name in PERCENTILES and _stalled(objective, progress, self.callers):
                reason, at_once = (
                    (f"no call has completed for {progress.youngest_s:.1f} s, and all callers are waiting"),
                    True,
                )
            if reason and (at_once or streak >= WATCH_REPORTS):
                implied = " (implied)" if objective.implied else ""
                return f"{reason}, against the {objective.name}={objective.text} of --slo{implied}"
        return None


def _stalled(objective: Objective, progress: LoadProgress, callers: int | None) -> bool:
    """Return whether all callers of a closed loop have waited for longer than the percentile allows a slow call."""
    longest_s = max(objective.limit, STALL_S, _allowed_share(objective) * progress.elapsed_s)
    return callers is not None and progress.under_way >= callers and progress.youngest_s > longest_s


def _broken(objective: Objective, progress: LoadProgress) -> str:
    """Return a phrase on the figures so far that break a threshold; nothing if they do not."""
    evidence = f"after {progress.calls:,} calls"
    reason = ""
    if objective.name == "errors" and progress.calls:
        share = progress.errors / progress.calls
        if objective.exceeded(share) and (progress.errors >= MIN_BEYOND or progress.calls >= WATCH_CALLS):
            reason = f"errors {objective.phrase(share)} {evidence}"
    elif objective.name == "rps" and progress.elapsed_s >= WATCH_FROM_S and not progress.over:
        rate = (progress.calls - progress.errors) / progress.elapsed_s
        if objective.exceeded(rate):
            reason = f"rps {objective.phrase(rate)} {evidence}"
    elif objective.name == "max" and objective.exceeded(progress.longest_s):
        reason = f"max {objective.phrase(progress.longest_s)} {evidence}"
    elif objective.name == "max" and objective.exceeded(progress.oldest_s):
        reason = f"a call has been in progress for {progress.oldest_s:.2f} s"
    elif objective.name in PERCENTILES:
        overdue = progress.overdue[objective.limit]
        slow, calls = progress.slow[objective.limit] + overdue, progress.succeeded + overdue
        if slow > _allowed_share(objective) * calls and (slow >= MIN_BEYOND or slow == calls):
            waiting = f", {overdue:,} of them still in progress" if overdue else ""
            reason = f"{slow:,} of {calls:,} calls ({slow / calls:.1%}) took longer than {objective.text}{waiting}"
    return reason
