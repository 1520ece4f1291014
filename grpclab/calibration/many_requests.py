"""The cost of requests that differ from call to call: engine `wire` with one request, 1,000 and 100,000."""

from __future__ import annotations

import contextlib

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import Interval, log_t_interval
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.servers import nghttpd
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.load.generator import Generator
from grpclab.report.tables import Paragraph, Piece, Table
from grpclab.system.environment import CorePlan

ONE = 1
GOALS = {1_000: 1.05, 100_000: 1.15}
"""The CPU of a call with so many requests, over that with one: at most this."""
COUNTS = (ONE, *GOALS)
SIZE = 32
"""The bytes of a request: the same for all, so that nothing else differs."""
FEWEST_ROUNDS = 8
CONNECTIONS, IN_FLIGHT_EACH = 4, 16


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), rounds=max(FEWEST_ROUNDS, plan.rounds), seconds=plan.seconds(0.5, 2.0), seed=plan.seed)


def call_of(count: int) -> CallSpec:
    """The greeter's call with so many different requests of one size."""
    call = greeting(LoadConfig(request_bytes=SIZE))
    if count == ONE:
        return call
    start, end = call.payload[:2], SIZE - 9
    messages = (start + b"%09d" % number + b"x" * end for number in range(count))
    payloads = PAYLOAD_FOLDER.write(messages)
    return CallSpec(path=call.path, payload=payloads.message(0), payloads=payloads)


def measure(cores: CorePlan, *, rounds: int, seconds: float, seed: int) -> pd.DataFrame:
    """The CPU of the generator for a call, interleaved, against one nghttpd, 4 connections with 16 calls each.

    One row a round and number of requests: round, requests, cpu_us_per_call, calls, errors. Raises
    MissingDependencyError without nghttpd.
    """
    settings: dict[str, Level] = {
        "client.pooling": "pool",
        "client.connections": CONNECTIONS,
        "load.concurrency": CONNECTIONS * IN_FLIGHT_EACH,
        "load.requests": None,
        "load.duration_s": seconds,
        "load.warmup_s": min(0.3, seconds),
    }
    rows = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(nghttpd(cores.server))
        config = TrialConfig().replace(settings)
        generators = {
            str(count): stack.enter_context(Generator(config, server.target, cpus=cores.generator, call=call_of(count)))
            for count in COUNTS
        }
        for number in range(rounds):
            for name in shuffled(list(generators), seed, number):
                run = generators[name].measure()
                rows.append(
                    {
                        "round": number,
                        "requests": int(name),
                        "cpu_us_per_call": run.cpu_s / max(1, run.summary.requests) * 1e6,
                        "calls": run.summary.requests,
                        "errors": run.summary.errors,
                    }
                )
    return pd.DataFrame(rows)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def ratio(frame: pd.DataFrame, count: int) -> Interval:
    """The CPU of a call with so many requests over that with one, within the rounds, with its 95 % interval."""
    table = frame.pivot(index="round", columns="requests", values="cpu_us_per_call")
    return log_t_interval((table[count] / table[ONE]).to_numpy())


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The goals, each met where the whole interval is; undecided where the goal lies inside it."""
    told = []
    for count, goal in GOALS.items():
        found = ratio(frame, count)
        told.append(
            Claim(
                claim=f"CPU per call with {count:,} requests, divided by CPU per call with one request",
                goal=f"at most {goal:.2f}×",
                measured=f"{found.mean:.3f}×, {found.low:.3f} to {found.high:.3f}",
                holds=True if found.high <= goal else False if found.low > goal else None,
            )
        )
    errors, calls = int(frame["errors"].sum()), int(frame["calls"].sum())
    told.append(Claim(claim="failed calls", goal="0", measured=f"{errors:,} of {calls:,}", holds=errors == 0))
    return told


def body(frame: pd.DataFrame) -> list[Piece]:
    """A table and a sentence."""
    rows = []
    for count in COUNTS:
        cpu = frame.loc[frame["requests"] == count, "cpu_us_per_call"]
        found = ratio(frame, count) if count != ONE else None
        between = f"{found.low:.3f} to {found.high:.3f}" if found else ""
        rows.append([f"{count:,}", f"{cpu.median():.2f} µs", f"{found.mean:.3f}×" if found else "", between])
    header = ["requests", "CPU per call", "ratio to one request", "95 % interval"]
    sentence = (
        f"Requests of {SIZE} bytes were sent in {qty.count(frame['round'].nunique(), 'interleaved round')}. All "
        "requests are in one file, which each worker maps into memory. Each call takes the next request from that "
        "file and has to load whatever is not in a processor cache."
    )
    return [Paragraph(text=sentence), Table(header=header, rows=rows, label="Cost of many requests", numeric=range(4))]


EXPERIMENT = Experiment(
    title="The cost of many requests",
    question="A load can send a different request with each call. How much does that cost the generator?",
    sized=sized,
    claims=claims,
    body=body,
)
