"""How fast the server's cores are while slices run: a yardstick on each of them.

Its process is :mod:`grpclab.study.yardstick_loop`: some 20 µs every 2 ms, the same for every member of a group. What
comparisons make of its readings is in :mod:`grpclab.analysis.inference.core_speed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from grpclab.analysis.inference.core_speed import Floats
from grpclab.study.yardstick_loop import YardstickBegun, YardstickEnded, YardstickOrder
from grpclab.system.subprocesses import START_TIMEOUT_S, Child
from grpclab.system.temporary import TemporaryFolder

MOST_CORES = 8
"""It runs on so many of the server's cores at most."""


class Yardstick:
    """A yardstick that runs; `take` ends it."""

    def __init__(self, children: Mapping[Path, Child]) -> None:
        self._children = children

    def take(self) -> list[Floats]:
        """End it, and return the readings of each core, see :func:`.core_speed.speed_of`. Raises WorkerError."""
        for child in self._children.values():
            child.receive(START_TIMEOUT_S, YardstickBegun)
        for record, child in self._children.items():
            child.send(YardstickOrder(record=record))
        for child in self._children.values():
            child.receive(START_TIMEOUT_S, YardstickEnded)
        return [np.fromfile(record, dtype=np.float64).reshape(-1, 2) for record in self._children]


@contextlib.contextmanager
def running_yardstick(cores: Collection[int]) -> Iterator[Yardstick]:
    """Run it on these cores for the length of a with block, without waiting for its start. Raises WorkerError."""
    with TemporaryFolder() as folder, contextlib.ExitStack() as stack:
        children = {}
        for core in sorted(cores)[:MOST_CORES]:
            child = stack.enter_context(
                Child("grpclab.study.yardstick_loop", name=f"the yardstick on core {core}", cpus=[core])
            )
            children[folder / f"{core}.f64"] = child
            child.send(YardstickOrder(record=folder / f"{core}.f64"))
        yield Yardstick(children)
