"""Whether the two engines give the same verdict: basic against optimized servers, loaded by each."""

from __future__ import annotations

import contextlib
import math

import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import Comparison, compare, fewest_blocks
from grpclab.analysis.disagreement import disagreement_note
from grpclab.analysis.inference.edition import FIRST_EDITION
from grpclab.analysis.study_plan import PlannedEngineRow, PlannedEngines
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.factors.config import TrialConfig
from grpclab.factors.variants import BASIC, OPTIMIZED
from grpclab.load.generator import Generator
from grpclab.report import theme, words
from grpclab.report.blocks import figure_block
from grpclab.report.tables import Cells, Piece, Table, limits
from grpclab.servers.process.launcher import launch
from grpclab.system.environment import CorePlan

SERVERS = {"basic": BASIC.server, "optimized": OPTIMIZED.server}
ENGINES = ("grpcio", "wire")
SCENARIO, METRIC = "calibration", "throughput_rps"
IN_FLIGHT = 64


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), blocks=plan.rounds, seconds=plan.seconds(0.4, 1.5), seed=plan.seed)


def measure(cores: CorePlan, *, blocks: int, seconds: float, seed: int) -> pd.DataFrame:
    """Both servers loaded by both engines, the same client otherwise: a pool of 4, 64 calls in flight.

    One row a trial, as the analysis of studies reads them: scenario, configuration, block, order, valid, engine,
    server, throughput_rps, requests, errors, limited_by.
    """
    configurations = {f"{server}-{engine}": (server, engine) for server in SERVERS for engine in ENGINES}
    rows = []
    with contextlib.ExitStack() as stack:
        targets = {
            name: stack.enter_context(launch(server, cpus=cores.server)).target for name, server in SERVERS.items()
        }
        generators = {}
        for name, (server, engine) in configurations.items():
            config = TrialConfig().replace(
                {
                    "client.pooling": "pool",
                    "load.engine": engine,
                    "load.concurrency": IN_FLIGHT,
                    "load.requests": None,
                    "load.duration_s": seconds,
                    "load.warmup_s": min(0.1, seconds),
                }
            )
            generators[name] = stack.enter_context(Generator(config, targets[server], cpus=cores.generator))
        for block in range(blocks):
            for order, name in enumerate(shuffled(list(configurations), seed, block)):
                server, engine = configurations[name]
                run = generators[name].measure()
                rows.append(
                    {
                        "scenario": SCENARIO,
                        "configuration": name,
                        "block": block,
                        "order": order,
                        "valid": run.summary.errors == 0,
                        "invalid_reason": f"{run.summary.errors} calls failed" if run.summary.errors else "",
                        "engine": engine,
                        "server": server,
                        "throughput_rps": run.summary.throughput_rps,
                        "requests": run.summary.requests,
                        "errors": run.summary.errors,
                        "limited_by": run.limited_by("pool"),
                    }
                )
    return pd.DataFrame(rows)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def comparisons(frame: pd.DataFrame) -> dict[str, Comparison]:
    """Optimized against basic, by engine; at a generator's limit too: that is what is asked."""
    return {
        engine: compare(
            frame,
            scenario=SCENARIO,
            metric=METRIC,
            baseline=f"basic-{engine}",
            candidate=f"optimized-{engine}",
            rules=FIRST_EDITION,
        )
        for engine in ENGINES
    }


def disagreement(frame: pd.DataFrame) -> str:
    """Opposite verdicts in words; "" for none."""
    rows = [
        PlannedEngineRow(variant=server, configurations={engine: f"{server}-{engine}" for engine in ENGINES})
        for server in SERVERS
    ]
    judged = {(c.scenario, c.metric, c.baseline, c.candidate): c for c in comparisons(frame).values()}
    return disagreement_note(PlannedEngines(scenario=SCENARIO, rows=tuple(rows)), judged, METRIC)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """No opposite verdicts, and no call that fails."""
    by_engine = comparisons(frame)
    enough = all(c.computed and c.blocks >= fewest_blocks() for c in by_engine.values())
    verdicts = [f"{qty.ratio(c.ratio)} {c.verdict} with {engine}" for engine, c in by_engine.items()]
    errors, calls = int(frame["errors"].sum()), int(frame["requests"].sum())
    return [
        Claim(
            claim="verdicts of the two engines, optimized server against basic server",
            goal="never opposite",
            measured=", ".join(verdicts) if enough else "too few blocks for a verdict",
            holds=not disagreement(frame) if enough else None,
        ),
        Claim(
            claim="failed calls on grpcio servers",
            goal="0",
            measured=f"{errors:,} of {calls:,}",
            holds=errors == 0,
        ),
    ]


def body(frame: pd.DataFrame) -> list[Piece]:
    """The two ratios with their intervals."""
    by_engine = comparisons(frame)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        values = [v for c in by_engine.values() for v in (c.ratio, c.ci_low, c.ci_high)]
        ax.axvspan(1 - 0.05, 1 + 0.05, color=theme.BAND, lw=0)
        ax.axvline(1, color=theme.QUIET, lw=1)
        for y, c in enumerate(by_engine.values()):
            colour = theme.VERDICT[c.verdict]
            ax.plot([c.ci_low, c.ci_high], [y, y], color=colour, lw=2)
            ax.plot(c.ratio, y, theme.VERDICT_MARKER[c.verdict], color=colour, ms=9)
            if math.isfinite(c.ratio):
                ax.annotate(
                    f"{qty.ratio(c.ratio)} {c.verdict}",
                    xy=(c.ratio, y),
                    xytext=(0, 9),
                    textcoords="offset points",
                    ha="center",
                    fontweight="bold",
                    color=colour,
                )
        theme.ratio_axis(ax, values, most=4 if narrow else 7, pad=0.3)
        ax.set_yticks(range(len(by_engine)), [f"engine {engine}" for engine in by_engine], color=theme.INK)
        ax.set_ylim(len(by_engine) - 0.5, -0.7)
        ax.set_xlabel("requests/s, optimized server / basic server")
        theme.clean(ax, grid="x")
        ax.spines["left"].set_visible(False)

    note = disagreement(frame) or "no contradiction"
    blocks = qty.count(frame["block"].nunique(), "block")
    ratios = words.listing([f"{words.estimate(c)} with {engine} ({c.verdict})" for engine, c in by_engine.items()])
    block = figure_block(
        title="Two engines, one verdict",
        draw=draw,
        wide_height_in=1.9,
        narrow_height_in=2.1,
        alt=f"Ratios with 95 % intervals: {ratios}.",
        caption=f"Optimized server against basic server: {ratios}. {words.sentence_case(note)}.",
        how_to_read=(
            f"Both servers run all the time on the same core and are loaded in turn, {blocks} in random order. The "
            "ratios can differ, because a slow client is part of what is measured, but the verdicts must not be "
            "opposite. Each bar is a 95% interval over blocks; inside the grey band, the two servers differ by less "
            "than 5%."
        ),
        engines="engines: grpcio and wire",
    )
    levels = frame.pivot_table(index="server", columns="engine", values="throughput_rps", aggfunc="median")
    bounds = frame[frame["limited_by"] != ""].groupby(["server", "engine"]).size()
    rows: list[Cells] = [
        [
            server,
            *(
                (
                    qty.amount(levels.loc[server, engine]),
                    *limits(["generator-bound"] if (server, engine) in bounds.index else []),
                )
                for engine in ENGINES
            ),
        ]
        for server in SERVERS
    ]
    header = ["server", *(f"requests/s with {engine}" for engine in ENGINES)]
    return [block, Table(header=header, rows=rows, label="Requests per second, medians", numeric=(1, 2))]


EXPERIMENT = Experiment(
    title="Agreement of the engines",
    question=(
        "Does a verdict on a server depend on the engine that loads it? The basic server is grpc.server with 10 "
        "threads and its defaults; the optimized server adds larger HTTP/2 windows, keepalive and spare threads. The "
        "client keeps its connections to both servers open."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
