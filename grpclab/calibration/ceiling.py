"""The ceiling of the generator: both engines and h2load, a generator in C, on a server in C."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.program import ProgramEnded, ProgramStarted, kept
from grpclab.calibration.servers import HINT, SAY_HELLO, nghttpd
from grpclab.errors import WorkerError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.http2.messages import prefixed
from grpclab.load.calls.method import greeting
from grpclab.load.generator import Generator
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.system.environment import CorePlan

CONNECTIONS, IN_FLIGHT_EACH = 4, 16
TOOLS = ("h2load", "wire", "grpcio")
COLOURS = {"h2load": theme.BASELINE, "wire": theme.CANDIDATE, "grpcio": theme.OTHERS[0]}
PROBE_CALLS = 10_000
RATE_GOAL, RATE_WISH, GRPCIO_GOAL, CPU_GOAL = 0.7, 1.0, 8.0, 1 / 15


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), rounds=plan.rounds, seconds=plan.seconds(0.5, 1.0), seed=plan.seed)


def measure(cores: CorePlan, *, rounds: int, seconds: float, seed: int) -> pd.DataFrame:
    """Requests/s and CPU of each tool, interleaved, against one nghttpd, 4 connections with 16 calls each.

    One row a round and tool: round, tool, rps, cpu_us_per_call, calls, errors. Raises MissingDependencyError
    without nghttpd and h2load.
    """
    settings: dict[str, Level] = {
        "client.pooling": "pool",
        "client.connections": CONNECTIONS,
        "load.concurrency": CONNECTIONS * IN_FLIGHT_EACH,
        "load.requests": None,
        "load.duration_s": seconds,
        "load.warmup_s": min(0.2, seconds),
    }
    rows = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(nghttpd(cores.server))
        request = server.folder / "request"
        request.write_bytes(prefixed(greeting(LoadConfig()).payload))
        generators = {
            engine: stack.enter_context(
                Generator(
                    TrialConfig().replace({**settings, "load.engine": engine}), server.target, cpus=cores.generator
                )
            )
            for engine in ("wire", "grpcio")
        }
        result = h2load(server.target, request, calls=PROBE_CALLS, cpus=cores.generator)
        for number in range(rounds):
            for tool in shuffled(TOOLS, seed, number):
                if tool == "h2load":  # its length is a number of calls: as many as it last did in that time
                    calls = max(PROBE_CALLS, round(result.rps * seconds))
                    row = result = h2load(server.target, request, calls=calls, cpus=cores.generator)
                else:
                    row = engine_run(generators[tool])
                rows.append({"round": number, "tool": tool, **vars(row)})
    return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run of one tool."""

    rps: float
    cpu_us_per_call: float
    calls: int
    errors: int


def engine_run(generator: Generator) -> Result:
    """One window of an engine."""
    run = generator.measure()
    summary = run.summary
    return Result(
        rps=summary.throughput_rps,
        cpu_us_per_call=run.cpu_s / max(1, summary.requests) * 1e6,
        calls=summary.requests,
        errors=summary.errors,
    )


def h2load(
    target: str,
    request: Path,
    *,
    calls: int,
    cpus: Collection[int] | None = None,
    in_flight: int = IN_FLIGHT_EACH,
) -> Result:
    """One run of h2load. Raises WorkerError if it fails or says what is not understood."""
    arguments = (
        *("-n", str(calls), "-c", str(CONNECTIONS), "-m", str(in_flight), "-t", "1", "-d", str(request)),
        *("-H", "te: trailers", "-H", "content-type: application/grpc", f"http://{target}/{SAY_HELLO}"),
    )
    with kept("h2load", *arguments, hint=HINT, cpus=cpus) as keeper:
        keeper.receive(10, ProgramStarted)
        end = keeper.receive(60 + calls / 1000, ProgramEnded)
    return result_of("h2load", end, parse_h2load(end.output), calls)


def result_of(program: str, end: ProgramEnded, figures: Mapping[str, float], calls: int) -> Result:
    """The result of a program that has sent so many calls; `figures` has its ``rps`` and ``ok``.

    Raises WorkerError if it failed, or if nothing was found in its output.
    """
    if end.code != 0 or not figures:
        last = end.output.strip().rpartition("\n")[2]
        raise WorkerError(f"{program} ended with exit code {end.code}: {last}")
    return Result(
        rps=figures["rps"],
        cpu_us_per_call=end.cpu_s / calls * 1e6,
        calls=calls,
        errors=calls - int(figures["ok"]),
    )


def parse_h2load(output: str) -> dict[str, float]:
    """``rps`` and ``ok``, the answers with a status of 2xx, out of what h2load prints; empty if it is not there."""
    rate = re.search(r"finished in \S+, ([\d.]+) req/s", output)
    ok = re.search(r"status codes: (\d+) 2xx", output)
    return {"rps": float(rate[1]), "ok": float(ok[1])} if rate and ok else {}


# ---- what is made of the frame ---------------------------------------------------------------------------------


def ratios(frame: pd.DataFrame, column: str, of: str, to: str) -> pd.Series:
    """A column of one tool over that of another, round by round."""
    table = frame.pivot(index="round", columns="tool", values=column)
    return table[of] / table[to]


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Wire against h2load and against grpcio: medians of the rounds' ratios."""
    to_c = float(ratios(frame, "rps", "wire", "h2load").median())
    to_grpcio = float(ratios(frame, "rps", "wire", "grpcio").median())
    cpu = float(ratios(frame, "cpu_us_per_call", "wire", "grpcio").median())
    errors, calls = int(frame["errors"].sum()), int(frame["calls"].sum())
    return [
        Claim(
            claim="requests/s of the wire engine against h2load",
            goal=f"at least {RATE_GOAL:g}× (ideally {RATE_WISH:g}×)",
            measured=qty.ratio(to_c),
            holds=to_c >= RATE_GOAL,
        ),
        Claim(
            claim="requests/s of the wire engine against the grpcio engine",
            goal=f"at least {GRPCIO_GOAL:g}×",
            measured=qty.ratio(to_grpcio),
            holds=to_grpcio >= GRPCIO_GOAL,
        ),
        Claim(
            claim="CPU per call of the wire engine against the grpcio engine",
            goal=f"at most 1/{1 / CPU_GOAL:.0f}",
            measured=f"1/{1 / cpu:.1f}",
            holds=cpu <= CPU_GOAL,
        ),
        Claim(
            claim="failed calls of all generators together",
            goal="0",
            measured=f"{errors:,} of {calls:,}",
            holds=errors == 0,
        ),
    ]


def body(frame: pd.DataFrame) -> FigureBlock:
    """The figure."""
    medians = frame.groupby("tool")[["rps", "cpu_us_per_call"]].median()

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots(*((2, 1) if narrow else (1, 2)))
        _dots(axes[0], frame, "rps", "requests per second, log scale", qty.amount_tick)
        _dots(axes[1], frame, "cpu_us_per_call", "CPU time per call, log scale", lambda v: f"{v:g} µs")

    to_c = ratios(frame, "rps", "wire", "h2load")
    to_grpcio = ratios(frame, "rps", "wire", "grpcio")
    cpu = ratios(frame, "cpu_us_per_call", "grpcio", "wire")
    caption = (
        f"The wire engine sends {qty.ratio(to_c.median())} as many requests as h2load and "
        f"{qty.ratio(to_grpcio.median())} as many as the grpcio engine, which uses {qty.ratio(cpu.median())} as much "
        "CPU per call."
    )
    words = "; ".join(
        f"{tool} {qty.amount(medians['rps'][tool])} requests/s at {medians['cpu_us_per_call'][tool]:.1f} µs of CPU "
        "per call"
        for tool in TOOLS
    )
    return figure_block(
        title="Three generators, one C server",
        draw=draw,
        wide_height_in=2.3,
        narrow_height_in=3.9,
        alt=f"Dots by generator, medians of {qty.count(frame['round'].nunique(), 'round')}: {words}.",
        caption=caption,
        how_to_read=(
            "Each faint dot is one round. The bar and the number beside it are the median of the rounds, and the "
            "number in brackets is the median ratio to h2load within rounds. Each generator uses one core and "
            f"{CONNECTIONS} connections with {IN_FLIGHT_EACH} calls in flight each. h2load is written in C and does "
            "not check gRPC; the wire engine checks the framing and status of every answer and records every "
            "latency. The grpcio engine cannot measure a server that is faster than the engine's own bar."
        ),
        engines="engines: grpcio and wire",
    )


def _dots(ax: Axes, frame: pd.DataFrame, column: str, title: str, text: Callable[[float], str]) -> None:
    values = frame[column]
    ax.set_xscale("log")
    ax.set_xlim(values.min() / 1.6, values.max() * 12)
    for y, tool in enumerate(TOOLS):
        values = frame.loc[frame["tool"] == tool, column]
        middle = float(values.median())
        ax.plot(values, [y] * len(values), "o", color=COLOURS[tool], alpha=0.35, ms=6, mew=0)
        ax.plot([middle] * 2, [y - 0.28, y + 0.28], color=COLOURS[tool], lw=3)
        against = "" if tool == "h2load" else f" ({qty.ratio(ratios(frame, column, tool, 'h2load').median())})"
        ax.annotate(
            f"{_figure(column, middle)}{against}",
            xy=(max(values.max(), middle), y),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    ax.set_yticks(range(len(TOOLS)), TOOLS, color=theme.INK)
    ax.set_ylim(len(TOOLS) - 0.5, -0.5)
    low, high = ax.get_xlim()
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    theme.plain_ticks(ax, "x", [10.0**e for e in exponents], text)
    theme.clean(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.set_title(title)


def _figure(column: str, value: float) -> str:
    return qty.amount(value) if column == "rps" else f"{value:.1f} µs"


EXPERIMENT = Experiment(
    title="The maximum rate of the load generator",
    question=(
        "How fast can a server be before the load generator becomes the limit on this machine? Three generators take "
        "turns loading the same server, which is written in C: h2load, also written in C, and the two engines of "
        "grpclab."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
