"""The order to the reference server: plain values that fit into a line of JSON, checked when they are given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from grpclab.errors import UsageError, invalid
from grpclab.factors.service_time import ServiceTime, parse_service_time
from grpclab.servers.reference.disturbances import Mishap, Stalls, check_shares, parse_mishap, parse_stall

Pacing = Literal["auto", "spin", "timer"]
MAX_WINDOW_KIB = 2**21 - 1
_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "response_bytes": (0, 2**26 - 64),
    "stream_messages": (0, 1_000_000),
    "stream_interval_ms": (0, 60_000),
    "max_concurrent_streams": (1, 2**31 - 1),
    "window_kib": (1, MAX_WINDOW_KIB),
    "hold": (0, 20_000),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec:
    """What the reference server should do; `port` 0 is any free port. Raises UsageError for invalid values."""

    host: str = "127.0.0.1"
    port: int = 0
    service_time: str = "none"
    """How long a call stays inside, as :func:`~grpclab.factors.service_time.parse_service_time` reads it."""
    pacing: Pacing = "auto"
    """`spin` keeps times best and takes a core; `auto` spins where the machine has two."""
    stalls: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    response_bytes: int = 0
    """Length of the reply's text; 0 is a greeting."""
    stream_messages: int = 5
    stream_interval_ms: float = 100.0
    max_concurrent_streams: int | None = None
    """Calls open at once on one connection; more are refused."""
    window_kib: int = 4096
    """HTTP/2 window of what is received."""
    hold: int = 0
    """Keep every call inside until this many are in (for tests of capacity)."""
    residence: bool = True
    """Each reply tells how long the call was inside. Without it replies are all alike: cheaper for a client."""
    seed: int = 1
    fault: str = ""

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(invalid(flag, value, f"a number from {low:,} to {high:,}"))
        if self.pacing not in get_args(Pacing):
            raise UsageError(invalid("--pacing", self.pacing, f"one of {', '.join(get_args(Pacing))}"))
        for name in ("stalls", "errors"):  # the command line gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _ = self.distribution, self.stall_times, self.mishaps
        if self.fault:
            from grpclab.servers.reference.faults import parse_fault  # loads HTTP/2, which no option's help needs

            parse_fault(self.fault)

    @property
    def distribution(self) -> ServiceTime:
        """The distribution of service times."""
        return parse_service_time(self.service_time)

    @property
    def stall_times(self) -> Stalls:
        """The stalls."""
        return Stalls(map(parse_stall, self.stalls))

    @property
    def mishaps(self) -> tuple[Mishap, ...]:
        """The errors."""
        mishaps = tuple(map(parse_mishap, self.errors))
        check_shares(mishaps)
        return mishaps

    @property
    def draws(self) -> bool:
        """Whether anything is random, and therefore depends on `seed`."""
        return bool(self.errors) or self.service_time.partition(":")[0].strip().lower() not in ("none", "constant")

    @property
    def spins(self) -> bool:
        """Whether the server keeps time by spinning."""
        return self.pacing == "spin" or (self.pacing == "auto" and (os.cpu_count() or 1) >= 2)
