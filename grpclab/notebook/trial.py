"""``trial.ipynb``: one configuration, or a group of a study, measured once, written into a folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import LoadConfig, TrialConfig, lookup
from grpclab.factors.levels import format_level
from grpclab.load.core.failures import sentence
from grpclab.report import tables
from grpclab.report.blocks import Shown
from grpclab.report.figures.trial import group_picture, trial_picture
from grpclab.study.group_order import GroupOrder
from grpclab.study.parameters import number
from grpclab.study.trial_order import TrialOrder
from grpclab.study.trial_progress import outcome
from grpclab.study.trial_result import TrialResult

NO_GROUP = -1
"""The parameter ``group`` of a notebook that measures one configuration."""
group_number = number(int, minimum=NO_GROUP, maximum=10**6, wanted="the number of a group, or -1")
"""What takes the parameter ``group`` as the number that it can mean."""


class TrialNotebook(TrialOrder):
    """``trial.ipynb``: a trial that is measured in the notebook, and the contents of its cells."""

    @classmethod
    def of(cls, namespace: Mapping[str, Any]) -> TrialNotebook | GroupNotebook:
        """The trial that the notebook's variables describe, or the group if they name one. Raises FactorError or
        DesignError."""
        chosen = group_number("group", namespace.get("group", NO_GROUP))
        return (cls if chosen == NO_GROUP else GroupNotebook).from_namespace(namespace)

    def settings_table(self) -> Shown:
        """The factors that differ from their defaults, with their meaning and whether they can have an effect."""
        idle = without_effect(self.config)
        rows = {
            name: {
                "level": format_level(level),
                "meaning": lookup(name).meaning,
                "effect": f"none: {idle[name]}" if name in idle else "",
            }
            for name, level in self.config.differences(TrialConfig()).items()
        }
        return _table(pd.DataFrame.from_dict(rows, orient="index", columns=["level", "meaning", "effect"]), "Settings")

    def shown(self, result: TrialResult) -> Shown:
        """The key figures."""
        return _table(key_figures(result), "Key figures")

    def figure(self) -> Any:
        """The figure of the trial: the run over time, and its latencies by percentile."""
        title = f"{outcome(self.result)}, engine {self.config.load.engine}"
        return _shown(trial_picture(self.result.timeline, self.result.latency, title), title)


class GroupNotebook(GroupOrder):
    """``trial.ipynb`` with ``study``, ``block`` and ``group``: a group that is measured in the notebook."""

    def settings_table(self) -> Shown:
        """The factors in which the members differ, or that differ from their defaults; one column per member."""
        columns = {}
        for name in self.group.group.members:
            config = self.manifest.plan.configuration(name).config
            columns[name] = {factor: format_level(level) for factor, level in config.differences(TrialConfig()).items()}
        return _table(pd.DataFrame(columns).fillna(""), f"Group {self.name}: settings")

    def shown(self, results: Mapping[str, TrialResult]) -> Shown:
        """The key figures, one column per member."""
        columns = {name: key_figures(result)["value"] for name, result in results.items()}
        return _table(pd.DataFrame(columns).fillna(""), "Key figures")

    def figure(self) -> Any:
        """The figure of the members: their runs over time, and their latencies by percentile."""
        members = {name: (each.timeline, each.latency) for name, each in self.results.items() if each.valid}
        return _shown(group_picture(members, f"Group {self.name}"), ", ".join(members))


def _shown(png: bytes, what: str) -> Any:
    from IPython.display import Image

    alt = f"Calls per second over time, and latency by percentile: {' '.join(what.split())}"
    return Image(data=png, alt=alt)  # type: ignore[no-untyped-call]


def _table(frame: pd.DataFrame, label: str) -> Shown:
    return Shown(parts=[tables.frame(frame, label=label)], text=frame.to_string())


def _server_cpu(metrics: Mapping[str, float]) -> str:
    """The server's CPU time, and the kernel's part of it where there was any."""
    used_s, kernel = metrics["server_cpu_s"], metrics["server_kernel_share"]
    if math.isnan(used_s):
        return "not known"
    return f"{used_s:.2f} s" if math.isnan(kernel) else f"{used_s:.2f} s, {kernel:.0%} in the kernel"


def key_figures(result: TrialResult) -> pd.DataFrame:
    """The figures of a trial for people, in one column `value`."""
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
            rows["connections lost"] = f"{metrics['connections_lost']:.0f}, {without} without a connection"
    if result.failures:
        rows["failed calls"] = sentence(result.failures)
    if "profile_samples" in metrics or result.evidence.profile_note:
        samples = metrics.get("profile_samples", 0)
        note = result.evidence.profile_note
        rows["profile"] = f"{samples:,.0f} samples{'; ' if note else ''}{note}"
    rows |= {factor: f"no effect: {reason}" for factor, reason in result.without_effect.items()}
    return pd.DataFrame({"value": rows})


def _passed(result: TrialResult) -> str:
    """The traffic on the connections beside calls; nothing where there was none."""
    counted = [("client_pings", "ping from the client", "pings from the client")]
    counted += [("server_pings", "ping from the server", "pings from the server")]
    passed = [
        f"{number:.0f} {one if number == 1 else many}"
        for name, one, many in counted
        if (number := result.metrics.get(name, 0.0)) > 0
    ]
    passed += [f"GOAWAY {text}, {count} times" for text, count in result.goaways.items()]
    return "; ".join(passed)


def _load(load: LoadConfig) -> str:
    """The load generator and its schedule."""
    if load.rate_rps is None:
        return f"engine {load.engine}, closed loop with {load.concurrency} calls in flight"
    return f"engine {load.engine}, open loop at {qty.amount(load.rate_rps)} requests/s, {load.arrival} arrivals"
