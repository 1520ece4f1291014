"""Figures that are equal but for the rounding of the machine: another CPU adds in another order."""

from __future__ import annotations

import math
import re

_LONG = re.compile(r"(\d+\.\d{6,}(?:e[+-]?\d+)?|\d\.\d+e[+-]?\d+)")
"""A number that was written with all its digits."""
TOLERANCE = 1e-9


def as_rounded(text: str, expected: str) -> str:
    """`text`, in which each long number has the digits of the one at its place in `expected` if it is as good as that.

    What differs otherwise still does.
    """
    here, there = _LONG.split(text), _LONG.split(expected)
    for at in range(1, min(len(here), len(there)), 2):
        if math.isclose(float(here[at]), float(there[at]), rel_tol=TOLERANCE):
            here[at] = there[at]
    return "".join(here)
