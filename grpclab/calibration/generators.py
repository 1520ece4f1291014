"""The `wire` engine against h2load and ghz on the same servers: throughput and CPU per call, in interleaved rounds."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from grpclab import quantities as qty
from grpclab.calibration.ceiling import CONNECTIONS, PROBE_CALLS, Result, engine_run, h2load, result_of
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.program import ProgramEnded, ProgramStarted, kept
from grpclab.calibration.servers import HINT, SAY_HELLO, nghttpd, reference
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.generated import greet_pb2
from grpclab.http2.messages import prefixed
from grpclab.load.calls.method import greeting
from grpclab.load.generator import Generator
from grpclab.report.tables import Cells, Paragraph, Piece, Table
from grpclab.servers.reference.launcher import launch_reference
from grpclab.system.environment import CorePlan

TITLE = "Against h2load and ghz"
TOOLS = ("wire", "h2load", "ghz")
OTHERS = {"h2load": "a general HTTP/2 load generator in C", "ghz": "a gRPC load generator in Go"}
GHZ_HINT = "go install github.com/bojand/ghz/cmd/ghz@latest, with ~/go/bin on your PATH"
FEWEST_ROUNDS = 10
RATE_GOAL, CPU_GOAL = 1.0, 1 / 3
"""The rate of the wire engine over that of h2load, at least; its CPU per call over that of ghz, at most."""
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class ToolCase:
    """A server, the calls in flight on each connection, and the tools that are compared there."""

    server: str
    in_flight: int
    tools: tuple[str, ...]

    @property
    def title(self) -> str:
        """The heading of its rows."""
        return f"{SERVERS[self.server]}, {qty.count(self.in_flight, 'call')} in flight on each connection"


C_SERVER, GRPC_SERVER = "nghttpd", "reference"
SERVERS = {C_SERVER: "nghttpd, written in C", GRPC_SERVER: "the reference server of grpclab"}
FAST = ToolCase(server=C_SERVER, in_flight=16, tools=("wire", "h2load"))
"""The generator is the limit. ghz does not take nghttpd's answers, which have no content type."""
BUSY = ToolCase(server=GRPC_SERVER, in_flight=16, tools=TOOLS)
ALONE = ToolCase(server=GRPC_SERVER, in_flight=1, tools=TOOLS)
"""Each answer comes by itself, so that no tool gains by taking several at once."""
CASES = (FAST, BUSY, ALONE)


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), rounds=max(FEWEST_ROUNDS, plan.rounds), seconds=plan.seconds(0.5, 2.0), seed=plan.seed)


def measure(cores: CorePlan, *, rounds: int, seconds: float, seed: int) -> pd.DataFrame:
    """Requests/s and CPU of the tools of each case, in random order, with 4 connections.

    One row a round, case and tool: round, server, in_flight, tool, version, rps, cpu_us_per_call, calls, errors. The
    CPU that h2load and ghz need to start is left out, as it is of the engine. Raises MissingDependencyError without
    nghttpd, h2load and ghz.
    """
    settings: dict[str, Level] = {
        "client.pooling": "pool",
        "client.connections": CONNECTIONS,
        "load.requests": None,
        "load.duration_s": seconds,
        "load.warmup_s": min(0.2, seconds),
    }
    payload = greeting(LoadConfig()).payload
    versions = {"h2load": _version("h2load", HINT), "ghz": _version("ghz", GHZ_HINT)}
    cpus, rows = cores.generator, []
    with contextlib.ExitStack() as stack:
        static = stack.enter_context(nghttpd(cores.server))
        spec = reference(cores=cores, seed=seed)
        targets = {
            C_SERVER: static.target,
            GRPC_SERVER: stack.enter_context(launch_reference(spec, cpus=cores.server)).target,
        }
        message, framed, described = (static.folder / name for name in ("message", "framed", "described"))
        message.write_bytes(payload)
        framed.write_bytes(prefixed(payload))
        described.write_bytes(_descriptors())
        engines = {}
        for case in CASES:
            config = TrialConfig().replace({**settings, "load.concurrency": CONNECTIONS * case.in_flight})
            engines[case] = stack.enter_context(Generator(config, targets[case.server], cpus=cpus))

        def run(tool: str, case: ToolCase, calls: int) -> Result:
            target, each = targets[case.server], case.in_flight
            if tool == "ghz":
                return ghz(target, described, message, calls=calls, cpus=cpus, in_flight=each)
            return h2load(target, framed, calls=calls, cpus=cpus, in_flight=each)

        fewest = CONNECTIONS * BUSY.in_flight
        starting_us = {tool: run(tool, BUSY, fewest).cpu_us_per_call * fewest for tool in versions}
        kinds = {f"{number} {tool}": (case, tool) for number, case in enumerate(CASES) for tool in case.tools}
        rates = {(case, tool): run(tool, case, PROBE_CALLS).rps for case, tool in kinds.values() if tool in versions}
        for number in range(rounds):
            for name in shuffled(list(kinds), seed, number):
                case, tool = kinds[name]
                if tool == "wire":
                    result = engine_run(engines[case])
                else:  # its length is a number of calls: as many as it last did in that time
                    calls = max(PROBE_CALLS, round(rates[case, tool] * seconds))
                    result = run(tool, case, calls)
                    rates[case, tool] = result.rps
                    cpu_us = result.cpu_us_per_call - starting_us[tool] / calls
                    result = replace(result, cpu_us_per_call=cpu_us)
                about = {"round": number, "server": case.server, "in_flight": case.in_flight, "tool": tool}
                rows.append({**about, "version": versions.get(tool, ""), **vars(result)})
    return pd.DataFrame(rows)


def ghz(
    target: str,
    described: Path,
    message: Path,
    *,
    calls: int,
    in_flight: int,
    cpus: Collection[int] | None = None,
) -> Result:
    """One run of ghz, with so many calls in flight on each connection.

    `described` is a file of descriptors, and `message` one with the encoded request. Raises WorkerError if ghz fails or
    says what is not understood.
    """
    arguments = (
        *("--insecure", "--protoset", str(described), "--call", SAY_HELLO, "--binary-file", str(message)),
        *("-n", str(calls), "-c", str(CONNECTIONS * in_flight), "--connections", str(CONNECTIONS), target),
    )
    end = _ended("ghz", *arguments, hint=GHZ_HINT, cpus=cpus, limit_s=60 + calls / 500)
    return result_of("ghz", end, parse_ghz(end.output), calls)


def parse_ghz(output: str) -> dict[str, float]:
    """``rps`` and ``ok``, the calls with status OK, out of ghz's summary; empty if it is not there."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    ok = re.search(r"\[OK\]\s+(\d+) responses", output)
    return {"rps": float(rate[1]), "ok": float(ok[1]) if ok else 0.0} if rate else {}


def _version(program: str, hint: str) -> str:
    """What a program says of its version. Raises MissingDependencyError without it."""
    found = re.search(r"\S*\d+\.\d+\S*", _ended(program, "--version", hint=hint, limit_s=30).output)
    return found[0] if found else ""


def _ended(
    program: str, *arguments: str, hint: str, cpus: Collection[int] | None = None, limit_s: float
) -> ProgramEnded:
    with kept(program, *arguments, hint=hint, cpus=cpus) as keeper:
        keeper.receive(10, ProgramStarted)
        return keeper.receive(limit_s, ProgramEnded)


def _descriptors() -> bytes:
    """The greeter as a FileDescriptorSet."""
    described = FileDescriptorSet()
    greet_pb2.DESCRIPTOR.CopyToProto(described.file.add())
    return described.SerializeToString()


# ---- what is made of the frame ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MedianRatio:
    """A median over rounds, and its 95% interval by order statistics; NaN where there are fewer than six rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        between = f", {qty.interval(self.low, self.high)}" if math.isfinite(self.low) else ""
        return f"{qty.ratio(self.median)}{between}"


def rows_of(frame: pd.DataFrame, case: ToolCase) -> pd.DataFrame:
    """The rows of one case."""
    return frame[(frame["server"] == case.server) & (frame["in_flight"] == case.in_flight)]


def ratio(frame: pd.DataFrame, column: str, to: str, case: ToolCase) -> MedianRatio:
    """A column of the wire engine over that of another tool, round by round."""
    table = rows_of(frame, case).pivot(index="round", columns="tool", values=column)
    ratios = (table["wire"] / table[to]).to_numpy()
    ends: Any = scipy.stats.quantile_test(ratios, p=0.5).confidence_interval(CONFIDENCE)
    low, high = (float(end) if all(map(math.isfinite, ends)) else math.nan for end in ends)
    return MedianRatio(median=float(np.median(ratios)), low=low, high=high)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The goals, each met where the whole interval is; undecided where the goal lies inside it."""
    rate = ratio(frame, "rps", "h2load", FAST)
    made = [
        Claim(
            claim=f"requests/s of the wire engine, divided by requests/s of h2load: {FAST.title}",
            goal=f"at least {qty.ratio(RATE_GOAL)}",
            measured=str(rate),
            holds=True if rate.low >= RATE_GOAL else False if rate.high < RATE_GOAL else None,
        )
    ]
    for case in (BUSY, ALONE):
        cpu = ratio(frame, "cpu_us_per_call", "ghz", case)
        made.append(
            Claim(
                claim=f"CPU per call of the wire engine, divided by CPU per call of ghz: {case.title}",
                goal=f"at most {qty.ratio(CPU_GOAL)}",
                measured=str(cpu),
                holds=True if cpu.high <= CPU_GOAL else False if cpu.low > CPU_GOAL else None,
            )
        )
    errors, calls = int(frame["errors"].sum()), int(frame["calls"].sum())
    return [*made, Claim(claim="failed calls", goal="0", measured=f"{errors:,} of {calls:,}", holds=errors == 0)]


def body(frame: pd.DataFrame) -> list[Piece]:
    """A table, and what to know of it."""
    rounds = qty.count(frame["round"].nunique(), "round")
    text = (
        f"In each of {rounds}, the generators ran in random order on one core, with {CONNECTIONS} connections; the "
        "servers had another core. Figures are medians over the rounds; ratios are medians of the ratios within "
        "rounds, with their 95% intervals. CPU per call leaves out what a program needs to start. If the server is "
        "the limit, as the reference server is for h2load and the wire engine, only CPU per call compares generators. "
        "h2load does not look at gRPC: it counts HTTP answers. ghz and the wire engine check the status of each call "
        "and record each latency; ghz also decodes each answer, and the wire engine compares its bytes with those of "
        "the answer before. ghz cannot call nghttpd, whose answers have no content type."
    )
    rows = [row for case in CASES for row in _rows(frame, case)]
    header = ["generator", "requests/s", "CPU per call", "wire: ratio of requests/s", "wire: ratio of CPU per call"]
    return [Table(header=header, rows=rows, label=TITLE, numeric=range(1, 5)), Paragraph(text=text)]


def _rows(frame: pd.DataFrame, case: ToolCase) -> list[Cells]:
    """A heading, and a row for each tool."""
    part = rows_of(frame, case)
    medians = part.groupby("tool")[["rps", "cpu_us_per_call"]].median()
    rows: list[Cells] = [[case.title]]
    for tool in case.tools:
        version = part.loc[part["tool"] == tool, "version"].iloc[0]
        figures = [qty.amount(medians["rps"][tool]), f"{medians['cpu_us_per_call'][tool]:.1f} µs"]
        ratios = [""] * 2 if tool == "wire" else [str(ratio(frame, name, tool, case)) for name in medians.columns]
        rows.append([f"{tool} {version}".strip(), *figures, *ratios])
    return rows


EXPERIMENT = Experiment(
    title=TITLE,
    question=(
        "How fast is the wire engine, and how much CPU does a call cost it, compared with "
        + " and ".join(f"{name}, {what}" for name, what in OTHERS.items())
        + "?"
    ),
    sized=sized,
    claims=claims,
    body=body,
)
