"""The named configurations: `basic`, `optimized`, the ladder between them, one factor at a time, and `production`.

`basic` is what a first gRPC server and client look like. `optimized` holds what helped, or did no harm, when
it was measured; what was tried and rejected stays on the ladder as a rung of its own, so that every study shows
why. docs/basic-and-optimized.md says which study decided. `production` is `optimized` with the features of
:mod:`.features`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from grpclab.errors import FactorError
from grpclab.factors.config import ClientConfig, ServerConfig, TrialConfig
from grpclab.factors.features import FEATURES
from grpclab.factors.levels import Level

BASIC = TrialConfig(
    server=ServerConfig(threads=10),
    client=ClientConfig(pooling="per_call"),
)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step of the ladder: the factors it changes, and what it starts from.

    A `kept` rung starts from the kept rung before it. A rejected one branches off the rung named in `after`
    and leads nowhere: it was slower, or did not pay. `why` says on what evidence it was kept or rejected: three
    studies of earlier versions with 18 blocks in all, unless it says otherwise. Its handlers do not wait.
    """

    name: str
    title: str
    changes: dict[str, Level] = field(default_factory=dict)
    kept: bool = True
    after: str = ""
    why: str = ""


LADDER: tuple[Rung, ...] = (
    Rung(name="basic", title="basic"),
    Rung(name="reuse", title="channel reuse", changes={"client.pooling": "shared"}, why="3.65× (3.32 to 4.00)"),
    Rung(
        name="pool",
        title="connection pool",
        changes={"client.pooling": "pool", "client.connections": 4},
        why="connections spread calls over several server processes; with one server core, a pool did not pay off, "
        "0.85× (0.75 to 0.97)",
    ),
    Rung(
        name="asyncio",
        title="asyncio server",
        changes={"server.implementation": "asyncio"},
        kept=False,
        after="pool",
        why="0.64× (0.57 to 0.73)",
    ),
    Rung(
        name="uvloop",
        title="asyncio on uvloop",
        changes={"server.implementation": "asyncio", "server.event_loop": "uvloop"},
        kept=False,
        after="pool",
        why="0.74× (0.66 to 0.82)",
    ),
    Rung(
        name="threads",
        title="10,000 handler threads",
        changes={"server.threads": 10_000},
        kept=False,
        after="pool",
        why="0.81× to 0.96× in four series of 8 to 18 blocks, one of them clear of 1: 0.81× (0.74 to 0.90)",
    ),
    Rung(
        name="spare",
        title="10,000 spare threads",
        changes={"server.spare_threads": 10_000},
        why="handlers that block for long need more threads, and these are used only then; 1.12× (0.99 to 1.26)",
    ),
    Rung(
        name="http2",
        title="HTTP/2 settings",
        changes={
            "server.max_concurrent_streams": 10_000,
            "server.window_kib": 16_384,
            "server.adaptive_window": False,
            "server.keepalive_s": 60.0,
            "server.keepalive_timeout_s": 20.0,
            "server.keepalive_without_calls": True,
            "client.window_kib": 16_384,
            "client.adaptive_window": False,
            "client.keepalive_s": 60.0,
            "client.keepalive_timeout_s": 20.0,
        },
        why="they help on long links and idle connections; on loopback, they had no effect, 0.98× (0.85 to 1.14)",
    ),
    Rung(
        name="processes",
        title="a process per core",
        changes={"server.processes": 0},
        why="one Python process uses about one core; with one server core, this changes nothing",
    ),
)


def ladder_config(name: str) -> TrialConfig:
    """The configuration that stands on the rung of that name (all kept rungs up to it, then its own changes)."""
    config = BASIC
    by_name = {rung.name: rung for rung in LADDER}
    if name not in by_name:
        raise FactorError(f"no rung {name!r} on the ladder; the rungs are {', '.join(by_name)}")
    target = by_name[name]
    last = target.name if target.kept else target.after
    for rung in LADDER:
        if rung.kept:
            config = config.replace(rung.changes)
        if rung.name == last:
            break
    return config if target.kept else config.replace(target.changes)


OPTIMIZED = ladder_config(LADDER[-1].name)

PRODUCTION = OPTIMIZED.replace(
    {factor: level for feature in FEATURES if feature.in_production for factor, level in feature.on.items()}
)

ENDS: dict[str, TrialConfig] = {"basic": BASIC, "optimized": OPTIMIZED}
"""The ends of the ladder."""
VARIANTS: dict[str, TrialConfig] = {**ENDS, "production": PRODUCTION}


def variant(name: str) -> TrialConfig:
    """The named configuration. Raises FactorError if there is none of that name."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise FactorError(f"unknown variant {name!r}: expected one of {', '.join(VARIANTS)}") from None


def mix(*, server: str, client: str) -> TrialConfig:
    """The server of one variant with the client of another: what the two halves give apart."""
    return TrialConfig(server=variant(server).server, client=variant(client).client)
