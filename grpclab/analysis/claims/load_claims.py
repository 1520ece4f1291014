"""The claims of the Rust demo about a server under load: throughput, system calls, streams, errors. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.claims.claim import (
    CONDITION,
    HOLDS,
    LEAST_BLOCKS,
    Comparisons,
    Outcome,
    TestedClaim,
    bound_words,
    bounded,
    combined,
    counted,
    joined,
    ratio_words,
    within_bounds,
)
from grpclab.analysis.inference.evidence import PYSPY, Shift, shift, work_shares
from grpclab.analysis.inference.ratios import column, log_t_interval, numbers, trials_of, valid_trials
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.study_plan import PlannedLoads, PlannedPair, PlannedStreams, PlannedThroughput

CLAIMED_RPS = (3_232.0, 12_199.0)
CLAIMED_RATIO = CLAIMED_RPS[1] / CLAIMED_RPS[0]
CLAIMED_SHARE, CLAIMED_MOST = 0.1364, 0.05
"""The share of system calls in basic, and the most of it that is left in optimized."""
KERNEL_FAMILIES = ("send", "receive", "locks", "other_kernel")


def throughput(trials: pd.DataFrame, compared: Comparisons, planned: PlannedThroughput, delta: float) -> TestedClaim:
    """Optimized gives 3.77 times the throughput of basic (+277 %). The places are the two engines.

    Confirmed where the whole interval lies above 3.77 (1 - delta), refuted where it lies below 3.77, else open. A
    ratio that the load generator bounded is set aside, unless the bound itself decides. What is confirmed holds under
    a condition if the server alone, with the same client, misses 3.77: that basic's client opens a channel a call.
    """
    outcomes: dict[str, Outcome] = {}
    parts = []
    for arm in planned.arms:
        c = compared.get(planned.scenario, arm.basic, arm.optimized)
        limited = bounded(trials, c)
        outcome = within_bounds(_reaches(c, delta), limited)
        if outcome is not None or not limited:
            outcomes[f"with engine {arm.engine}"] = outcome
        levels = " to ".join(_level(trials, name) for name in (arm.basic, arm.optimized))
        gain = f"{_gain(c)}{bound_words(limited)}" if c else "no ratio"
        parts.append(f"engine {arm.engine}: {gain}, {levels} requests/s")
    server = compared.get(planned.scenario, planned.server_only.baseline, planned.server_only.candidate)
    if server:
        parts.append(f"the server alone, same client: {_gain(server)}")
    verdict, condition = combined(outcomes)
    if verdict == HOLDS and within_bounds(_reaches(server, delta), bounded(trials, server)) is False:
        verdict, condition = CONDITION, "only against a client that opens a channel for each call"
    return TestedClaim(
        claim="throughput",
        claimed=f"{CLAIMED_RPS[0]:,.0f} to {CLAIMED_RPS[1]:,.0f} requests/s, optimized +277 % over basic",
        done=(
            "basic and optimized were measured at 64 calls in flight with both engines, and so was the basic server "
            "with the optimized client"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


def _reaches(c: Comparison | None, delta: float) -> Outcome:
    """Whether a ratio reaches the claimed one."""
    if c is None or c.blocks < LEAST_BLOCKS:
        return None
    if c.ci_low >= CLAIMED_RATIO * (1 - delta):
        return True
    return False if c.ci_high < CLAIMED_RATIO else None


def _gain(c: Comparison) -> str:
    """``+114 % (105 to 123 %), below the claimed``."""
    low, high = (100 * (end - 1) for end in (c.ci_low, c.ci_high))
    where = "below" if c.ci_high < CLAIMED_RATIO else "above" if c.ci_low > CLAIMED_RATIO else "around"
    return f"{100 * (c.ratio - 1):+.0f} % ({low:+.0f} to {high:+.0f} %), {where} the claimed figure"


def syscalls(trials: pd.DataFrame, planned: PlannedPair) -> TestedClaim:
    """The share of system calls falls from 13.64 % to 3 to 5 %. The places are the tools: py-spy and perf.

    Confirmed where the interval of the change lies below 0 and optimized's whole interval at or below 5 %; refuted
    where the share does not fall (the change's interval at or above 0) or optimized's interval lies above 5 %.
    """
    pyspy = sum((work_shares(trials, PYSPY, family) for family in KERNEL_FAMILIES), pd.Series(0.0, index=trials.index))
    views: dict[str, pd.Series[float]] = {"py-spy": pyspy, "perf": numbers(trials, "perf_kernel_share")}
    outcomes: dict[str, Outcome] = {}
    parts = []
    for tool, shares in views.items():
        s = shift(trials, planned.baseline, planned.candidate, shares)
        outcomes[f"according to {tool}"] = _falls(s)
        parts.append(f"by {tool}: {_shift_words(s)}")
    whole = shift(trials, planned.baseline, planned.candidate, numbers(trials, "server_kernel_share"))
    parts.append(f"for comparison, the kernel's own accounting of the CPU time: {_shift_words(whole)}")
    verdict, condition = combined(outcomes)
    return TestedClaim(
        claim="system calls",
        claimed=f"the share of system calls falls from {100 * CLAIMED_SHARE:.2f}% to between 3% and 5%",
        done=(
            "both servers were sampled under load after the measured window: with py-spy, which sees only Python "
            "threads (the share of working samples that are sending, receiving, in locks or in other kernel work), "
            "and with perf, which sees every thread (the share of samples in the kernel)"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


def _falls(s: Shift) -> Outcome:
    if s.change.blocks < LEAST_BLOCKS or not math.isfinite(s.change.low):
        return None
    if s.change.high < 0 and s.candidate.high <= CLAIMED_MOST:
        return True
    return False if s.change.low >= 0 or s.candidate.low > CLAIMED_MOST else None


def _shift_words(s: Shift) -> str:
    if not s.change.blocks:
        return "not measured"
    between = ""
    if math.isfinite(s.change.low):
        between = f" (change {100 * s.change.low:+.1f} to {100 * s.change.high:+.1f} points, {s.change.blocks} blocks)"
    return f"{100 * s.baseline.mean:.1f} % to {100 * s.candidate.mean:.1f} %{between}"


def streams(trials: pd.DataFrame, compared: Comparisons, planned: PlannedStreams) -> TestedClaim:
    """10,000 calls are in flight at once, and all succeed. One block in which that is not so refutes it.

    Confirmed if in every block the high water of calls in flight is 10,000 or more, none waits for the server's
    stream limit and none fails. It then holds under a condition if the same server with grpcio's own limits does not.
    """
    optimized, own = (_carried(trials, name, planned.in_flight) for name in (planned.optimized, planned.own_limits))
    verdict, condition = combined({"": optimized.outcome})
    if verdict == HOLDS and own.outcome is False:
        verdict, condition = CONDITION, "only with the server's limits raised"
    parts = [f"optimized: {optimized.words}", f"the same with grpcio's default limits: {own.words}"]
    c = compared.get(planned.scenario, planned.few, planned.optimized)
    if c:
        parts.append(f"{ratio_words(c)} the throughput with 64 calls in flight")
    return TestedClaim(
        claim="streams",
        claimed=f"{planned.in_flight:,} concurrent streams",
        done=(
            f"{planned.in_flight:,} unary calls were kept in flight on four connections (engine wire), to the "
            "optimized server and to the same server with grpcio's default limits on streams and on calls that have "
            "not started"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


@dataclass(frozen=True, kw_only=True)
class Carried:
    """Whether so many calls in flight were carried, and the words for it."""

    outcome: Outcome
    words: str


def _carried(trials: pd.DataFrame, configuration: str, in_flight: int) -> Carried:
    rows = counted(trials_of(trials, configuration))
    high, held = numbers(rows, "in_flight_max"), numbers(rows, "held").fillna(0)
    good = column(rows, "valid").eq(True) & (high >= in_flight) & (held == 0) & (numbers(rows, "errors") == 0)
    by_block = good.groupby(column(rows, "block")).all()
    if by_block.empty or not in_flight:
        return Carried(outcome=None, words="not measured")
    failed, made = int(numbers(rows, "errors").sum()), int(numbers(rows, "requests").sum())
    n, succeeded = len(by_block), int(by_block.sum())
    words = (
        f"{high.min():,.0f} in flight at the peak, {failed:,} of {made:,} calls failed, median latency "
        f"{qty.duration(numbers(rows, 'latency_p50_s').median())}, sustained in {succeeded} of {n} "
        "blocks"
    )
    if succeeded == n:
        words += f" (with 95% confidence, in more than {qty.percent(0.05 ** (1 / n), 'sentence')} of such blocks)"
    outcome = False if succeeded < n else True if n >= LEAST_BLOCKS else None
    return Carried(outcome=outcome, words=words)


def errors(trials: pd.DataFrame, planned: Sequence[PlannedLoads]) -> TestedClaim:
    """No call fails. The places are the loads of the optimized server.

    Refuted by one failed call, whatever the trial was; confirmed without any in LEAST_BLOCKS blocks or more. The
    interval is that of a share of blocks (Clopper-Pearson, one-sided), since calls of a block are not independent.
    """
    outcomes: dict[str, Outcome] = {}
    parts = []
    for loads in planned:
        rows = counted(trials[column(trials, "configuration").isin(loads.configurations)])
        failed, made = numbers(rows, "errors"), int(numbers(rows, "requests").sum())
        blocks = (failed > 0).groupby(column(rows, "block")).any()
        hit, n = int(blocks.sum()), len(blocks)
        outcomes[f"with {loads.place}"] = False if hit else True if n >= LEAST_BLOCKS else None
        if not n:
            parts.append(f"{loads.place}: not measured")
            continue
        most = qty.percent(1 - 0.05 ** (1 / n), "sentence")
        bound = f" (with 95% confidence, in less than {most} of such blocks)" if not hit else ""
        parts.append(f"{loads.place}: {failed.sum():,.0f} of {made:,} calls failed, in {hit} of {n} blocks{bound}")
    verdict, condition = combined(outcomes)
    return TestedClaim(
        claim="errors",
        claimed="zero errors",
        done="every call to the optimized server was counted by status, with retries off",
        result=joined(condition, *parts),
        verdict=verdict,
    )


def _level(trials: pd.DataFrame, configuration: str) -> str:
    level = log_t_interval(numbers(valid_trials(trials_of(trials, configuration)), "throughput_rps"))
    if math.isnan(level.mean):
        return "unknown"
    return qty.amount(level.mean, "sentence")
