"""How far the clocks of other processes are from this one's, by repeated exchange. Pure but for the asking.

Somebody's clock was read at some moment between a question and its answer. So the difference of the two clocks is known
to half the round trip, and the exchange with the shortest one tells it best (Cristian, 1989).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

EXCHANGES = 20
"""Exchanges with each clock; the best one counts."""


@dataclass(frozen=True, kw_only=True)
class ClockOffset:
    """The difference of another clock from this one, in seconds, and its error bound."""

    offset_s: float
    """Another clock's reading minus this one's at the same moment."""
    bound_s: float

    def there(self, moment: float) -> float:
        """Return the reading of the other clock at a moment of this one."""
        return moment + self.offset_s

    def here(self, moment: float) -> float:
        """Return the moment of this clock at a reading of the other one."""
        return moment - self.offset_s

    def until(self, later: ClockOffset) -> float:
        """Return the error bound of this difference up to a later estimate: the clocks may have drifted."""
        return max(self.bound_s, abs(later.offset_s - self.offset_s) + later.bound_s)


def estimated(exchanges: Iterable[tuple[float, float, float]]) -> ClockOffset:
    """Return the offset by exchanges: when each question left, what the other clock read, when its answer came."""
    asked, read, answered = min(exchanges, key=lambda exchange: exchange[2] - exchange[0])
    return ClockOffset(offset_s=read - (asked + answered) / 2, bound_s=(answered - asked) / 2)


async def exchanged(
    ask: Callable[[], Awaitable[float]], clock: Callable[[], float], times: int = EXCHANGES
) -> ClockOffset:
    """Ask another clock `times` times; `clock` is this one."""
    exchanges: list[tuple[float, float, float]] = []
    for _ in range(times):
        asked = clock()
        read = await ask()
        exchanges.append((asked, read, clock()))
    return estimated(exchanges)


def spread(moments: Sequence[float]) -> float:
    """Return the time from the first of some moments to the last; 0 without any."""
    return max(moments) - min(moments) if moments else 0.0
