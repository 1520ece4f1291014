"""The designs ``default`` and ``quick``: what each part of the optimized variant gives, at which load. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from grpclab.analysis.study_plan import (
    PlannedCurve,
    PlannedEngineRow,
    PlannedEngines,
    PlannedIdle,
    PlannedOmission,
    PlannedPoint,
    PlannedRung,
    PlannedSweep,
    PlannedWaiting,
    StudyPlan,
)
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level, format_level
from grpclab.factors.variants import BASIC, LADDER, OPTIMIZED, VARIANTS, ladder_config, mix
from grpclab.study.designs import idle_scenario, leave_one_out, waiting_scenario
from grpclab.study.designs.bulk_scenario import BULK, BULK_BYTES, BULK_CONCURRENCY, BULK_WARMUP_S
from grpclab.study.designs.chatter_scenario import CHATTER, CHATTER_WARMUP_S
from grpclab.study.designs.design import (
    PREFERRED_CONCURRENCY,
    PROFILED_BLOCKS,
    Configurations,
    comparison,
    headline,
    other_engine,
    part,
)
from grpclab.study.designs.idle_scenario import IDLE_LIMIT_S, IDLE_PAUSE_S
from grpclab.study.parameters import SWEPT, Design, StudyParameters

QUESTION = "How much faster is a gRPC service with all that helped (optimized) than with defaults (basic), and why?"
OTHER_METRICS = ("latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")
"""What else the headline's two are compared in; each metric is a family of its own."""
AddAtMain = Callable[[str, str, TrialConfig], str]
"""Adds a configuration at the study's main concurrency, with a name and a title; returns its full name."""
QUICK_PROFILED_BLOCKS, QUICK_LONGEST_S = 3, 1.0
"""The design quick looks less often, and its windows are shorter, so that it ends within 5 minutes."""


def plan(parameters: StudyParameters, server_cores: int, *, quick: bool = False) -> StudyPlan:
    """The plan of a study. `server_cores`: how many the server may use."""
    levels = tuple(parameters.concurrency)
    main = PREFERRED_CONCURRENCY if PREFERRED_CONCURRENCY in levels else levels[-1]
    if quick:
        levels = tuple(level for level in levels if level in (8, main))
    planned = Configurations()
    load: dict[str, Level] = {
        "load.engine": parameters.engine,
        "load.requests": parameters.requests,
        "load.duration_s": min(parameters.max_trial_s, QUICK_LONGEST_S) if quick else parameters.max_trial_s,
    }
    chatter = load | {"load.warmup_s": CHATTER_WARMUP_S, "load.concurrency": main}

    def at_main(name: str, title: str, config: TrialConfig) -> str:
        return planned.add(f"{name}-c{main}", title, CHATTER, config.replace(chatter))

    series: dict[str, tuple[str, ...]] = {}
    for variant, config in VARIANTS.items():
        series[variant] = tuple(
            planned.add(
                f"{variant}-c{level}",
                f"{variant}, {level} in flight",
                CHATTER,
                config.replace(chatter | {"load.concurrency": level}),
            )
            for level in levels
        )
    basic, optimized = f"basic-c{main}", f"optimized-c{main}"
    again = planned.add(f"{basic}-again", "basic once more (A/A)", CHATTER, BASIC.replace(chatter))
    client_only = at_main("client-only", "basic server, optimized client", mix(server="basic", client="optimized"))
    server_only = at_main("server-only", "optimized server, basic client", mix(server="optimized", client="basic"))
    parts = (
        part(
            planned.compare("client only, at the basic server", CHATTER, basic, client_only),
            side="client",
            phrase="the client keeping its connections",
        ),
        part(
            planned.compare("server only, with the optimized client", CHATTER, client_only, optimized),
            side="server",
            phrase="the server",
            already="a client that already keeps its channel",
        ),
    )
    planned.compare("server only, with the basic client", CHATTER, basic, server_only)
    planned.compare("client only, at the optimized server", CHATTER, server_only, optimized)
    for level in levels:
        if level != main:
            title = f"optimized against basic at concurrency {level}"
            planned.compare(title, CHATTER, f"basic-c{level}", f"optimized-c{level}")
    engines = _engines(planned, chatter, {"basic": basic, "optimized": optimized}, concurrency=main)
    for metric in OTHER_METRICS:
        planned.compare(f"optimized against basic at concurrency {main}", CHATTER, basic, optimized, metric=metric)
    ladder = () if quick else _ladder(planned, at_main, basic, optimized, server_cores)
    top = _from_the_top(planned, at_main, chatter, ladder, optimized, server_cores=server_cores)
    sweeps = () if quick else _sweeps(planned, at_main, optimized, parameters)
    windows = _windows(planned, load, parameters, quick=quick)
    waiting = _waiting(planned, load, quick=quick)
    idle = PlannedIdle() if quick else _idle(planned)
    return replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline(
            f"optimized against basic at concurrency {main}",
            CHATTER,
            basic,
            optimized,
            labels=("basic", "optimized"),
            at=f"at concurrency {main} with engine {parameters.engine}",
        ),
        parts=parts,
        aa=comparison("basic against itself (A/A)", CHATTER, basic, again),
        curves=(
            PlannedCurve(
                title="Throughput over concurrency", scenario=CHATTER, factor="load.concurrency", series=series
            ),
        ),
        engines=engines,
        windows=windows,
        ladder=ladder,
        leave_one_out=top,
        sweeps=sweeps,
        waiting=waiting,
        idle=idle,
        profiled=(basic, optimized) if parameters.profile else (),
        profiled_blocks=QUICK_PROFILED_BLOCKS if quick else PROFILED_BLOCKS,
    )


def _engines(
    planned: Configurations, load: Mapping[str, Level], measured: Mapping[str, str], *, concurrency: int
) -> PlannedEngines:
    """The variants once more with the other engine: what the client costs, and whether both engines agree.

    `measured` holds the configuration of each variant that the base engine loads. Ratios are wire / grpcio,
    whichever is the base.
    """
    base = str(load["load.engine"])
    other = other_engine(base)
    rows = []
    for variant, name in measured.items():
        again = planned.add(
            f"{name}-{other}",
            f"{variant}, {concurrency} in flight, engine {other}",
            CHATTER,
            VARIANTS[variant].replace({**load, "load.engine": other}),
        )
        configurations = {base: name, other: again}
        rows.append(PlannedEngineRow(variant=variant, configurations=configurations))
        planned.compare(
            f"{variant}: engine wire against grpcio", CHATTER, configurations["grpcio"], configurations["wire"]
        )
    basic, optimized = (row.configurations[other] for row in rows)
    planned.compare(f"optimized against basic with engine {other}", CHATTER, basic, optimized)
    return PlannedEngines(scenario=CHATTER, concurrency=concurrency, base=base, other=other, rows=tuple(rows))


def _ladder(
    planned: Configurations, at_main: AddAtMain, basic: str, optimized: str, server_cores: int
) -> tuple[PlannedRung, ...]:
    rows = [leave_one_out.rung_of(LADDER[0], basic, "")]
    standing = {LADDER[0].name: basic}
    last_kept = LADDER[0].name
    for rung in LADDER[1:]:
        if ladder_config(rung.name).server.processes == 0 and server_cores == 1:
            reason = "not testable here: this machine has one core for the server"
            rows.append(leave_one_out.rung_of(rung, "", "", not_testable=reason))
            continue
        top = _without_auto_processes(ladder_config(rung.name), server_cores)
        is_top = top == _without_auto_processes(OPTIMIZED, server_cores)
        baseline = standing[last_kept if rung.kept else rung.after]
        name = optimized if is_top else at_main(f"ladder-{rung.name}", f"ladder: {rung.title}", top)
        title = f"ladder: {rung.title}" + ("" if rung.kept else " (rejected)")
        planned.compare(title, CHATTER, baseline, name)
        rows.append(leave_one_out.rung_of(rung, name, baseline))
        standing[rung.name] = name
        last_kept = rung.name if rung.kept else last_kept
    return tuple(rows)


def _from_the_top(
    planned: Configurations,
    at_main: AddAtMain,
    load: Mapping[str, Level],
    ladder: Sequence[PlannedRung],
    optimized: str,
    *,
    server_cores: int,
) -> tuple[PlannedOmission, ...]:
    """Optimized without one rung at a time; a configuration that the study holds already is used again."""

    def as_run(config: TrialConfig) -> str:
        return _without_auto_processes(config, server_cores).settings()

    held = {as_run(one.config): name for name, one in planned.configurations.items()}

    def configuration(name: str, title: str, config: TrialConfig) -> str:
        return held.get(as_run(config.replace(load))) or at_main(name, title, config)

    entries = leave_one_out.entries(ladder, optimized, scenario=CHATTER, configuration=configuration)
    climbed = {(rung.baseline, rung.configuration) for rung in ladder}
    for entry in entries:
        if (entry.without, optimized) not in climbed:
            planned.compare(f"from the top: {entry.title}", CHATTER, entry.without, optimized)
    return entries


def _without_auto_processes(config: TrialConfig, server_cores: int) -> TrialConfig:
    """With `processes` 0 written out: one core makes it equal to a single process."""
    return config.replace({"server.processes": config.server.processes or server_cores})


def _sweeps(
    planned: Configurations, at_main: AddAtMain, optimized: str, parameters: StudyParameters
) -> tuple[PlannedSweep, ...]:
    """One factor at a time around optimized; the level that optimized has is optimized itself."""

    def keepalive(level: float) -> dict[str, Level]:
        seconds = level or None
        timeout = OPTIMIZED.client.keepalive_timeout_s if seconds else None
        return {
            "client.keepalive_s": seconds,
            "server.keepalive_s": seconds,
            "client.keepalive_timeout_s": timeout,
            "server.keepalive_timeout_s": timeout,
        }

    factors: list[tuple[str, str, Sequence[float], Callable[[float], dict[str, Level]]]] = [
        ("pool size", "client.connections", parameters.pool_sizes, lambda n: {"client.connections": n}),
        (
            "stream limit",
            "server.max_concurrent_streams",
            parameters.stream_limits,
            lambda n: {"server.max_concurrent_streams": n},
        ),
        ("keepalive", "client.keepalive_s", parameters.keepalive_s, keepalive),
    ]
    sweeps = []
    for title, factor, levels, settings in factors:
        points = []
        for level in levels:
            config = OPTIMIZED.replace(settings(level))
            label = "off" if factor == "client.keepalive_s" and not level else format_level(level)
            if factor == "client.keepalive_s" and level:
                label += " s"
            name = optimized
            if config != OPTIMIZED:
                slug = f"{title.replace(' ', '-')}-{label.replace(' ', '')}"
                name = at_main(slug, f"optimized, {title} {label}", config)
                planned.compare(f"{title} {label} instead of optimized's", CHATTER, optimized, name)
            points.append(PlannedPoint(label=label, configuration=name))
        sweeps.append(PlannedSweep(title=title, factor=factor, scenario=CHATTER, base=optimized, points=tuple(points)))
    return tuple(sweeps)


def _windows(
    planned: Configurations, load: Mapping[str, Level], parameters: StudyParameters, *, quick: bool
) -> tuple[PlannedSweep, ...]:
    """HTTP/2 windows of the receiving side, over a link with a round trip, one connection."""
    base: dict[str, Level] = {
        **load,
        "load.warmup_s": BULK_WARMUP_S,
        "load.concurrency": BULK_CONCURRENCY,
        "link.rtt_ms": parameters.rtt_ms,
        "client.pooling": "shared",
    }
    directions: list[tuple[str, str, str, str]] = [("download", "down", "client", "server.response_bytes")]
    if not quick:
        directions.append(("upload", "up", "server", "load.request_bytes"))
    rows = []
    for direction, slug, side, bytes_factor in directions:
        body = base | {bytes_factor: BULK_BYTES}
        points = []
        for window in sorted(parameters.windows_kib):
            name = planned.add(
                f"bulk-{slug}-{window}kib",
                f"256 KiB {direction}s, {side} window {_size(window)}",
                BULK,
                TrialConfig().replace(
                    body | {f"{side}.window_kib": window, f"{side}.adaptive_window": False},
                ),
            )
            points.append(PlannedPoint(label=_size(window), configuration=name))
        adaptive = planned.add(
            f"bulk-{slug}-adaptive",
            f"256 KiB {direction}s, adaptive window",
            BULK,
            TrialConfig().replace(body),
        )
        points.append(PlannedPoint(label="adaptive", configuration=adaptive))
        smallest = points[0]
        for point in points[1:]:
            title = f"{direction}s: window {point.label} against {smallest.label}"
            planned.compare(title, BULK, smallest.configuration, point.configuration)
        rows.append(
            PlannedSweep(
                title=f"{direction}s, {side}.window_kib",
                factor=f"{side}.window_kib",
                scenario=BULK,
                bytes_per_request=BULK_BYTES,
                points=tuple(points),
            )
        )
    return tuple(rows)


def _waiting(planned: Configurations, load: Mapping[str, Level], *, quick: bool) -> PlannedWaiting:
    """Handlers that wait: few threads, many, asyncio."""
    pairs = waiting_scenario.PAIRS if quick else waiting_scenario.PAIRS + waiting_scenario.FURTHER_PAIRS
    base = TrialConfig().replace({**load, "load.warmup_s": CHATTER_WARMUP_S, **waiting_scenario.LOAD})
    names = {}
    for short in dict.fromkeys(short for pair in pairs for short in pair):
        server = waiting_scenario.SERVERS[short]
        names[short] = planned.add(server.name, server.title, waiting_scenario.WAITING, base.replace(server.settings))
    for baseline, candidate in pairs:
        title = waiting_scenario.title(baseline, candidate)
        planned.compare(title, waiting_scenario.WAITING, names[baseline], names[candidate])
    return waiting_scenario.figure(tuple(names.values()))


def _idle(planned: Configurations) -> PlannedIdle:
    """Working keepalive against none, after a short silence."""
    base = idle_scenario.load(pause_s=IDLE_PAUSE_S, limit_s=IDLE_LIMIT_S)
    off, working = (
        planned.add(f"idle-{key}", title, idle_scenario.IDLE, TrialConfig().replace(base | settings))
        for key in ("off", "working")
        for title, settings in [idle_scenario.SETTINGS[key]]
    )
    title = "working keepalive against none, after silence"
    planned.compare(title, idle_scenario.IDLE, off, working, metric=idle_scenario.METRIC)
    return idle_scenario.figure((off, working), pause_s=IDLE_PAUSE_S, limit_s=IDLE_LIMIT_S)


def _size(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 and kib % 1024 == 0 else f"{kib} KiB"


DEFAULT = Design(question=QUESTION, plan=plan)
QUICK = Design(question=QUESTION, plan=functools.partial(plan, quick=True), unused=SWEPT)
