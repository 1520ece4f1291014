"""The registries whose names are levels of a factor."""

from __future__ import annotations

from typing import Any

from grpclab.system.registry import Registry

ENGINES: Registry[Any] = Registry(
    "grpclab.engines",
    "engine",
    {
        "wire": "grpclab.load.engines.wire:WireEngine",
        "grpcio": "grpclab.load.engines.grpcio:GrpcioEngine",
    },
)
"""Levels of `load.engine`: each an :class:`grpclab.load.engines.engine.EngineFactory`."""

ARRIVALS: Registry[Any] = Registry(
    "grpclab.arrivals",
    "load shape",
    {
        "constant": "grpclab.load.core.arrivals:CONSTANT",
        "poisson": "grpclab.load.core.arrivals:POISSON",
    },
)
"""Levels of `load.arrival`: each a :class:`grpclab.load.core.arrivals.LoadShape`."""
