"""A window of load that is disturbed on purpose: the processes that disturb, the ways to the server, the row of it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grpclab.calibration.disturber import MODULE, Done, Order, Ready
from grpclab.errors import MeasurementError
from grpclab.factors.config import LinkConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC
from grpclab.link.emulation import running_link
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.environment import CorePlan
from grpclab.system.interference import LINK, SERVER
from grpclab.system.notices import kinds
from grpclab.system.subprocesses import Child
from grpclab.system.temporary import TemporaryFolder

CALLERS, RATE_RPS, MAX_IN_FLIGHT = 16, 500.0, 10_000
WARMUP_S, AT_SHARE = 0.3, 0.2
"""A stop begins, and the clock is set, at this share of the window."""
LASTS_S = 1.0
"""What lasts as long as the window goes on for so much longer."""
DRAIN_S, ANSWER_S = 15.0, 60.0
MOST_LATE_SHARE, ATTEMPTS = 0.5, 5
"""A disturbance must begin in this first share of the window; else there is another window, so many times at most."""
CLOCK_STEP_S = 3600
FAKETIME = tuple(
    Path(folder, "faketime/libfaketime.so.1")
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
)
"""Where libfaketime lies (Debian: libfaketime); without it the clock is not set."""
DIRECT, THROUGH_LINK, OTHER_CLOCK = "direct", "link", "clock"
ROUTES = (DIRECT, THROUGH_LINK, OTHER_CLOCK)
"""How the server is reached. On the last, the workers have a wall clock of their own."""


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """One row of the table. A result is marked where one of `marks` is on it: a kind of notice, or what limited it."""

    name: str
    kind: str = ""
    who: str = ""
    """Who is stopped, or on whose core something runs."""
    seconds: float | None = None
    """None: as long as the window."""
    marks: frozenset[str] = frozenset()
    route: str = DIRECT


def config(engine: str, loop: str, seconds: float) -> TrialConfig:
    settings: dict[str, Level] = {
        "load.engine": engine,
        "load.concurrency": CALLERS,
        "load.requests": None,
        "load.duration_s": seconds,
        "load.warmup_s": WARMUP_S,
        "client.pooling": "shared",
        "client.deadline_s": None,
    }
    if loop == "open":
        settings |= {"load.rate_rps": RATE_RPS, "load.max_in_flight": MAX_IN_FLIGHT}
    return TrialConfig().replace(settings)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A generator that is connected, and what it is connected to."""

    generator: Generator
    server: RunningServer
    clock: Path | None = None
    """From where the workers' wall clock is read."""


def routes(config: TrialConfig, cores: CorePlan, seed: int, stack: contextlib.ExitStack) -> dict[str, Route]:
    """Those that can be had here."""

    def generator(target: str, env: dict[str, str] | None = None) -> Generator:
        return stack.enter_context(Generator(config, target, cpus=cores.generator, seed=seed, env=env))

    server = stack.enter_context(launch(BASIC.server, cpus=cores.server))
    link = stack.enter_context(running_link(LinkConfig(), server.target))
    routes = {DIRECT: Route(generator=generator(server.target), server=server)}
    routes[THROUGH_LINK] = Route(generator=generator(link.target), server=server)
    routes[THROUGH_LINK].generator.beside[LINK] = [link.pid]
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is not None:
        clock = stack.enter_context(TemporaryFolder()) / "clock"
        clock.write_text("+0")
        # Not the server's: under libfaketime the waits of its threads do not end.
        env = faked(library, clock)
        routes[OTHER_CLOCK] = Route(generator=generator(server.target, env), server=server, clock=clock)
    for route in routes.values():
        route.generator.beside[SERVER] = route.server.pids
    return routes


def faked(library: Path, clock: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is off by what the file says, and whose monotonic clock is not."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


class Hands:
    """The processes that disturb: one for each core, and one that is free to run anywhere."""

    def __init__(self, cores: CorePlan, stack: contextlib.ExitStack) -> None:
        def hand(cpus: Sequence[int] | None) -> Child:
            child = stack.enter_context(Child(MODULE, name="disturber", cpus=cpus))
            child.receive(ANSWER_S, Ready)
            return child

        self._free = hand(None)
        self._on = {core: hand([core]) for core in {*cores.server, *cores.generator}}
        self._cores = {"server": cores.server[:1], "generator": cores.generator, "all": tuple(self._on)}

    def give(self, order: Order, who: str) -> list[Child]:
        """Give the order; those that do it answer when it is done. `who`: on whose core something is to run."""
        hands = [self._on[core] for core in self._cores[who]] if order.kind == "burn" else [self._free]
        for hand in hands:
            hand.send(order)
        return hands


def disturbed(what: Disturbance, route: Route, hands: Hands, seconds: float) -> LoadRun:
    """One window with the disturbance in it; another one where that came too late. Raises MeasurementError."""
    for _ in range(ATTEMPTS):
        run, began = _attempt(what, route, hands, seconds)
        window = run.windows[0]
        if all(at <= window.opened_at + MOST_LATE_SHARE * seconds for at in began):
            return run
    raise MeasurementError(f"{what.name} could not be tested: the machine is too busy to start the disturbance in time")


def _attempt(what: Disturbance, route: Route, hands: Hands, seconds: float) -> tuple[LoadRun, list[float]]:
    """A window, and when whoever disturbed it began."""
    busy: list[Child] = []
    generator = route.generator
    pids = {"server": route.server.pids, "worker": generator.pids, "link": generator.beside.get(LINK, [])}

    def opened() -> None:
        at = time.perf_counter() + AT_SHARE * seconds
        if what.kind == "stop":
            stopped = tuple(pids.get(what.who, [os.getpid()]))
            busy.extend(hands.give(Order(kind="stop", at=at, seconds=what.seconds or 0.0, pids=stopped), what.who))
        elif what.kind == "clock":
            order = Order(kind="clock", at=at, seconds=0.0, path=str(route.clock), text=f"+{CLOCK_STEP_S}")
            busy.extend(hands.give(order, what.who))

    if route.clock is not None:
        route.clock.write_text("+0")
    if what.kind in ("burn", "memory", "fsync"):
        order = Order(kind=what.kind, at=time.perf_counter(), seconds=WARMUP_S + seconds + LASTS_S)
        busy.extend(hands.give(order, what.who))
    run = generator.measure(on_open=opened, drain_s=DRAIN_S)
    return run, [hand.receive(ANSWER_S, Done).began_s for hand in busy]


@dataclass(frozen=True, kw_only=True)
class DisturbedWindow:
    """A row of the frame: a window, what disturbed it, its figures, and what its result said.

    `wanted` is what must be among `limited_by` and `notices` (their kinds) unless it does not matter.
    """

    engine: str
    loop: str
    disturbance: str
    kind: str
    who: str
    stop_s: float
    route: str
    window_s: float
    throughput_rps: float
    p99_s: float
    max_s: float
    errors: int
    limited_by: str
    notices: str
    wanted: str

    @classmethod
    def of(cls, what: Disturbance, run: LoadRun, *, engine: str, loop: str) -> DisturbedWindow:
        """The row of a window."""
        summary = run.summary
        latency = np.concatenate([window.measured.latency_s for window in run.windows])
        return cls(
            engine=engine,
            loop=loop,
            disturbance=what.name,
            kind=what.kind,
            who=what.who,
            stop_s=what.seconds or 0.0 if what.kind == "stop" else math.nan,
            route=what.route,
            window_s=summary.window_s,
            throughput_rps=summary.throughput_rps,
            p99_s=float(np.quantile(latency, 0.99)) if len(latency) else math.nan,
            max_s=summary.latency_max_s,
            errors=summary.errors,
            limited_by=run.limited_by("shared"),
            notices=" ".join(kinds(run.notices)),
            wanted=" ".join(sorted(what.marks)),
        )
