"""How long a call stays inside the reference server: ``constant:1ms``, ``lognormal:2ms,0.5``. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from grpclab.errors import UsageError
from grpclab.units import seconds

CHUNK = 4096
"""Draws made at once."""
_EXAMPLES = "constant:1ms, exponential:2ms, lognormal:2ms,0.5 (median, sigma), uniform:1ms,3ms, or none"

Draw = Callable[[np.random.Generator, int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]


@dataclass(frozen=True, kw_only=True)
class ServiceTime:
    """A distribution. `text` is how it was written; `mean_s` its mean in seconds."""

    text: str
    mean_s: float
    draw: Draw | None
    """Draws many at once, in seconds; None where all are `mean_s`."""

    def draws(self, seed: int) -> Iterator[float]:
        """Service times in seconds, without end; the same for the same seed."""
        if self.draw is None:
            return itertools.repeat(self.mean_s)
        return self._drawn(self.draw, np.random.default_rng(seed))

    @staticmethod
    def _drawn(draw: Draw, rng: np.random.Generator) -> Iterator[float]:
        while True:
            yield from draw(rng, CHUNK).tolist()


def parse_service_time(text: str) -> ServiceTime:
    """The distribution that ``none``, ``constant:1ms``, ... mean. Raises UsageError."""
    name, _, rest = text.strip().partition(":")
    words = rest.split(",") if rest else []
    try:
        if name in ("none", "constant"):
            (mean_s,) = map(seconds, words) if name == "constant" else (0.0,)
            if name == "none" and words:
                raise ValueError(text)
            return ServiceTime(text=text, mean_s=mean_s, draw=None)
        if name == "exponential":
            (mean_s,) = map(seconds, words)
            return ServiceTime(text=text, mean_s=mean_s, draw=lambda rng, size: rng.exponential(mean_s, size))
        if name == "uniform":
            low_s, high_s = map(seconds, words)
            if low_s > high_s:
                raise ValueError(text)
            return ServiceTime(
                text=text, mean_s=(low_s + high_s) / 2, draw=lambda rng, size: rng.uniform(low_s, high_s, size)
            )
        if name == "lognormal":
            median_s, sigma = seconds(words[0]), float(words[1])
            if len(words) != 2 or not median_s > 0 or not 0 <= sigma <= 10:
                raise ValueError(text)
            mu = math.log(median_s)
            return ServiceTime(
                text=text,
                mean_s=math.exp(mu + sigma**2 / 2),
                draw=lambda rng, size: rng.lognormal(mu, sigma, size),
            )
    except (ValueError, IndexError):
        pass
    raise UsageError(f"--service-time {text} is not possible: write {_EXAMPLES}")
