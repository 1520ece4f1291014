"""The facts that only the server process knows: its garbage collector's counts, and the stacks that hold its memory.

A thread answers on a Unix socket in a folder that is private to this user: one line of JSON in, one out, each a
message of :mod:`grpclab.system.json_lines`. Nothing is traced until it is asked for, and tracing ends with the answer.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from grpclab.system.json_lines import decode, encode

LONGEST_S = 60.0
FRAMES = 16
"""So deep is a stack of an allocation."""
MOST_STACKS = 5000

_tracing = threading.Lock()


Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation of the garbage collector, since the process began."""

    collections: int
    collected: int
    """Objects."""
    uncollectable: int


@dataclass(frozen=True, kw_only=True)
class Generations:
    """The generations of the garbage collector, the youngest first."""

    generations: tuple[Generation, ...]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """Memory that was allocated on one stack, and is still held."""

    size: int
    """Bytes."""
    blocks: int
    frames: tuple[tuple[str, int], ...]
    """File and line, the root first."""


@dataclass(frozen=True, kw_only=True)
class Allocations:
    """Memory that was allocated while it was traced and is still held, by stack, the largest first."""

    allocations: tuple[Allocation, ...]


class Question(Generic[Answer]):
    """A question of the diagnostics server; `answer` is the class of what comes back."""

    answer: ClassVar[type[Any]]


@dataclass(frozen=True, kw_only=True)
class GenerationsQuestion(Question[Generations]):
    """A question for the counts of the garbage collector."""

    answer = Generations


@dataclass(frozen=True, kw_only=True)
class HeapQuestion(Question[Allocations]):
    """A question for the memory that is allocated in so many seconds, and still held at their end."""

    answer = Allocations
    seconds: float


def path_of(folder: str, pid: int) -> Path:
    """The socket of a process."""
    return Path(folder) / f"{pid}.sock"


def start(folder: str) -> None:
    """Answer for this process until it ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path_of(folder, os.getpid())))
    listener.listen(4)
    threading.Thread(target=_serve, args=(listener,), name="desk-agent", daemon=True).start()


def ask(folder: str, pid: int, timeout_s: float, question: Question[Answer]) -> Answer:
    """The answer of a process, from another one. Raises OSError or ValueError where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path_of(folder, pid)))
        connection.sendall(encode(question).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return cast("Answer", decode(question.answer, answer.readline()))


async def ask_later(folder: str, pid: int, timeout_s: float, question: Question[Answer]) -> Answer:
    """The answer of a process, on an event loop; cancelled, it hangs up. Raises as :func:`ask`."""
    async with asyncio.timeout(timeout_s):
        answer, connection = await asyncio.open_unix_connection(path_of(folder, pid))
        try:
            connection.write(encode(question).encode() + b"\n")
            line = await answer.read()
        finally:
            connection.close()
    return cast("Answer", await asyncio.to_thread(decode, question.answer, line))  # of a heap it takes a while


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), name="desk-agent", daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        try:
            question: Question[Any] = decode(Question, lines.readline())
            if isinstance(question, HeapQuestion):
                seconds = min(question.seconds, LONGEST_S)
                answer: object = allocations(seconds, lambda pause_s: _wait(connection, pause_s))
            else:
                answer = Generations(generations=tuple(map(_generation, gc.get_stats())))
            connection.sendall(encode(answer).encode() + b"\n")
        except (OSError, ValueError):
            return  # nobody waits any more, or nobody of ours asked


def _generation(stats: Mapping[str, int]) -> Generation:
    return Generation(
        collections=stats["collections"], collected=stats["collected"], uncollectable=stats["uncollectable"]
    )


def _wait(connection: socket.socket, pause_s: float) -> None:
    """Wait as long as somebody waits for the answer. Raises ConnectionError when nobody does."""
    connection.settimeout(pause_s)
    try:
        connection.recv(1)
    except TimeoutError:
        connection.settimeout(None)
        return
    raise ConnectionAbortedError


def allocations(seconds: float, wait: Callable[[float], None] = time.sleep) -> Allocations:
    """Return what is allocated in so many seconds and still held at their end.

    tracemalloc slows the process while it traces.
    """
    with _tracing:
        tracemalloc.start(FRAMES)
        try:
            wait(seconds)
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
    statistics = snapshot.statistics("traceback")[:MOST_STACKS]
    return Allocations(
        allocations=tuple(
            Allocation(size=one.size, blocks=one.count, frames=_frames(one.traceback)) for one in statistics
        )
    )


def _frames(traceback: Iterable[tracemalloc.Frame]) -> tuple[tuple[str, int], ...]:
    return tuple((frame.filename, frame.lineno) for frame in traceback)
