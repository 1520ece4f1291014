"""Measured latency against the truth: how long each call really was inside the reference server."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration import tails
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan
from grpclab.calibration.servers import reference
from grpclab.factors.config import TrialConfig
from grpclab.load.core.recorder import Floats
from grpclab.load.core.summary import percentile
from grpclab.load.generator import Generator
from grpclab.report import theme
from grpclab.report.blocks import figure_block
from grpclab.report.tables import Piece, Table
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system.environment import CorePlan

RATE_RPS = 1000.0
SERVICE_TIME = "lognormal:2ms,0.5"
MEDIAN_GOAL_S = 200e-6


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), rounds=plan.rounds, seconds=plan.seconds(2.0, 6.0), seed=plan.seed)


def measure(cores: CorePlan, *, rounds: int, seconds: float, seed: int) -> pd.DataFrame:
    """Open loop at 1,000/s, spinning, against service times drawn from a lognormal distribution.

    One row a call that succeeded: round, latency_s (from the planned send), late_s, residence_s (the truth).
    """
    config = TrialConfig().replace(
        {
            "load.rate_rps": RATE_RPS,
            "load.pacing": "timer" if cores.shared else "spin",
            "load.requests": None,
            "load.duration_s": seconds,
            "load.warmup_s": min(0.1, seconds),
        }
    )
    frames = []
    with (
        launch_reference(reference(SERVICE_TIME, cores=cores, seed=seed), cpus=cores.server) as server,
        Generator(config, server.target, cpus=cores.generator, seed=seed, residence=True) as generator,
    ):
        for number in range(rounds):
            for window in generator.measure().windows:
                records = window.measured
                assert records.residence_s is not None
                known = np.isfinite(records.residence_s)
                frames.append(
                    pd.DataFrame(
                        {
                            "round": number,
                            "latency_s": records.latency_s[known],
                            "late_s": records.late_s[known],
                            "residence_s": records.residence_s[known],
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def added(frame: pd.DataFrame) -> Floats:
    """What the way to the server, the way back and the generator add to each call, in seconds."""
    beside: Floats = (frame["latency_s"] - frame["residence_s"]).to_numpy()
    return beside


def median_added_s(frame: pd.DataFrame) -> float:
    """The median over rounds of each round's median."""
    by_round = (frame["latency_s"] - frame["residence_s"]).groupby(frame["round"]).median()
    return float(by_round.median())


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The median of what is added has a goal; its tail is the machine's, and is told."""
    middle, difference = median_added_s(frame), added(frame)
    tail = [f"{name} {qty.duration(percentile(difference, q))}" for name, q in tails.PERCENTILES.items() if q > 0.5]
    return [
        Claim(
            claim=f"measured minus true latency, median at {qty.amount(RATE_RPS)}/s, open loop",
            goal=f"at most {qty.duration(MEDIAN_GOAL_S)}",
            measured=qty.duration(middle),
            holds=middle <= MEDIAN_GOAL_S,
        ),
        Claim(claim="measured minus true latency, tail", measured=", ".join(tail)),
    ]


def percentile_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Percentiles of the truth and as measured, with the error: truth_s, measured_s, error_s, error_share, added_s."""
    truth, measured, difference = frame["residence_s"].to_numpy(), frame["latency_s"].to_numpy(), added(frame)
    rows = {}
    for name, q in tails.PERCENTILES.items():
        real, measured_s = percentile(truth, q), percentile(measured, q)
        rows[name] = {
            "truth_s": real,
            "measured_s": measured_s,
            "error_s": measured_s - real,
            "error_share": (measured_s - real) / real,
            "added_s": percentile(difference, q),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def body(frame: pd.DataFrame) -> list[Piece]:
    """Both distributions, what is added, and the table of errors."""
    truth, truth_s = tails.curve(frame["residence_s"].to_numpy())
    measured, measured_s = tails.curve(frame["latency_s"].to_numpy())
    beyond, added_s = tails.curve(added(frame))
    added_s = np.maximum(added_s, 1e-6)
    most = float(1 / (1 - truth[-1]))

    def draw(figure: Figure, narrow: bool) -> None:
        both, error = figure.subplots(*((2, 1) if narrow else (1, 2)))
        tails.draw(both, measured, measured_s, colour=theme.CANDIDATE, width=4)
        tails.draw(both, truth, truth_s, colour=theme.INK, width=1.2)
        tails.axes(both, most=most, low=truth_s[0], high=measured_s[-1], narrow=narrow)
        both.set_title("latency")
        both.text(0.05, 0.93, "measured", color=theme.CANDIDATE, fontweight="bold", transform=both.transAxes, va="top")
        both.text(0.05, 0.84, "truth", color=theme.INK, fontweight="bold", transform=both.transAxes, va="top")
        tails.draw(error, beyond, added_s, colour=theme.CANDIDATE)
        high = max(float(added_s[-1]), MEDIAN_GOAL_S)
        tails.axes(error, most=most, low=max(float(added_s[0]), 1e-5), high=high, narrow=narrow)
        error.plot([2], [MEDIAN_GOAL_S], "v", color=theme.INK, ms=7, zorder=5)
        goal = f"\u25bc goal for p50: {qty.duration(MEDIAN_GOAL_S)}"
        error.text(0.05, 0.93, goal, transform=error.transAxes, va="top")
        error.set_title("measured minus true latency, per call")

    errors = percentile_errors(frame)
    middle = median_added_s(frame)
    worst = errors["error_share"].dropna()
    off = (
        (f" The measured percentiles are off by {_percent(worst.min())} to {_percent(worst.max())}.")
        if len(worst)
        else ""
    )
    block = figure_block(
        title="Measured and true latency",
        draw=draw,
        wide_height_in=3.4,
        narrow_height_in=6.2,
        alt=f"Curves by percentile for {len(frame):,} calls. Measured and true latency: {_told(errors)}.",
        caption=(
            f"For half of the calls, the measured latency is at most {qty.duration(middle)} longer than the time "
            "inside the server; the difference is the round trip to the server, plus the load generator's own "
            f"delay.{off}"
        ),
        how_to_read=(
            f"The reference server holds each call for a random time from {SERVICE_TIME} and then reports the "
            "true time that the call spent inside the server, from reading the request to writing the answer. Left: "
            "the distributions of that time and of the latency that the load generator measured; where the lines "
            "coincide, grpclab measures correctly. Right: the difference for each call. The right end of that curve "
            "is the tail of this machine, mostly time in which a process was not running on its core. Latency is "
            "measured from the planned send, so it includes the delay of a late send."
        ),
        engines="engine: wire",
    )
    header = ["percentile", "truth", "measured", "error", "error", "added to a call"]
    rows = [
        [
            str(name),
            qty.duration(row["truth_s"]),
            qty.duration(row["measured_s"]),
            qty.duration(row["error_s"]),
            _percent(row["error_share"]),
            qty.duration(row["added_s"]),
        ]
        for name, row in errors.iterrows()
    ]
    return [block, Table(header=header, rows=rows, label="Percentiles, true and measured", numeric=range(1, 6))]


def _percent(share: float) -> str:
    return f"{100 * share:+.1f}%" if math.isfinite(share) else qty.MISSING


def _told(errors: pd.DataFrame) -> str:
    return "; ".join(
        f"{name} {qty.duration(row['truth_s'])} true, {qty.duration(row['measured_s'])} measured"
        for name, row in errors.iterrows()
    )


EXPERIMENT = Experiment(
    title="Measured and true latency",
    question=(
        "Is the latency that grpclab reports correct? For each call, the reference server reports the true time "
        "that the call spent inside the server."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
