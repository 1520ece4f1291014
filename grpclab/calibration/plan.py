"""What a calibration is asked for, and the sizes that follow from it."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpclab.errors import DesignError, invalid
from grpclab.study import parameters
from grpclab.study.parameters import plain_values
from grpclab.system.environment import CorePlan, machine, split_cores

PUBLISHED, OWN = "calibration", "calibration-own"
"""The calibration whose report this project publishes, and the one that a run replaces unless told otherwise."""


def _name(name: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"calibration(-[A-Za-z0-9._-]{1,50})?", value):
        raise DesignError(invalid(name, value, "calibration, or calibration- and letters, digits, '.', '_' and '-'"))
    return value


def _parameter(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of ``calibration.ipynb``.

    Raises DesignError, one line naming the parameter and the value, for anything it cannot be.
    """

    name: str = _parameter(OWN, ("folder in results/ and report in reports/; calibration is the published report"))
    full: bool = _parameter(
        False, ("all rounds and sizes, which takes about 3 hours; a short run takes about 20 minutes")
    )
    rounds: int = _parameter(6, "number of interleaved rounds of each comparison; figures are medians over the rounds")
    seed: int = _parameter(1, "seed for the order within rounds and for arrivals")
    only: str = _parameter("", "names of the parts to run, separated by commas; if empty, all parts run")
    scale: float = _parameter(
        1.0, ("factor for every duration; below 1 gives a quick test run whose figures mean little")
    )

    def __post_init__(self) -> None:
        checks = {
            "name": _name,
            "full": parameters.switch,
            "rounds": parameters.number(int, minimum=1, maximum=1000, wanted="a whole number of rounds from 1 to 1000"),
            "seed": parameters.CHECKS["seed"],
            "scale": parameters.number(float, minimum=0.01, maximum=100, wanted="a factor from 0.01 to 100"),
        }
        for name, check in checks.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if not isinstance(self.only, str):
            raise DesignError(invalid("only", self.only, "names of parts, separated by commas"))
        object.__setattr__(self, "only", ",".join(self.parts))

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> Plan:
        """The parameters among a notebook's variables. Raises DesignError for a plain value that is none of them."""
        return cls(**plain_values(namespace, [field.name for field in dataclasses.fields(cls)]))

    @property
    def parts(self) -> list[str]:
        """The names in `only`; none means all."""
        return [name for part in self.only.split(",") if (name := part.strip())]

    def seconds(self, short: float, full: float) -> float:
        """A duration in a short run and in a full one, scaled."""
        return (full if self.full else short) * self.scale

    def calls(self, short: int, full: int) -> int:
        """A number of calls, likewise."""
        return max(1, round((full if self.full else short) * self.scale))


def core_plan() -> CorePlan:
    """The cores of this machine: the generator on the last, what it is measured against on the others."""
    return split_cores(machine().affinity)


def shuffled(names: Sequence[str], seed: int, number: int) -> list[str]:
    """The order of one round; every round has another, the same for the same seed."""
    return random.Random(f"{seed}/{number}").sample(list(names), len(names))
