"""Numbers and names as a reader sees them. All functions return plain text; `esc` makes it safe in HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from grpclab.analysis.inference.ratios import TOO_FEW
from grpclab.metrics import metric_named
from grpclab.text.printable import printable

MISSING = "–"
WIDEST = 100
"""An interval whose ends are further apart than by this factor says nothing."""
TOO_WIDE = "too wide to tell"


def plain(text: object) -> str:
    """One line without control and formatting characters, which neither XML nor a table cell can hold."""
    return " ".join(printable(str(text)).split())


def short(text: object, width: int) -> str:
    """At most `width` characters of :func:`plain`, the rest as an ellipsis."""
    words = plain(text)
    return words if len(words) <= width else f"{words[: width - 1].rstrip()}…"


def esc(text: object) -> str:
    """Plain text as HTML, safe in an element and in a quoted attribute."""
    return html.escape(plain(text), quote=True)


def number(value: object) -> float:
    """A float; NaN for None, and for what is no number or too large for one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def ratio(value: object) -> str:
    """``6.12×``; two digits after the point below 10, as many as matter above and far below 1."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    if x >= 100:
        return f"{x:,.0f}×"
    if 0 < x < 0.01:
        return f"{x:.2g}×"
    return f"{x:.1f}×" if x >= 10 else f"{x:.2f}×"


def interval(low: object, high: object) -> str:
    """``5.90 to 6.35``, with no unit; a dash where there is none, TOO_WIDE where it says nothing."""
    a, b = number(low), number(high)
    if not (math.isfinite(a) and math.isfinite(b)):
        return MISSING
    if b > (a or 1) * WIDEST and a >= 0:
        return TOO_WIDE
    if 0 < b < 0.01:
        return f"{a:.2g} to {b:.2g}"
    digits = 0 if b >= 100 else 1 if b >= 10 else 2
    return f"{a:,.{digits}f} to {b:,.{digits}f}"


def interval_of(comparison: Mapping[str, Any]) -> str:
    """The interval of a comparison, or that its blocks are too few for one."""
    known = math.isfinite(number(comparison.get("ratio")))
    between = interval(comparison.get("ci_low"), comparison.get("ci_high"))
    return TOO_FEW if known and between == MISSING else between


def with_interval(comparison: Mapping[str, Any]) -> str:
    """The same in a sentence: ``95 % interval 5.90 to 6.35``, ``too few blocks for an interval``."""
    between = interval_of(comparison)
    if between == TOO_FEW:
        return f"{TOO_FEW} for an interval"
    return f"95 % interval {between}"


def estimate(comparison: Mapping[str, Any]) -> str:
    """A ratio with its interval: ``6.12× (95 % interval 5.90 to 6.35)``, or that it could not be computed."""
    if not math.isfinite(number(comparison.get("ratio"))):
        return "no ratio could be computed"
    return f"{ratio(comparison['ratio'])} ({with_interval(comparison)})"


def amount(value: object) -> str:
    """A quantity to three or four digits: ``12,345``, ``987``, ``12.3``, ``0.45``."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    size = abs(x)
    if size >= 100 or x == 0:
        return f"{x:,.0f}"
    return f"{x:.1f}" if size >= 10 else f"{x:.3g}"


def level(value: object) -> str:
    """A level of a numeric factor: whole numbers whole, with separators from 10,000 on."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    if x != int(x):
        return f"{x:.4g}"
    return f"{x:,.0f}" if abs(x) >= 10_000 else f"{x:.0f}"


def seconds(value: object) -> str:
    """A duration at a readable scale: ``850 µs``, ``12.3 ms``, ``1.5 s``."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    x = float(f"{x:.3g}")  # 999.8 ms is 1 s
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if abs(x) >= factor:
            return f"{x / factor:.3g} {unit}"
    return f"{x / 1e-6:.3g} µs"


def p_value(value: object) -> str:
    """``0.031``, ``< 0.001``; a dash for none."""
    p = number(value)
    if not math.isfinite(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: object) -> str:
    """A share of 1 as per cent: ``37 %``, ``4.2 %``."""
    x = number(share)
    if not math.isfinite(x):
        return MISSING
    return f"{100 * x:.0f} %" if x >= 0.1 or x == 0 else f"{100 * x:.1f} %"


def value_of(name: str, value: object) -> str:
    """A metric's value with its unit."""
    quantity = metric_named(name).quantity
    if quantity == "rate":
        return f"{amount(value)} requests/s" if math.isfinite(number(value)) else MISSING
    return seconds(value) if quantity == "time" else amount(value)


def sentence_case(text: str) -> str:
    """The same with its first letter a capital, for the start of a sentence."""
    return text[:1].upper() + text[1:]


def count(how_many: int, thing: str) -> str:
    """``1 block``, ``6 blocks``."""
    return f"{how_many:,} {thing}" if how_many == 1 else f"{how_many:,} {thing}s"


def listing(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    items = [w for w in words if w]
    return items[0] if len(items) == 1 else " and ".join([", ".join(items[:-1]), items[-1]]) if items else ""
