"""The result of loading one server: its figures, its grade, and what became of the objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.calls.method import GREETER, CallSpec
from grpclab.load.ceiling import Ceiling
from grpclab.load.cluster_figures import ClusterFigures
from grpclab.load.core.call_order import shares
from grpclab.load.core.failures import sentence
from grpclab.load.core.summary import Summary
from grpclab.load.run import GENERATOR_BOUND, LoadRun
from grpclab.load.slo import Objective, ObjectiveResult, judge, judge_steps
from grpclab.load.steps import Knee, RateStep, find_knee, rate_text
from grpclab.system.notices import Notice

GRADES: tuple[tuple[str, float, float], ...] = (
    ("A", 0.0, 2.0),
    ("B", 0.001, 4.0),
    ("C", 0.01, 8.0),
    ("D", 0.05, 16.0),
)
"""Grade, most errors as a share, most the tail may be above the median; F is what is worse."""

LINK_OFF_MS, LINK_OFF_SHARE = 2.5, 0.1
"""An emulated link whose round trip is further off than both is not the one of its factors."""


@dataclass(frozen=True, kw_only=True)
class CallResult:
    """The figures of one call of a mix."""

    name: str
    path: str
    """``/package.Service/Method``."""
    share: float
    """The share of the calls that its weight asks for, of 1."""
    summary: Summary


@dataclass(frozen=True, kw_only=True, repr=False)
class LoadResult:
    """The result of loading one server. With a schedule of rates, `run` is all its windows taken together."""

    target: str
    config: TrialConfig
    call: CallSpec
    started_at: datetime
    run: LoadRun
    connections: int
    connections_by_process: tuple[int, ...] = ()
    steps: tuple[RateStep, ...] = ()
    """The windows of a schedule, in the order in which they were measured; empty without one."""
    objectives: tuple[Objective, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks on the origin of the figures, for their reader."""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """The factors and options that could not act, each with the reason."""
    link: Mapping[str, float] | None = None
    """The emulated link as :func:`grpclab.link.emulation.check_link` measures it; None without a link."""
    server_factors: Mapping[str, Level] | None = None
    """The factors of an application that was hosted for it; None where the server was running already."""
    ceiling: Ceiling | None = None
    """The highest rate of a generator process on this machine, where it is known."""
    cluster: ClusterFigures | None = None
    """The generator processes, where they ran in a Dask cluster; None where they ran on this machine alone."""
    name: str = ""
    """The user's own name of the load."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The user's own words on it."""

    @property
    def calls(self) -> tuple[CallResult, ...]:
        """The figures of each call of a mix; none where one call is made always."""
        mix = self.call.mix
        if mix is None:
            return ()
        each = zip(mix.names, mix.calls, shares(mix.weights), self.run.by_call, strict=True)
        return tuple(
            CallResult(name=name, path=call.path, share=share, summary=summary) for name, call, share, summary in each
        )

    @property
    def title(self) -> str:
        """The name of the call, ``package.Service/Method``; of a mix how many calls it has."""
        if self.call.mix is None:
            return self.call.path.removeprefix("/")
        return f"a mix of {len(self.call.mix.calls)} calls"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on the figures: the notes, the settings without effect, the emulated link."""
        idle = (f"{name} has no effect: {reason}" for name, reason in self.without_effect.items())
        return (*self.notes, *idle, *([link_text(self.link)] if self.link else []))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The events around the measurement that may have changed its figures."""
        return (*self.run.notices, *(self.cluster.notices if self.cluster else ()))

    @property
    def limited_by(self) -> str:
        """The result of :meth:`LoadRun.limited_by`; for a schedule, that of the first step with one."""
        if self.steps:
            return next((step.limited_by for step in self.steps if step.limited_by), "")
        return self.run.limited_by(self.config.client.pooling)

    @property
    def tail(self) -> tuple[str, float]:
        """The highest percentile up to p99 that there are enough calls for, and its latency in seconds."""
        latency = self.run.summary.latency
        for name in ("p99", "p95", "p90"):
            if not math.isnan(latency[name]):
                return name, latency[name]
        return "", math.nan

    @property
    def grade(self) -> tuple[str, str]:
        """A letter and its reason: errors, and how far the tail is above the median. It does not grade speed."""
        summary = self.run.summary
        name, tail = self.tail
        median = summary.latency["p50"]
        if self.run.stood_still or self.limited_by == GENERATOR_BOUND:
            return "-", "the generator was the limit, so this says nothing about the server"
        if not name or not summary.requests:
            return "-", "too few calls to judge"
        errors, spread = summary.errors / summary.requests, tail / median
        missing = 0.0 if self.run.keeps_up else 1 - summary.throughput_rps / self.run.due_rps
        letter = next((g for g, most, ratio in GRADES if max(errors, missing) <= most and spread <= ratio), "F")
        behind = f"{missing:.1%} of the rate missing, " if missing else ""
        return letter, f"{behind}{errors:.1%} errors, {name} is {spread:.1f}× the median"

    @property
    def knee(self) -> Knee | None:
        """The highest rate of a schedule that was kept up with."""
        return find_knee(self.steps) if len(self.steps) > 1 else None

    @property
    def judgements(self) -> tuple[ObjectiveResult, ...]:
        """The result of each threshold; for a schedule, in the first step that broke it."""
        if not self.steps:
            return tuple(judge(objective, self.run.summary) for objective in self.objectives)
        windows = {rate_text(step.rate_rps): step.run.summary for step in self.steps}
        return tuple(judge_steps(objective, windows) for objective in self.objectives)

    @property
    def every_call_failed(self) -> str:
        """The failures of the calls and a hint, where not one of them succeeded; else nothing."""
        summary = self.run.summary
        if not summary.requests and summary.not_ended:
            return f"no call to {self.title} ended: {summary.not_ended:,} were abandoned at the end"
        if not summary.requests or summary.errors < summary.requests:
            return ""
        text = f"every call to {self.title} failed: {sentence(self.run.failures)}"
        if set(summary.errors_by_status) == {"UNIMPLEMENTED"}:
            text += ": this server does not have this method"
            if self.call.path.startswith(GREETER) and self.call.mix is None:
                text += (
                    "; without --call, grpclab calls the method of its own greeter, so add --call "
                    "package.Service/Method"
                )
        return text

    @property
    def missed(self) -> str:
        """The reasons why the thresholds were not kept, in one line; nothing if they were."""
        if self.run.stopped_because and not self.run.ceiling:
            return f"stopped early: {self.run.stopped_because}"
        broken = [j.sentence for j in self.judgements if not j.met]
        if self.objectives and self.cluster is not None and self.cluster.lost:
            broken.append(f"the thresholds were not tested at the planned load: {self.cluster.loss}")
        return "; ".join(broken)


def link_text(link: Mapping[str, float]) -> str:
    """Return a sentence on an emulated link: its factors, and its measured round trips."""
    rtt_ms, p50 = link["rtt_ms_asked"], link["rtt_ms_p50"]
    text = f"emulated link: {rtt_ms:g} ms requested, {p50:.2f} ms measured (p99 {link['rtt_ms_p99']:.2f} ms)"
    return text + (
        "; the emulation missed the requested delay"
        if abs(p50 - rtt_ms) > max(LINK_OFF_MS, LINK_OFF_SHARE * rtt_ms)
        else ""
    )
