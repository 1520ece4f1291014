"""Times with their units: ``200us``, ``5ms``, ``1.5s``. Pure."""

from __future__ import annotations

import math

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
