"""The reference server's stall in slices of an open loop, and in one window: the truth is known."""

from __future__ import annotations

import time

import pandas as pd

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.servers import reference
from grpclab.factors.config import TrialConfig
from grpclab.load.core.slices import SliceLengths
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system.environment import CorePlan

WINDOW = 0
"""Stands for one window, in the place of a length of slices."""
RATE_RPS, SHARE, SERVICE_S, WARMUP_S = 1000.0, 0.1, 0.005, 0.3
"""SHARE: of the counted time, for which the server stops."""
SLICES = 4
GOAL = (0.85, 0.95)
"""Where the p99 must lie, in lengths of the stall: a call in a hundred waits for nine tenths of it."""


def figures(run: LoadRun, generator: Generator) -> dict[str, object]:
    """A row of a frame: throughput_rps, latency_NAME_s of each percentile, limited_by."""
    latencies = {f"latency_{name}_s": seconds for name, seconds in run.summary.latency.items()}
    limit = run.limited_by(generator.config.client.pooling)
    return {"throughput_rps": run.summary.throughput_rps, **latencies, "limited_by": limit}


def stalled(cores: CorePlan, times: int, stall_s: float, seed: int) -> dict[str, object]:
    """The figures of an open loop on a reference server that stops for a tenth of the counted time.

    In slices, between which nothing is sent, the stall lies within the counted stretch of the second one; in one
    window at the same share of it.
    """
    window_s = stall_s / SHARE
    counted_s = window_s / SLICES
    lengths = SliceLengths(ramp_s=0.1 * counted_s, counted_s=counted_s)
    first_s = counted_s if times == WINDOW else WARMUP_S + 2 * lengths.ramp_s + 1.5 * counted_s + 0.5
    second_s = WARMUP_S + first_s
    # It lies in the middle of the second quarter of the counted time.
    begins_s = second_s + max(0.1 * counted_s, (counted_s - stall_s) / 2)
    spec = reference(f"constant:{SERVICE_S:g}s", stall=f"{stall_s:g}s@{begins_s:g}s", cores=cores, seed=seed)
    config = TrialConfig().replace(
        {
            "load.engine": "wire",
            "load.requests": None,
            "load.rate_rps": RATE_RPS,
            "load.duration_s": window_s,
            "load.warmup_s": WARMUP_S,
            "load.pacing": "timer" if cores.shared else "spin",
        }
    )
    with (
        launch_reference(spec, cpus=cores.server) as server,
        Generator(config, server.target, cpus=cores.generator, seed=seed) as generator,
    ):
        run = generator.measure() if times == WINDOW else _sliced(generator, lengths, second_s)
        row = figures(run, generator)
        return {**row, "slices": times * SLICES, "slice_s": counted_s, "stall_s": stall_s, "failed": ""}


def _sliced(generator: Generator, lengths: SliceLengths, second_s: float) -> LoadRun:
    """Slices of which the second one's counted stretch begins `second_s` after the first request."""
    began = time.perf_counter()
    generator.warm_up()
    generator.open_slices(drain_s=10.0)
    for number in range(SLICES):
        if number == 1:
            time.sleep(max(0.0, began + second_s - lengths.ramp_s - time.perf_counter()))
        generator.slice(lengths)
    return generator.close_slices()


def claims(rows: pd.DataFrame) -> list[Claim]:
    """The p99 is the same in slices and in one window; `rows` are those of both."""
    told = []
    for times, name in ((1, "in slices"), (WINDOW, "in one window")):
        mine = rows[rows["times"] == times]
        if len(mine):
            p99_s, stall_s = float(mine["latency_p99_s"].iloc[0]), float(mine["stall_s"].iloc[0])
            low, high = (qty.duration(share * stall_s) for share in GOAL)
            told.append(
                Claim(
                    claim=f"a stall of {qty.duration(stall_s)}, a tenth of the counted time: p99 {name}",
                    goal=f"{low} to {high}",
                    measured=qty.duration(p99_s),
                    holds=GOAL[0] * stall_s <= p99_s <= GOAL[1] * stall_s if p99_s > 0 else None,
                )
            )
    return told
