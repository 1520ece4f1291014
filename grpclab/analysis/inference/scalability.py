"""The Universal Scalability Law, fitted to throughput over concurrency.

X(N) = l N / (1 + s (N - 1) + k N (N - 1)): `l` the throughput of one in flight, `s` contention (what is done one after
the other), `k` coherency (what each must settle with every other). Source: N. J. Gunther, Guerrilla Capacity
Planning (2007), ch. 4 to 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from grpclab.analysis.inference.ratios import Floats

FEWEST_LEVELS = 6
"""Three parameters from fewer levels say nothing."""
LARGEST_MISS = 0.15
"""A curve that misses a level by more than this share is no fit."""


@dataclass(frozen=True, kw_only=True)
class Scalability:
    """A fitted curve. `reason` says why it is no fit, "" where it is one."""

    one_rps: float
    contention: float
    coherency: float
    largest_miss: float
    reason: str = ""

    @property
    def fits(self) -> bool:
        """Whether the law describes the curve."""
        return not self.reason

    @property
    def peak(self) -> float:
        """The concurrency beyond which throughput falls; infinite without coherency cost."""
        return math.sqrt((1 - self.contention) / self.coherency) if self.coherency > 1e-9 else math.inf

    def at(self, level: float) -> float:
        """Throughput at a concurrency, requests/s."""
        return float(_law(np.array([level]), self.one_rps, self.contention, self.coherency)[0])


def fit(levels: Sequence[float], throughput_rps: Sequence[float]) -> Scalability | None:
    """The law fitted to one curve by least squares on logarithms; None with fewer than FEWEST_LEVELS usable levels."""
    at, measured = np.asarray(levels, dtype=np.float64), np.asarray(throughput_rps, dtype=np.float64)
    usable = np.isfinite(at) & np.isfinite(measured) & (measured > 0) & (at > 0)
    at, measured = at[usable], measured[usable]
    if len(set(at.tolist())) < FEWEST_LEVELS:
        return None

    def logarithm(n: Floats, one: float, contention: float, coherency: float) -> Floats:
        return np.asarray(np.log(_law(n, one, contention, coherency)), dtype=np.float64)

    start = [float(measured[np.argmin(at)] / at.min()), 0.05, 1e-4]
    try:
        values, _ = scipy.optimize.curve_fit(
            logarithm, at, np.log(measured), p0=start, bounds=([1e-9, 0.0, 0.0], [math.inf, 1.0, 1.0]), maxfev=20_000
        )
    except (RuntimeError, ValueError) as error:
        return Scalability(
            one_rps=math.nan, contention=math.nan, coherency=math.nan, largest_miss=math.nan, reason=str(error)
        )
    one, contention, coherency = (float(value) for value in values)
    miss = float(np.max(np.abs(_law(at, one, contention, coherency) / measured - 1)))
    reason = f"the curve misses one level by {miss:.0%}" if miss > LARGEST_MISS else ""
    return Scalability(one_rps=one, contention=contention, coherency=coherency, largest_miss=miss, reason=reason)


def _law(n: Floats, one: float, contention: float, coherency: float) -> Floats:
    return np.asarray(one * n / (1 + contention * (n - 1) + coherency * n * (n - 1)), dtype=np.float64)
