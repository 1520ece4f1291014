"""How late calls are sent, by rate and pacing, and what keeping the time costs."""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.servers import reference
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system.environment import CorePlan

RATES_RPS = (500.0, 1000.0, 2000.0, 5000.0)
PACINGS = ("spin", "timer")
COLOURS = {"spin": theme.CANDIDATE, "timer": theme.BASELINE}
HELD_RPS = 5000.0
P99_GOAL_S, SHAPED_GOAL_S = 1e-3, 3e-4
"""The goals for p99 at that rate, at equal distances and for load shapes."""
BY_RATE, HELD, SHAPED = "by rate", "held", "shaped"
REPLAYED_SHAPE = 0.5
"""The shape of the gamma distribution of the gaps between replayed times."""
SHAPES = {
    "gamma arrivals": "gamma:0.5",
    "a ramp": "ramp:0.1@{ramp_s:g}s",
    "a replay of recorded times": "replay:{times}",
}
"""Load shapes by what they are called in a sentence; the ramp takes half of the window."""
EVEN = "equal distances"
WARMUP_S = 0.1


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(
        core_plan(),
        rounds=plan.rounds,
        calls=plan.calls(1100, 4000),
        held_s=plan.seconds(1.0, 20.0),
        seed=plan.seed,
    )


def measure(cores: CorePlan, *, rounds: int, calls: int, held_s: float, seed: int) -> pd.DataFrame:
    """Every rate with either pacing, `calls` calls each; then 5,000/s, spinning, for `held_s`, `rounds` times, at equal
    distances and in SHAPES.

    One row a window: part (by rate, held, shaped), round, arrival, rate_rps, pacing, window_s, planned, sent,
    late_p50_s, late_p99_s, late_max_s, busy_share and spin_share (of a core).
    """
    shared: dict[str, Level] = {"load.rate_rps": HELD_RPS, "load.warmup_s": WARMUP_S}
    by_rate = TrialConfig().replace({**shared, "load.requests": calls})
    held = by_rate.replace({"load.requests": None, "load.duration_s": held_s, "load.pacing": "spin"})
    rows = []
    with contextlib.ExitStack() as stack:
        spec = reference(cores=cores, seed=seed)
        server = stack.enter_context(launch_reference(spec, cpus=cores.server))

        def generator(config: TrialConfig) -> Generator:
            return stack.enter_context(Generator(config, server.target, cpus=cores.generator, seed=seed))

        paced = {pacing: generator(by_rate.replace({"load.pacing": pacing})) for pacing in PACINGS}
        steady = generator(held)
        times = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "times.txt"
        write_times(times, rate_rps=HELD_RPS, seconds=held_s, seed=seed)
        shaped = {
            name: generator(held.replace({"load.arrival": shape.format(ramp_s=held_s / 2, times=times)}))
            for name, shape in SHAPES.items()
        }
        windows = {f"{pacing} {rate:g}": (pacing, rate) for pacing in PACINGS for rate in RATES_RPS}
        for name in shuffled(list(windows), seed, 0):
            pacing, rate = windows[name]
            part = {"part": BY_RATE, "round": 0, "arrival": EVEN, "pacing": pacing}
            rows.append({**part, **_row(paced[pacing].measure(rate_rps=rate))})
        for number in range(rounds):
            part = {"part": HELD, "round": number, "arrival": EVEN, "pacing": "spin"}
            rows.append({**part, **_row(steady.measure())})
            for name in shuffled(list(shaped), seed, number):
                part = {"part": SHAPED, "round": number, "arrival": name, "pacing": "spin"}
                rows.append({**part, **_row(shaped[name].measure())})
    return pd.DataFrame(rows)


def write_times(path: Path, *, rate_rps: float, seconds: float, seed: int) -> None:
    """A file of times to replay, a line each, in seconds: so many a second on average, at irregular distances."""
    number = round(rate_rps * seconds)
    gaps_s = np.random.default_rng(seed).gamma(REPLAYED_SHAPE, size=number)
    times_s = np.cumsum(gaps_s) * (seconds / gaps_s.sum())
    path.write_text("".join(f"{time_s:.9f}\n" for time_s in times_s))


def _row(run: LoadRun) -> dict[str, float]:
    window_s = run.summary.window_s
    return {
        "rate_rps": run.offered_rps or math.nan,
        "window_s": window_s,
        "planned": run.planned,
        "sent": run.sent,
        "late_p50_s": run.lateness["p50"],
        "late_p99_s": run.lateness["p99"],
        "late_max_s": run.lateness["max"],
        "busy_share": run.busy_share,
        "spin_share": run.spin_s / window_s,
    }


# ---- what is made of the frame ---------------------------------------------------------------------------------


def held_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs at 5,000/s."""
    return frame[frame["part"] == HELD]


def shaped_p99_s(frame: pd.DataFrame) -> dict[str, float]:
    """The p99 delay of each load shape, a median over runs; none in a frame of an earlier version."""
    rows = frame[frame["part"] == SHAPED]
    return {
        name: float(rows.loc[rows["arrival"] == name, "late_p99_s"].median())
        for name in SHAPES
        if name in set(rows.get("arrival", ()))
    }


def claims(frame: pd.DataFrame) -> list[Claim]:
    """At 5,000/s: all that was planned is sent, and on time."""
    held, of_shapes = held_runs(frame), shaped_p99_s(frame)
    slowest_s = max(of_shapes.values(), default=math.nan)
    p99 = float(held["late_p99_s"].median())
    planned, sent = int(held["planned"].sum()), int(held["sent"].sum())
    runs = f"{qty.count(len(held), 'run')} of {qty.duration(held['window_s'].median())}"
    return [
        Claim(
            claim=f"calls sent at {qty.amount(HELD_RPS)}/s, compared with the planned schedule",
            goal="equal in every run",
            measured=f"{sent:,} of {planned:,}, {runs}",
            holds=bool((held["sent"] == held["planned"]).all()),
        ),
        Claim(
            claim=f"p99 delay of sends at {qty.amount(HELD_RPS)}/s with spinning, median over runs",
            goal=f"at most {qty.duration(P99_GOAL_S)}",
            measured=qty.duration(p99),
            holds=p99 <= P99_GOAL_S if math.isfinite(p99) else None,
        ),
        *(
            [
                Claim(
                    claim=f"p99 delay of sends at {qty.amount(HELD_RPS)}/s in other load shapes, median over runs",
                    goal=f"at most {qty.duration(SHAPED_GOAL_S)}",
                    measured=", ".join(f"{name} {qty.duration(late_s)}" for name, late_s in of_shapes.items()),
                    holds=slowest_s <= SHAPED_GOAL_S if all(map(math.isfinite, of_shapes.values())) else None,
                )
            ]
            if of_shapes
            else []
        ),
    ]


def body(frame: pd.DataFrame) -> FigureBlock:
    """Lateness by rate, and the share of a core that it takes."""
    table = frame[frame["part"] == BY_RATE].sort_values("rate_rps")

    def draw(figure: Figure, narrow: bool) -> None:
        late, cost = figure.subplots(*((2, 1) if narrow else (1, 2)))
        _late(late, table)
        _cost(cost, table)

    held = held_runs(frame)
    top = table[table["rate_rps"] == table["rate_rps"].max()].set_index("pacing")
    caption = (
        f"At {qty.amount(HELD_RPS)}/s, half of the sends are at most {qty.duration(top['late_p50_s']['spin'])} late "
        f"with spinning and {qty.duration(top['late_p50_s']['timer'])} with the timer alone; p99 is "
        f"{qty.duration(top['late_p99_s']['spin'])} and {qty.duration(top['late_p99_s']['timer'])}. In "
        f"{qty.count(len(held), 'run')} of {qty.duration(held['window_s'].median())} at that rate, "
        f"{int(held['sent'].sum()):,} of {int(held['planned'].sum()):,} planned calls were sent, with a p99 delay of "
        f"{qty.duration(held['late_p99_s'].min())} to {qty.duration(held['late_p99_s'].max())}."
    )
    if of_shapes := shaped_p99_s(frame):
        late = ", ".join(f"{qty.duration(late_s)} with {name}" for name, late_s in of_shapes.items())
        caption += f" In other load shapes at that rate, p99 is {late}."
    medians = "; ".join(
        f"{row.pacing} at {qty.amount(row.rate_rps)}/s p50 {qty.duration(row.late_p50_s)}, p99 "
        f"{qty.duration(row.late_p99_s)}, largest {qty.duration(row.late_max_s)}, busy "
        f"{qty.percent(row.busy_share)}, spinning {qty.percent(row.spin_share)}"
        for row in table.itertuples(index=False)
    )
    return figure_block(
        title="How late sends are",
        draw=draw,
        wide_height_in=3.5,
        narrow_height_in=6.4,
        alt=f"Delay and share of a core by rate: {medians}.",
        caption=caption,
        how_to_read=(
            "Left: the time from the planned send of a call until the call was handed to the connection; thick lines "
            "are p99, thin lines p50. With the timer, the generator sleeps until a call is due, and the kernel wakes "
            "the generator some tens of microseconds later. With spinning, the generator sleeps until shortly before "
            "the call is due and then polls the clock. Right: the share of the generator's core that was used. "
            "Spinning is counted separately from real work, because spinning gives way to work; only the busy share "
            "shows whether the generator is near its limit. Every call is sent, late or not, and latency is measured "
            "from the planned time."
        ),
        engines="engine: wire",
    )


def _late(ax: Axes, table: pd.DataFrame) -> None:
    ends = []
    for pacing in PACINGS:
        rows = table[table["pacing"] == pacing]
        for column, width, name in (("late_p99_s", 2.6, "p99"), ("late_p50_s", 1.2, "p50")):
            drawn = rows[rows[column] > 0]
            if len(drawn):
                ax.plot(drawn["rate_rps"], drawn[column], "o-", color=COLOURS[pacing], lw=width, ms=2 + width)
                ends.append((drawn["rate_rps"].iloc[-1], drawn[column].iloc[-1], f"{pacing} {name}", COLOURS[pacing]))
    ax.set_xscale("log")
    ax.set_yscale("log")
    theme.plain_ticks(ax, "x", RATES_RPS, lambda rate: f"{qty.amount(rate)}/s")
    ax.axhline(P99_GOAL_S, color=theme.QUIET, lw=1, ls=(0, (2, 2)))
    ax.annotate(
        f"goal for p99: {qty.duration(P99_GOAL_S)}",
        xy=(RATES_RPS[-1], P99_GOAL_S),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        color=theme.QUIET,
        fontsize=8.5,
    )
    shown = [y for _, y, _, _ in ends] + [P99_GOAL_S]
    everything = pd.concat([table["late_p50_s"], table["late_p99_s"]]).dropna()
    low = min([*shown, *everything[everything > 0]]) / 2
    high = max([*shown, *everything]) * 2.2
    ax.set_ylim(low, high)
    theme.plain_ticks(ax, "y", [10.0**e for e in range(-8, 2) if low <= 10.0**e <= high], qty.duration)
    theme.clean(ax)
    ax.set_title("delay of sends")
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    theme.end_labels(ax, ends)


def _cost(ax: Axes, table: pd.DataFrame) -> None:
    places = {name: place for place, name in enumerate(f"{rate:g} {p}" for rate in RATES_RPS for p in PACINGS)}
    labels = []
    for row in table.itertuples(index=False):
        y = places[f"{row.rate_rps:g} {row.pacing}"] + 0.35 * (places[f"{row.rate_rps:g} {row.pacing}"] // 2)
        busy, spun = qty.number(row.busy_share), qty.number(row.spin_share)
        ax.barh(y, busy, height=0.78, fc=COLOURS[str(row.pacing)], ec="none")
        ax.barh(y, spun, left=busy, height=0.78, fc=theme.PAPER, ec=COLOURS[str(row.pacing)], hatch="////", lw=0.8)
        ax.annotate(
            qty.percent(busy),
            xy=(busy + spun, y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
        labels.append((y, f"{qty.amount(row.rate_rps)}/s {row.pacing}"))
    ax.set_yticks([y for y, _ in labels], [text for _, text in labels], color=theme.INK)
    ax.set_ylim(max(y for y, _ in labels) + 0.6, -0.6)
    ax.set_xlim(0, 1.18)
    theme.plain_ticks(ax, "x", (0, 0.5, 1), qty.percent)
    theme.clean(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.set_title("core: busy, spinning (hatched)")


EXPERIMENT = Experiment(
    title="Delay of sends",
    question=(
        "An open loop promises to send each call on time. How late are calls sent at each rate, and how much CPU "
        "does it take to be punctual?"
    ),
    sized=sized,
    claims=claims,
    body=body,
)
