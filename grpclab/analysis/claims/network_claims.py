"""The claims of the Rust demo about connections and the network: keepalive, no-delay, windows. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.claims.claim import (
    BETTER,
    LEAST_BLOCKS,
    NOT_EXPRESSIBLE,
    UNDECIDED,
    Comparisons,
    Outcome,
    TestedClaim,
    bound_words,
    bounded,
    combined,
    decided,
    in_brackets,
    joined,
    ratio_words,
    within_bounds,
)
from grpclab.analysis.inference.ratios import log_t_interval, numbers, trials_of, valid_trials
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.study_plan import ArgumentRow, PlannedHandshakes, PlannedNetwork, PlannedPair


def handshakes(trials: pd.DataFrame, compared: Comparisons, planned: PlannedHandshakes) -> TestedClaim:
    """Keepalive reduces handshakes. The places are a client under load, and one silent on a link that forgets.

    Confirmed where the same client opens fewer connections with keepalive than without (comparison `faster`: less),
    refuted where they are equivalent or more; open where no call of the client without it succeeded before the window
    closed, since the connection that it would open next was not seen.

    What a channel for each call costs stands beside it and decides nothing.
    """
    outcomes: dict[str, Outcome] = {}
    parts = []
    for pair in planned.places:
        c = compared.get(pair.scenario, pair.baseline, pair.candidate, pair.metric)
        lost = _never_back(trials, pair.baseline)
        outcomes[pair.place] = None if lost else decided(c, BETTER)
        why = (
            ", undecided because without keepalive no call succeeded again before the window closed, so the next "
            "connection was not counted"
            if lost
            else ""
        )
        before, after = _opened(trials, pair)
        parts.append(f"{pair.place}: {before} opened without keepalive, {after} with it{in_brackets(c)}{why}")
    reuse = planned.reuse
    c = compared.get(reuse.scenario, reuse.baseline, reuse.candidate, reuse.metric)
    before, after = _opened(trials, reuse)
    parts.append(f"{before} opened with one channel per call, {after} with channels that are kept open{in_brackets(c)}")
    verdict, condition = combined(outcomes)
    return TestedClaim(
        claim="keepalive",
        claimed="keep-alive reduces handshakes",
        done=(
            "the connections that a client opened were counted with and without HTTP/2 keepalive, under load (by the "
            "wire engine) and after an idle period (by the emulated link), and for comparison with channels that are "
            "kept open and with one channel per call"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


def _never_back(trials: pd.DataFrame, configuration: str) -> bool:
    """Whether in most trials no call succeeded before the window closed."""
    rows = valid_trials(trials_of(trials, configuration))
    return bool(numbers(rows, "first_success_censored").median() > 0.5)


def _opened(trials: pd.DataFrame, pair: PlannedPair) -> tuple[str, str]:
    """The median numbers of connections of both sides: ``2,950 connections`` and ``4``."""
    sides = [valid_trials(trials_of(trials, name)) for name in (pair.baseline, pair.candidate)]
    before, after = (numbers(rows, pair.metric).median() for rows in sides)
    return (
        "an unknown number of connections" if math.isnan(before) else qty.count(round(before), "connection"),
        "an unknown number" if math.isnan(after) else f"{after:,.0f}",
    )


def no_delay(mapping: Sequence[ArgumentRow]) -> TestedClaim:
    """TCP_NODELAY lowers latency: a claim about a knob, which the table from tonic to grpcio has or has not."""
    row = next((row for row in mapping if "tcp_nodelay" in row.tonic), None)
    missing = row is not None and not row.factor
    return TestedClaim(
        claim="no-delay",
        claimed="TCP_NODELAY lowers latency",
        done="the settings of grpcio were searched for a counterpart",
        result=(row.note or "there is no such setting") if row and missing else "it was not measured",
        verdict=NOT_EXPRESSIBLE if missing else UNDECIDED,
    )


def large_windows(trials: pd.DataFrame, compared: Comparisons, networks: Sequence[PlannedNetwork]) -> TestedClaim:
    """Large HTTP/2 windows raise throughput. The places are the networks.

    Confirmed where the largest fixed window is `faster` than the smallest, refuted where it is `equivalent` or
    `slower`; open where that is `inconclusive`, or where the load generator bounded the ratio to the other side.
    """
    outcomes: dict[str, Outcome] = {}
    parts = []
    for network in networks:
        (small, smallest), *_, (large, largest) = network.fixed.items()
        c = compared.get(network.scenario, smallest, largest)
        limited = bounded(trials, c)
        outcomes[f"over {_article(network.place)}"] = within_bounds(decided(c, BETTER), limited)
        parts.append(f"{network.place}: {large} has {ratio_words(c)} the throughput of {small}{bound_words(limited)}")
    verdict, condition = combined(outcomes)
    return TestedClaim(
        claim="large windows",
        claimed="large HTTP/2 windows raise throughput",
        done=(
            "256 KiB downloads were measured on one connection, 8 in flight, with fixed client windows, which limit "
            "downloads (the Rust demo set the server's windows, which limit uploads)"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


def adaptive(
    trials: pd.DataFrame, compared: Comparisons, networks: Sequence[PlannedNetwork], delta: float
) -> TestedClaim:
    """Adaptive flow control adjusts to the network. The places are the networks.

    Confirmed where the adaptive window is, against each fixed one, no slower than delta allows (the interval above
    1 - delta); refuted where it is `slower` than one of them. So it must keep up with the best, whichever that is.
    """
    outcomes: dict[str, Outcome] = {}
    parts = []
    for network in networks:
        fixed = network.fixed
        against = {label: compared.get(network.scenario, name, network.adaptive) for label, name in fixed.items()}
        outcomes[f"over {_article(network.place)}"] = _keeps_up(trials, list(against.values()), delta)
        best = max(fixed, key=lambda label: _mean(trials, fixed[label]))
        bound = bound_words(bounded(trials, against[best]))
        parts.append(
            f"{network.place}: adaptive has {ratio_words(against[best])} the throughput of the best fixed "
            f"window, {best}{bound}"
        )
    verdict, condition = combined(outcomes)
    return TestedClaim(
        claim="adaptive windows",
        claimed="adaptive flow control adjusts to the network",
        done=(
            "on each network, the same downloads were measured with BDP probing, which is on by default, and "
            "compared with every fixed window"
        ),
        result=joined(condition, *parts),
        verdict=verdict,
    )


def _keeps_up(trials: pd.DataFrame, against: Sequence[Comparison | None], delta: float) -> Outcome:
    outcomes = [within_bounds(_no_slower(c, delta), bounded(trials, c)) for c in against]
    if any(outcome is False for outcome in outcomes):
        return False
    return True if outcomes and all(outcomes) else None


def _no_slower(c: Comparison | None, delta: float) -> Outcome:
    if decided(c, {"slower": True}):
        return False
    return True if c and c.blocks >= LEAST_BLOCKS and c.ci_low >= 1 - delta else None


def _mean(trials: pd.DataFrame, configuration: str) -> float:
    mean = log_t_interval(numbers(valid_trials(trials_of(trials, configuration)), "throughput_rps")).mean
    return -math.inf if math.isnan(mean) else mean


def _article(place: str) -> str:
    return place if place.startswith("plain") else f"a {place}"
