"""A plain value as papermill, YAML, a notebook cell or the command line give it, taken as what it can mean. Pure.

papermill's ``-p`` makes the number 2024 of the word 2024, 1 of 001, 7.0 of 7.0, True of True; its ``-r`` leaves words
as they are. YAML (``-y``) makes dates, too.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from grpclab.quantities import in_unit

if TYPE_CHECKING:
    from decimal import Decimal

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def text(value: Any) -> str:
    """The word that a value was, as nearly as one can tell. Raises ValueError for what no word becomes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | datetime.date) or getattr(value, "shape", None) == ():  # numpy's scalars
        return str(value)
    raise ValueError("neither a word nor a simple value")


def number(value: Any, unit: str | None = None) -> Decimal:
    """The number that a value means; with a `unit` it may be a time, which counts in that. Raises ValueError."""
    from decimal import Decimal, InvalidOperation  # here: an option's help has no use for them

    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    word = text(value).strip()
    try:
        decimal = Decimal(word)
    except InvalidOperation:
        if unit is None:
            raise ValueError(f"{word!r} is not a number") from None
        decimal = Decimal(in_unit(word, unit))
    if not decimal.is_finite():
        raise ValueError(f"{word!r} is not finite")
    return decimal


def switch(value: Any) -> bool:
    """Whether a value means yes: true, yes, on, 1 or false, no, off, 0. Raises ValueError."""
    word = text(value).strip().lower()
    if word not in _SWITCH:
        raise ValueError(f"{word!r} is neither true nor false")
    return _SWITCH[word]


def note(name: str, value: Any) -> str:
    """What to say of a name that came as a number or another value; nothing where it came as a word."""
    if isinstance(value, str):
        return ""
    return (
        f"{name}={text(value)}: papermill passed this name as another type, e.g. a number, which loses its spelling "
        f"(001 becomes 1); `papermill -r {name} NAME` passes it unchanged"
    )


def as_papermill_reads(word: str) -> Any:
    """The value that ``-p NAME WORD`` passes on."""
    if word in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[word]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return word
