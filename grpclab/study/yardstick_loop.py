"""The yardstick's process on one core: a small fixed loop, timed again and again while slices run.

``python -m grpclab.study.yardstick_loop`` reads a :class:`YardstickOrder`, a message of
:mod:`grpclab.system.json_lines`, answers that it has begun, and ends with its next line. It imports little, since it
starts beside every group of servers.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say

EVERY_S = 0.002
TURNS, UNTIMED = 60, 15
"""The turns of the timed loop, some 15 µs, and of the one before it, which fetches it into the caches."""
KEYS = 400
"""The objects that the loop works on."""
LONGEST_S = 120.0
"""A group is over by then."""
NICENESS = -20
"""Where the system allows it: a reading must not wait behind the server's threads."""


@dataclass(frozen=True, kw_only=True)
class YardstickOrder:
    """Where the readings go: pairs of float64, when the timed loop began and how long it took, in seconds."""

    record: Path


@dataclass(frozen=True, kw_only=True)
class YardstickBegun:
    """The answer to the order: the loop runs."""


@dataclass(frozen=True, kw_only=True)
class YardstickEnded:
    """The answer to the next line: how many readings were written."""

    readings: int


def main() -> None:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    record = decode(YardstickOrder, lines.get()).record
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    say(YardstickBegun())
    readings = _read(lines)
    with record.open("wb") as file:
        readings.tofile(file)
    say(YardstickEnded(readings=len(readings) // 2))


def _read(lines: queue.SimpleQueue[str]) -> array[float]:
    """Take readings until there is a line, or it is too late for one to come."""
    readings, clock = array("d"), time.perf_counter
    objects = {f"key {number}": (number, str(number)) for number in range(KEYS)}
    keys = list(objects)
    ends_at = clock() + LONGEST_S
    gc.disable()
    while lines.empty() and clock() < ends_at:
        time.sleep(EVERY_S)
        _loop(UNTIMED, objects, keys)
        began = clock()
        _loop(TURNS, objects, keys)
        readings.extend((began, clock() - began))
    return readings


def _loop(turns: int, objects: dict[str, tuple[int, str]], keys: list[str]) -> bytes:
    """Look up, make and encode objects, as servers do: sums in registers would slow down less than those."""
    made = []
    for turn in range(turns):
        key = keys[turn]
        number, text = objects[key]
        made.append((number, text.encode(), key))
    return b"".join(each[1] for each in made)


if __name__ == "__main__":
    main()
