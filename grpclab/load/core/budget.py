"""What one worker may still send: its requests, where they are not to repeat, and its part of an allowance. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpclab.load.core.gate import Gate, SuppliedGate
from grpclab.system.allowance import CALLS, RATE, TIME, Allowance


class Budget:
    """What is left of an allowance. A second's worth of calls may come at once, and no more."""

    def __init__(self, allowance: Allowance, *, ends_at: float, cost: int = 1) -> None:
        """`ends_at`: the moment at which its time is over. `cost`: the times that a call may be sent."""
        self.ends_at = ends_at
        self._allowance = allowance
        self._cost = cost
        self._calls = allowance.calls
        self._most = max(allowance.rate_rps, float(cost))
        self._at_once = self._most
        self._filled_at = -math.inf

    def refusal(self, now: float) -> str:
        """The ceiling that a call at `now` would break; nothing where it may be sent."""
        if now >= self.ends_at:
            return TIME
        if self._calls < self._cost:
            return CALLS
        if now > self._filled_at:
            grown = 0.0 if self._filled_at == -math.inf else (now - self._filled_at) * self._allowance.rate_rps
            self._at_once, self._filled_at = min(self._most, self._at_once + grown), now
        return RATE if self._at_once < self._cost else ""

    @property
    def spent(self) -> int:
        """What was taken from it so far."""
        return self._allowance.calls - self._calls

    def spend(self) -> None:
        """Take a call from it."""
        self._calls -= self._cost
        self._at_once -= self._cost


@dataclass
class RationedGate(SuppliedGate):
    """The gate of a worker with a budget, which several windows share: it closes once that is used up."""

    budget: Budget | None = None

    def reach(self, ceiling: str, now: float) -> None:
        """End the window at a ceiling, unless it is over."""
        if not self.over(now):
            self.ceiling, self.ran_out_at = ceiling, now
            self.close(now)

    def admit(self, now: float) -> bool:
        assert self.budget is not None
        if ceiling := self.budget.refusal(now):
            self.reach(ceiling, now)
        admitted = super().admit(now)
        if admitted:
            self.budget.spend()
        return admitted


class Supplies:
    """What a worker may still send, over all of its windows, and the gates that keep to it."""

    def __init__(self, supply: int | None, budget: Budget | None) -> None:
        """`supply`: its requests; None where they repeat. `budget`: what it may send; None for no limit."""
        self.budget = budget
        self.made = 0
        """The calls that were sent so far, whatever became of them."""
        self._supply: float = math.inf if supply is None else supply

    def gate(
        self,
        *,
        opens_at: float,
        closes_at: float | None = None,
        requests: int | None = None,
        counts_until: float = math.inf,
        repeats: bool = False,
    ) -> Gate:
        """Return the gate of a window. With `repeats` the requests may begin again."""
        gate = Gate(opens_at=opens_at, closes_at=closes_at, requests=requests, counts_until=counts_until)
        if self._supply == math.inf and self.budget is None:
            return gate
        supply = math.inf if repeats else self._supply
        if self.budget is not None:
            return RationedGate(**vars(gate), supply=supply, budget=self.budget)
        return SuppliedGate(**vars(gate), supply=supply)

    def take(self, gate: Gate, made: int) -> None:
        """Take from the supply what started through a gate that is closed; `made` calls were sent in all."""
        self.made += made
        if isinstance(gate, SuppliedGate):
            self._supply = max(0, self._supply - gate.started)

    @property
    def spent(self) -> int:
        """The calls taken from the allowance so far."""
        return 0 if self.budget is None else self.budget.spent
