"""Times with their units: ``200us``, ``5ms``, ``1m30s``, ``00:01:30``; shares: ``3%``. Pure."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from grpclab.errors import UsageError, invalid

UNITS_S = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
"""Seconds in each unit that may be written, the largest first."""
TIMES = "a time, as 500ms, 1.5s or 1m30s"

_SAME = {"min": "m", "sec": "s", "µs": "us", "μs": "us"}
"""Other spellings; the micro sign and the Greek letter look alike."""
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_PART = re.compile(rf"({_NUMBER})\s*({'|'.join(sorted([*UNITS_S, *_SAME], key=len, reverse=True))})\s*")
_CLOCK = re.compile(r"([0-9]+):([0-5][0-9]):([0-5][0-9](?:\.[0-9]+)?)")


def seconds(text: str, *, bare: str | None = None) -> float:
    """The seconds that ``200us``, ``5ms``, ``1m30s``, or ``00:01:30`` as TOML writes it, mean.

    A number without a unit counts in the unit `bare`, and is refused where that is None. Raises ValueError.
    """
    return _float(_exact(text, bare))


def in_unit(text: str, unit: str) -> float:
    """The same as a number of `unit`, in which a number without a unit counts. Raises ValueError."""
    return _float(_exact(text, unit) / UNITS_S[unit])


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("longer than any time that can be counted") from None


def _exact(text: str, bare: str | None) -> Fraction:
    word = text.strip()
    if clock := _CLOCK.fullmatch(word):
        return int(clock[1]) * UNITS_S["h"] + int(clock[2]) * UNITS_S["m"] + Fraction(clock[3])
    if bare is not None and re.fullmatch(_NUMBER, word):
        return Fraction(word) * UNITS_S[bare]
    total, at, order, last = Fraction(0), 0, list(UNITS_S), -1
    while at < len(word):
        part = _PART.match(word, at)
        unit = order.index(_SAME.get(part[2], part[2])) if part else -1
        if not part or unit <= last:  # larger units first, each once
            raise ValueError(f"{text!r} is not a time with its unit")
        total, at, last = total + Fraction(part[1]) * UNITS_S[order[unit]], part.end(), unit
    if not word:
        raise ValueError("there is no time in an empty text")
    return total


def time_option(name: str, text: str) -> float:
    """The seconds that the option `name` asks for; a number without a unit is seconds. Raises UsageError."""
    try:
        return seconds(text, bare="s")
    except ValueError:
        raise UsageError(invalid(name, text, TIMES)) from None


def share(name: str, text: str) -> float:
    """``3%`` or ``0.03``, above 0 and below 1. Raises UsageError, which names it."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise UsageError(invalid(name, text, "a share above 0 and below 100 %, as 3%"))
    return value
