"""What a scenario is, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grpclab.factors.levels import Level
from grpclab.study.designs.design import METRIC
from grpclab.system.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A workload on which configurations are compared; another package may register one of its own.

    `meaning` is what a report's glossary says of it; `levels` are what its configurations have in common, where a
    design asks for nothing else.
    """

    meaning: str
    levels: Mapping[str, Level]
    metric: str = METRIC


SCENARIOS: Registry[Scenario] = Registry(
    "grpclab.scenarios",
    "scenario",
    {
        "chatter": "grpclab.study.designs.chatter_scenario:SCENARIO",
        "bulk": "grpclab.study.designs.bulk_scenario:SCENARIO",
        "idle": "grpclab.study.designs.idle_scenario:SCENARIO",
        "waiting": "grpclab.study.designs.waiting_scenario:SCENARIO",
    },
)
"""In the order in which a glossary explains them."""
