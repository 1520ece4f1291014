"""A package of somebody else that adds one of each: what the registries of grpclab are for."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pandas as pd

from grpclab.analysis.study_plan import StudyPlan
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan
from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.load.core.arrivals import LoadShape
from grpclab.load.core.recorder import Floats
from grpclab.load.engines.wire import WireEngine
from grpclab.load.generator import Generator
from grpclab.profiling.profiler import Look
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.servers.targets import ServerStart
from grpclab.study.designs.design import Configurations, comparison, headline
from grpclab.study.designs.scenario import Scenario
from grpclab.study.parameters import Design, StudyParameters


class ExampleTarget:
    """The calibration server: ``example:2ms`` answers after 2 ms."""

    def check(self, argument: str, option: str) -> None:
        if not argument:
            raise UsageError(f"invalid {option}=example: expected example:SERVICE_TIME")

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        spec = ReferenceSpec(service_time=f"constant:{argument}")
        return launch_reference(spec, cpus=start.cpus, log_path=start.log_path, env=start.env)


TARGET = ExampleTarget()


class ExampleEngine(WireEngine):
    """The built-in engine by another name."""


def _pairs(rate_rps: float, _: int) -> Iterator[Floats]:
    first = 0
    while True:
        yield np.repeat(np.arange(first, first + 1000), 2) * 2 / rate_rps
        first += 1000


PAIRS = LoadShape(times=_pairs, random=False)
"""Two calls at a time."""

SCENARIO = Scenario(
    meaning="pairs of calls",
    levels={"load.engine": "example", "load.arrival": "pairs", "load.rate_rps": 100.0, "load.warmup_s": 0.1},
)


def _plan(parameters: StudyParameters, _: int) -> StudyPlan:
    out = Configurations()
    base = TrialConfig().replace({**SCENARIO.levels, "load.requests": parameters.requests})
    few, many, again = (
        out.add(name, f"{threads} threads", "example", base.replace({"server.threads": threads}))
        for name, threads in (("few", 2), ("many", 8), ("few-again", 2))
    )
    return replace(
        out.plan(blocks=parameters.blocks),
        headline=headline("many threads against few", "example", few, many, labels=("few", "many")),
        aa=comparison("few against itself (A/A)", "example", few, again),
    )


DESIGN = Design(question="Do more threads help with pairs?", plan=_plan, unused=("rtt_ms",))


class ExampleProfiler:
    """Counts the processes of the server."""

    makes_load = False
    seconds = 0.0

    def look(self, server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Look:  # noqa: ARG002
        return Look(metrics={"alive": float(sum(os.path.exists(f"/proc/{pid}") for pid in server.pids))})


PROFILER = ExampleProfiler()


class ExampleWindowProfiler:
    """Counts the calls beside which it stands."""

    def begin(self, server: RunningServer) -> Callable[[int], Look]:  # noqa: ARG002
        return lambda calls: Look(metrics={"calls": float(calls)})


WINDOW_PROFILER = ExampleWindowProfiler()


def _sized(plan: Plan) -> pd.DataFrame:
    return pd.DataFrame({"round": range(plan.rounds)})


EXPERIMENT = Experiment(
    title="An example",
    question="How many rounds are there?",
    sized=_sized,
    claims=lambda frame: [Claim(claim=f"{len(frame)} rounds")],
    body=lambda frame: f"<p>{len(frame)} rounds</p>",
)
