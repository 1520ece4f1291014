"""Implementations of the load generator, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from grpclab.config import TrialConfig
from grpclab.load.gate import Gate
from grpclab.load.recorder import Recorder


class Engine(Protocol):
    """What a worker asks of an engine. One object lives on one event loop, through all windows of a trial."""

    async def connect(self, timeout_s: float) -> None:
        """Open the connections. Raises TargetError if nothing answers."""

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int) -> None:
        """Keep `concurrency` calls in flight while the gate admits them; wait for the last to end."""

    async def close(self) -> None:
        """Close the connections."""


def _grpcio(config: TrialConfig, target: str, root_certificates: bytes | None) -> Engine:
    from grpclab.load.engines.grpcio import GrpcioEngine

    return GrpcioEngine(config, target, root_certificates)


ENGINES: dict[str, Callable[[TrialConfig, str, bytes | None], Engine]] = {"grpcio": _grpcio}
"""name -> (configuration of one worker, target, root certificates) -> engine."""
