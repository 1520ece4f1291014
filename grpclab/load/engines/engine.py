"""The contract of an engine: its two loops, its counters, and the factory by which a worker makes one.

Another package may register its class under ``grpclab.engines``, as an :class:`EngineFactory`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from grpclab.factors.config import TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.http2.peer_settings import PeerSettings
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.arrivals import Change
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.traffic import Traffic
from grpclab.system.pacing import Pacer
from grpclab.system.transport import Security

LOOK_S = 0.25
"""The longest time until an open loop looks again whether its window was ended from outside."""


@dataclass
class Counters:
    """The counts of an engine beside calls, since the window opened."""

    held: int = 0
    """Calls that waited for the peer's limit of streams."""
    bound_hits: int = 0
    """Open loop: calls that waited for `max_in_flight`."""
    connections_lost: int = 0
    """Kept connections that the server ended, with a GOAWAY or without, or that broke."""
    outage_s: float = 0.0
    """Time with no connection up, summed."""

    def reset(self) -> None:
        """Begin anew; the object stays, so that whoever counts may hold it."""
        for counter in fields(self):
            setattr(self, counter.name, counter.default)


class Engine(Protocol):
    """The engine as a worker uses it. One object lives on one event loop, through all windows of a trial."""

    counters: Counters

    async def connect(self, timeout_s: float) -> None:
        """Open the connections. Raises TargetError if nothing answers."""

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int, changes: Sequence[Change] = ()) -> None:
        """Closed loop: keep `concurrency` calls in flight while the gate admits them; wait for the last to end.

        With `changes` they are as many as these say, from moments of the engine's clock on; the first holds before its
        moment, too, and there is one caller at least.
        """

    async def run_open(
        self, planned: Iterator[float], gate: Gate, recorder: Recorder, pacer: Pacer, max_in_flight: int
    ) -> None:
        """Open loop: send a call at each planned time that the gate admits; wait for the last to end.

        A late call goes out at once, and one that finds `max_in_flight` under way as soon as there is room; none is
        dropped: what was due and not sent when the run was ended is recorded as NOT_ENDED.
        """

    def under_way(self) -> list[float]:
        """Return the moments at which the calls under way began, or were planned to."""

    def give_up(self) -> None:
        """Start no further call and end those under way, which are recorded as NOT_ENDED; the run ends with them."""

    def traffic(self) -> Traffic:
        """Return the traffic beside calls since the engine connected."""

    async def close(self) -> None:
        """Close the connections."""


class EngineFactory(Protocol):
    """Makes an engine for one worker.

    An engine that takes its requests from :meth:`grpclab.load.calls.method.CallSpec.messages`, further metadata from
    its `headers`, and looks into answers (:mod:`grpclab.load.calls.answer_watch`), makes the calls of a mix in turn
    (:mod:`grpclab.load.calls.turns`), and takes changes of the calls in flight, says so by an attribute `VARIES_CALLS`
    that is true; any other sends one request always, and is refused more. One that does the client's part in streams
    (:func:`grpclab.load.core.stream_plan.stream_plan`) says so by an attribute `STREAMS`.
    """

    def __call__(
        self, config: TrialConfig, target: str, security: Security, call: CallSpec, *, residence: bool
    ) -> Engine:
        """Make an engine. `residence`: record the reference server's own account of each call's time inside it."""

    def client_settings(self, config: TrialConfig) -> PeerSettings:
        """Return the settings that a client of this configuration sends first on a connection. Raises TargetError."""


def client_settings(config: TrialConfig) -> PeerSettings:
    """Return the settings that a client of this configuration, with its engine, sends first. Raises TargetError."""
    engine: EngineFactory = ENGINES[config.load.engine]
    return engine.client_settings(config)
