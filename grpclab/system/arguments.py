"""What programs and notebooks pass in: taken where it can be meant, else one line that says what was expected. Pure."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from grpclab.errors import UsageError, invalid

LARGEST = 2**63 - 1


def refusal(name: str, value: object, expected: str) -> UsageError:
    """The error for an argument that has no meaning."""
    huge = isinstance(value, int) and abs(value) > LARGEST
    return UsageError(invalid(name, "<a huge integer>" if huge else ascii(value), expected))


def plain(value: Any) -> Any:
    """A scalar of numpy or pandas as Python's own; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def whole(name: str, value: object, *, minimum: int = 0) -> int:
    """A whole number, also as numpy has it, as 2.0, or as the text "2". Raises UsageError."""
    found = plain(value)
    if isinstance(found, str) and found.isascii() and found.strip().removeprefix("-").isdigit() and len(found) < 20:
        found = int(found)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, numbers.Integral) or not minimum <= int(found) <= LARGEST:
        raise refusal(name, value, f"a whole number, {minimum} or more")
    return int(found)


def text(name: str, value: object, example: str) -> str:
    """A text. Raises UsageError."""
    if not isinstance(value, str):
        raise refusal(name, value, f"a text, as {example!r}")
    return str(value)


def mapping(name: str, value: object, example: str) -> Mapping[str, Any]:
    """A mapping of texts. Raises UsageError."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refusal(name, value, f"a mapping, as {example}")
    return value
