"""The calls that a process of the load generator can make on this machine, whatever the server.

Measured once against the reference server, which answers at once, and kept in the user's cache folder until the
machine or a version changes. It is the generator's CPU time for a call that counts, not the rate: the server may be
the slower of the two. At its limit a generator handles larger batches and needs less, so that this is a lower bound.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from grpclab.factors.config import TrialConfig
from grpclab.load.generator import Generator
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system.environment import identity, machine, split_cores, versions
from grpclab.system.paths import cache_folder

CALLS = {"wire": 50_000}
OTHERS_CALLS = 3_000
"""Calls of the measurement, of wire and of any other engine: about half a second each."""
CONCURRENCY, CONNECTIONS = 64, 4


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The CPU time of a call in one generator process, and so its highest rate."""

    engine: str
    cpu_per_call_s: float
    measured_at: str

    @property
    def calls_per_s(self) -> float:
        """Calls per second at which one core is used up."""
        return 1 / self.cpu_per_call_s

    def __str__(self) -> str:
        return f"at least {self.calls_per_s:,.0f} calls/s per process ({self.engine})"


def stored_ceiling(engine: str) -> Ceiling | None:
    """The ceiling of this engine, if it was measured on this machine with these versions."""
    try:
        stored = json.loads(_cache().read_text())
        if stored["identity"] == _identity():
            return Ceiling(**stored["ceilings"][engine])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def ceiling(engine: str) -> Ceiling:
    """The ceiling of this engine: the known one, or measured now (about two seconds). Raises MeasurementError."""
    measured = stored_ceiling(engine)
    if measured is None:
        measured = _measure(engine)
        _keep(measured)
    return measured


def _measure(engine: str) -> Ceiling:
    cores = split_cores(machine().affinity)
    config = TrialConfig().replace(
        {
            "load.engine": engine,
            "load.requests": CALLS.get(engine, OTHERS_CALLS),
            "load.warmup_s": 0.2,
            "load.concurrency": CONCURRENCY,
            "client.pooling": "pool",
            "client.connections": CONNECTIONS,
        }
    )
    with (
        launch_reference(ReferenceSpec(residence=False), cpus=cores.server) as server,
        Generator(config, server.target, cpus=cores.generator) as generator,
    ):
        run = generator.measure()
    return Ceiling(
        engine=engine,
        cpu_per_call_s=run.cpu_s / run.summary.requests,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _identity() -> object:
    """Return the machine and the versions that the ceiling depends on, as JSON has them."""
    return json.loads(json.dumps(identity(machine(), versions())))


def _cache() -> Path:
    return cache_folder() / "ceiling.json"


def _keep(measured: Ceiling) -> None:
    """Add it to the cache; a folder that cannot be written means measuring again next time."""
    stored = {engine: asdict(earlier) for engine in CALLS if (earlier := stored_ceiling(engine)) is not None}
    text = json.dumps({"identity": _identity(), "ceilings": stored | {measured.engine: asdict(measured)}}, indent=1)
    with contextlib.suppress(OSError):
        path = _cache()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text + "\n")
        unfinished.replace(path)
