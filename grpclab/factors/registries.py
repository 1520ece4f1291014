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
        "gamma": "grpclab.load.core.shapes:GAMMA",
        "burst": "grpclab.load.core.shapes:BURST",
        "ramp": "grpclab.load.core.shapes:RAMP",
        "steps": "grpclab.load.core.shapes:STEPS",
        "replay": "grpclab.load.core.shapes:REPLAY",
    },
    {"gamma": "SHAPE", "burst": "CALLS", "ramp": "SHARE@TIME", "steps": "SHARE,SHARE,...@TIME", "replay": "FILE"},
)
"""Levels of `load.arrival`: each a :class:`grpclab.load.core.arrivals.LoadShape`, or a ShapeFamily of them."""
