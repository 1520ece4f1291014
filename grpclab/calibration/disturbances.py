"""Disturbances inside the window, on purpose: does the result say what became of it?

A result tells the truth where the disturbance is marked on it, or where it does not matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pandas as pd

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.disturbing import (
    DIRECT,
    OTHER_CLOCK,
    ROUTES,
    THROUGH_LINK,
    Disturbance,
    DisturbedWindow,
    Hands,
    config,
    disturbed,
    routes,
)
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.load.run import GENERATOR_BOUND
from grpclab.report.tables import Paragraph, Piece, Table
from grpclab.system.environment import CorePlan

ENGINES, LOOPS = ("wire", "grpcio"), ("closed", "open")
COLUMNS = tuple((engine, loop) for engine in ENGINES for loop in LOOPS)
QUIET_WINDOWS = 3
LESS, MORE = 0.75, 1.5
"""A disturbance matters where the throughput is below this share of the lowest undisturbed one, or the p99 or the
slowest call above so many times the highest."""
AT_LEAST_S = 0.02
"""And by so much, for a latency."""

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

    One row a window, with the columns of :class:`grpclab.calibration.disturbing.DisturbedWindow`.
    """
    rows = []
    with contextlib.ExitStack() as stack:
        hands = Hands(cores, stack)
        for number, (engine, loop) in enumerate(COLUMNS):
            with contextlib.ExitStack() as bench:
                ways = routes(config(engine, loop, seconds), cores, seed, bench)
                order = [*QUIET * QUIET_WINDOWS, *LASTING, *stops(stops_s)]
                for at in shuffled([str(n) for n in range(len(order))], seed, number):
                    what = order[int(at)]
                    if (route := ways.get(what.route)) is not None:
                        run = disturbed(what, route, hands, seconds)
                        rows.append(DisturbedWindow.of(what, run, engine=engine, loop=loop))
    return pd.DataFrame(rows)


# ---- what is made of the frame ---------------------------------------------------------------------------------

MARKED, NO_MATTER, UNTOLD = "marked", "does not matter", "NOT MARKED"


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
        marked = bool(set(marks) & set(row["wanted"].split()))
        rows.append(
            row
            | {
                "rps_ratio": row["throughput_rps"] / middle.loc[of, "throughput_rps"],
                "p99_ratio": row["p99_s"] / middle.loc[of, "p99_s"],
                "marks": " ".join(marks),
                "outcome": MARKED if marked else UNTOLD if matters else NO_MATTER,
            }
        )
    return pd.DataFrame(rows)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Nothing that matters goes unmarked, each party is named, and an open loop counts the whole of a stop."""
    rows = judged(frame)
    marked = rows[rows["outcome"] != UNTOLD]
    named = rows[rows["who"].isin(["server", "worker", "link"]) & rows["kind"].eq("stop")]
    right = named[named["outcome"] == MARKED]
    opened = rows[(rows["who"] == "server") & (rows["kind"] == "stop") & (rows["loop"] == "open")]
    counted = opened[opened["max_s"] >= 0.9 * opened["stop_s"]]
    quiet = frame[frame["kind"] == ""]
    alone = quiet[(quiet["limited_by"] == "") & (quiet["notices"] == "")]
    return [
        Claim(
            claim="disturbed windows that are marked, or in which the disturbance does not matter",
            goal="all",
            measured=f"{len(marked)} of {len(rows)}",
            holds=len(marked) == len(rows),
        ),
        Claim(
            claim="stops of the server, a load worker or the link that are marked with the process that was stopped",
            goal="all",
            measured=f"{len(right)} of {len(named)}",
            holds=len(right) == len(named),
        ),
        Claim(
            claim="stops of the server that appear with their full length in the slowest call of an open loop",
            goal="all",
            measured=f"{len(counted)} of {len(opened)}",
            holds=len(counted) == len(opened),
        ),
        Claim(claim="undisturbed windows without a mark", measured=f"{len(alone)} of {len(quiet)}"),
    ]


def rows(frame: pd.DataFrame) -> list[list[str]]:
    """The table's rows as plain text: the disturbance, then a cell for each engine and loop."""
    rows = judged(frame)
    table = [["nothing", *(_quiet_cell(frame, engine, loop) for engine, loop in COLUMNS)]]
    for name in dict.fromkeys(one.name for one in [*LASTING, *stops(sorted(frame["stop_s"].dropna().unique()))]):
        cells = [_cell(rows, name, engine, loop) for engine, loop in COLUMNS]
        table.append([name, *(cells if any(cells) else ["not measured (libfaketime is missing)"] * len(cells))])
    return table


HEADER = ["disturbance", *(f"{engine}, {loop} loop" for engine, loop in COLUMNS)]


def _cell(rows: pd.DataFrame, name: str, engine: str, loop: str) -> str:
    here = rows[(rows["disturbance"] == name) & (rows["engine"] == engine) & (rows["loop"] == loop)]
    if here.empty:
        return ""
    row = here.iloc[0]
    marks = f": {', '.join(row['marks'].split())}" if row["marks"] else ""
    return f"{row['outcome']}{marks} ({qty.ratio(row['rps_ratio'])}, p99 {qty.ratio(row['p99_ratio'])})"


def _quiet_cell(frame: pd.DataFrame, engine: str, loop: str) -> str:
    quiet = frame[(frame["kind"] == "") & (frame["engine"] == engine) & (frame["loop"] == loop)]
    marked = quiet[(quiet["limited_by"] != "") | (quiet["notices"] != "")]
    marks = dict.fromkeys(" ".join([*marked["limited_by"], *marked["notices"]]).split())
    return f"{len(marked)} of {len(quiet)} marked" + (f": {', '.join(marks)}" if marks else "")


def markdown(frame: pd.DataFrame) -> str:
    """The table for a guide."""
    lines = [HEADER, ["---"] * len(HEADER), *rows(frame)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def body(frame: pd.DataFrame) -> list[Piece]:
    """The table."""
    table = Table(header=HEADER, rows=rows(frame), label="What the results say about disturbances")
    text = (
        "The figures in brackets are throughput and p99 relative to undisturbed windows. A result reports a "
        "disturbance through its limit and its notices."
    )
    return [table, Paragraph(text=text)]


EXPERIMENT = Experiment(
    title="Disturbances inside the window",
    question=(
        "Does a result say so if other programs keep the cores busy, or if the server, the load generator or the "
        "link is stopped for a while? A result passes if it is marked with the disturbance, or if the disturbance "
        "does not matter."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
