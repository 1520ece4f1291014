"""Times with their units: ``200us``, ``5ms``, ``1.5s``; shares: ``3%``. Pure."""

from __future__ import annotations

import math

from grpclab.errors import UsageError

UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
"""Seconds in each unit that may be written."""


def seconds(text: str) -> float:
    """The seconds that ``200us``, ``5ms``, ``1.5s`` or ``2m`` mean. Raises ValueError."""
    word = text.strip()
    unit = next((unit for unit in sorted(UNITS_S, key=len, reverse=True) if word.endswith(unit)), None)
    try:
        value = float(word.removesuffix(unit or ""))
    except ValueError:
        value = math.nan
    if unit is None or not 0 <= value < math.inf:
        raise ValueError(f"{text!r} is not a time with its unit")
    return value * UNITS_S[unit]


def share(name: str, text: str) -> float:
    """``3%`` or ``0.03``, above 0 and below 1. Raises UsageError, which names it."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise UsageError(f"{name} {text} is not possible: give a share above 0 and below 100 %, as 3%")
    return value
