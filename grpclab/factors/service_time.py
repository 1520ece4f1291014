"""The time that a call takes or waits: a constant or a distribution, ``5ms``, ``lognormal:2ms,0.5``. Pure.

The reference server keeps each call for such a time (``--service-time``), the greeter's handler waits for one
(``server.handler_wait_ms``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grpclab.errors import UsageError, invalid
from grpclab.quantities import in_unit, seconds

if TYPE_CHECKING:
    import numpy as np

CHUNK = 4096
"""Draws made at once."""
_EXAMPLES = "constant:1ms, exponential:2ms, lognormal:2ms,0.5 (median, sigma), uniform:1ms,3ms, or none"

Draw = Callable[["np.random.Generator", int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]


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
        return self._drawn(self.draw, seed)

    @staticmethod
    def _drawn(draw: Draw, seed: int) -> Iterator[float]:
        import numpy as np

        rng = np.random.default_rng(seed)
        while True:
            yield from draw(rng, CHUNK).tolist()


def parse_service_time(text: str) -> ServiceTime:
    """The distribution that ``none``, ``constant:1ms``, ... mean. Raises UsageError."""
    try:
        return _distribution(text, seconds)
    except ValueError:
        raise UsageError(invalid("--service-time", text, _EXAMPLES)) from None


def parse_milliseconds(text: str) -> ServiceTime:
    """The distribution that ``5``, ``exponential:5``, ``uniform:1,9``, ``lognormal:5,0.5`` mean.

    A number without a unit is in milliseconds, one with a unit is what it says (``5ms``, ``1.5s``). The result's
    `text` is in milliseconds without units, so that one distribution is written in one way: ``exponential:5``, and a
    constant as its number alone. Raises ValueError.
    """
    name, _, rest = text.strip().lower().partition(":")
    if not rest:
        name, rest = "constant", name
    words = [word.strip() for word in rest.split(",")]
    is_time = [not (name == "lognormal" and at == 1) for at in range(len(words))]
    numbers = [
        f"{in_unit(word, 'ms') if time else float(word):.15g}" for word, time in zip(words, is_time, strict=True)
    ]
    if name == "none":
        raise ValueError(text)
    law = _distribution(f"{name}:{','.join(numbers)}", lambda word: float(word) / 1e3)
    written = numbers[0] if name == "constant" else law.text
    return ServiceTime(text=written, mean_s=law.mean_s, draw=law.draw)


def _distribution(text: str, time: Callable[[str], float]) -> ServiceTime:
    """The distribution of that name; `time` reads its times, in seconds. Raises ValueError."""
    name, _, rest = text.strip().partition(":")
    words = rest.split(",") if rest else []
    if name == "none" and not words:
        return ServiceTime(text=text, mean_s=0.0, draw=None)
    if name == "constant":
        (mean_s,) = map(time, words)
        return ServiceTime(text=text, mean_s=mean_s, draw=None)
    if name == "exponential":
        (mean_s,) = map(time, words)
        return ServiceTime(text=text, mean_s=mean_s, draw=lambda rng, size: rng.exponential(mean_s, size))
    if name == "uniform":
        low_s, high_s = map(time, words)
        if low_s > high_s:
            raise ValueError(text)
        return ServiceTime(
            text=text, mean_s=(low_s + high_s) / 2, draw=lambda rng, size: rng.uniform(low_s, high_s, size)
        )
    if name == "lognormal" and len(words) == 2:
        median_s, sigma = time(words[0]), float(words[1])
        if not median_s > 0 or not 0 <= sigma <= 10:
            raise ValueError(text)
        mu = math.log(median_s)
        try:
            mean_s = math.exp(mu + sigma**2 / 2)
        except OverflowError:
            raise ValueError(text) from None
        return ServiceTime(
            text=text,
            mean_s=mean_s,
            draw=lambda rng, size: rng.lognormal(mu, sigma, size),
        )
    raise ValueError(text)
