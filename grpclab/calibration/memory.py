"""A worker's memory over a long run: bounded, and level."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan
from grpclab.calibration.servers import reference
from grpclab.factors.config import TrialConfig
from grpclab.load.generator import Generator
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system import procfs
from grpclab.system.environment import CorePlan

GOAL_BYTES = 150e6
GROWTH_BYTES = 1e6
"""Growth over the second half of a run that is still none: the allocator rounds."""
EVERY_S = 0.1


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), calls=plan.calls(150_000, 1_000_000), seed=plan.seed)


def measure(cores: CorePlan, *, calls: int, seed: int) -> pd.DataFrame:
    """Resident memory of one worker, wire engine, while it makes `calls` calls and records each.

    One row a sample: t_s (since the window opened), calls (ended by then), rss_bytes.
    """
    config = TrialConfig().replace(
        {
            "client.pooling": "pool",
            "client.connections": 4,
            "load.concurrency": 64,
            "load.requests": calls,
            "load.warmup_s": 0.2,
        }
    )
    samples: list[tuple[float, int]] = []
    with (
        launch_reference(reference(cores=cores, seed=seed), cpus=cores.server) as server,
        Generator(config, server.target, cpus=cores.generator) as generator,
    ):

        def sample() -> None:
            samples.append((time.perf_counter(), procfs.usage(generator.pids).rss_bytes))

        run = generator.measure(tick=sample, every_s=EVERY_S)
        sample()
    (window,) = run.windows
    ends = np.sort(window.records.end_s)
    at = np.array([when for when, _ in samples])
    return pd.DataFrame(
        {
            "t_s": at - window.opened_at,
            "calls": np.searchsorted(ends, at, side="right"),
            "rss_bytes": [rss for _, rss in samples],
        }
    )


# ---- what is made of the frame ---------------------------------------------------------------------------------


def growth_bytes(frame: pd.DataFrame) -> float:
    """How much memory grew over the second half of the calls: the slope of a straight line, times that half."""
    half = frame["calls"].max() / 2
    second = frame[frame["calls"] >= half]
    if second["calls"].nunique() < 2:
        return 0.0
    slope = np.polyfit(second["calls"], second["rss_bytes"], 1)[0]
    return float(slope * half)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Below the bound, and no growth."""
    peak, growth, calls = float(frame["rss_bytes"].max()), growth_bytes(frame), int(frame["calls"].max())
    return [
        Claim(
            claim=f"peak resident memory of a worker over {calls:,} calls",
            goal=f"below {GOAL_BYTES / 1e6:.0f} MB",
            measured=f"{peak / 1e6:.1f} MB",
            holds=peak < GOAL_BYTES,
        ),
        Claim(
            claim="growth of that memory over the second half of the calls",
            goal=f"below {GROWTH_BYTES / 1e6:.0f} MB",
            measured=f"{growth / 1e6:+.2f} MB",
            holds=growth < GROWTH_BYTES,
        ),
    ]


def body(frame: pd.DataFrame) -> FigureBlock:
    """Memory over calls."""
    peak, calls = float(frame["rss_bytes"].max()), int(frame["calls"].max())

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        ax.plot(frame["calls"], frame["rss_bytes"] / 1e6, color=theme.CANDIDATE, lw=2.4)
        ax.axhline(GOAL_BYTES / 1e6, color=theme.QUIET, lw=1, ls=(0, (2, 2)))
        ax.annotate("bound", xy=(0, GOAL_BYTES / 1e6), xytext=(2, 4), textcoords="offset points", color=theme.QUIET)
        ax.set_ylim(0, max(GOAL_BYTES, peak) / 1e6 * 1.15)
        ax.set_xlim(0, calls)
        ax.locator_params(axis="x", nbins=4 if narrow else 6)
        ax.xaxis.set_major_formatter(lambda value, _: qty.amount_tick(value))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g} MB")
        ax.set_xlabel("calls made")
        theme.clean(ax)
        ax.set_title("resident memory of the worker")

    caption = (
        f"Over {calls:,} calls, the worker's resident memory is at most {peak / 1e6:.1f} MB. Over the second half of "
        f"the calls, memory changes by {growth_bytes(frame) / 1e6:+.2f} MB."
    )
    return figure_block(
        title="Memory over a long run",
        draw=draw,
        wide_height_in=2.5,
        narrow_height_in=2.6,
        alt=f"Line chart of a worker's memory against calls, {qty.count(len(frame), 'sample')}. {caption}",
        caption=caption,
        how_to_read=(
            "The worker makes calls as fast as one core allows and records each of them. Records are written to disk "
            "in chunks, so only one chunk at a time is in memory, no matter how long the run is. The line should be "
            "flat. The bound applies to the whole process, including Python and all libraries."
        ),
        engines="engine: wire",
    )


EXPERIMENT = Experiment(
    title="Memory",
    question="Does a worker's memory stay bounded in a long run?",
    sized=sized,
    claims=claims,
    body=body,
)
