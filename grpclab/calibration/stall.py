"""The stall: the same server stops for a tenth of the run; who notices? Coordinated omission in one picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration import tails
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan
from grpclab.calibration.servers import reference
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.core.recorder import Floats
from grpclab.load.core.summary import percentile
from grpclab.load.generator import Generator
from grpclab.report import theme
from grpclab.report.blocks import figure_block
from grpclab.report.tables import Piece, Table
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system.environment import CorePlan

RATE_RPS = 1000.0
SERVICE_S = 0.005
CALLERS = round(RATE_RPS * SERVICE_S)
"""Of the closed loop: as many as make the same load while the server runs."""
BOUND = 10
"""Calls in flight at most of the bounded open loop: what a client with so many threads would do."""
STALL_SHARE, STALL_AT = 0.1, 0.3
"""Of the window: how long the server stops, and when."""
WARMUP_S = 0.3
MOST_SLOW_DOTS, ONE_IN = 120, 20
"""Of the picture over time: slow calls of a load, and one in how many of the others."""
LEGEND_ROOM = 8
"""The picture is so many times higher than the stall, for the names of the lines."""
OPEN, BOUNDED, CLOSED = "open", "bounded", "closed"
MODES = (OPEN, BOUNDED, CLOSED)
NAMES = {
    OPEN: "open loop, from the planned send",
    BOUNDED: f"open loop with {BOUND} in flight, from the actual send",
    CLOSED: f"closed loop, {CALLERS} callers",
}
COLOURS = {OPEN: theme.CANDIDATE, BOUNDED: theme.OTHERS[0], CLOSED: theme.BASELINE}
STYLES = {OPEN: "-", BOUNDED: (0, (4, 2)), CLOSED: "-"}
GOAL = (0.85, 0.95)
"""Where the corrected p99 of the open loop must lie, in lengths of the stall."""


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), seconds=plan.seconds(4.0, 10.0), seed=plan.seed)


def measure(cores: CorePlan, *, seconds: float, seed: int) -> pd.DataFrame:
    """Three loads of 1,000 calls/s, each on a fresh reference server that stops for a tenth of the window.

    One row a call: mode (open; bounded: open, with few calls in flight; closed), start_s (since the window opened;
    in an open loop planned), latency_s, late_s, stall_s and stall_at_s (the same in all rows).
    """
    stall_s, stall_at_s = STALL_SHARE * seconds, STALL_AT * seconds
    frames = []
    for mode in MODES:
        stall = f"{stall_s:g}s@{WARMUP_S + stall_at_s:g}s"
        spec = reference(f"constant:{SERVICE_S:g}s", stall=stall, cores=cores, seed=seed)
        config = TrialConfig().replace(_settings(mode, seconds, spin=not cores.shared))
        with (
            launch_reference(spec, cpus=cores.server) as server,
            Generator(config, server.target, cpus=cores.generator, seed=seed) as generator,
        ):
            for window in generator.measure().windows:
                calls = window.measured
                frames.append(
                    pd.DataFrame(
                        {
                            "mode": mode,
                            "start_s": calls.start_s - window.opened_at,
                            "latency_s": calls.latency_s,
                            "late_s": calls.late_s,
                            "stall_s": stall_s,
                            "stall_at_s": stall_at_s,
                        }
                    )
                )
        if not any(len(frame) and frame["mode"].iloc[0] == mode for frame in frames):
            raise MeasurementError(
                f"no call of the {mode} loop began in the window of {seconds:g} s: the machine is too busy"
            )
    return pd.concat(frames, ignore_index=True)


def _settings(mode: str, seconds: float, *, spin: bool) -> dict[str, Level]:
    settings: dict[str, Level] = {
        "load.requests": None,
        "load.duration_s": seconds,
        "load.warmup_s": WARMUP_S,
        "load.pacing": "spin" if spin else "timer",
    }
    if mode == CLOSED:
        return {**settings, "load.concurrency": CALLERS}
    settings["load.rate_rps"] = RATE_RPS
    return {**settings, "load.max_in_flight": BOUND} if mode == BOUNDED else settings


# ---- what is made of the frame ---------------------------------------------------------------------------------


def latencies(frame: pd.DataFrame, mode: str, *, corrected: bool = True) -> Floats:
    """The latencies of one load, from the planned sends or from the actual ones."""
    rows = frame[frame["mode"] == mode]
    latency_s: Floats = (rows["latency_s"] if corrected else rows["latency_s"] - rows["late_s"]).to_numpy()
    return latency_s


def shown(frame: pd.DataFrame, mode: str) -> Floats:
    """What the figure shows of one load: the bounded one as a tool without correction would."""
    return latencies(frame, mode, corrected=mode != BOUNDED)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The open loop shows the stall, the closed one does not."""
    stall_s = float(frame["stall_s"].iloc[0])
    p99_s = percentile(latencies(frame, OPEN), 0.99)
    missed = percentile(latencies(frame, CLOSED), 0.99)
    what = f"p99 with a stall of {qty.duration(stall_s)} in {qty.duration(stall_s / STALL_SHARE)}"
    low, high = (qty.duration(share * stall_s) for share in GOAL)
    return [
        Claim(
            claim=f"{what}, open loop",
            goal=f"{low} to {high}",
            measured=qty.duration(p99_s),
            holds=GOAL[0] * stall_s <= p99_s <= GOAL[1] * stall_s if np.isfinite(p99_s) else None,
        ),
        Claim(
            claim=f"{what}, closed loop (which does not see the stall)",
            goal=f"below {qty.duration(0.1 * stall_s)}",
            measured=qty.duration(missed),
            holds=missed < 0.1 * stall_s if np.isfinite(missed) else None,
        ),
    ]


def body(frame: pd.DataFrame) -> list[Piece]:
    """The picture, and what each way of measuring says."""
    stall_s = float(frame["stall_s"].iloc[0])
    curves = {mode: tails.curve(shown(frame, mode)) for mode in MODES}
    most = max(float(1 / (1 - at[-1])) for at, _ in curves.values())
    low = min(float(seconds[0]) for _, seconds in curves.values())

    def draw(figure: Figure, narrow: bool) -> None:
        if narrow:
            by_percentile, over_time = figure.subplots(2, 1, height_ratios=(1.5, 1))
        else:
            by_percentile, over_time = figure.subplots(1, 2, width_ratios=(1.35, 1))
        for mode, (at, seconds) in curves.items():
            by_percentile.plot(1 / (1 - at), seconds, color=COLOURS[mode], lw=2.6, ls=STYLES[mode])
        tails.axes(by_percentile, most=most, low=low, high=stall_s * LEGEND_ROOM, narrow=narrow)
        by_percentile.axvline(100, color=theme.QUIET, lw=0.8, ls=(0, (2, 2)), zorder=1)
        by_percentile.set_title("latency by percentile")
        for place, mode in enumerate(MODES):
            by_percentile.text(
                0.03,
                0.95 - (0.085 if narrow else 0.075) * place,
                NAMES[mode],
                color=COLOURS[mode],
                fontweight="bold",
                fontsize=8.5,
                transform=by_percentile.transAxes,
                va="top",
            )
        _over_time(over_time, frame)

    p99_s, missed = percentile(latencies(frame, OPEN), 0.99), percentile(latencies(frame, CLOSED), 0.99)
    calls = {mode: int((frame["mode"] == mode).sum()) for mode in MODES}
    caught = int((latencies(frame, CLOSED) > stall_s / 10).sum())
    block = figure_block(
        title="One server, one stall, three answers",
        draw=draw,
        wide_height_in=4.0,
        narrow_height_in=6.6,
        alt=(
            f"Latency by percentile and over time, for a server that stops for {qty.duration(stall_s)}. p99: "
            + "; ".join(f"{NAMES[mode]} {qty.duration(percentile(shown(frame, mode), 0.99))}" for mode in MODES)
            + "."
        ),
        caption=(
            f"The server stalled for {qty.duration(stall_s)} out of {qty.duration(stall_s / STALL_SHARE)}. The open "
            f"loop's p99 is {qty.duration(p99_s)}; the closed loop's p99 is {qty.duration(missed)}, because only "
            f"{caught} of its {calls[CLOSED]:,} calls were affected by the stall."
        ),
        how_to_read=(
            "Users do not stop coming because a server has stalled. In an open loop, calls are due according to a "
            "schedule: a tenth of the calls fall into the stall and wait for the rest of it, so one call in a "
            "hundred waits for at least nine tenths of the stall. A closed loop has few callers, and each of them "
            "waits for an answer before calling again. Each caller makes one slow call, and the calls that users "
            "would have made during the stall are never made and never counted. This effect is called coordinated "
            "omission. A tool that follows a schedule but allows few calls in flight, and measures from the actual "
            "send, misses the same calls, because they wait inside the tool (dashed). Measuring from the planned "
            "send includes those calls; adding artificial samples afterwards would count them twice. Right: each "
            "call at the time when it was due or, in a closed loop, made."
        ),
        engines="engine: wire",
    )
    rows = []
    for mode in MODES:
        for corrected in (True, False) if mode != CLOSED else (True,):
            values = latencies(frame, mode, corrected=corrected)
            since = "" if mode == CLOSED else ", from the planned send" if corrected else ", from the actual send"
            name = NAMES[mode].partition(", from")[0] + since
            cells = [qty.duration(percentile(values, q)) for q in tails.PERCENTILES.values()]
            rows.append([name, f"{len(values):,}", *cells])
    header = ["load", "calls", *tails.PERCENTILES]
    return [block, Table(header=header, rows=rows, label="Percentiles of each load", numeric=range(1, 6))]


def _over_time(ax: Axes, frame: pd.DataFrame) -> None:
    begins, lasts = float(frame["stall_at_s"].iloc[0]), float(frame["stall_s"].iloc[0])
    ax.axvspan(begins, begins + lasts, color=theme.BAND, lw=0, zorder=0)
    for mode in (OPEN, CLOSED):
        kept = _thinned(frame[frame["mode"] == mode], lasts / 20)
        ax.plot(kept["start_s"], kept["latency_s"], "o", ms=2.5, mew=0, color=COLOURS[mode], zorder=3)
    slow = frame[(frame["mode"] == CLOSED) & (frame["latency_s"] > lasts / 10)]
    ax.plot(slow["start_s"], slow["latency_s"], "o", ms=7, mew=0, color=COLOURS[CLOSED], zorder=4)
    ax.annotate(
        f"closed loop:\n{qty.count(len(slow), 'call')}",
        xy=(begins, lasts),
        xytext=(-8, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=COLOURS[CLOSED],
        fontweight="bold",
        fontsize=8.5,
    )
    waiting = int(((frame["mode"] == OPEN) & (frame["latency_s"] > lasts / 10)).sum())
    ax.annotate(
        f"open loop:\n{qty.count(waiting, 'call')}",
        xy=(begins + lasts / 2, lasts / 2),
        xytext=(8, 4),
        textcoords="offset points",
        color=COLOURS[OPEN],
        fontweight="bold",
        fontsize=8.5,
    )
    ax.set_ylim(0, lasts * 1.15)
    ax.set_xlim(begins - lasts, begins + 2.5 * lasts)
    ax.yaxis.set_major_formatter(lambda value, _: qty.duration(value) if value else "0")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    ax.locator_params(axis="both", nbins=5)
    theme.clean(ax)
    ax.set_title("each call around the stall")
    ax.set_xlabel("since the start of the window")


def _thinned(calls: pd.DataFrame, above_s: float) -> pd.DataFrame:
    """As many calls as a picture can show: the few slow ones all, of many some."""
    slow = calls["latency_s"] > above_s
    some = max(1, int(slow.sum()) // MOST_SLOW_DOTS)
    return pd.concat([calls[slow].iloc[::some], calls[~slow].iloc[::ONE_IN]])


EXPERIMENT = Experiment(
    title="A stall, and who notices it",
    question=(
        "A server stalls for a tenth of the time. While the server runs, an open loop and a closed loop put the same "
        "load on it. What latency does each loop report?"
    ),
    sized=sized,
    claims=claims,
    body=body,
)
