"""Figures that are equal but for the rounding of the machine: another CPU adds in another order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_SHOWN = 4
"""So many digits does a report show of a number that is stored with all of them."""
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


def with_all_digits(lines: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The lines; a rounded number that stands alone has the digits of the one at its place in `expected`."""
    rounded = [f"{float(line):.{_SHOWN}g}" if _LONG.fullmatch(line) else "" for line in expected]
    pairs = zip(lines, rounded, expected, strict=False)
    return [then if short == now else now for now, short, then in pairs] + list(lines[len(expected) :])
