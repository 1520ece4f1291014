"""A server that somebody's command starts, as a child process of ours.

``python -m grpclab.servers.command`` reads one JSON line ``{"command": "... {port} ..."}`` on standard input, which
stays open as the lifeline: when it closes, for whatever reason, the command and what it started end. One line goes
out when something listens on the port (``port``, ``pids``). What the command writes goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import NoReturn

import psutil

from grpclab import procfs
from grpclab.children import describe_exit, say

READY_TIMEOUT_S = 25.0
"""So long a command may take until it listens; less than its parent waits."""
DRAIN_S = 5.0
LOOK_EVERY_S = 0.02


class _AskedToStop(BaseException):
    """SIGTERM: out of whatever is being waited for, which holds a lock meanwhile."""


def _asked(*_: object) -> NoReturn:
    raise _AskedToStop


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running: list[subprocess.Popen[bytes]] = []

    def lifeline() -> None:
        for line in iter(lambda: os.read(0, 1 << 16), b""):
            lines.put(line.decode())
        for process in running:
            _signal(process, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=lifeline, name="lifeline", daemon=True).start()
    command = json.loads(lines.get())["command"]
    port = _free_port()
    try:
        process = subprocess.Popen(
            shlex.split(command.replace("{port}", str(port))),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            process_group=0,
        )
    except OSError as error:
        _leave(f"{shlex.split(command)[0]}: {error.strerror}")
    running.append(process)
    signal.signal(signal.SIGTERM, _asked)
    try:
        _wait_until_it_listens(process, port)
        say(port=port, pids=sorted({*_family(process.pid), *procfs.listening_pids(port)}))
        _leave(f"the command {describe_exit(process.wait())}")
    except _AskedToStop:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> NoReturn:
    """End the command and what it started: asked first, made to after a while."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DRAIN_S)
    _signal(process, signal.SIGKILL)
    say(calls=None, high_water=None)
    os._exit(0)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up:
        code = process.poll()
        if code is not None:
            _leave(f"the command {describe_exit(code)} before it listened on port {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(LOOK_EVERY_S)
    _signal(process, signal.SIGKILL)
    _leave(f"the command did not listen on 127.0.0.1:{port} within {READY_TIMEOUT_S:g} s")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _family(pid: int) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]


def _leave(why: str) -> NoReturn:
    print(why, file=sys.stderr, flush=True)
    os._exit(3)


if __name__ == "__main__":
    main()
