"""A server that somebody's command starts, as a child process of ours.

``python -m grpclab.servers.command`` reads one JSON line ``{"command": "... {port} ...", "timeout_s": 25}`` on standard
input, which stays open as the lifeline: when it closes, for whatever reason, the command and what it started end. One
line goes out when something listens on the port (``port``, ``pids``). What the command writes goes to standard error.
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

DRAIN_S = 5.0
LOOK_EVERY_S = 0.02


class _AskedToStop(BaseException):
    """SIGTERM: out of whatever is being waited for, which holds a lock meanwhile."""


def _asked(*_: object) -> NoReturn:
    raise _AskedToStop


class _Command:
    """The process of the command. It is started under a lock, so that the lifeline never misses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own. Raises OSError."""
        with self._lock:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0)
            return self._process

    def kill(self) -> None:
        """End it and what it started, if it was started."""
        with self._lock:
            if self._process is not None:
                _signal(self._process, signal.SIGKILL)


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running = _Command()

    def lifeline() -> None:
        for line in iter(lambda: os.read(0, 1 << 16), b""):
            lines.put(line.decode())
        running.kill()
        os._exit(1)

    threading.Thread(target=lifeline, name="lifeline", daemon=True).start()
    spec = json.loads(lines.get())
    command = spec["command"]
    port = _free_port()
    early: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: early.append(number))  # an exception would lose the new process
    try:
        process = running.start(shlex.split(command.replace("{port}", str(port))))
    except OSError as error:
        _leave(f"{shlex.split(command)[0]}: {error.strerror}")
    try:
        signal.signal(signal.SIGTERM, _asked)
        if early:
            raise _AskedToStop
        _wait_until_it_listens(process, port, spec["timeout_s"])
        say(port=port, pids=sorted({*_family(process.pid), *procfs.listening_pids(port)}))
        code = process.wait()
        running.kill()  # what it has left behind
        _leave(f"the command {describe_exit(code)}")
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


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        code = process.poll()
        if code is not None:
            _signal(process, signal.SIGKILL)  # what it has left behind
            _leave(f"the command {describe_exit(code)} before it listened on port {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(LOOK_EVERY_S)
    elsewhere = _listens_on(_family(process.pid))
    _signal(process, signal.SIGKILL)
    told = f"; it listens on {elsewhere}: have it listen on 127.0.0.1, at {{port}}" if elsewhere else ""
    _leave(f"the command did not listen on 127.0.0.1:{port} within {timeout_s:g} s (--start-timeout){told}")


def _listens_on(pids: list[int]) -> str:
    """Where these processes listen, TCP and Unix sockets, in words; "" where they do not."""
    found: list[str] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            sockets = psutil.Process(pid).net_connections(kind="all")
            found += [f"{s.laddr.ip}:{s.laddr.port}" for s in sockets if s.status == psutil.CONN_LISTEN]
            named = [str(s.laddr) for s in sockets if s.family == socket.AF_UNIX and s.laddr and not s.raddr]
            found += [f"the Unix socket {name.lstrip(chr(0))}" for name in named]
    return " and ".join(dict.fromkeys(found))


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
