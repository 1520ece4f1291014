"""What one worker may still send to a server on another machine, and the gate that keeps to it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpclab.load.core.gate import SuppliedGate
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
