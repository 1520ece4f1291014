"""What may be sent to a server on another machine at most, and how much of that is left. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from grpclab.errors import UsageError, invalid
from grpclab.load.core.gate import SuppliedGate, share

RATE, CALLS, TIME = "rate", "calls", "time"
"""The ceilings by which a load may end."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """The ceilings of a load on another machine: calls per second, calls, and seconds, warm-up and resends included."""

    rate_rps: float
    calls: int
    time_s: float

    def __post_init__(self) -> None:
        for name, value in (("max-rate", self.rate_rps), ("max-time", self.time_s)):
            if not 0 < value < math.inf:
                raise UsageError(invalid(f"--{name}", f"{value:g}", "a number above 0"))

    def of_worker(self, index: int, workers: int) -> Allowance:
        """The part of one of so many workers."""
        return replace(self, rate_rps=self.rate_rps / workers, calls=share(self.calls, workers)[index])

    def check_rate(self, rate_rps: float) -> None:
        """Raise UsageError for a rate above the ceiling."""
        if rate_rps > self.rate_rps:
            raise UsageError(invalid("--rate", f"{rate_rps:g}", f"{self.rate_rps:g} at most, as --max-rate says"))

    def text(self) -> str:
        """The ceilings in words."""
        return f"at most {self.rate_rps:,g} calls/s, {self.calls:,} calls, {self.time_s:,g} s"

    def reached(self, ceiling: str) -> str:
        """The reason why a load ended that has reached one of them."""
        value = {RATE: f"--max-rate={self.rate_rps:g}", CALLS: f"--max-calls={self.calls}"}
        return f"the load has reached its ceiling {value.get(ceiling, f'--max-time={self.time_s:g}')}"


def allowed(
    remote: bool, *, rate_rps: float | None = None, calls: int | None = None, time_s: float | None = None
) -> Allowance | None:
    """The allowance for a server on another machine; None where it was not asked for.

    Raises UsageError where a ceiling is missing, or is given without `remote`.
    """
    ceilings = {"--max-rate": rate_rps, "--max-calls": calls, "--max-time": time_s}
    if not remote:
        if given := next((name for name, value in ceilings.items() if value is not None), None):
            raise UsageError(invalid(given, f"{ceilings[given]:g}", "--allow-remote with it"))
        return None
    if rate_rps is None or calls is None or time_s is None:
        missing = ", ".join(name for name, value in ceilings.items() if value is None)
        raise UsageError(f"--allow-remote needs ceilings of what is sent to another machine: add {missing}")
    return Allowance(rate_rps=rate_rps, calls=calls, time_s=time_s)


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
