"""What may be sent to a server on another machine at most, and what several loads have left of it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from grpclab.errors import MeasurementError, UsageError, invalid
from grpclab.system.addresses import host_port
from grpclab.system.transport import Security

RATE, CALLS, TIME = "rate", "calls", "time"
"""The ceilings by which a load may end."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """The ceilings of a load on another machine: calls per second, calls, and seconds, warm-up and resends included."""

    rate_rps: float
    calls: int
    time_s: float
    whole: Allowance | None = None
    """The ceilings as they were given, where these are what is left of them."""

    def __post_init__(self) -> None:
        for name, value in (("max-rate", self.rate_rps), ("max-time", self.time_s)):
            if not 0 < value < math.inf:
                raise UsageError(invalid(f"--{name}", f"{value:g}", "a number above 0"))

    def of_worker(self, index: int, workers: int) -> Allowance:
        """The part of one of so many workers."""
        return replace(
            self, rate_rps=self.rate_rps / workers, calls=self.calls // workers + (index < self.calls % workers)
        )

    def check_rate(self, rate_rps: float) -> None:
        """Raise UsageError for a rate above the ceiling."""
        if rate_rps > self.rate_rps:
            raise UsageError(invalid("--rate", f"{rate_rps:g}", f"at most {self.rate_rps:g}, the value of --max-rate"))

    def text(self) -> str:
        """The ceilings in words."""
        return f"at most {self.rate_rps:,g} calls/s, {self.calls:,} calls, {self.time_s:,g} s"

    def reached(self, ceiling: str) -> str:
        """The reason why a load ended that has reached one of them."""
        given = self.whole or self
        value = {RATE: f"--max-rate={given.rate_rps:g}", CALLS: f"--max-calls={given.calls}"}
        return f"the load has reached its limit {value.get(ceiling, f'--max-time={given.time_s:g}')}"


def allowed(
    remote: bool, *, rate_rps: float | None = None, calls: int | None = None, time_s: float | None = None
) -> Allowance | None:
    """The allowance for a server on another machine; None where it was not asked for.

    Raises UsageError where a ceiling is missing, or is given without `remote`.
    """
    ceilings = {"--max-rate": rate_rps, "--max-calls": calls, "--max-time": time_s}
    if not remote:
        if given := next((name for name, value in ceilings.items() if value is not None), None):
            raise UsageError(f"{given} requires --allow-remote")
        return None
    if rate_rps is None or calls is None or time_s is None:
        missing = ", ".join(name for name, value in ceilings.items() if value is None)
        raise UsageError(f"--allow-remote requires limits on the load: add {missing}")
    return Allowance(rate_rps=rate_rps, calls=calls, time_s=time_s)


def announcement(what: str, target: str, security: Security, allowance: Allowance) -> str:
    """What will be sent where, and how long at most, in one line."""
    how = "over TLS" if security.tls else "in plain text"
    where = f"{host_port(target, remote=True)} ({', '.join(security.remote)})"
    return f"sends {what} calls to {where} {how}: {allowance.text()}"


class SharedAllowance:
    """What is left of an allowance that several loads share, one after the other."""

    def __init__(self, allowance: Allowance, *, now: float) -> None:
        """The time of the allowance begins `now`."""
        self.allowance = allowance
        self._ends_at = now + allowance.time_s
        self._calls = allowance.calls

    def over(self, now: float) -> str:
        """The reason why nothing more may be sent; nothing while something may."""
        if self._calls <= 0:
            return self.allowance.reached(CALLS)
        return self.allowance.reached(TIME) if now >= self._ends_at else ""

    def left_of_time(self, now: float) -> float:
        """The seconds in which something may be sent and awaited; 0 where there are none."""
        return max(0.0, self._ends_at - now)

    def left(self, now: float) -> Allowance:
        """What a load that begins `now` may send. Raises MeasurementError where that is nothing."""
        if reason := self.over(now):
            raise MeasurementError(reason)
        return replace(self.allowance, calls=self._calls, time_s=self._ends_at - now, whole=self.allowance)

    def left_of_calls(self) -> Allowance:
        """The same allowance with the calls that are left; its time begins with the load. Raises MeasurementError."""
        if self._calls <= 0:
            raise MeasurementError(self.allowance.reached(CALLS))
        return replace(self.allowance, calls=self._calls, whole=self.allowance)

    def spend(self, calls: int) -> None:
        """Take the calls that a load has sent from it."""
        self._calls -= calls

    def take_call(self, now: float) -> None:
        """Take a call beside the load, as one of reflection. Raises MeasurementError where none may be sent."""
        if reason := self.over(now):
            raise MeasurementError(reason)
        self.spend(1)
