"""The experiments, in the order in which they are read; another package may register one of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

import grpclab.report.backend  # noqa: F401  # before an experiment loads matplotlib
from grpclab.calibration.claims import Claim
from grpclab.calibration.plan import Plan
from grpclab.report.tables import Piece
from grpclab.system.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question to the lab. `claims` and `body`, what the report shows, are made of the frame alone.

    A `body` that is a string is HTML: that of an experiment which another package wrote for the first edition.
    """

    title: str
    question: str
    sized: Callable[[Plan], pd.DataFrame]
    claims: Callable[[pd.DataFrame], list[Claim]]
    body: Callable[[pd.DataFrame], Piece | Sequence[Piece] | str]


EXPERIMENTS: Registry[Experiment] = Registry(
    "grpclab.experiments",
    "experiment",
    {
        "ceiling": "grpclab.calibration.ceiling:EXPERIMENT",
        "generators": "grpclab.calibration.generators:EXPERIMENT",
        "truth": "grpclab.calibration.truth:EXPERIMENT",
        "stall": "grpclab.calibration.stall:EXPERIMENT",
        "lateness": "grpclab.calibration.lateness:EXPERIMENT",
        "recording": "grpclab.calibration.recording:EXPERIMENT",
        "requests": "grpclab.calibration.many_requests:EXPERIMENT",
        "memory": "grpclab.calibration.memory:EXPERIMENT",
        "link": "grpclab.calibration.relay:EXPERIMENT",
        "echo": "grpclab.calibration.echo:EXPERIMENT",
        "agreement": "grpclab.calibration.agreement:EXPERIMENT",
        "simulation": "grpclab.calibration.simulation:EXPERIMENT",
        "procedure": "grpclab.calibration.procedure:EXPERIMENT",
        "interleaving": "grpclab.calibration.interleaved_noise:EXPERIMENT",
        "slices": "grpclab.calibration.slice_edges:EXPERIMENT",
        "deciding": "grpclab.calibration.deciding:EXPERIMENT",
        "verdicts": "grpclab.calibration.verdicts:EXPERIMENT",
        "crashes": "grpclab.calibration.crashes:EXPERIMENT",
        "disturbances": "grpclab.calibration.disturbances:EXPERIMENT",
    },
)
"""By name; a name is also that of the stored frame."""
