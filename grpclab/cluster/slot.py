"""The one measurement that a Dask worker process does at a time.

Dask gives a worker as many tasks as it has threads, and lets several clients use it. Two measurements on the same cores
would measure each other, so whoever measures takes the slot of its worker process first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from grpclab.errors import MeasurementError

_LOCK = threading.Lock()
_holders: list[str] = []
"""The purpose of the measurement that has the slot; empty while nobody has it."""


def take(purpose: str) -> None:
    """Take this process's slot. Raises MeasurementError, which names the holder's purpose, where it is taken."""
    with _LOCK:
        if _holders:
            raise MeasurementError(f"this Dask worker is already measuring: {_holders[0]}")
        _holders.append(purpose)


def release() -> None:
    """Give the slot back; safe where nobody has it."""
    with _LOCK:
        _holders.clear()


@contextlib.contextmanager
def measuring(purpose: str) -> Iterator[None]:
    """Hold the slot while the block runs. Raises MeasurementError as :func:`take` does."""
    take(purpose)
    try:
        yield
    finally:
        release()
