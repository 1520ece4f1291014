"""Disturbances inside the window, on purpose: does the result say what became of it?

A result tells the truth where the disturbance is marked on it, or where it does not matter.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.disturber import MODULE
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.errors import MeasurementError
from grpclab.factors.config import LinkConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC
from grpclab.link.emulation import running_link
from grpclab.load.generator import Generator
from grpclab.load.run import GENERATOR_BOUND, LoadRun
from grpclab.report import tables
from grpclab.report.words import esc
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.environment import CorePlan
from grpclab.system.interference import LINK, SERVER
from grpclab.system.notices import kinds
from grpclab.system.subprocesses import Child
from grpclab.system.temporary import TemporaryFolder

ENGINES, LOOPS = ("wire", "grpcio"), ("closed", "open")
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
QUIET_WINDOWS = 3
LESS, MORE = 0.75, 1.5
"""A disturbance matters where the throughput is below this share of the lowest undisturbed one, or the p99 or the
slowest call above so many times the highest."""
AT_LEAST_S = 0.02
"""And by so much, for a latency."""


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


_BUSY = frozenset({"others", GENERATOR_BOUND})
QUIET = tuple(Disturbance(name="nothing", route=route) for route in ROUTES)
LASTING = (
    Disturbance(name="burner on the server's core", kind="burn", who="server", marks=_BUSY),
    Disturbance(name="burner on the generator's core", kind="burn", who="generator", marks=_BUSY),
    Disturbance(name="burner on every core", kind="burn", who="all", marks=_BUSY),
    Disturbance(name="memory hog", kind="memory", marks=_BUSY | {"memory-pressure"}),
    Disturbance(name="writer with fsync", kind="fsync", marks=_BUSY | {"io-pressure"}),
    Disturbance(name="wall clock set by an hour", kind="clock", marks=frozenset({"clock-set"}), route=OTHER_CLOCK),
)
STOPPED = {
    "server": frozenset({"server-stopped"}),
    "worker": frozenset({GENERATOR_BOUND}),
    "link": frozenset({"link-stopped"}),
    "kernel": frozenset({"unwatched"}),
}
"""Who is stopped, and what must be on the result unless it does not matter. The kernel is the process that waits for
the workers: a study's notebook, or the command itself."""


def stops(seconds: Sequence[float]) -> list[Disturbance]:
    """A SIGSTOP of each for each time."""
    return [
        Disturbance(
            name=f"{who} stopped for {s:g} s",
            kind="stop",
            who=who,
            seconds=s,
            marks=marks,
            route=THROUGH_LINK if who == "link" else DIRECT,
        )
        for who, marks in STOPPED.items()
        for s in seconds
    ]


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    lengths = (0.1, 1.0, 10.0) if plan.full else (0.1, 1.0) if plan.scale >= 1 else (0.1,)
    return measure(core_plan(), seconds=max(0.4, plan.seconds(1.0, 1.5)), stops_s=lengths, seed=plan.seed)


def measure(cores: CorePlan, *, seconds: float, stops_s: Sequence[float], seed: int) -> pd.DataFrame:
    """Each disturbance once with either engine in either loop, in random order, between undisturbed windows.

    One row a window: engine, loop, disturbance, kind, who, stop_s, route, window_s, throughput_rps, p99_s, max_s,
    errors, limited_by, notices (their kinds), wanted (what must be among the two unless it does not matter).
    """
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        hands = _Hands(cores, stack)
        for number, (engine, loop) in enumerate((engine, loop) for engine in ENGINES for loop in LOOPS):
            with contextlib.ExitStack() as bench:
                routes = _routes(_config(engine, loop, seconds), cores, seed, bench)
                asked = [*QUIET * QUIET_WINDOWS, *LASTING, *stops(stops_s)]
                for at in shuffled([str(n) for n in range(len(asked))], seed, number):
                    if (route := routes.get(asked[int(at)].route)) is not None:
                        run = _window(asked[int(at)], route, hands, seconds)
                        rows.append({"engine": engine, "loop": loop, **_row(asked[int(at)], run)})
    return pd.DataFrame(rows)


def _config(engine: str, loop: str, seconds: float) -> TrialConfig:
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
class _Route:
    """A generator that is connected, and what it is connected to."""

    generator: Generator
    server: RunningServer
    clock: Path | None = None
    """From where the workers' wall clock is read."""


def _routes(config: TrialConfig, cores: CorePlan, seed: int, stack: contextlib.ExitStack) -> dict[str, _Route]:
    """Those that can be had here."""

    def generator(target: str, env: dict[str, str] | None = None) -> Generator:
        return stack.enter_context(Generator(config, target, cpus=cores.generator, seed=seed, env=env))

    server = stack.enter_context(launch(BASIC.server, cpus=cores.server))
    link = stack.enter_context(running_link(LinkConfig(), server.target))
    found = {DIRECT: _Route(generator=generator(server.target), server=server)}
    found[THROUGH_LINK] = _Route(generator=generator(link.target), server=server)
    found[THROUGH_LINK].generator.beside[LINK] = [link.pid]
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is not None:
        clock = stack.enter_context(TemporaryFolder()) / "clock"
        clock.write_text("+0")
        # Not the server's: under libfaketime the waits of its threads do not end.
        env = faked(library, clock)
        found[OTHER_CLOCK] = _Route(generator=generator(server.target, env), server=server, clock=clock)
    for route in found.values():
        route.generator.beside[SERVER] = route.server.pids
    return found


def faked(library: Path, clock: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is off by what the file says, and whose monotonic clock is not."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


class _Hands:
    """The processes that disturb: one for each core, and one that is free to run anywhere."""

    def __init__(self, cores: CorePlan, stack: contextlib.ExitStack) -> None:
        def hand(cpus: Sequence[int] | None) -> Child:
            child = stack.enter_context(Child(MODULE, name="disturber", cpus=cpus))
            child.receive(ANSWER_S)
            return child

        self._free = hand(None)
        self._on = {core: hand([core]) for core in {*cores.server, *cores.generator}}
        self._cores = {"server": cores.server[:1], "generator": cores.generator, "all": tuple(self._on)}

    def order(self, what: Disturbance, **order: Any) -> list[Child]:
        """Give the order; those that do it answer when it is done."""
        hands = [self._on[core] for core in self._cores[what.who]] if what.kind == "burn" else [self._free]
        for hand in hands:
            hand.send(kind=what.kind, **order)
        return hands


def _window(what: Disturbance, route: _Route, hands: _Hands, seconds: float) -> LoadRun:
    """One window with the disturbance in it; another one where that came too late. Raises MeasurementError."""
    for _ in range(ATTEMPTS):
        run, began = _attempt(what, route, hands, seconds)
        window = run.windows[0]
        if all(at <= window.opened_at + MOST_LATE_SHARE * seconds for at in began):
            return run
    raise MeasurementError(f"{what.name}: the machine is too busy to disturb it in time")


def _attempt(what: Disturbance, route: _Route, hands: _Hands, seconds: float) -> tuple[LoadRun, list[float]]:
    """A window, and when whoever disturbed it began."""
    busy: list[Child] = []
    generator = route.generator
    pids = {"server": route.server.pids, "worker": generator.pids, "link": generator.beside.get(LINK, [])}

    def opened() -> None:
        at = time.perf_counter() + AT_SHARE * seconds
        if what.kind == "stop":
            stopped = pids.get(what.who, [os.getpid()])
            busy.extend(hands.order(what, at=at, seconds=what.seconds, pids=stopped))
        elif what.kind == "clock":
            busy.extend(hands.order(what, at=at, seconds=0.0, path=str(route.clock), text=f"+{CLOCK_STEP_S}"))

    if route.clock is not None:
        route.clock.write_text("+0")
    if what.kind in ("burn", "memory", "fsync"):
        busy.extend(hands.order(what, at=time.perf_counter(), seconds=WARMUP_S + seconds + LASTS_S))
    run = generator.measure(on_open=opened, drain_s=DRAIN_S)
    return run, [hand.receive(ANSWER_S)["began_s"] for hand in busy]


def _row(what: Disturbance, run: LoadRun) -> dict[str, Any]:
    summary = run.summary
    latency = np.concatenate([window.measured.latency_s for window in run.windows])
    return {
        "disturbance": what.name,
        "kind": what.kind,
        "who": what.who,
        "stop_s": what.seconds if what.kind == "stop" else math.nan,
        "route": what.route,
        "window_s": summary.window_s,
        "throughput_rps": summary.throughput_rps,
        "p99_s": float(np.quantile(latency, 0.99)) if len(latency) else math.nan,
        "max_s": summary.latency_max_s,
        "errors": summary.errors,
        "limited_by": run.limited_by("shared"),
        "notices": " ".join(kinds(run.notices)),
        "wanted": " ".join(sorted(what.marks)),
    }


# ---- what is made of the frame ---------------------------------------------------------------------------------

MARKED, NO_MATTER, UNTOLD = "marked", "does not matter", "NOT MARKED"
COLUMNS = tuple((engine, loop) for engine in ENGINES for loop in LOOPS)


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The disturbed windows with `rps_ratio` and `p99_ratio`, over the medians of the undisturbed ones of the same
    engine, loop and route; `marks`, all that was on the result; and `outcome`: MARKED, NO_MATTER or UNTOLD."""
    keys = ["engine", "loop", "route"]
    quiet = frame[frame["kind"] == ""].groupby(keys)
    figures = ["throughput_rps", "p99_s", "max_s"]
    middle, lowest, highest = quiet[figures].median(), quiet[figures].min(), quiet[figures].max()
    rows = []
    for row in frame[frame["kind"] != ""].to_dict("records"):
        of = tuple(row[key] for key in keys)
        slow = any(
            row[name] > max(MORE * highest.loc[of, name], highest.loc[of, name] + AT_LEAST_S)
            for name in ("p99_s", "max_s")
        )
        matters = slow or row["errors"] > 0 or row["throughput_rps"] < LESS * lowest.loc[of, "throughput_rps"]
        marks = [*row["limited_by"].split(), *row["notices"].split()]
        told = bool(set(marks) & set(row["wanted"].split()))
        rows.append(
            row
            | {
                "rps_ratio": row["throughput_rps"] / middle.loc[of, "throughput_rps"],
                "p99_ratio": row["p99_s"] / middle.loc[of, "p99_s"],
                "marks": " ".join(marks),
                "outcome": MARKED if told else UNTOLD if matters else NO_MATTER,
            }
        )
    return pd.DataFrame(rows)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Nothing that matters goes unmarked, each party is named, and an open loop counts the whole of a stop."""
    found = judged(frame)
    told = found[found["outcome"] != UNTOLD]
    named = found[found["who"].isin(["server", "worker", "link"]) & found["kind"].eq("stop")]
    right = named[named["outcome"] == MARKED]
    opened = found[(found["who"] == "server") & (found["kind"] == "stop") & (found["loop"] == "open")]
    counted = opened[opened["max_s"] >= 0.9 * opened["stop_s"]]
    quiet = frame[frame["kind"] == ""]
    alone = quiet[(quiet["limited_by"] == "") & (quiet["notices"] == "")]
    return [
        Claim(
            claim="disturbed windows that are marked as such, or in which it does not matter",
            goal="all",
            measured=f"{len(told)} of {len(found)}",
            holds=len(told) == len(found),
        ),
        Claim(
            claim="stops of server, load worker and link that are marked by the one who was stopped",
            goal="all",
            measured=f"{len(right)} of {len(named)}",
            holds=len(right) == len(named),
        ),
        Claim(
            claim="stops of the server that the slowest call of an open loop shows in full",
            goal="all",
            measured=f"{len(counted)} of {len(opened)}",
            holds=len(counted) == len(opened),
        ),
        Claim(claim="undisturbed windows without any mark", measured=f"{len(alone)} of {len(quiet)}"),
    ]


def rows(frame: pd.DataFrame) -> list[list[str]]:
    """The table's rows as plain text: the disturbance, then a cell for each engine and loop."""
    found = judged(frame)
    table = [["nothing", *(_quiet_cell(frame, engine, loop) for engine, loop in COLUMNS)]]
    for name in dict.fromkeys(one.name for one in [*LASTING, *stops(sorted(frame["stop_s"].dropna().unique()))]):
        cells = [_cell(found, name, engine, loop) for engine, loop in COLUMNS]
        table.append([name, *(cells if any(cells) else ["not measured (libfaketime is missing)"] * len(cells))])
    return table


HEADER = ["disturbance", *(f"{engine}, {loop} loop" for engine, loop in COLUMNS)]


def _cell(found: pd.DataFrame, name: str, engine: str, loop: str) -> str:
    here = found[(found["disturbance"] == name) & (found["engine"] == engine) & (found["loop"] == loop)]
    if here.empty:
        return ""
    row = here.iloc[0]
    marks = f": {', '.join(row['marks'].split())}" if row["marks"] else ""
    return f"{row['outcome']}{marks} ({qty.ratio(row['rps_ratio'])}, p99 {qty.ratio(row['p99_ratio'])})"


def _quiet_cell(frame: pd.DataFrame, engine: str, loop: str) -> str:
    mine = frame[(frame["kind"] == "") & (frame["engine"] == engine) & (frame["loop"] == loop)]
    marked = mine[(mine["limited_by"] != "") | (mine["notices"] != "")]
    seen = dict.fromkeys(" ".join([*marked["limited_by"], *marked["notices"]]).split())
    return f"{len(marked)} of {len(mine)} marked" + (f": {', '.join(seen)}" if seen else "")


def markdown(frame: pd.DataFrame) -> str:
    """The table for a guide."""
    lines = [HEADER, ["---"] * len(HEADER), *rows(frame)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def body(frame: pd.DataFrame) -> str:
    """The table."""
    shown = [[esc(cell) for cell in row] for row in rows(frame)]
    return tables.table([esc(cell) for cell in HEADER], shown, label="What the results say of disturbances") + (
        "<p>In brackets the throughput and the p99 over those of undisturbed windows. What a result says is its limit "
        "and the kinds of its notices.</p>"
    )


EXPERIMENT = Experiment(
    title="Disturbances inside the window",
    question=(
        "Others keep the cores busy, or somebody stops the server, the generator or the link for a while: does "
        "the result say so? It is true where the disturbance is marked on it, or does not matter."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
