"""Disturbs a measurement on purpose: a process that stops others, keeps a core busy, fills memory or writes a file.

``python -m grpclab.calibration.disturber`` says :class:`Ready`, reads orders, and answers each with :class:`Done` when
it has ended: a busy machine may have kept it from being on time. An :class:`Order` has a ``kind``, ``at``
(perf_counter, seconds) and ``seconds``:

- ``stop``: SIGSTOP to the processes ``pids``, SIGCONT after that time;
- ``burn``: keep the core busy that this process is pinned to;
- ``memory``: take MEMORY_BYTES and write to all of them, over and over;
- ``fsync``: write to a temporary file and wait until it is on the disk, over and over;
- ``clock``: write ``text`` into the file ``path``, from which libfaketime takes the time of other processes.

Standard input is the lifeline: when it ends, whoever was stopped goes on, and this process ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import say

MODULE = "grpclab.calibration.disturber"
MEMORY_BYTES = 512 * 2**20
CHUNK_BYTES = 2**20
PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to do, from when on and for how long; `pids` are stopped, `text` is written into the file `path`."""

    kind: str
    at: float
    seconds: float
    pids: tuple[int, ...] = ()
    path: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Orders are taken from now on."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """When an order was begun and ended (perf_counter, seconds)."""

    began_s: float
    ended_s: float


class _ParentGoneError(Exception):
    """Nobody is there any more for whom anything would be disturbed."""


class _Lines:
    """Standard input, line by line, with a look at its end in between."""

    def __init__(self) -> None:
        self._buffer = b""

    def next(self) -> str:
        while b"\n" not in self._buffer:
            self._read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def wait_until(self, moment: float) -> None:
        """Sleep until then. Raises _ParentGoneError."""
        while (left_s := moment - time.perf_counter()) > 0:
            if select.select([0], [], [], left_s)[0]:
                self._read()

    def look(self) -> None:
        """Raise _ParentGoneError if it is."""
        if select.select([0], [], [], 0)[0]:
            self._read()

    def _read(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            raise _ParentGoneError
        self._buffer += data


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stop(order: Order, lines: _Lines) -> None:
    try:
        _send(order.pids, signal.SIGSTOP)
        lines.wait_until(time.perf_counter() + order.seconds)
    finally:
        _send(order.pids, signal.SIGCONT)


def _burn(order: Order, lines: _Lines) -> None:
    end = order.at + order.seconds
    while time.perf_counter() < end:
        sum(range(50_000))
        lines.look()


def _memory(order: Order, lines: _Lines) -> None:
    end, taken = order.at + order.seconds, bytearray(MEMORY_BYTES)
    while time.perf_counter() < end:
        taken[::PAGE] = os.urandom(1) * len(taken[::PAGE])
        lines.look()


def _fsync(order: Order, lines: _Lines) -> None:
    end, chunk = order.at + order.seconds, os.urandom(CHUNK_BYTES)
    with tempfile.TemporaryFile() as file:
        while time.perf_counter() < end:
            file.seek(0)
            file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            lines.look()


def _clock(order: Order, lines: _Lines) -> None:
    Path(order.path).write_text(order.text)
    lines.wait_until(order.at + order.seconds)


KINDS: dict[str, Callable[[Order, _Lines], None]] = {
    "stop": _stop,
    "burn": _burn,
    "memory": _memory,
    "fsync": _fsync,
    "clock": _clock,
}


def main() -> None:
    """See the module's docstring."""
    lines = _Lines()
    with contextlib.suppress(_ParentGoneError, BrokenPipeError):
        say(Ready())
        while True:
            order = decode(Order, lines.next())
            lines.wait_until(order.at)
            began_s = time.perf_counter()
            KINDS[order.kind](order, lines)
            say(Done(began_s=began_s, ended_s=time.perf_counter()))


if __name__ == "__main__":
    main()
