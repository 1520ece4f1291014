"""The stored trials of a study together: one frame of them, and what a report shows of single ones beside it.

That is stacks, latencies, the settings that were announced, and the ends of logs.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from grpclab.analysis import Judgement
from grpclab.analysis.answer_comparison import answers_cell
from grpclab.analysis.inference.distribution import merge
from grpclab.analysis.inference.ratios import column
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.factors.own import is_own
from grpclab.metrics import IDENTITY, completed, of_call
from grpclab.profiling.families import parse_folded
from grpclab.study.model import Manifest, StoredResult
from grpclab.system.untrusted import MIB, read_bytes, read_tail

LOG_LINES, LOG_CHARACTERS = 20, 2000
"""So much of the end of a server's log goes into the report."""
PROFILE_BYTES = 16 * MIB
"""A profile of a trial has some hundred kilobytes."""

SINCE_SLICES = (
    *("server_waited_share", "pass_count", "slices_left_out", "calls_made", "server_outside_cores"),
    "throughput_even_rps",
    *("sent_per_call_bytes", "received_per_call_bytes", "attempts"),
    *("collector_cores", "scraper_cores", "scrapes", "scrapes_failed"),
)
"""Metrics that the first edition did not have: a study of it has no columns for them."""
LATER_FACTORS = (
    *("server.compression", "client.compression", "server.mutual_tls", "server.access_log_share"),
    *("server.rate_limit_rps", "server.rate_limit_burst", "server.interceptors", "server.reflection"),
    *("server.tracing_share", "server.channelz", "server.tls_reload", "server.scrape_s"),
    *("server.quota_rps", "server.quota_burst", "server.quota_key", "server.admission"),
    *("client.retries", "client.retry_statuses", "client.load_balancing", "client.circuit_breaker"),
    "client.tracing_share",
    *("client.health_checks", "client.breaker_open_s", "client.breaker_statuses"),
    *("load.stream_messages", "load.stream_interval_s", "load.stream_duration_s", "load.stream_end"),
    *("load.stream_ping_pong", "load.stream_dynamic"),
)
"""Factors that the first edition did not have, likewise."""

Stacks = dict[str, int]
Profiles = dict[str, dict[str, dict[int, Stacks]]]
"""Stacks by file, configuration and block."""
Histograms = dict[str, dict[int, str]]
"""Encoded HdrHistograms by configuration and block."""
Details = Mapping[str, Mapping[str, object]]
"""By a trial's name what no row of a frame holds, as JSON: see :class:`grpclab.report.data.Packed`."""


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """What a report shows of single trials beside their frame."""

    profiles: Profiles
    histograms: Histograms
    details: Details


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A study as its report takes it: the frame of its trials, what they say, and what belongs to single ones."""

    trials: pd.DataFrame
    judgement: Judgement
    artifacts: Artifacts


def frame(results: Iterable[StoredResult]) -> pd.DataFrame:
    """One row a trial, in the order in which they were measured; an empty frame where there is none."""
    rows = pd.DataFrame([row(result) for result in results])
    if "group" not in rows:
        return rows.sort_values(["block", "order"], ignore_index=True) if len(rows) else rows
    began = rows.groupby(["block", "group"], dropna=False)["started_at"].transform("min")
    ordered = rows.assign(began=began).sort_values(["block", "began", "group", "order"], ignore_index=True)
    return ordered.drop(columns="began")


def row(result: StoredResult) -> dict[str, Level]:
    """A row of trials.parquet; what is not known is empty."""
    return {
        **{name: value for name in IDENTITY if (value := getattr(result, name)) is not None},
        **{name: result.factors.get(name) for name in FACTORS if name in result.factors or name not in LATER_FACTORS},
        **{name: level for name, level in sorted(result.factors.items()) if is_own(name)},
        **{
            name: value
            for name, value in completed(result.metrics).items()
            if name in result.metrics or name not in SINCE_SLICES
        },
        **{
            of_call(name, call): math.nan if value is None else value
            for call, figures in result.calls.items()
            for name, value in figures.items()
        },
        "errors_by_status": json.dumps(result.errors_by_status),
        "failures": json.dumps([asdict(failure) for failure in result.failures]),
        "notices": json.dumps([asdict(notice) for notice in result.notices]),
        **({"answers": answers_cell(result.answers, result.answer_fields)} if result.answers else {}),
        "connections_by_process": json.dumps(result.connections_by_process),
        "threads_per_call": json.dumps(result.threads_per_call),
        "syscalls_per_call_by_name": json.dumps(result.syscalls_per_call),
        **{name: getattr(result, name) for name in ("profile_note", "perf_note", "strace_note")},
        **{name: value for name in ("prepare_s", "cleanup_s") if (value := getattr(result, name)) is not None},
        "without_effect": json.dumps(result.without_effect),
        "measured_on": json.dumps(result.measured_on, sort_keys=True),
    }


def profiles(folder: Path, names: Sequence[str], trials: pd.DataFrame) -> Profiles:
    """The stacks of the valid trials of these configurations: by file, configuration (in this order) and block."""
    by_file: Profiles = {}
    for row in _valid(trials, names).itertuples():
        for key in ("stacks", "perf"):
            if stacks := _stacks(folder / str(row.trial) / f"{key}.folded", folder.parent):
                blocks = by_file.setdefault(key, {}).setdefault(str(row.configuration), {})
                block = int(str(row.block))  # a configuration may be in several groups of a block
                blocks[block] = dict(Counter(blocks.get(block, {})) + Counter(stacks))
    order = {name: at for at, name in enumerate(names)}
    return {key: dict(sorted(of.items(), key=lambda item: order[item[0]])) for key, of in by_file.items()}


def _stacks(path: Path, study: Path) -> Stacks:
    """The stacks in a file of a study; none where it cannot be read."""
    try:
        return parse_folded(read_bytes(path, PROFILE_BYTES, inside=study).decode("utf-8", "replace").splitlines())
    except (OSError, ValueError):
        return {}


def mixed(trials: pd.DataFrame, manifest: Manifest) -> str:
    """Which trials were measured in other surroundings than the study, in words; "" for none.

    The surroundings of a trial on a machine of a cluster are those of that machine.
    """
    different: dict[str, str] = {}
    machines = {one.name: one.identity for one in manifest.machines}
    places = column(trials, "machine")
    for name, text, place in zip(trials.get("trial", []), trials.get("measured_on", []), places, strict=False):
        measured_on = json.loads(text or "{}")  # an earlier version did not say
        if isinstance(place, str) and place not in machines:
            different.setdefault(str(name), f"machine={place}, which the study does not list")
            continue
        identity = machines[place] if isinstance(place, str) else manifest.identity
        for key in sorted(measured_on):
            if measured_on[key] != identity.get(key):
                different.setdefault(str(name), f"{key}={measured_on[key]}, but {identity.get(key)} in the study")
    if not different:
        return ""
    example, differs = next(iter(different.items()))
    return f"measured in a different environment ({len(different)} of {len(trials)}, e.g. {example}: {differs})"


def histograms(results: Mapping[str, StoredResult], names: Sequence[str], trials: pd.DataFrame) -> Histograms:
    """The latencies of the valid trials of these configurations; `results` are those of the trials, by name."""
    by_configuration: Histograms = {}
    for row in _valid(trials, names).itertuples():
        result = results.get(str(row.trial))
        if result and result.histogram:
            blocks = by_configuration.setdefault(str(row.configuration), {})
            blocks[int(str(row.block))] = _added(blocks.get(int(str(row.block)), ""), result.histogram)
    return by_configuration


def _added(histogram: str, another: str) -> str:
    """Two histograms of one configuration in a block, which may be in several groups, as one."""
    if not histogram:
        return another
    whole = merge([histogram, another])
    assert whole is not None
    return str(whole.encode().decode())


def details(folder: Path, results: Mapping[str, StoredResult]) -> Details:
    """The settings that were announced in each trial, and the end of its server's log, where there are any."""
    by_trial = {}
    for name, result in results.items():
        parts = {"advertised": result.advertised, "log": log_tail(folder / name / "server.log", folder.parent)}
        by_trial[name] = {key: value for key, value in parts.items() if value}
    return by_trial


def log_tail(path: Path, study: Path) -> str:
    """The last lines of a log in the folder of a study; "" where there is none."""
    try:
        text = read_tail(path, LOG_CHARACTERS, inside=study).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _valid(trials: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return trials[trials["valid"].eq(True) & trials["configuration"].isin(list(names))]
