"""Who holds the servers' memory, as their processes tell it (:mod:`grpclab.servers.agent`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import Any

from grpclab.profiling.pprof import Frame, Sample
from grpclab.servers import agent

GRACE_S = 30.0
"""How much longer than asked for a snapshot may take."""


def collect(folder: str, pids: Sequence[int], seconds: float) -> list[Sample]:
    """What all processes allocated in so many seconds and still held; the processes are asked side by side.

    Raises OSError or ValueError where one does not answer.
    """
    with ThreadPoolExecutor(max_workers=len(pids)) as pool:
        answers = pool.map(lambda pid: agent.ask(folder, pid, seconds + GRACE_S, heap_s=seconds), pids)
        return list(samples(found for answer in answers for found in answer))


def samples(allocations: Iterable[Mapping[str, Any]]) -> Iterable[Sample]:
    """tracemalloc knows lines, not functions: a frame's name is its file's with the line."""
    for found in allocations:
        frames = [Frame(name=f"{PurePath(file).name}:{line}", file=file, line=line) for file, line in found["frames"]]
        yield frames, (int(found["blocks"]), int(found["bytes"]))
