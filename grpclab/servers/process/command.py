"""A server that somebody's command starts, as a child process of ours.

``python -m grpclab.servers.process.command`` reads a :class:`.CommandOrder` on standard input, which stays open as the
lifeline: when it closes, for whatever reason, the command and what it started end, in whatever session or process group
that is. A ServerListening goes out when something listens on the port. What the command writes goes to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import NoReturn

import psutil

from grpclab.servers.process.server_messages import CommandEnded, CommandOrder, ServerListening
from grpclab.servers.process.serving import free_port
from grpclab.system import procfs, programs
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import Lines, describe_exit, say

DRAIN_S = 5.0
LOOK_EVERY_S = 0.02
SETTLED_S, MOST_LOOKS = 0.1, 10


class _StopRequest(BaseException):
    """SIGTERM: out of whatever is being waited for, which holds a lock meanwhile."""


def _on_sigterm(*_: object) -> NoReturn:
    raise _StopRequest


class _Command:
    """The process of the command, and what that started. A lock keeps the lifeline from missing one that starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[psutil.Process] = set()

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own. Raises OSError."""
        with self._lock:
            self._process = subprocess.Popen(
                programs.tied(words), stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0
            )
            return self._process

    def look(self) -> list[int]:
        """The processes that it consists of now. They are known from then on, whoever becomes their parent."""
        processes = programs.descendants()
        self._known.update(processes)
        return [process.pid for process in processes]

    def settled(self) -> list[int]:
        """Return :meth:`look` once it has stayed the same for a moment: servers fork workers when they listen."""
        pids = self.look()
        for _ in range(MOST_LOOKS):
            time.sleep(SETTLED_S)
            before, pids = pids, self.look()
            if pids == before:
                break
        return pids

    def ask(self) -> None:
        """Ask it and what it started to end."""
        assert self._process is not None
        self.look()
        programs.signal_group(self._process.pid, signal.SIGTERM)
        for process in self._known:
            with contextlib.suppress(OSError, psutil.Error):
                if os.getpgid(process.pid) != self._process.pid:
                    process.terminate()

    def kill(self) -> None:
        """End it and what it started, if it was started."""
        with self._lock:
            if self._process is not None:
                programs.signal_group(self._process.pid, signal.SIGKILL)
                programs.kill_descendants(self._known)


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running = _Command()

    def lifeline() -> None:
        incoming = Lines()
        while data := os.read(0, 1 << 16):
            for line in incoming.feed(data):
                lines.put(line.decode())
        running.kill()
        os._exit(1)

    programs.adopt_orphans()
    threading.Thread(target=lifeline, name="lifeline", daemon=True).start()
    order = decode(CommandOrder, lines.get())
    port = free_port()
    early: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: early.append(number))  # an exception would lose the new process
    words = shlex.split(order.command.replace("{port}", str(port)))
    if shutil.which(words[0]) is None:
        _leave(f"{words[0]}: {_why_not(words[0])}")
    process = running.start(words)
    try:
        signal.signal(signal.SIGTERM, _on_sigterm)
        if early:
            raise _StopRequest
        _wait_until_it_listens(running, process, port, order.timeout_s)
        started = running.settled()
        pids = tuple(sorted({*started, *procfs.listening_pids(port)}))
        say(ServerListening(port=port, pids=pids, started=tuple(started)))
        code = process.wait()
        running.kill()  # what it has left behind
        _leave(f"the command {describe_exit(code)}")
    except _StopRequest:
        _stop(running, process)


def _stop(running: _Command, process: subprocess.Popen[bytes]) -> NoReturn:
    """End the command and what it started: asked first, made to after a while."""
    running.ask()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DRAIN_S)
    running.kill()
    say(CommandEnded())
    os._exit(0)


def _why_not(program: str) -> str:
    """The reason why a program cannot be run."""
    return os.strerror(errno.EACCES if os.path.isfile(program) else errno.ENOENT)


def _wait_until_it_listens(running: _Command, process: subprocess.Popen[bytes], port: int, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        code = process.poll()
        if code is not None:
            pids = running.look()
            running.kill()
            advice = f"; it went on in the background (pid {pids[0]}): have it stay in the foreground" if pids else ""
            _leave(f"the command {describe_exit(code)} before it listened on port {port}{advice}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(LOOK_EVERY_S)
    elsewhere = _listens_on(running.look())
    running.kill()
    hint = f"; it listens on {elsewhere}: have it listen on 127.0.0.1, at {{port}}" if elsewhere else ""
    _leave(f"the command did not listen on 127.0.0.1:{port} within {timeout_s:g} s (--start-timeout){hint}")


def _listens_on(pids: list[int]) -> str:
    """The addresses on which these processes listen, TCP and Unix sockets, in words; "" for none."""
    addresses: list[str] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            sockets = psutil.Process(pid).net_connections(kind="all")
            addresses += [f"{s.laddr.ip}:{s.laddr.port}" for s in sockets if s.status == psutil.CONN_LISTEN]
            named = [str(s.laddr) for s in sockets if s.family == socket.AF_UNIX and s.laddr and not s.raddr]
            addresses += [f"the Unix socket {name.lstrip(chr(0))}" for name in named]
    return " and ".join(dict.fromkeys(addresses))


def _leave(why: str) -> NoReturn:
    print(why, file=sys.stderr, flush=True)
    os._exit(3)


if __name__ == "__main__":
    main()
