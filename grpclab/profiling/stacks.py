"""Folded stacks made fit to be looked at. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from grpclab.profiling.families import WAIT, classify

_NAMELESS = re.compile(r"0x[0-9a-f]+ \((?P<library>[^()]+)\)")


def at_work(stacks: Mapping[str, int]) -> dict[str, int]:
    """The stacks that do not wait."""
    return {stack: samples for stack, samples in stacks.items() if classify(stack) != WAIT}


def readable(stacks: Mapping[str, int]) -> dict[str, int]:
    """The same samples with runs of nameless functions of a library as one frame, ``[libc.so.6]``.

    Their addresses say nothing, and differ between processes, which would keep equal stacks apart.
    """
    counts: Counter[str] = Counter()
    for stack, samples in stacks.items():
        counts[readable_stack(stack)] += samples
    return dict(counts)


def readable_stack(stack: str) -> str:
    """One stack, as :func:`readable` shows it."""
    frames: list[str] = []
    for frame in stack.split(";"):
        nameless = _NAMELESS.fullmatch(frame)
        name = f"[{nameless['library'].rpartition('/')[2]}]" if nameless else frame
        if not (nameless and frames and frames[-1] == name):
            frames.append(name)
    return ";".join(frames)
