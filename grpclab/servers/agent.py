"""What only the server process itself can tell the diagnostics server: its garbage collector, and who holds its memory.

A thread answers on a Unix socket in a folder that is private to this user: one JSON line in, one out. Nothing is
traced until it is asked for, and tracing ends with the answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LONGEST_S = 60.0
FRAMES = 16
"""So deep is a stack of an allocation."""
MOST_STACKS = 5000

_tracing = threading.Lock()


def path_of(folder: str, pid: int) -> Path:
    """The socket of a process."""
    return Path(folder) / f"{pid}.sock"


def start(folder: str) -> None:
    """Answer for this process until it ends."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path_of(folder, os.getpid())))
    listener.listen(4)
    threading.Thread(target=_serve, args=(listener,), name="desk-agent", daemon=True).start()


def ask(folder: str, pid: int, timeout_s: float, **question: Any) -> Any:
    """The answer of a process, from another one. Raises OSError or ValueError where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path_of(folder, pid)))
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return json.loads(answer.readline())


async def ask_later(folder: str, pid: int, timeout_s: float, **question: Any) -> Any:
    """The same on an event loop; cancelled, it hangs up."""
    async with asyncio.timeout(timeout_s):
        answer, connection = await asyncio.open_unix_connection(path_of(folder, pid))
        try:
            connection.write(json.dumps(question).encode() + b"\n")
            return json.loads(await answer.read())
        finally:
            connection.close()


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), name="desk-agent", daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as lines:
        try:
            question = json.loads(lines.readline())
            seconds = question.get("heap_s")
            if seconds is None:
                found: Any = gc.get_stats()
            else:
                found = allocations(min(float(seconds), LONGEST_S), lambda pause_s: _wait(connection, pause_s))
            connection.sendall(json.dumps(found).encode() + b"\n")
        except (OSError, ValueError, AttributeError):
            return  # nobody waits any more, or nobody of ours asked


def _wait(connection: socket.socket, pause_s: float) -> None:
    """Wait as long as somebody waits for the answer. Raises ConnectionError when nobody does."""
    connection.settimeout(pause_s)
    try:
        connection.recv(1)
    except TimeoutError:
        connection.settimeout(None)
        return
    raise ConnectionAbortedError


def allocations(seconds: float, wait: Callable[[float], None] = time.sleep) -> list[dict[str, Any]]:
    """What is allocated in so many seconds and still held at their end, by stack.

    Each is ``{"bytes": int, "blocks": int, "frames": [[file, line], ...]}``, the root first. tracemalloc slows the
    process while it traces.
    """
    with _tracing:
        tracemalloc.start(FRAMES)
        try:
            wait(seconds)
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
    return [
        {"bytes": found.size, "blocks": found.count, "frames": _frames(found.traceback)}
        for found in snapshot.statistics("traceback")[:MOST_STACKS]
    ]


def _frames(traceback: Iterable[tracemalloc.Frame]) -> list[tuple[str, int]]:
    return [(frame.filename, frame.lineno) for frame in traceback]
