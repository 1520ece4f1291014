"""What is known of each configuration of a study: its levels, its medians, its neighbours. Pure.

:mod:`grpclab.analysis.limits.resources` reads out of it what limited a configuration. A median is taken over the valid
trials; what was not measured is NaN, and what is not known of a factor is left out, so that a rule which needs
it is skipped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab.analysis.inference.ratios import column, numbers, trials_of, valid_trials
from grpclab.analysis.study_plan import PlannedConfiguration, StoredCores, StoredTarget, StudyPlan
from grpclab.factors import implementations
from grpclab.factors.config import FACTORS
from grpclab.factors.effective import unknown_factors
from grpclab.factors.levels import Level
from grpclab.factors.own import is_own
from grpclab.factors.service_time import parse_milliseconds

METRIC = "throughput_rps"
"""What neighbours are compared on."""
ROUND_TRIPS_OF_A_NEW_CHANNEL = 3
"""TCP's handshake, the server's SETTINGS, the call itself; a channel that is kept pays for the call only. TLS 1.3
takes one more (RFC 8446, 2)."""
_METRICS = (
    METRIC,
    *("latency_p50_s", "latency_mean_s", "offered_rps", "held", "connections"),
    *("client_busy_share", "client_cpu_per_call_s", "server_cpu_per_call_s"),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A configuration: its factors, and the medians over its valid trials.

    `levels` holds the factors that are known, by dotted name; `medians` metrics of trials.parquet and
    ``server_cores_used``, ``client_cores_used`` (CPU of a call x calls ended per second of window; spinning is
    left out) and ``processes_at_work`` (with a connection);
    a server of which nothing is known but its command has no ``server.`` level at all;
    `labels` how many trials carry each label of `limited_by`; `cores` how many cores the server may use, NaN
    where that is not recorded; `shared` whether the generator runs on the same core.
    """

    configuration: str
    scenario: str
    levels: Mapping[str, Level]
    medians: Mapping[str, float]
    labels: Mapping[str, int]
    trials: int
    cores: float
    shared: bool
    target: str = ""
    """What its server is and what is called, "" for our own greeter; two are neighbours only where these are equal."""
    foreign_factors: frozenset[str] = frozenset()
    """The factors that its target does not have; no level of them is known, and none is missed."""

    def number(self, factor: str) -> float:
        """The level of a factor as a number; NaN where it is none, not set or not known."""
        level = self.levels.get(factor)
        return float(level) if isinstance(level, int | float) and not isinstance(level, bool) else math.nan

    def median(self, metric: str) -> float:
        """The median of a metric, NaN where it was not measured."""
        return self.medians.get(metric, math.nan)

    @property
    def per_call(self) -> bool:
        """Whether the client, opening a channel for each call, is the factor under test."""
        return self.levels.get("client.pooling") == "per_call"

    @property
    def closed(self) -> bool:
        """Whether the loop is known to be closed: a call follows the one before."""
        return "load.rate_rps" in self.levels and self.levels["load.rate_rps"] is None

    @property
    def latency_s(self) -> float:
        """The median latency; the mean where there were too few calls for a median."""
        p50 = self.median("latency_p50_s")
        return self.median("latency_mean_s") if math.isnan(p50) else p50

    @property
    def in_flight(self) -> float:
        """Calls under way at once: as set in a closed loop, else by Little's law, throughput x latency."""
        return self.number("load.concurrency") if self.closed else self.median(METRIC) * self.latency_s

    @property
    def processes(self) -> float:
        """Server processes that have a connection (the kernel spreads connections by hash, not evenly)."""
        asked = self.number("server.processes") or self.cores
        return _least(asked, self.median("processes_at_work"))

    @property
    def foreign(self) -> bool:
        """Whether somebody's command started the server: nothing is known of what is inside."""
        return not any(name.startswith("server.") for name in self.levels)

    @property
    def capacity(self) -> float:
        """Cores the server can fill: those it may use, but of our own no more than one for each process at work."""
        return self.cores if self.foreign else _least(self.cores, self.processes)

    @property
    def threads(self) -> float:
        """Handler threads of all processes of a sync server, spare ones included; NaN of an asyncio server."""
        return self.own_threads + self.number("server.spare_threads") * self.processes

    @property
    def own_threads(self) -> float:
        """The same without spare threads, which are lent only while nothing moves."""
        if not implementations.threaded(str(self.levels.get("server.implementation"))):
            return math.nan
        return self.number("server.threads") * self.processes

    @property
    def messages(self) -> float:
        """Responses of a call."""
        method = self.levels.get("load.method")
        if method is None:
            return math.nan
        return self.number("server.stream_messages") if method == "SayHelloStream" else 1.0

    @property
    def pause_s(self) -> float:
        """How long the handler of a call waits, using no CPU: as set, and between the messages of a stream."""
        try:
            waits_s = parse_milliseconds(str(self.levels.get("server.handler_wait_ms"))).mean_s
        except ValueError:  # not known, or not as this version writes it
            waits_s = math.nan
        return waits_s + max(self.messages - 1, 0.0) * self.number("server.stream_interval_ms") / 1e3

    @property
    def travel_s(self) -> float:
        """Round trips of the emulated link that a call must wait for."""
        handshakes = ROUND_TRIPS_OF_A_NEW_CHANNEL - 1 + (self.levels.get("server.tls") is True)
        return self.number("link.rtt_ms") / 1e3 * (1 + handshakes * self.per_call)


def measure(trials: pd.DataFrame, plan: StudyPlan, cores: StoredCores | None) -> list[Measured]:
    """Every configuration, in the order of the plan, then those that only the trials name.

    `trials` has one row a trial, `plan` and `cores` are those of the manifest. Nothing missing raises.
    """
    planned = {configuration.name: configuration for configuration in plan.configurations}
    measured = [str(name) for name in column(trials, "configuration").dropna().unique()]
    names = dict.fromkeys([*planned, *measured])
    valid = valid_trials(trials)
    return [_one(trials_of(valid, name), name, planned.get(name), cores, plan.subjects.get(name)) for name in names]


def _one(
    rows: pd.DataFrame,
    name: str,
    planned: PlannedConfiguration | None,
    cores: StoredCores | None,
    target: StoredTarget | None,
) -> Measured:
    """A configuration by its valid trials."""
    settings = planned.settings if planned else None
    scenarios = [*column(rows, "scenario").dropna().unique(), planned.scenario if planned else ""]
    labels = [str(label) for label in column(rows, "limited_by").dropna() if label]
    usable = float(len(cores.server)) if cores and cores.server else math.nan
    unknown = unknown_factors(target, settings or {})
    levels = {factor: level for factor, level in _levels(rows, settings).items() if factor not in unknown}
    return Measured(
        configuration=name,
        scenario=str(scenarios[0]),
        levels=levels,
        medians={metric: float(values.median()) for metric, values in _values(rows, levels, usable).items()},
        labels={label: labels.count(label) for label in sorted(set(labels))},
        trials=len(rows),
        cores=usable,
        shared=cores is not None and cores.shared,
        target="" if target is None else repr(target),
        foreign_factors=unknown,
    )


def _levels(rows: pd.DataFrame, settings: Mapping[str, Level] | None) -> dict[str, Level]:
    """The levels as measured; where a trial does not tell, as planned (a plan leaves out what is at its default)."""
    levels: dict[str, Level] = {}
    first = {} if rows.empty else {str(name): _plain(cell) for name, cell in rows.iloc[0].items()}
    for name, factor in FACTORS.items():
        level = first.get(name)
        if level is not None or (name in first and factor.optional):
            levels[name] = level
        elif settings is not None:
            levels[name] = _plain(settings.get(name, factor.default))
    for name in sorted(filter(is_own, {*map(str, rows.columns), *(settings or {})})):
        level = first.get(name, (settings or {}).get(name))
        if level is not None:
            levels[name] = level
    return levels


def _plain(value: object) -> Level:
    """A cell as a level; what a frame holds for "nothing" is None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def _values(rows: pd.DataFrame, levels: Mapping[str, Level], cores: float) -> dict[str, pd.Series]:
    """The metrics of each trial, NaN where there is no finite number.

    The CPU of a trial is counted until the last call has ended, that of a backlog too, and in a closed loop also
    for the calls that were under way when the window opened. It is therefore divided by calls, not by seconds.
    What an open loop left over from its warm-up still makes it too high: no server uses more than its cores.
    """
    metrics = {metric: numbers(rows, metric) for metric in _METRICS}
    concurrency = levels.get("load.concurrency")
    closed = levels.get("load.rate_rps", math.nan) is None
    under_way = float(concurrency) if closed and isinstance(concurrency, int | float) else 0.0
    calls, failed = numbers(rows, "requests"), numbers(rows, "errors").fillna(0)
    calls, succeeded = calls.where(calls > 0), (calls - failed).where(calls > failed)
    ended_rps = metrics[METRIC] * calls / succeeded
    for side in ("server", "client"):
        metrics[f"{side}_cores_used"] = _cpu_seconds(rows, side) / (calls + under_way) * ended_rps
        metrics[f"{side}_cpu_per_call_s"] = cpu_per_call(rows, side)
    metrics["server_cores_used"] = metrics["server_cores_used"].clip(upper=cores)
    at_work = column(rows, "connections_by_process").map(_connected)
    metrics["processes_at_work"] = pd.to_numeric(at_work, errors="coerce").astype(float)
    return metrics


def cpu_per_call(trials: pd.DataFrame, side: str) -> pd.Series:
    """Seconds of CPU for one call on that side of each trial; earlier frames hold only what it is made of."""
    calls = numbers(trials, "requests")
    made = _cpu_seconds(trials, side) / calls.where(calls > 0)
    return numbers(trials, f"{side}_cpu_per_call_s").fillna(made)


def _cpu_seconds(trials: pd.DataFrame, side: str) -> pd.Series:
    """CPU seconds of that side in each trial; spinning, which is waiting, is none of the client's."""
    seconds = numbers(trials, f"{side}_cpu_s")
    return seconds - numbers(trials, "client_spin_s").fillna(0) if side == "client" else seconds


def _least(*values: float) -> float:
    """The least of those that are known; NaN where none is."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _connected(text: object) -> float:
    """How many of the processes in that list hold a connection; NaN where none does or it cannot be read."""
    try:
        counts = json.loads(text) if isinstance(text, str) else []
        return float(sum(count > 0 for count in counts)) or math.nan
    except (ValueError, TypeError):
        return math.nan
