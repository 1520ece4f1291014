"""This machine's own tail: a TCP echo between two pinned processes that do nothing but look."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration import tails
from grpclab.calibration.claims import Claim
from grpclab.calibration.echo_peer import EchoListening, EchoMeasure, EchoServe, EchoTrips
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan
from grpclab.errors import MeasurementError
from grpclab.metrics import calls_needed
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.system.environment import CorePlan
from grpclab.system.subprocesses import START_TIMEOUT_S, Child
from grpclab.system.temporary import TemporaryFolder

PEER = "grpclab.calibration.echo_peer"


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), seconds=plan.seconds(3.0, 10.0))


def measure(cores: CorePlan, *, seconds: float) -> pd.DataFrame:
    """Round trips of 8 bytes, one at a time, by percentile.

    Columns: share (of the trips at most as long; the last row is the longest, 1), rtt_s, trips (of the run, the same
    in all rows). Raises MeasurementError on a single core, where two processes cannot both spin.
    """
    if cores.shared:
        raise MeasurementError("each of the two spinning processes needs a core, but this machine has only one")
    with (
        TemporaryFolder() as folder,
        Child(PEER, name="the echo", cpus=cores.server[:1]) as answering,
        Child(PEER, name="the other side of the echo", cpus=cores.generator) as asking,
    ):
        answering.send(EchoServe())
        record = folder / "trips"
        port = answering.receive(START_TIMEOUT_S, EchoListening).port
        asking.send(EchoMeasure(port=port, seconds=seconds, record=record))
        asking.receive(START_TIMEOUT_S + seconds, EchoTrips)
        trips = np.fromfile(record)
    if not len(trips):
        raise MeasurementError(f"no echo came back within {seconds:g} s")
    at, seconds_at = tails.curve(trips)
    named = [q for q in tails.PERCENTILES.values() if len(trips) >= calls_needed(q)]
    share = np.concatenate([at, named, [1.0]])
    rtt_s = np.concatenate([seconds_at, np.quantile(trips, named, method="inverted_cdf"), [trips.max()]])
    frame = pd.DataFrame({"share": share, "rtt_s": rtt_s, "trips": len(trips)})
    return frame.drop_duplicates("share").sort_values("share", ignore_index=True)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def trip_s(frame: pd.DataFrame, share: float) -> float:
    """The round trip at a percentile of the frame; NaN where too few carry it."""
    trips = frame.loc[np.isclose(frame["share"], share, rtol=0, atol=1e-12), "rtt_s"]
    return float(trips.iloc[0]) if len(trips) else float("nan")


def claims(frame: pd.DataFrame) -> list[Claim]:
    """There is no goal: it is told."""
    named = [f"{name} {qty.duration(trip_s(frame, q))}" for name, q in tails.PERCENTILES.items()]
    words = ", ".join([*named, f"longest {qty.duration(trip_s(frame, 1.0))}"])
    return [Claim(claim="TCP echo between two cores of this machine that poll all the time", measured=words)]


def body(frame: pd.DataFrame) -> FigureBlock:
    """The curve."""
    inner = frame[frame["share"] < 1]
    at, rtt_s = inner["share"].to_numpy(), inner["rtt_s"].to_numpy()
    longest, trips = trip_s(frame, 1.0), int(frame["trips"].iloc[0])
    most = float(1 / (1 - at[-1]))

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        tails.draw(ax, at, rtt_s, colour=theme.CANDIDATE)
        tails.axes(ax, most=most, low=float(rtt_s[0]), high=float(rtt_s[-1]), narrow=narrow)
        for q in tails.PERCENTILES.values():
            y = trip_s(frame, q)
            if np.isfinite(y):
                ax.plot(1 / (1 - q), y, "o", color=theme.CANDIDATE, ms=6)
                ax.annotate(
                    qty.duration(y),
                    xy=(1 / (1 - q), y),
                    xytext=(-4, 7),
                    textcoords="offset points",
                    ha="right",
                    fontweight="bold",
                )
        ax.set_title("round trip of 8 bytes")

    caption = (
        f"Half of {trips:,} echoes take at most {qty.duration(trip_s(frame, 0.5))}; p99.9 is "
        f"{qty.duration(trip_s(frame, 0.999))}, and the longest is {qty.duration(longest)}. Compare every latency "
        "tail measured on this machine with this one."
    )
    return figure_block(
        title="A TCP echo between two polling cores",
        draw=draw,
        wide_height_in=3.0,
        narrow_height_in=2.9,
        alt=f"Curve of echo round trips by percentile. {caption}",
        caption=caption,
        how_to_read=(
            "Two processes, each on a core of its own, send 8 bytes back and forth over TCP on loopback. They never "
            "sleep, so they never wait for the scheduler; no gRPC and no load are involved. What remains is the time "
            "in the kernel's TCP stack and the moments in which the machine, or the host of a virtual machine, does "
            "something else. A server's tail that is no longer than this one says nothing about the server."
        ),
        engines="",
    )


EXPERIMENT = Experiment(
    title="The tail of the machine",
    question="How long is the latency tail of this machine, without gRPC and without any load?",
    sized=sized,
    claims=claims,
    body=body,
)
