"""Quantities as text: the one place where ``200us``, ``1m30s`` and ``3%`` are read, and where a number becomes text.

A number is stored in its base unit and scaled for display only. Where a report and a sentence
write a quantity with other digits, the difference is a style. Pure.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

from grpclab.errors import UsageError, invalid

if TYPE_CHECKING:
    from fractions import Fraction

UNITS_NS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each unit that may be written, the largest first."""
TIMES = "a time, e.g. 500ms, 1.5s or 1m30s"

_SAME = {"min": "m", "sec": "s", "µs": "us", "μs": "us"}
"""Other spellings; the micro sign and the Greek letter look alike."""
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_PART = re.compile(rf"({_NUMBER})\s*({'|'.join(sorted([*UNITS_NS, *_SAME], key=len, reverse=True))})\s*")
_CLOCK = re.compile(r"([0-9]+):([0-5][0-9]):([0-5][0-9](?:\.[0-9]+)?)")


def seconds(text: str, *, bare: str | None = None) -> float:
    """The seconds that ``200us``, ``5ms``, ``1m30s``, or ``00:01:30`` as TOML writes it, mean.

    A number without a unit counts in the unit `bare`, and is refused where that is None. Raises ValueError.
    """
    return _float(_exact(text, bare) / UNITS_NS["s"])


def in_unit(text: str, unit: str) -> float:
    """The same as a number of `unit`, in which a number without a unit counts. Raises ValueError."""
    return _float(_exact(text, unit) / UNITS_NS[unit])


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("longer than any supported time") from None


def _exact(text: str, bare: str | None) -> Fraction:
    """The nanoseconds that a text means."""
    from fractions import Fraction  # here: it takes longer to import than all else, and only a time needs it

    word = text.strip()
    if clock := _CLOCK.fullmatch(word):
        return int(clock[1]) * UNITS_NS["h"] + int(clock[2]) * UNITS_NS["m"] + Fraction(clock[3]) * UNITS_NS["s"]
    if bare is not None and re.fullmatch(_NUMBER, word):
        return Fraction(word) * UNITS_NS[bare]
    total, at, order, last = Fraction(0), 0, list(UNITS_NS), -1
    while at < len(word):
        part = _PART.match(word, at)
        unit = order.index(_SAME.get(part[2], part[2])) if part else -1
        if not part or unit <= last:  # larger units first, each once
            raise ValueError(f"{text!r} is not a time with a unit")
        total, at, last = total + Fraction(part[1]) * UNITS_NS[order[unit]], part.end(), unit
    if not word:
        raise ValueError("an empty string is not a time")
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
        raise UsageError(invalid(name, text, "a percentage above 0 and below 100%, e.g. 3%"))
    return value


Style = Literal["report", "sentence"]
MISSING = "–"
WIDEST = 100
"""An interval whose ends are further apart than by this factor says nothing."""
TOO_WIDE = "too wide to tell"


def number(value: object) -> float:
    """A float; NaN for None, and for what is no number or too large for one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def duration(value: object) -> str:
    """A time in seconds at a readable scale: ``850 µs``, ``12.3 ms``, ``1.5 s``, ``3,600 s``."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    if abs(x) >= 999.5:
        return f"{x:,.0f} s"
    x = float(f"{x:.3g}")  # 999.8 ms is 1 s
    unit, factor = ("s", 1.0) if abs(x) >= 1 else ("ms", 1e3) if abs(x) >= 1e-3 else ("µs", 1e6)
    return f"{x * factor:.3g} {unit}"


def milliseconds(seconds: float) -> str:
    """A latency of a bench: ``8.71 ms``, ``0.087 ms``; ``-`` where there is none."""
    return "-" if math.isnan(seconds) else duration_in(seconds, "ms", ",.2f" if seconds >= 1e-3 else ".3f")


def duration_in(seconds: float, unit: Literal["s", "ms", "µs"], layout: str, *, bare: bool = False) -> str:
    """A time in one unit whatever its size, as in a column of a table: `layout` is Python's, as ``,.2f``.

    A `bare` one is without its unit, which then stands above it.
    """
    text = format(seconds * {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit], layout)
    return text if bare else f"{text} {unit}"


def microseconds(seconds: float) -> str:
    """A cost in microseconds without their unit, which stands above it: whole ones, from 10 down to three digits."""
    return duration_in(seconds, "µs", ",.0f", bare=True) if seconds >= 1e-5 else amount(seconds * 1e6)


def rough_duration(seconds: float) -> str:
    """A time to come: ``45 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def ratio(value: object, style: Style = "report") -> str:
    """``6.12×``, in a sentence ``6.1×``: fewer digits the larger it is, as many as matter far below 1."""
    x = number(value)
    if style == "sentence":
        return f"{_figure(x, _decimals(x))}×"
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


def interval_ends(low: float, high: float) -> tuple[str, str]:
    """Both ends for a sentence, with the same decimals; one more where an end that is not 1 would read as 1."""
    decimals = _decimals(low)
    near = any(end != 1 and float(f"{end:.{decimals}f}") == 1 for end in (low, high) if math.isfinite(end))
    decimals += 1 if near else 0
    return _figure(low, decimals), _figure(high, decimals)


def _decimals(value: float) -> int:
    if not math.isfinite(value) or value >= 9.95:
        return 0
    return 1 if value >= 1.95 else 2


def _figure(value: float, decimals: int) -> str:
    if math.isinf(value):
        return "infinity"
    if value < 0.095 or value >= 1e6:
        return f"{value:.2g}"
    return f"{value:,.{decimals}f}"


def ratio_tick(value: float) -> str:
    """A ratio on an axis: ``0.95×``, ``2×``."""
    return f"{value:.4g}×"


def amount(value: object, style: Style = "report") -> str:
    """A quantity to three or four digits: ``12,345``, ``987``, ``12.3``, ``0.45``; in a sentence 12.0 is ``12``."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    size = abs(x)
    if size >= 100 or x == 0:
        return f"{x:,.0f}"
    return f"{x:.1f}" if size >= 10 and style == "report" else f"{x:.3g}"


def amount_tick(value: float) -> str:
    """A quantity on an axis: ``800``, ``1.5k``, ``20k``, ``3M``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"


def level(value: object) -> str:
    """A level of a numeric factor: whole numbers whole, with separators from 10,000 on."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    if x != int(x):
        return f"{x:.4g}"
    return f"{x:,.0f}" if abs(x) >= 10_000 else f"{x:.0f}"


def count(how_many: float, one: str, many: str = "") -> str:
    """``1 block``, ``6 blocks``, ``2 processes``; a median may lie between two."""
    shown = f"{how_many:,.4g}" if how_many % 1 else f"{how_many:,.0f}"
    return f"{shown} {one if how_many == 1 else many or one + 's'}"


def cores(value: float) -> str:
    """``1 core``, ``0.97 cores``, ``0.0028 cores``, ``3 cores``."""
    return f"{value:.{3 if value >= 0.1 else 2}g} core" + ("" if value == 1 else "s")


def memory(bytes_: object) -> str:
    """Memory in units of 1,000: ``25.3 GB``, ``512 MB``."""
    x = number(bytes_)
    if not math.isfinite(x):
        return MISSING
    return f"{x / 1e9:.3g} GB" if x >= 1e9 else f"{x / 1e6:.3g} MB"


def p_value(value: object) -> str:
    """``0.031``, ``< 0.001``; a dash for none."""
    p = number(value)
    if not math.isfinite(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(value: object, style: Style = "report") -> str:
    """A share of 1 as per cent: ``37%``, ``4.2%``; in a sentence ``4%``."""
    x = number(value)
    if not math.isfinite(x):
        return MISSING
    return f"{100 * x:.0f}%" if x >= 0.1 or x == 0 or style == "sentence" else f"{100 * x:.1f}%"


def percent_as_set(value: float) -> str:
    """A share that somebody has set, to three digits: ``5%``, ``2.5%``."""
    return f"{100 * value:.3g}%"


def percent_of(part: int, whole: int) -> str:
    """A part of the calls of a bench: ``0.3%``, ``0.002%``; ``-`` where there were none."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.1f}%" if not part or percent >= 0.1 else f"{percent:.1g}%"
