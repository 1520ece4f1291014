"""Amounts in words, as they stand in a sentence of evidence."""

from __future__ import annotations


def amount(number: float) -> str:
    """A number to three figures, with its thousands apart."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def cores(number: float) -> str:
    """``1 core``, ``0.97 cores``, ``3 cores``."""
    return f"{number:.3g} core" + ("" if number == 1 else "s")


def count(number: float, one: str, many: str) -> str:
    """``1 process``, ``2 processes``; a median may lie between."""
    return f"{number:,.4g} {one if number == 1 else many}"


def percent(share: float) -> str:
    """``97 %``."""
    return f"{100 * share:.0f} %"


def time(seconds: float) -> str:
    """``2.5 s``, ``20 ms``, ``170 us``."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"
