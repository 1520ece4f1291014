"""The designs ``default`` and ``quick``: what each part of the optimized variant gives, at which load. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from grpclab.analysis.study_plan import (
    PlannedComparison,
    PlannedCurve,
    PlannedEngineRow,
    PlannedEngines,
    PlannedIdle,
    PlannedPoint,
    PlannedSweep,
    PlannedWaiting,
    StudyPlan,
)
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC, ENDS, mix
from grpclab.study.designs import idle_scenario, waiting_scenario
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
from grpclab.study.designs.grouping import COUNTED_S, grouped
from grpclab.study.designs.idle_scenario import IDLE_LIMIT_S, IDLE_PAUSE_S
from grpclab.study.designs.single_steps import WIRE, SingleSteps, Steps
from grpclab.study.parameters import OF_FEATURES, SWEPT, Design, StudyParameters

QUESTION = (
    "How much faster is a gRPC service with every setting that helped (optimized) than with the defaults "
    "(basic), and why?"
)
OTHER_METRICS = ("latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")
"""What else the headline's two are compared in; each metric is a family of its own."""
MAIN_SHARE, LIGHT_SHARE, LARGE_SHARE = 0.75, 0.5, 0.3
"""Windows are at most so long, as shares of the longest: at the main concurrency, with handlers that wait, and where
sides differ by several times."""
SMALL_STEP_S = 1.5
"""The counted time of configurations that differ in one setting, in seconds."""
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
    at_most, light, large = (
        load if quick else load | {"load.duration_s": share * parameters.max_trial_s}
        for share in (MAIN_SHARE, LIGHT_SHARE, LARGE_SHARE)
    )
    chatter = at_most | {"load.warmup_s": CHATTER_WARMUP_S, "load.concurrency": main}

    def at_main(name: str, title: str, config: TrialConfig, *, engine: str = parameters.engine) -> str:
        end, words = ("", "") if engine == parameters.engine else (f"-{engine}", f", engine {engine}")
        config = config.replace(chatter | {"load.engine": engine})
        return planned.add(f"{name}-c{main}{end}", f"{title}{words}", CHATTER, config)

    series: dict[str, tuple[str, ...]] = {}
    for variant, config in ENDS.items():
        series[variant] = tuple(
            planned.add(
                f"{variant}-c{level}",
                f"{variant}, {level} in flight",
                CHATTER,
                config.replace(chatter if level == main else chatter | large | {"load.concurrency": level}),
            )
            for level in levels
        )
    basic, optimized = f"basic-c{main}", f"optimized-c{main}"
    again = planned.add(f"{basic}-again", "basic again (A/A)", CHATTER, BASIC.replace(chatter))
    client_only = at_main("client-only", "basic server, optimized client", mix(server="basic", client="optimized"))
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
    for level in levels:
        if level != main:
            title = f"optimized against basic at concurrency {level}"
            planned.compare(title, CHATTER, f"basic-c{level}", f"optimized-c{level}")
    engines = _engines(planned, chatter, {"basic": basic, "optimized": optimized}, concurrency=main)
    for metric in OTHER_METRICS:
        planned.compare(f"optimized against basic at concurrency {main}", CHATTER, basic, optimized, metric=metric)
    steps = SingleSteps()
    if not quick:
        sides = [row.configurations for row in engines.rows]
        ends = {engine: (sides[0][engine], sides[1][engine]) for engine in sides[0]}
        steps = Steps(planned=planned, at_main=at_main, ends=ends, server_cores=server_cores).all(parameters)
    windows = _windows(planned, large, parameters, quick=quick)
    waiting = _waiting(planned, light, quick=quick)
    idle = PlannedIdle() if quick else _idle(planned)
    whole = replace(
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
        ladder=steps.ladder,
        leave_one_out=steps.from_the_top,
        sweeps=steps.sweeps,
        waiting=waiting,
        idle=idle,
        profiled=(basic, optimized) if parameters.profile else (),
        profiled_blocks=QUICK_PROFILED_BLOCKS if quick else PROFILED_BLOCKS,
    )
    return _in_groups(whole, main)


def _in_groups(plan: StudyPlan, main: int) -> StudyPlan:
    """The plan with its groups: the smaller a difference is expected to be, the more time is counted."""
    return grouped(
        plan,
        large={frozenset((row.baseline, row.candidate)) for row in _large(plan, main)},
        counted=dict(_counted(plan)),
    )


def _counted(plan: StudyPlan) -> Iterator[tuple[frozenset[str], float]]:
    """The counted time of pairs that need more or less of it than others, in seconds.

    More: steps of the server and of its client with engine `wire`, which change little. Less: handlers that wait, and
    another kind of server.
    """
    configs = {configuration.name: configuration.config for configuration in plan.configurations}
    for row in (*plan.parts, *plan.comparisons):
        sides = [configs[row.baseline], configs[row.candidate]]
        if row.scenario == waiting_scenario.WAITING or len({side.server.implementation for side in sides}) > 1:
            yield frozenset((row.baseline, row.candidate)), LIGHT_SHARE * COUNTED_S
        elif row.scenario == CHATTER and {side.load.engine for side in sides} == {WIRE}:
            yield frozenset((row.baseline, row.candidate)), SMALL_STEP_S


def _large(plan: StudyPlan, main: int) -> Iterator[PlannedComparison]:
    """Comparisons in which one side is several times the other, or is the client that opens a channel for each call."""
    configs = {configuration.name: configuration.config for configuration in plan.configurations}
    for row in (*plan.parts, *plan.comparisons):
        sides = (configs[row.baseline], configs[row.candidate])
        at_other_load = any(side.load.concurrency != main for side in sides)
        slow = any(side.client.pooling == "per_call" for side in sides)
        if row.scenario == BULK or (row.scenario == CHATTER and (at_other_load or slow)):
            yield row


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
            ENDS[variant].replace({**load, "load.engine": other}),
        )
        configurations = {base: name, other: again}
        rows.append(PlannedEngineRow(variant=variant, configurations=configurations))
        planned.compare(
            f"{variant}: engine wire against grpcio", CHATTER, configurations["grpcio"], configurations["wire"]
        )
    basic, optimized = (row.configurations[other] for row in rows)
    planned.compare(f"optimized against basic with engine {other}", CHATTER, basic, optimized)
    return PlannedEngines(scenario=CHATTER, concurrency=concurrency, base=base, other=other, rows=tuple(rows))


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
    title = "working keepalive against none, after an idle period"
    planned.compare(title, idle_scenario.IDLE, off, working, metric=idle_scenario.METRIC)
    return idle_scenario.figure((off, working), pause_s=IDLE_PAUSE_S, limit_s=IDLE_LIMIT_S)


def _size(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib >= 1024 and kib % 1024 == 0 else f"{kib} KiB"


DEFAULT = Design(question=QUESTION, plan=plan)
QUICK = Design(question=QUESTION, plan=functools.partial(plan, quick=True), unused=(*SWEPT, *OF_FEATURES))
