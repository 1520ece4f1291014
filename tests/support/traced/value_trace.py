"""A trace of one value: which functions of the package receive it, in this process and in those that it starts.

A function receives the value where an argument of it is the value, or holds it: in a mapping, a sequence, a frame, an
attribute, or written in a text. The functions that receive it while that one runs have it from there. Processes that
are started meanwhile are traced by ``sitecustomize`` in this folder, which Python imports at its start.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGE = str(HERE.parents[2] / "grpclab") + os.sep
VALUE, FOLDER = "GRPCLAB_TRACED_VALUE", "GRPCLAB_TRACED_FOLDER"
HELPERS = {"factors", "system", "text", "errors.py", "metrics.py", "quantities.py", "status.py", "generated"}
"""Rooms in which no value stays: tables, and what every room asks of the system."""
DEPTH = 5
LONGEST = 300
TRIES = 60
"""After so many calls without the value a function is not looked at any more."""


class Trace:
    """The calls of one process that receive the value, written to a file as they begin: time, function, giver."""

    def __init__(self, value: float, folder: Path) -> None:
        self.value, self.text = value, re.compile(rf"(?<!\d){re.escape(str(value))}(?!\d)")
        self.file = (folder / f"{os.getpid()}.txt").open("a", buffering=1)
        self.tries: dict[CodeType, int] = {}
        self.holders: dict[FrameType, str] = {}
        self.frames: dict[tuple[int, tuple[int, ...]], tuple[Any, bool]] = {}
        self.numbers = itertools.count()
        self.here = threading.local()

    def holds(self, thing: Any, depth: int = DEPTH) -> bool:
        """Whether something is the value, or holds it."""
        if isinstance(thing, str):
            return self.text.search(thing, 0, 10_000) is not None
        if isinstance(thing, int | float):
            return thing == self.value
        if not depth:
            return False
        if hasattr(thing, "to_numpy") or hasattr(thing, "__array__"):  # no library is loaded
            return self.in_frame(thing)
        if isinstance(thing, dict):
            parts = list(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset):
            parts = list(thing)
        elif type(thing).__module__.startswith("grpclab") or type(thing).__name__ == "Namespace":
            names = getattr(type(thing), "__struct_fields__", ()) or getattr(type(thing), "__slots__", ())
            parts = [*getattr(thing, "__dict__", {}).values(), *(getattr(thing, name, None) for name in names)]
        else:
            return False
        return len(parts) <= LONGEST and any(self.holds(part, depth - 1) for part in parts)

    def in_frame(self, thing: Any) -> bool:
        """Whether a frame or a column of one holds the value; each is looked at once, it is handed on many times."""
        key = id(thing), thing.shape
        if key not in self.frames:
            equal = thing == self.value
            self.frames[key] = thing, bool(equal.any(axis=None)) if hasattr(equal, "any") else False
        return self.frames[key][1]

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """See :func:`sys.setprofile`."""
        code = frame.f_code
        if event == "return":
            self.holders.pop(frame, None)
        if event != "call" or not code.co_filename.startswith(PACKAGE) or getattr(self.here, "busy", False):
            return
        place = code.co_filename.removeprefix(PACKAGE)
        if place.partition(os.sep)[0] in HELPERS or self.tries.get(code, 0) > TRIES:
            return
        self.here.busy = True
        try:
            self.tries[code] = self.tries.get(code, 0) + 1
            taken = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
            if any(self.holds(frame.f_locals.get(name)) for name in code.co_varnames[:taken]):
                self.holders[frame] = name = f"{place}:{code.co_name}:{os.getpid()}-{next(self.numbers)}"
                giver = frame.f_back
                while giver is not None and giver not in self.holders:
                    giver = giver.f_back
                self.file.write(f"{time.perf_counter():.7f} {name} {self.holders[giver] if giver else '-'}\n")
        finally:
            self.here.busy = False


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A call that received the value. `giver` is the call that it had it from, "" where a process begins."""

    call: str
    giver: str

    @property
    def room(self) -> str:
        """The room of the function."""
        return self.call.partition(os.sep)[0]


def receipts(folder: Path) -> dict[str, Receipt]:
    """The receipts of all processes by their calls, in their order."""
    lines = [line.split() for path in folder.iterdir() for line in path.read_text().splitlines()]
    lines.sort(key=lambda line: float(line[0]))
    return {call: Receipt(call=call, giver=giver.strip("-")) for _, call, giver in lines}


def until(found: Mapping[str, Receipt], function: str) -> dict[str, Receipt]:
    """The receipts up to the first call of a function, which is the last. Raises StopIteration without one."""
    end = next(number for number, call in enumerate(found) if call.startswith(f"{function}:"))
    return dict(itertools.islice(found.items(), end + 1))


def way(found: Mapping[str, Receipt], receipt: Receipt) -> list[Receipt]:
    """The receipts through which the value came to one of them, which is the last."""
    before = way(found, found[receipt.giver]) if receipt.giver else []
    return [*before, receipt]


@contextlib.contextmanager
def traced(value: float, folder: Path) -> Iterator[None]:
    """Trace the value in this process and in those that it starts, until the block is left."""
    before = dict(os.environ)
    os.environ |= {VALUE: str(value), FOLDER: str(folder), "PYTHONPATH": str(HERE)}
    trace = start(value, folder)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        trace.file.close()
        os.environ.clear()
        os.environ |= before


def start(value: float, folder: Path) -> Trace:
    """Trace the value in this process, in all its threads, from now on."""
    trace = Trace(value, folder)
    threading.setprofile(trace)
    sys.setprofile(trace)
    return trace
