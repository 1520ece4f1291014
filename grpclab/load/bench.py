"""``grpclab bench``: load one running server, once, and say what was seen.

::

    result = await grpclab.bench("localhost:50051", requests=2500, concurrency=50)
    print(result)
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from grpclab import procfs
from grpclab.config import Level, TrialConfig
from grpclab.environment import machine, split_cores
from grpclab.errors import UsageError
from grpclab.link_model import loopback_target
from grpclab.load.generator import BUSY_LIMIT, Generator, LoadRun
from grpclab.load.summary import PERCENTILES

DEFAULT_TARGET = "localhost:50051"

GRADES: tuple[tuple[str, float, float], ...] = (
    ("A", 0.0, 2.0),
    ("B", 0.001, 4.0),
    ("C", 0.01, 8.0),
    ("D", 0.05, 16.0),
)
"""Grade, most errors as a share, most the tail may be above the median; F is what is worse."""


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """One window of load on one server."""

    target: str
    config: TrialConfig
    started_at: datetime
    run: LoadRun
    connections: int
    connections_by_process: tuple[int, ...] = ()

    @property
    def limited_by(self) -> str:
        """``generator-bound``, ``client-cpu`` or nothing."""
        return self.run.limited_by(self.config.client.pooling)

    @property
    def tail(self) -> tuple[str, float]:
        """The highest percentile up to p99 that there are enough calls for, and its latency in seconds."""
        latency = self.run.summary.latency
        for name in ("p99", "p95", "p90"):
            if not math.isnan(latency[name]):
                return name, latency[name]
        return "", math.nan

    @property
    def grade(self) -> tuple[str, str]:
        """A letter and its reason: errors, and how far the tail is above the median. Says nothing of speed."""
        summary = self.run.summary
        name, tail = self.tail
        median = summary.latency["p50"]
        if not name or not summary.requests:
            return "-", "too few calls to judge"
        errors, spread = summary.errors / summary.requests, tail / median
        letter = next((g for g, most, ratio in GRADES if errors <= most and spread <= ratio), "F")
        return letter, f"{errors:.1%} errors, {name} is {spread:.1f} x the median"

    def __str__(self) -> str:
        return render(self)


def render(result: BenchResult) -> str:
    """The summary for a terminal."""
    run, summary, config = result.run, result.run.summary, result.config
    calls = summary.requests
    good = calls - summary.errors

    def share(part: int) -> str:
        return f"{part / calls:.1%}" if calls else "-"

    def ms(seconds: float) -> str:
        return "-" if math.isnan(seconds) else f"{seconds * 1e3:,.2f} ms"

    lines = [
        f"{config.load.method} at {result.target}: {config.load.concurrency} in flight,"
        f" engine {config.load.engine}, {_client_text(config)}",
        "",
        f"  calls        {calls:>12,}",
        f"  succeeded    {good:>12,}   {share(good)}",
        f"  failed       {summary.errors:>12,}   {share(summary.errors)}",
        f"  duration     {summary.window_s:>12,.2f} s   after {config.load.warmup_s:g} s of warm-up",
        f"  throughput   {summary.throughput_rps:>12,.1f} requests/s",
        "",
        f"  average      {ms(summary.latency_mean_s):>15}",
        f"  fastest      {ms(summary.latency_min_s):>15}",
        f"  slowest      {ms(summary.latency_max_s):>15}",
    ]
    for name in ("p50", "p90", "p95", "p99"):
        value = summary.latency[name]
        needed = math.ceil(round(10 / (1 - PERCENTILES[name]), 6))
        note = f"   needs {needed:,} calls (10 beyond it)" if math.isnan(value) else ""
        lines.append(f"  {name:<12} {ms(value):>15}{note}")
    if summary.errors_by_status:
        lines += ["", "  errors by status"]
        lines += [f"    {name:<20} {count:>8,}   {share(count)}" for name, count in summary.errors_by_status.items()]
    by_process = ""
    if len(result.connections_by_process) > 1:
        by_process = f", by server process {'/'.join(map(str, result.connections_by_process))}"
    letter, reason = result.grade
    rule = "; ".join(f"{g}: errors <= {most:.1%}, tail <= {ratio:g}x" for g, most, ratio in GRADES)
    lines += [
        "",
        f"  connections  {result.connections:>12,}   open at the end, seen from outside{by_process}",
        f"  generator    {run.busy_share:>12.0%}   of a core in its busiest process{_limit_text(result)}",
        f"  grade        {letter:>12}   {reason}",
        *([] if letter == "-" else [f"{'':16}{rule}; else F"]),
    ]
    if run.interrupted:
        lines.append("\n  interrupted: this is what had been measured by then")
    return "\n".join(lines)


def _client_text(config: TrialConfig) -> str:
    client = config.client
    texts = {
        "per_call": "a channel for each call",
        "shared": "one channel",
        "pool": f"a pool of {client.connections}",
    }
    return texts[client.pooling]


def _limit_text(result: BenchResult) -> str:
    if result.limited_by == "generator-bound":
        return f": GENERATOR-BOUND (above {BUSY_LIMIT:.0%}), the server can do more than this"
    return f": {result.limited_by}, the client's own cost is in every figure" if result.limited_by else ""


def run_bench(target: str, config: TrialConfig) -> BenchResult:
    """Load the server at `target` as `config` says (its server and link factors are not used).

    Only loopback addresses are loaded. Raises UsageError, TargetError or WorkerError. Ctrl-C ends it early and
    returns what was measured.
    """
    _, port = loopback_target(target)
    cores = split_cores(machine()["affinity"])
    with Generator(config, target, cpus=cores.generator) as generator:
        started_at = datetime.now(UTC)
        run = generator.measure(keep_on_interrupt=True)
        connections = procfs.outgoing_connections(generator.pids, port)
        servers = sorted(procfs.listening_pids(port))
        by_process = tuple(procfs.connections(servers, port)) if servers else ()
    return BenchResult(
        target=target,
        config=config,
        started_at=started_at,
        run=run,
        connections=connections,
        connections_by_process=by_process,
    )


async def bench(
    target: str = DEFAULT_TARGET,
    *,
    requests: int | None = 500,
    duration_s: float | None = None,
    concurrency: int = 50,
    connections: int | None = None,
    settings: dict[str, Level] | None = None,
) -> BenchResult:
    """Load the server at `target` and return what was seen; for notebooks and scripts.

    `requests` calls, or as many as fit into `duration_s` seconds, whichever is first; `connections` above 1 is
    a pool of that many; `settings` are further factors by dotted name. Raises as :func:`run_bench`.
    """
    levels: dict[str, Level] = {
        "load.requests": requests,
        "load.duration_s": duration_s,
        "load.concurrency": concurrency,
    }
    if connections is not None:
        levels |= pool_settings(connections)
    return await asyncio.to_thread(run_bench, target, TrialConfig().replace(levels | (settings or {})))


def pool_settings(connections: int) -> dict[str, Level]:
    """The factors of a client with this many connections."""
    if connections < 1:
        raise UsageError(f"--connections {connections} is not possible: give 1 or more")
    if connections == 1:
        return {"client.pooling": "shared"}
    return {"client.pooling": "pool", "client.connections": connections}
