"""One setting at a time: the ladder, its rungs from the top, and sweeps around optimized. Pure.

These differences may be small, and what is the limit decides whether they can be seen. What changes the server is
measured with engine `wire`, which leaves the limit to the server; what changes the client with both engines, since a
Python client's own cost is part of what it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from grpclab.analysis.study_plan import PlannedOmission, PlannedPoint, PlannedRung, PlannedSweep
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level, format_level
from grpclab.factors.variants import LADDER, OPTIMIZED, ladder_config
from grpclab.study.designs import leave_one_out
from grpclab.study.designs.chatter_scenario import CHATTER
from grpclab.study.designs.design import Configurations
from grpclab.study.parameters import StudyParameters

WIRE, PYTHON = "wire", "grpcio"
"""The engine for what changes the server, and the one that what changes the client is measured with as well."""
REUSE, POOL = "reuse", "pool"
"""Rungs that change the client."""


class AtMain(Protocol):
    """Adds a configuration at the study's main concurrency; returns its full name."""

    def __call__(self, name: str, title: str, config: TrialConfig, *, engine: str) -> str:
        """`name` and `title` are without concurrency and engine."""


@dataclass(frozen=True, kw_only=True)
class SingleSteps:
    """What a plan holds of them."""

    ladder: tuple[PlannedRung, ...] = ()
    from_the_top: tuple[PlannedOmission, ...] = ()
    sweeps: tuple[PlannedSweep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Adds the rows to a plan. `ends` are the configurations of basic and optimized by engine."""

    planned: Configurations
    at_main: AtMain
    ends: Mapping[str, tuple[str, str]]
    server_cores: int
    runs: dict[str, TrialConfig] = field(default_factory=dict)
    """What the configurations that the plan holds are when they run."""

    def all(self, parameters: StudyParameters) -> SingleSteps:
        """Every row: the ladder, the sweeps, the ladder from its top, and the client's rows with the other engine."""
        ladder = self._ladder()
        sweeps = self._sweeps(parameters)
        from_the_top = self._from_the_top(ladder)
        self._with_python(parameters)
        return SingleSteps(ladder=ladder, from_the_top=from_the_top, sweeps=sweeps)

    def _ladder(self) -> tuple[PlannedRung, ...]:
        basic, optimized = self.ends[WIRE]
        rows = [leave_one_out.rung_of(LADDER[0], basic, "")]
        standing = {LADDER[0].name: basic}
        last_kept = LADDER[0].name
        for rung in LADDER[1:]:
            if ladder_config(rung.name).server.processes == 0 and self.server_cores == 1:
                reason = "not testable here: this machine has one core for the server"
                rows.append(leave_one_out.rung_of(rung, "", "", not_testable=reason))
                continue
            top = self._without_auto_processes(ladder_config(rung.name))
            is_top = top == self._without_auto_processes(OPTIMIZED)
            baseline = standing[last_kept if rung.kept else rung.after]
            name = optimized if is_top else self._add(f"ladder-{rung.name}", f"ladder: {rung.title}", top)
            self._compare(f"ladder: {rung.title}" + ("" if rung.kept else " (rejected)"), baseline, name)
            rows.append(leave_one_out.rung_of(rung, name, baseline))
            standing[rung.name] = name
            last_kept = rung.name if rung.kept else last_kept
        return tuple(rows)

    def _from_the_top(self, ladder: Sequence[PlannedRung]) -> tuple[PlannedOmission, ...]:
        """Optimized without one rung at a time; a configuration that the study holds already is used again.

        What is compared already, in either direction, is not compared again.
        """
        top = self.ends[WIRE][1]
        entries = leave_one_out.entries(ladder, top, scenario=CHATTER, configuration=self._add)
        for entry in entries:
            if not self._compared(entry.without, top):
                self._compare(f"from the top: {entry.title}", entry.without, top)
        return entries

    def _sweeps(self, parameters: StudyParameters) -> tuple[PlannedSweep, ...]:
        """One factor at a time around optimized; the level that optimized has is optimized itself."""
        factors: list[tuple[str, str, Sequence[float], Callable[[float], dict[str, Level]]]] = [
            ("pool size", "client.connections", parameters.pool_sizes, lambda n: {"client.connections": n}),
            (
                "stream limit",
                "server.max_concurrent_streams",
                parameters.stream_limits,
                lambda n: {"server.max_concurrent_streams": n},
            ),
            ("keepalive", "client.keepalive_s", parameters.keepalive_s, _keepalive),
        ]
        base = self.ends[WIRE][1]
        sweeps = []
        for title, factor, levels, settings in factors:
            points = []
            for level in levels:
                label = _keepalive_label(level) if factor == "client.keepalive_s" else format_level(level)
                name = self._level(title, label, OPTIMIZED.replace(settings(level)), engine=WIRE)
                points.append(PlannedPoint(label=label, configuration=name))
            sweeps.append(PlannedSweep(title=title, factor=factor, scenario=CHATTER, base=base, points=tuple(points)))
        return tuple(sweeps)

    def _with_python(self, parameters: StudyParameters) -> None:
        """What changes the client, once more with engine `grpcio`: channel reuse, pool, keepalive."""
        basic, optimized = self.ends[PYTHON]
        reuse = self._add(f"ladder-{REUSE}", "ladder: channel reuse", ladder_config(REUSE), engine=PYTHON)
        self._compare(f"ladder: channel reuse, engine {PYTHON}", basic, reuse)
        pool = self._add(f"without-{POOL}", "optimized without connection pool", leave_one_out.without(POOL), PYTHON)
        self._compare(f"from the top: connection pool, engine {PYTHON}", pool, optimized)
        for level in parameters.keepalive_s:
            self._level("keepalive", _keepalive_label(level), OPTIMIZED.replace(_keepalive(level)), engine=PYTHON)

    def _level(self, title: str, label: str, config: TrialConfig, *, engine: str) -> str:
        """A level of a factor around optimized, compared with it; optimized itself where it has that level."""
        optimized = self.ends[engine][1]
        if config == OPTIMIZED:
            return optimized
        slug = f"{title.replace(' ', '-')}-{label.replace(' ', '')}"
        name = self.at_main(slug, f"optimized, {title} {label}", config, engine=engine)
        words = "" if engine == WIRE else f", engine {engine}"
        self._compare(f"{title} {label} instead of optimized's{words}", optimized, name)
        return name

    def _add(self, name: str, title: str, config: TrialConfig, engine: str = WIRE) -> str:
        """The configuration that the study holds already, or a new one."""
        load = self.planned.configurations[self.ends[engine][1]].config.load
        for held, one in self.planned.configurations.items():
            if held not in self.runs:
                self.runs[held] = self._as_run(one.config)
        wanted = self._as_run(replace(config, load=load))
        alike = [held for held, run in self.runs.items() if run == wanted]
        return alike[0] if alike else self.at_main(name, title, config, engine=engine)

    def _as_run(self, config: TrialConfig) -> TrialConfig:
        """Without what makes no difference: a pool of one connection is a channel that is shared."""
        config = self._without_auto_processes(config)
        if config.client.pooling == "pool" and config.client.connections > 1:
            return config
        pooling = "shared" if config.client.pooling == "pool" else config.client.pooling
        return config.replace({"client.pooling": pooling, "client.connections": 1})

    def _without_auto_processes(self, config: TrialConfig) -> TrialConfig:
        """With `processes` 0 written out: one core makes it equal to a single process."""
        return config.replace({"server.processes": config.server.processes or self.server_cores})

    def _compared(self, one: str, other: str) -> bool:
        pairs = [{row.baseline, row.candidate} for row in self.planned.comparisons]
        return {one, other} in pairs

    def _compare(self, title: str, baseline: str, candidate: str) -> None:
        self.planned.compare(title, CHATTER, baseline, candidate)


def _keepalive(level: float) -> dict[str, Level]:
    """Pings on both sides after so many seconds; 0: none."""
    seconds = level or None
    timeout = OPTIMIZED.client.keepalive_timeout_s if seconds else None
    return {
        "client.keepalive_s": seconds,
        "server.keepalive_s": seconds,
        "client.keepalive_timeout_s": timeout,
        "server.keepalive_timeout_s": timeout,
    }


def _keepalive_label(level: float) -> str:
    return f"{format_level(level)} s" if level else "off"
