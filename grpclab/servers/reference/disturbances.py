"""Disturbances of the reference server that keep to the protocol: stalls and errors. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from grpclab.errors import UsageError, invalid
from grpclab.factors.service_time import CHUNK
from grpclab.quantities import seconds
from grpclab.status import OK, STATUS_NAMES


@dataclass(frozen=True, order=True)
class Stall:
    """No reply goes out from `begins_s` until `ends_s`, counted from the first request; reading goes on."""

    begins_s: float
    ends_s: float


def parse_stall(text: str) -> Stall:
    """The stall that ``1s@3s`` means: for 1 s, 3 s after the first request. Raises UsageError."""
    lasts, at, begins = text.partition("@")
    try:
        lasts_s, begins_s = seconds(lasts), seconds(begins)
        if not at or lasts_s <= 0:
            raise ValueError(text)
    except ValueError:
        expected = "a duration and a start, e.g. 1s@3s (for 1 s, from 3 s after the first request)"
        raise UsageError(invalid("--stall", text, expected)) from None
    return Stall(begins_s, begins_s + lasts_s)


class Stalls:
    """Several stalls as a mapping of time."""

    def __init__(self, stalls: Iterable[Stall]) -> None:
        self._stalls = sorted(stalls)

    def __bool__(self) -> bool:
        return bool(self._stalls)

    def release(self, due_s: float) -> float:
        """When a reply that is due at `due_s` may go out; seconds since the first request."""
        for stall in self._stalls:
            if stall.begins_s <= due_s < stall.ends_s:
                due_s = stall.ends_s
        return due_s


@dataclass(frozen=True)
class Mishap:
    """This share of the calls ends with this status."""

    share: float
    status: int


def parse_mishap(text: str) -> Mishap:
    """Parse ``1%:UNAVAILABLE``. Raises UsageError."""
    share, _, name = text.partition(":")
    try:
        if not share.strip().endswith("%"):
            raise ValueError(text)
        value = float(share.strip().removesuffix("%")) / 100
        status = STATUS_NAMES.index(name.strip().upper())
        if not 0 <= value <= 1 or math.isnan(value) or status == OK:
            raise ValueError(text)
    except ValueError:
        expected = f"a share and a status, e.g. 1%:UNAVAILABLE ({', '.join(STATUS_NAMES[1:])})"
        raise UsageError(invalid("--error", text, expected)) from None
    return Mishap(value, status)


def outcomes(mishaps: Sequence[Mishap], seed: int) -> Iterator[int]:
    """The status of each call, in order, without end; the same for the same seed."""
    if not mishaps:
        return itertools.repeat(OK)
    import numpy as np  # here, not in the generator: its first step is taken while a call waits

    rng = np.random.default_rng(seed)
    bounds = np.cumsum([mishap.share for mishap in mishaps])
    statuses = np.array([*(mishap.status for mishap in mishaps), OK])

    def drawn() -> Iterator[int]:
        while True:
            yield from statuses[np.searchsorted(bounds, rng.random(CHUNK), side="right")].tolist()

    return drawn()


def check_shares(mishaps: Sequence[Mishap]) -> None:
    """Raise UsageError if more than all calls are to fail."""
    total = sum(mishap.share for mishap in mishaps)
    if total > 1 + 1e-9:
        raise UsageError(f"the shares of --error add up to {total:.0%}: reduce them to at most 100% in total")
