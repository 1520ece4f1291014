"""The scenario ``waiting``: handlers that wait for something else, and how many threads that takes. Pure.

Each handler waits without using the CPU, as for a database. A thread that waits serves no other call, so a sync server
answers at most threads / wait calls a second; an asyncio server has no such bound. The client keeps one channel, and
engine `wire` makes the load: a Python client would be the limit before the server is.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpclab.analysis.study_plan import PlannedWaiting
from grpclab.factors.levels import Level
from grpclab.study.designs.scenario import Scenario

WAITING = "waiting"
WAIT_MS = "5"
IN_FLIGHT = 64
FEW, MANY = 10, 64
"""Handler threads: grpcio's usual number, and one for each call in flight."""
SPARE = 10_000


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that is measured: its configuration's name and title, its name in comparisons, what sets it apart."""

    name: str
    title: str
    short: str
    settings: dict[str, Level]


SERVERS = {
    server.short: server
    for server in (
        *(
            Server(
                name=f"waiting-threads-{threads}",
                title=f"handlers wait, {threads} threads",
                short=f"{threads} threads",
                settings={"server.threads": threads},
            )
            for threads in (FEW, MANY)
        ),
        Server(
            name="waiting-asyncio",
            title="handlers wait, asyncio",
            short="asyncio",
            settings={"server.implementation": "asyncio"},
        ),
        Server(
            name="waiting-spare",
            title=f"handlers wait, {FEW} threads and {SPARE:,} spare threads",
            short="spare threads",
            settings={"server.threads": FEW, "server.spare_threads": SPARE},
        ),
    )
}
"""By their short names."""
PAIRS = (
    (f"{FEW} threads", f"{MANY} threads"),
    (f"{FEW} threads", "asyncio"),
    (f"{MANY} threads", "asyncio"),
)
"""What every design with this scenario compares, baseline first."""
FURTHER_PAIRS = ((f"{FEW} threads", "spare threads"),)
"""What a design with time for it compares as well."""


LOAD: dict[str, Level] = {
    "server.handler_wait_ms": WAIT_MS,
    "load.engine": "wire",
    "load.concurrency": IN_FLIGHT,
}
"""The factors of every configuration, beside those of the study's windows."""
SCENARIO = Scenario(meaning="handlers that wait without using the CPU", levels=LOAD)


def title(baseline: str, candidate: str) -> str:
    """What the comparison of two servers, by their short names, is called."""
    return f"handlers that wait: {candidate} against {baseline}"


def figure(configurations: tuple[str, ...]) -> PlannedWaiting:
    """The part of a plan that the report's section shows."""
    return PlannedWaiting(scenario=WAITING, configurations=configurations, handler_wait_ms=WAIT_MS, in_flight=IN_FLIGHT)
