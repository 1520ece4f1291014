"""A server that somebody's command starts, as a child process of ours.

``python -m grpclab.servers.process.command`` reads a :class:`.CommandOrder` on standard input, which stays open as the
lifeline: when it closes, for whatever reason, the command and what it started end, in whatever session or process group
that is. A ServerListening goes out when the server is ready. What the command writes goes to standard error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import psutil

from grpclab.servers.process import readiness
from grpclab.servers.process.filling import PORT, SOCKET, filled_words
from grpclab.servers.process.process_tree import ProcessTree
from grpclab.servers.process.readiness import Listener
from grpclab.servers.process.server_messages import CommandEnded, CommandOrder, ServerListening
from grpclab.servers.process.serving import free_port
from grpclab.system import procfs, programs
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import Lines, describe_exit, exit_code_within, say

DRAIN_S = 5.0
LOOK_EVERY_S, LONGEST_LOOK_S = 0.02, 0.1


class _StopRequest(BaseException):
    """SIGTERM: out of whatever is being waited for, which holds a lock meanwhile."""


def _on_sigterm(*_: object) -> NoReturn:
    raise _StopRequest


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running = ProcessTree()

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
    listener = Listener(path=order.socket) if order.socket else Listener(port=free_port())
    early: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: early.append(number))  # an exception would lose the new process
    words = filled_words(order.command, {**order.arguments, PORT: str(listener.port), SOCKET: listener.path})
    conditions = readiness.conditions(order.ready, listener, Path(order.log), order.security)
    process = _start(running, words, order)
    try:
        signal.signal(signal.SIGTERM, _on_sigterm)
        if early:
            raise _StopRequest
        _wait_until_ready(running, process, conditions, listener, order)
        started = running.settled()
        if process.poll() is not None:
            _leave_ended(running, process.wait(), f" when it listened on {listener.name}")
        listening = procfs.listening_pids(listener.port) if listener.port else set()
        say(ServerListening(port=listener.port, pids=tuple(sorted({*started, *listening})), started=tuple(started)))
        _leave_ended(running, process.wait())
    except _StopRequest:
        _stop(running, process)


def _stop(running: ProcessTree, process: subprocess.Popen[bytes]) -> NoReturn:
    """End the command and what it started: asked first, made to after a while."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one comes as soon as its end is told
    running.ask()
    with contextlib.suppress(subprocess.TimeoutExpired):
        exit_code_within(process, DRAIN_S)
    running.kill()
    say(CommandEnded())
    os._exit(0)


def _start(running: ProcessTree, words: list[str], order: CommandOrder) -> subprocess.Popen[bytes]:
    if not words:
        _leave("the command has no program: its first word is empty")
    program = os.path.join(order.cwd, words[0]) if "/" in words[0] else words[0]
    if not shutil.which(program, path={**os.environ, **order.changes}.get("PATH")):
        _leave(f"{words[0]}: {os.strerror(errno.EACCES if os.path.isfile(program) else errno.ENOENT)}")
    try:
        return running.start(words, changes=order.changes, cwd=order.cwd)
    except OSError as error:
        _leave(f"{error.filename or words[0]}: {error.strerror}")


def _leave_ended(running: ProcessTree, code: int, when: str = "") -> NoReturn:
    """Say that the command has ended, and end what it has left behind."""
    pids = running.look()
    advice = f"; it continued in the background (pid {pids[0]}), so keep it in the foreground" if pids else ""
    running.kill()
    _leave(f"the command {describe_exit(code)}{when}{advice}")


def _wait_until_ready(
    running: ProcessTree,
    process: subprocess.Popen[bytes],
    conditions: list[readiness.Condition],
    listener: Listener,
    order: CommandOrder,
) -> None:
    give_up = time.monotonic() + order.timeout_s
    every_s = LOOK_EVERY_S
    for condition in conditions:
        while not condition.holds():
            code = process.poll()
            if code is not None:
                where = f"port {listener.port}" if listener.port else listener.name
                _leave_ended(running, code, f" before it listened on {where}")
            if time.monotonic() > give_up:
                limit = f"{order.timeout_s:g} s (--start-timeout, ready-timeout)"
                why = f"the command did not {condition.missing()} within {limit}"
                hint = "" if listener.accepts() else _elsewhere(running, listener)
                running.kill()
                _leave(f"{why}{hint}")
            time.sleep(every_s)
            every_s = min(every_s * 1.1, LONGEST_LOOK_S)


def _elsewhere(running: ProcessTree, listener: Listener) -> str:
    """Advice on a server that listens on another address; "" for one that listens on none."""
    elsewhere = _listens_on(running.look())
    if not elsewhere:
        return ""
    wanted = f"127.0.0.1, at {{{PORT}}}" if listener.port else f"{{{SOCKET}}}"
    return f"; it listens on {elsewhere}, so make it listen on {wanted}"


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
    print(f"\n{why}", file=sys.stderr, flush=True)  # its last line may have no end
    os._exit(3)


if __name__ == "__main__":
    main()
