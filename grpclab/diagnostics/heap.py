"""Who holds the servers' memory, as their processes tell it (:mod:`grpclab.servers.agent`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from grpclab.profiling.pprof import Frame, Sample
from grpclab.servers import agent

GRACE_S = 30.0
"""How much longer than asked for a snapshot may take."""


async def collect(folder: str, pids: Sequence[int], seconds: float) -> list[Sample]:
    """What all processes allocated in so many seconds and still held; the processes are asked side by side.

    A process whose question is cancelled traces no longer. Raises OSError or ValueError where one does not answer.
    """
    asking = [asyncio.ensure_future(agent.ask_later(folder, pid, seconds + GRACE_S, heap_s=seconds)) for pid in pids]
    try:
        answers = await asyncio.gather(*asking)
    finally:
        for question in asking:
            question.cancel()
        await asyncio.wait(asking)
    return list(samples(found for answer in answers for found in answer))


def samples(allocations: Iterable[Mapping[str, Any]]) -> Iterable[Sample]:
    """tracemalloc knows lines, not functions: a frame's name is its file's with the line."""
    for found in allocations:
        frames = [Frame(name=f"{PurePath(file).name}:{line}", file=file, line=line) for file, line in found["frames"]]
        yield frames, (int(found["blocks"]), int(found["bytes"]))
