"""All experiments, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

import grpclab.report.backend  # noqa: F401  # before an experiment loads matplotlib
from grpclab.calibration import (
    agreement,
    ceiling,
    crashes,
    disturbances,
    echo,
    lateness,
    memory,
    recording,
    relay,
    simulation,
    stall,
    truth,
    verdicts,
)
from grpclab.calibration.claims import Claim
from grpclab.calibration.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One question to the lab. `claims` and `body` (HTML) are made of the frame alone."""

    name: str
    title: str
    question: str
    sized: Callable[[Plan], pd.DataFrame]
    claims: Callable[[pd.DataFrame], list[Claim]]
    body: Callable[[pd.DataFrame], str]


_ALL = (
    Experiment(
        name="ceiling",
        title="The generator's ceiling",
        question=(
            "What is the fastest server that can be measured here before the generator is the limit? Three generators "
            "load the same server in C in turn: h2load, which is in C too, and both engines."
        ),
        sized=ceiling.sized,
        claims=ceiling.claims,
        body=ceiling.body,
    ),
    Experiment(
        name="truth",
        title="Measured latency and the truth",
        question=(
            "Is the latency that the lab reports the true one? The reference server says of each call how long "
            "it was really inside."
        ),
        sized=truth.sized,
        claims=truth.claims,
        body=truth.body,
    ),
    Experiment(
        name="stall",
        title="A stall, and who sees it",
        question=(
            "A server stops for a tenth of the time. An open loop and a closed one load it alike while it runs: what "
            "does each say of its latency?"
        ),
        sized=stall.sized,
        claims=stall.claims,
        body=stall.body,
    ),
    Experiment(
        name="lateness",
        title="Lateness of sends",
        question=(
            "An open loop promises to send each call at its time. How late is it, at which rate, and what does it "
            "spend on being punctual?"
        ),
        sized=lateness.sized,
        claims=lateness.claims,
        body=lateness.body,
    ),
    Experiment(
        name="recording",
        title="The cost of recording",
        question="Every call is recorded. What does that take of the generator?",
        sized=recording.sized,
        claims=recording.claims,
        body=recording.body,
    ),
    Experiment(
        name="memory",
        title="Memory",
        question="Can a run have any length?",
        sized=memory.sized,
        claims=memory.claims,
        body=memory.body,
    ),
    Experiment(
        name="link",
        title="The emulated link",
        question="What does the relay that plays a network cost where it has nothing to emulate?",
        sized=relay.sized,
        claims=relay.claims,
        body=relay.body,
    ),
    Experiment(
        name="echo",
        title="The machine's own tail",
        question="How long a tail has this machine with no gRPC and no load at all?",
        sized=echo.sized,
        claims=echo.claims,
        body=echo.body,
    ),
    Experiment(
        name="agreement",
        title="Agreement of the engines",
        question="Does a verdict on a server depend on which engine loads it? Basic is grpc.server with 10 threads at "
        "its defaults, optimized the same with larger HTTP/2 windows, keepalive and spare threads; the client keeps "
        "its connections to both.",
        sized=agreement.sized,
        claims=agreement.claims,
        body=agreement.body,
    ),
    Experiment(
        name="simulation",
        title="Intervals and verdicts, simulated",
        question="How often is an interval right, and a verdict wrong? Studies are drawn whose truth is known.",
        sized=simulation.sized,
        claims=simulation.claims,
        body=simulation.body,
    ),
    Experiment(
        name="verdicts",
        title="Verdicts where the truth is known",
        question=(
            "And on this machine, with its own noise? A server is compared with itself, and with one that takes 1.3 "
            "times as long."
        ),
        sized=verdicts.sized,
        claims=verdicts.claims,
        body=verdicts.body,
    ),
    Experiment(
        name="crashes",
        title="A study that is killed",
        question=(
            "A study is killed at random moments and resumed: what is lost? The same study, left alone, shows what "
            "a trial costs beside its window."
        ),
        sized=crashes.sized,
        claims=crashes.claims,
        body=crashes.body,
    ),
    Experiment(
        name="disturbances",
        title="Disturbances inside the window",
        question=(
            "Others keep the cores busy, or somebody stops the server, the generator or the link for a while: does "
            "the result say so? It is true where the disturbance is marked on it, or does not matter."
        ),
        sized=disturbances.sized,
        claims=disturbances.claims,
        body=disturbances.body,
    ),
)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}
