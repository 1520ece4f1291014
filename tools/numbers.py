"""Numbers as guides and the README show them."""

from __future__ import annotations


def estimate(ratio: float, low: float, high: float) -> str:
    """``3.7× (2.8 to 4.9)``: one digit after the point from 2 on, two below, none from 100 on."""
    digits = 0 if ratio >= 100 else 1 if ratio >= 2 else 2
    return f"{ratio:.{digits}f}× ({low:.{digits}f} to {high:.{digits}f})"
