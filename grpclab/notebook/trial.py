"""``trial.ipynb``: one configuration, measured once, written into a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.errors import DesignError, invalid
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import FACTORS, LoadConfig, TrialConfig, parse_settings
from grpclab.factors.levels import format_level
from grpclab.factors.variants import variant
from grpclab.load.core.failures import sentence
from grpclab.report import tables
from grpclab.report.blocks import Shown
from grpclab.report.figures.trial import trial_picture
from grpclab.study import values
from grpclab.study.parameters import number, plain_values, switch
from grpclab.study.trial import run_trial
from grpclab.study.trial_progress import outcome
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from grpclab.system.paths import project_root


class TrialNotebook:
    """``trial.ipynb``: one configuration, measured once, written into a folder."""

    LOAD = ("requests", "duration_s", "concurrency")
    NAMES = (*LOAD, "variant", "settings", "profile", "output_dir", *TrialIdentity.__dataclass_fields__)

    def __init__(self, given: Mapping[str, Any]) -> None:
        base = variant(_word(given, "variant")) if given["variant"] else TrialConfig()
        load = {f"load.{name}": FACTORS[f"load.{name}"].parse(str(given[name]), name) for name in self.LOAD}
        self.config = base.replace(load).replace(parse_settings(_word(given, "settings").split()))
        place = number(int, minimum=0, maximum=10**6, wanted="a whole number, 0 or more")
        self.identity = TrialIdentity(
            study=_word(given, "study"),
            trial=_word(given, "trial"),
            scenario=_word(given, "scenario"),
            configuration=_word(given, "configuration"),
            block=place("block", given["block"]),
            order=place("order", given["order"]),
        )
        self.profile = switch("profile", given["profile"])
        self.folder = Path(_word(given, "output_dir") or _scratch_folder()).resolve()
        self.cores = split_cores(machine()["affinity"])

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> TrialNotebook:
        """Out of the notebook's variables. Raises FactorError or DesignError, shown in one line."""
        given = plain_values(namespace, cls.NAMES)
        missing = [name for name in cls.NAMES if name not in given]
        if missing:
            raise DesignError(f"parameter {missing[0]!r} is missing: run the parameters cell first")
        for name in ("study", "trial", "configuration"):
            if note := values.note(name, given[name]):
                print(note)
        return cls(given)

    def settings_table(self) -> Shown:
        """The factors that are not at their default, with what they mean and whether they can act."""
        idle = without_effect(self.config)
        rows = {
            name: {
                "level": format_level(level),
                "meaning": FACTORS[name].meaning,
                "effect": f"none: {idle[name]}" if name in idle else "",
            }
            for name, level in self.config.differences(TrialConfig()).items()
        }
        return _table(pd.DataFrame.from_dict(rows, orient="index", columns=["level", "meaning", "effect"]), "Settings")

    def run(self) -> Shown:
        """Measure and write; returns the key figures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.result = run_trial(
            self.config, self.folder, cores=self.cores, identity=self.identity, profile=self.profile
        )
        return _table(key_figures(self.result), "Key figures")

    def figure(self) -> Any:
        """The trial's own picture: the run over time, and its latencies by percentile."""
        from IPython.display import Image

        title = f"{outcome(self.result)}, engine {self.config.load.engine}"
        png = trial_picture(self.result.timeline, self.result.latency, title)
        alt = f"Calls per second over time, and latency by percentile: {' '.join(title.split())}"
        return Image(data=png, alt=alt)  # type: ignore[no-untyped-call]


def _table(frame: pd.DataFrame, label: str) -> Shown:
    return Shown(html=tables.frame(frame, label=label), text=frame.to_string())


def _word(given: Mapping[str, Any], name: str) -> str:
    """A parameter that is a word, whatever papermill made of it. Raises DesignError."""
    try:
        return values.text(given[name])
    except ValueError:
        raise DesignError(invalid(name, given[name], "a word")) from None


def _scratch_folder() -> Path:
    return project_root() / "results" / "scratch" / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"


def _server_cpu(metrics: Mapping[str, float]) -> str:
    """The server's CPU time, and the kernel's part of it where there was any."""
    used_s, kernel = metrics["server_cpu_s"], metrics["server_kernel_share"]
    if math.isnan(used_s):
        return "not known"
    return f"{used_s:.2f} s" if math.isnan(kernel) else f"{used_s:.2f} s, {kernel:.0%} in the kernel"


def key_figures(result: TrialResult) -> pd.DataFrame:
    """A trial's figures for people, one column `value`."""
    metrics = result.metrics
    rows: dict[str, str] = {"outcome": outcome(result), "load": _load(result.config.load)}
    if result.limited_by:
        rows["limited by"] = result.limited_by
    rows |= {notice.kind: str(notice) for notice in result.notices}
    if "requests" in metrics:
        latency = [
            f"{name} {qty.duration_in(metrics[f'latency_{name}_s'], 'ms', '.2f', bare=True)}"
            for name in ("p50", "p90", "p95", "p99")
        ]
        rows |= {
            "calls": f"{metrics['requests']:,.0f} in {metrics['window_s']:.2f} s",
            "latency, ms": "  ".join(latency),
            "server CPU": _server_cpu(metrics),
            "generator": f"{metrics['client_busy_share']:.0%} of a core",
            "connections": f"{metrics['connections']:.0f}, by server process {result.connections_by_process}",
        }
        if result.config.load.rate_rps is not None:
            rows["late sends"] = ", ".join(
                f"{name} {qty.duration(metrics.get(f'late_{name}_s'))}" for name in ("p50", "p99", "max")
            )
        if passed := _passed(result):
            rows["pings and GOAWAYs"] = passed
        if metrics.get("connections_lost"):
            without = qty.duration(metrics.get("outage_s"))
            rows["connections lost"] = f"{metrics['connections_lost']:.0f}, {without} without any"
    if result.failures:
        rows["failed calls"] = sentence(result.failures)
    if "profile_samples" in metrics or result.evidence.profile_note:
        samples = metrics.get("profile_samples", 0)
        note = result.evidence.profile_note
        rows["profile"] = f"{samples:,.0f} samples{'; ' if note else ''}{note}"
    rows |= {factor: f"no effect: {reason}" for factor, reason in result.without_effect.items()}
    return pd.DataFrame({"value": rows})


def _passed(result: TrialResult) -> str:
    """What passed on the connections beside calls; nothing where nothing did."""
    counted = [("client_pings", "ping of the client", "pings of the client")]
    counted += [("server_pings", "ping of the server", "pings of the server")]
    passed = [
        f"{number:.0f} {one if number == 1 else many}"
        for name, one, many in counted
        if (number := result.metrics.get(name, 0.0)) > 0
    ]
    passed += [f"GOAWAY {text}, {count} times" for text, count in result.goaways.items()]
    return "; ".join(passed)


def _load(load: LoadConfig) -> str:
    """Who sent the calls, and how."""
    if load.rate_rps is None:
        return f"engine {load.engine}, closed loop of {load.concurrency} in flight"
    return f"engine {load.engine}, open loop of {qty.amount(load.rate_rps)} requests/s, {load.arrival} arrivals"
