"""The design ``replication``: what the Rust demo claimed, each claim as something that can be measured. Pure.

The Rust demo is a demonstration in Rust whose README says what its optimized server gives. Each of its claims is
put to grpcio here, as far as grpcio has the knob: ``replication`` of its plan names the configurations that a claim is
judged by (:mod:`grpclab.analysis.claims.replication` judges), and every comparison it needs stands in the plan.

A window governs what its own side receives: the client's, downloads; the server's, uploads. The Rust demo set the
server's. Responses are what is large here, so the client's window is the one that is varied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from grpclab.analysis.study_plan import (
    PlannedArm,
    PlannedEngineRow,
    PlannedEngines,
    PlannedHandshakes,
    PlannedLoads,
    PlannedNetwork,
    PlannedPair,
    PlannedPoint,
    PlannedReplication,
    PlannedStreams,
    PlannedSweep,
    PlannedThroughput,
    StudyPlan,
)
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC, ENDS, OPTIMIZED, mix
from grpclab.study.designs import idle_scenario
from grpclab.study.designs.bulk_scenario import BULK, BULK_BYTES, BULK_CONCURRENCY
from grpclab.study.designs.chatter_scenario import CHATTER, CHATTER_WARMUP_S
from grpclab.study.designs.design import (
    PREFERRED_CONCURRENCY,
    Configurations,
    comparison,
    headline,
    other_engine,
    part,
)
from grpclab.study.designs.idle_scenario import IDLE_LIMIT_S, IDLE_PAUSE_S
from grpclab.study.parameters import OF_FEATURES, SWEPT, Design, StudyParameters

QUESTION = "Which performance claims in the README of a gRPC demo in Rust also hold in Python?"
IN_FLIGHT = 10_000
"""The calls in flight that the Rust demo claims."""
STREAMS_TIMES = 1.5
"""A window with so many calls in flight lasts this many times as long as others: each call waits for seconds."""
PROFILED_BLOCKS = 3
BULK_LONGEST_S, BULK_WARMUP_S = 1.0, 0.8
"""Windows of downloads are short, since there are many of them; probing has 0.8 s to adjust before they open."""
LONGER = 3.0
"""The second round trip is so many times as long as the first."""
LONGER_TRIP_TIMES = 2.0
"""Windows there are so many times as long: answers come in bursts, one a round trip, and a window cuts one in two."""
WINDOWS_KIB = {"64 KiB": 64, "1 MiB": 1024, "16 MiB": 16_384}
OPENED, OPENED_BEHIND_LINK = "connections_opened", "link_connections"
"""Connections as the client counts them, and as the emulated link does. Engine `wire` counts each one that it makes."""


def plan(parameters: StudyParameters) -> StudyPlan:
    """The plan, as :func:`grpclab.study.designs.default_design.plan` gives it, with what each claim is judged by."""
    planned = Configurations()
    load: dict[str, Level] = {
        "load.engine": parameters.engine,
        "load.requests": parameters.requests,
        "load.duration_s": parameters.max_trial_s,
    }
    chatter = load | {"load.warmup_s": CHATTER_WARMUP_S, "load.concurrency": PREFERRED_CONCURRENCY}
    pairs = _throughput(planned, chatter, parameters.engine)
    base, wire = pairs[parameters.engine], pairs["wire"]
    client_only = planned.add(
        "client-only",
        "basic server, optimized client",
        CHATTER,
        mix(server="basic", client="optimized").replace(chatter),
    )
    again = planned.add("basic-again", "basic again (A/A)", CHATTER, BASIC.replace(chatter))
    parts = (
        part(
            planned.compare("client only, at the basic server", CHATTER, base["basic"], client_only),
            side="client",
            phrase="the client keeping its connections",
        ),
        part(
            planned.compare("server only, with the optimized client", CHATTER, client_only, base["optimized"]),
            side="server",
            phrase="the server",
            already="a client that already keeps its channel",
        ),
    )
    streams = _streams(planned, chatter, parameters, wire["optimized"])
    limit_s = min(IDLE_LIMIT_S, parameters.max_trial_s)
    handshakes = _handshakes(planned, chatter, wire["optimized"], limit_s=limit_s)
    networks, figures = _windows(planned, load, parameters)
    return replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline(
            "optimized against basic",
            CHATTER,
            base["basic"],
            base["optimized"],
            labels=("basic", "optimized"),
            at=f"at concurrency {PREFERRED_CONCURRENCY} with engine {parameters.engine}",
        ),
        parts=parts,
        aa=comparison("basic against itself (A/A)", CHATTER, base["basic"], again),
        engines=PlannedEngines(
            scenario=CHATTER,
            concurrency=PREFERRED_CONCURRENCY,
            base=parameters.engine,
            other=other_engine(parameters.engine),
            rows=tuple(
                PlannedEngineRow(
                    variant=variant, configurations={engine: pair[variant] for engine, pair in pairs.items()}
                )
                for variant in ENDS
            ),
        ),
        windows=figures,
        idle=idle_scenario.figure(("idle-off", "idle-working"), pause_s=IDLE_PAUSE_S, limit_s=limit_s),
        profiled=(base["basic"], base["optimized"]) if parameters.profile else (),
        profiled_blocks=PROFILED_BLOCKS,
        replication=PlannedReplication(
            throughput=PlannedThroughput(
                scenario=CHATTER,
                arms=tuple(PlannedArm(engine=engine, **pair) for engine, pair in pairs.items()),
                server_only=PlannedPair(baseline=client_only, candidate=base["optimized"]),
            ),
            syscalls=PlannedPair(baseline=base["basic"], candidate=base["optimized"]),
            streams=streams,
            errors=(
                PlannedLoads(
                    place=f"{PREFERRED_CONCURRENCY} in flight",
                    configurations=tuple(pair["optimized"] for pair in pairs.values()),
                ),
                PlannedLoads(place=f"{IN_FLIGHT:,} in flight", configurations=(streams.optimized,)),
            ),
            handshakes=handshakes,
            windows=networks,
        ),
    )


def _throughput(planned: Configurations, load: Mapping[str, Level], base: str) -> dict[str, dict[str, str]]:
    """Both variants with both engines, the base one first: by engine and variant, the configuration's name."""
    pairs: dict[str, dict[str, str]] = {}
    for engine in (base, other_engine(base)):
        end, words = ("", "") if engine == base else (f"-{engine}", f", engine {engine}")
        pairs[engine] = {
            variant: planned.add(
                f"{variant}{end}", f"{variant}{words}", CHATTER, config.replace({**load, "load.engine": engine})
            )
            for variant, config in ENDS.items()
        }
        if engine != base:
            planned.compare(f"optimized against basic with engine {engine}", CHATTER, *pairs[engine].values())
    for variant in ENDS:
        sides = (pairs[engine][variant] for engine in ("grpcio", "wire"))
        planned.compare(f"{variant}: engine wire against grpcio", CHATTER, *sides)
    return pairs


def _streams(
    planned: Configurations, load: Mapping[str, Level], parameters: StudyParameters, few: str
) -> PlannedStreams:
    """10,000 calls in flight at the optimized server, and at the same one with grpcio's own limits.

    Engine `wire`: a client of grpc.aio is at its end with a fraction of that. A window is bounded by time alone.
    """
    many = {
        **load,
        "load.engine": "wire",
        "load.concurrency": IN_FLIGHT,
        "load.requests": None,
        "load.duration_s": STREAMS_TIMES * parameters.max_trial_s,
    }
    in_flight = f"{IN_FLIGHT:,} in flight"
    optimized = planned.add("optimized-c10000", f"optimized, {in_flight}", CHATTER, OPTIMIZED.replace(many))
    own_limits = planned.add(
        "own-limits-c10000",
        f"optimized with grpcio's default limits, {in_flight}",
        CHATTER,
        OPTIMIZED.replace({**many, "server.max_concurrent_streams": None}),
    )
    planned.compare(f"optimized, {in_flight} instead of {PREFERRED_CONCURRENCY}", CHATTER, few, optimized)
    return PlannedStreams(scenario=CHATTER, in_flight=IN_FLIGHT, optimized=optimized, own_limits=own_limits, few=few)


def _handshakes(planned: Configurations, load: Mapping[str, Level], on: str, *, limit_s: float) -> PlannedHandshakes:
    """The same client with keepalive and without, under load and after silence; and with a channel for each call."""
    optimized = OPTIMIZED.replace({**load, "load.engine": "wire"})
    off = planned.add(
        "keepalive-off",
        "optimized, keepalive off",
        CHATTER,
        optimized.replace(
            {f"{side}.{name}": None for side in ("client", "server") for name in ("keepalive_s", "keepalive_timeout_s")}
        ),
    )
    per_call = planned.add(
        "per-call", "optimized, one channel per call", CHATTER, optimized.replace({"client.pooling": "per_call"})
    )
    silent = idle_scenario.load(pause_s=IDLE_PAUSE_S, limit_s=limit_s)
    idle_off, idle_on = (
        planned.add(f"idle-{key}", title, idle_scenario.IDLE, TrialConfig().replace(silent | settings))
        for key in ("off", "working")
        for title, settings in [idle_scenario.SETTINGS[key]]
    )
    planned.compare("keepalive on against off, under load", CHATTER, off, on)
    planned.compare("keepalive on against off, under load", CHATTER, off, on, metric=OPENED)
    planned.compare("channels kept open against one per call", CHATTER, per_call, on)
    planned.compare("channels kept open against one per call", CHATTER, per_call, on, metric=OPENED)
    after = "keepalive on against off, after an idle period"
    planned.compare(after, idle_scenario.IDLE, idle_off, idle_on, metric=idle_scenario.METRIC)
    planned.compare(after, idle_scenario.IDLE, idle_off, idle_on, metric=OPENED_BEHIND_LINK)
    return PlannedHandshakes(
        places=(
            PlannedPair(place="under load", scenario=CHATTER, metric=OPENED, baseline=off, candidate=on),
            PlannedPair(
                place="after an idle period on a link that drops connections",
                scenario=idle_scenario.IDLE,
                metric=OPENED_BEHIND_LINK,
                baseline=idle_off,
                candidate=idle_on,
            ),
        ),
        reuse=PlannedPair(scenario=CHATTER, metric=OPENED, baseline=per_call, candidate=on),
    )


def _windows(
    planned: Configurations, load: Mapping[str, Level], parameters: StudyParameters
) -> tuple[tuple[PlannedNetwork, ...], tuple[PlannedSweep, ...]]:
    """Downloads with fixed windows of the client and with an adaptive one: what is judged, and the figure's panels.

    Engine `grpcio`: how a window grows is the client's own business. The longest round trip has the smallest and the
    largest fixed window only.
    """
    base: dict[str, Level] = {
        **load,
        "load.engine": "grpcio",
        "load.duration_s": min(parameters.max_trial_s, BULK_LONGEST_S),
        "load.warmup_s": min(parameters.max_trial_s, BULK_WARMUP_S),
        "load.concurrency": BULK_CONCURRENCY,
        "client.pooling": "shared",
        "server.response_bytes": BULK_BYTES,
    }
    ends = {label: kib for label, kib in WINDOWS_KIB.items() if label != "1 MiB"}
    trips = {0.0: WINDOWS_KIB, parameters.rtt_ms: WINDOWS_KIB}
    networks, figures = [], []
    for rtt_ms, fixed in (trips | {LONGER * rtt_ms: ends for rtt_ms in trips if rtt_ms}).items():
        place = f"{rtt_ms:g} ms round trip" if rtt_ms else "plain loopback"
        slug = f"{rtt_ms:g}ms" if rtt_ms else "loopback"
        body = TrialConfig().replace({**base, "link.rtt_ms": rtt_ms})
        if fixed is ends:
            body = body.replace({"load.duration_s": min(parameters.max_trial_s, LONGER_TRIP_TIMES * BULK_LONGEST_S)})
        names = {
            label: planned.add(
                f"down-{slug}-{kib}kib",
                f"256 KiB downloads, client window {label}, {place}",
                BULK,
                body.replace({"client.window_kib": kib, "client.adaptive_window": False}),
            )
            for label, kib in fixed.items()
        }
        adaptive = planned.add(f"down-{slug}-adaptive", f"256 KiB downloads, adaptive window, {place}", BULK, body)
        smallest, *larger = names
        for label in larger:
            planned.compare(f"{place}: window {label} against {smallest}", BULK, names[smallest], names[label])
        for label, name in names.items():
            planned.compare(f"{place}: adaptive against {label}", BULK, name, adaptive)
        networks.append(PlannedNetwork(place=place, scenario=BULK, fixed=names, adaptive=adaptive))
        points = (
            PlannedPoint(label=label, configuration=name) for label, name in (*names.items(), ("adaptive", adaptive))
        )
        figures.append(
            PlannedSweep(
                title=f"downloads, {place}",
                factor="client.window_kib",
                scenario=BULK,
                bytes_per_request=BULK_BYTES,
                points=tuple(points),
            )
        )
    return tuple(networks), tuple(figures)


DESIGN = Design(
    question=QUESTION,
    plan=lambda parameters, _server_cores: plan(parameters),
    unused=("concurrency", "windows_kib", *SWEPT, *OF_FEATURES),
)
