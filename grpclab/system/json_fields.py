"""The fields of values that are stored as JSON: which are written where they stand for nothing, too.

A file that an earlier version wrote lacks what is newer, so a field has a default unless every version has written it.
Pure.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

Json = Any
"""Any value of JSON, passed on as it came."""

ALWAYS = "always"
"""The mark of a field that every document holds."""


def always(default: Any) -> Any:
    """The default of a field that every document holds: it is written where it stands for nothing, too.

    A class stands for a new value of it.
    """
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={ALWAYS: True})
    if isinstance(default, type):
        return field(default_factory=default, metadata={ALWAYS: True})
    return field(default=default, metadata={ALWAYS: True})


def nothing() -> Any:
    """The default of a field that holds an object: an empty one."""
    return field(default_factory=dict)
