"""What it costs to record a call: the recorder alone, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, shuffled
from grpclab.load.core.recorder import Recorder
from grpclab.report.tables import Paragraph, Piece, Table
from grpclab.status import OK
from grpclab.system.temporary import TemporaryFolder

BATCH = 64
"""Calls between two looks at whether a chunk is full, as the engines do it."""
MEMORY, DISK, RESIDENCE = "counted only", "recorded", "recorded with residence"
VARIANTS = (MEMORY, DISK, RESIDENCE)


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(rounds=plan.rounds, calls=plan.calls(150_000, 1_000_000), seed=plan.seed)


def measure(*, rounds: int, calls: int, seed: int, clock: Callable[[], float] = time.process_time) -> pd.DataFrame:
    """Record `calls` calls in each variant of each round; the loop around the recorder is part of what is timed.

    One row a round and variant: round, variant, calls, ns_per_call (CPU time, writing included), bytes_per_call.
    """
    rows = []
    with TemporaryFolder() as folder:
        for number in range(rounds):
            for variant in shuffled(VARIANTS, seed, number):
                path = None if variant == MEMORY else folder / "records"
                recorder = Recorder(path, residence=variant == RESIDENCE)
                began = clock()
                _record(recorder, calls, residence=variant == RESIDENCE)
                recorder.close()
                spent_s = clock() - began
                rows.append(
                    {
                        "round": number,
                        "variant": variant,
                        "calls": calls,
                        "ns_per_call": spent_s / calls * 1e9,
                        "bytes_per_call": path.stat().st_size / calls if path else 0.0,
                    }
                )
    return pd.DataFrame(rows)


def _record(recorder: Recorder, calls: int, *, residence: bool) -> None:
    left = calls
    while left:
        for _ in range(min(BATCH, left)):
            if residence:
                recorder.residence(0.001)
            recorder.record(1.0, 1.002, OK, 0.00001)
        left -= min(BATCH, left)
        recorder.flush_full()


# ---- what is made of the frame ---------------------------------------------------------------------------------


def claims(frame: pd.DataFrame) -> list[Claim]:
    """There is no goal: it is told."""
    medians = frame.groupby("variant")[["ns_per_call", "bytes_per_call"]].median()
    return [
        Claim(
            claim="recording a call and writing it to disk",
            measured=f"{medians['ns_per_call'][DISK]:.0f} ns of CPU, {medians['bytes_per_call'][DISK]:.0f} bytes",
        )
    ]


def body(frame: pd.DataFrame) -> list[Piece]:
    """A table and a sentence."""
    table = frame.groupby("variant").agg(
        middle=("ns_per_call", "median"),
        low=("ns_per_call", "min"),
        high=("ns_per_call", "max"),
        size=("bytes_per_call", "median"),
    )
    rows = [
        [str(name), f"{row['middle']:.0f} ns", f"{row['low']:.0f} to {row['high']:.0f} ns", f"{row['size']:.0f}"]
        for name, row in table.loc[list(VARIANTS)].iterrows()
    ]
    header = ["mode", "CPU per call", "over the rounds", "bytes on disk"]
    disk = float(table["middle"][DISK])
    sentence = (
        f"Recording a call costs {disk:.0f} ns of CPU, so a load generator that sends 100,000 calls/s spends "
        f"{qty.percent(disk * 1e-9 * 1e5)} of a core on recording the latency of every call. A million calls take "
        f"{float(table['size'][DISK]):.0f} MB on disk. Every call is written; none is sampled or averaged beforehand."
    )
    return [Paragraph(text=sentence), Table(header=header, rows=rows, label="Cost of recording", numeric=range(1, 4))]


EXPERIMENT = Experiment(
    title="The cost of recording",
    question="The load generator records every call. How much does recording cost?",
    sized=sized,
    claims=claims,
    body=body,
)
