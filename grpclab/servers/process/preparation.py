"""The commands beside a server: one that prepares each start, and one that cleans up after each stop.

They run in a child process (``python -m grpclab.servers.process.preparation``), which reads each as an
:class:`.ErrandOrder` on standard input, its lifeline. What `prepare` leaves in the background, as a database, goes on
until `cleanup` has ended; then it ends, too.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from grpclab.errors import ServerError, WorkerError
from grpclab.servers.process.filling import filled_words
from grpclab.servers.process.process_tree import ProcessTree
from grpclab.servers.process.server_log import end_of, quoted
from grpclab.servers.process.server_messages import ErrandDone, ErrandOrder
from grpclab.system import interrupts, programs
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, Lines, describe_exit, exit_code_within, say
from grpclab.system.temporary import TemporaryFolder

ERRAND_TIMEOUT_S = 300.0
"""So long either command may take."""
KILLED_S = 6.0
"""Longest wait for the end of what the commands left behind."""
MOST_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The commands beside a server, "" for none, and how they run: as the server itself does."""

    prepare: str = ""
    cleanup: str = ""
    arguments: Mapping[str, str]
    """Of the plan's ``arg.NAME`` by NAME: they fill ``{NAME}``."""
    changes: Mapping[str, str | None]
    """Of the environment; None unsets a variable."""
    cwd: str = ""
    env: Mapping[str, str] | None = None
    cpus: Collection[int] | None = None
    log_path: Path | None = None
    """The server's log, which gets the output of a command that fails."""
    timeout_s: float = ERRAND_TIMEOUT_S


@dataclass(kw_only=True)
class ErrandTimes:
    """The seconds that the commands took; None for one that there is not, or that has not ended."""

    prepare_s: float | None = None
    cleanup_s: float | None = None


@contextlib.contextmanager
def prepared(around: Surroundings) -> Iterator[ErrandTimes]:
    """Run `prepare`, then the block, then `cleanup`, whatever became of the others.

    Raises ServerError, with the last lines of its output, for a command that cannot be started, fails, or does not end
    in time; of `cleanup` only where the block raised nothing itself.
    """
    times = ErrandTimes()
    if not around.prepare and not around.cleanup:
        yield times
        return
    with contextlib.ExitStack() as stack:
        runner = _Errands(around, stack)
        try:
            times.prepare_s = runner.run("prepare", around.prepare)
            yield times
        except BaseException as error:
            with interrupts.hurried():
                try:
                    times.cleanup_s = runner.run("cleanup", around.cleanup)
                except ServerError as failure:
                    error.add_note(str(failure))
            raise
        times.cleanup_s = runner.run("cleanup", around.cleanup)


class _Errands:
    """Runs commands in a child process, which is started for the first of them."""

    def __init__(self, around: Surroundings, stack: contextlib.ExitStack) -> None:
        self._around, self._stack = around, stack
        self._child: Child | None = None
        self._log = stack.enter_context(TemporaryFolder()) / "errands.log"

    def run(self, name: str, command: str) -> float | None:
        """Run a command to its end; returns the seconds it took, None for no command. Raises ServerError."""
        if not command:
            return None
        around = self._around
        order = ErrandOrder(
            command=command,
            timeout_s=around.timeout_s,
            arguments=dict(around.arguments),
            changes=dict(around.changes),
            cwd=around.cwd,
        )
        child = self._child = self._child or self._start()
        try:
            child.send(order)
            done = child.receive(around.timeout_s + START_TIMEOUT_S, ErrandDone)
        except KeyboardInterrupt:
            self._child = None
            child.abandon(KILLED_S)
            raise
        except WorkerError as error:
            self._child = None
            done = ErrandDone(seconds=0.0, trouble=str(error))
        if done.trouble:
            lines = end_of(self._log)[-MOST_LINES:]
            self._keep_log()
            raise ServerError(f"{name} {done.trouble}{f': {quoted(lines)}' if lines else ''}")
        self._log.write_bytes(b"")
        return done.seconds

    def _start(self) -> Child:
        log = self._stack.enter_context(self._log.open("ab"))
        child = Child(
            "grpclab.servers.process.preparation",
            name="preparation",
            cpus=self._around.cpus,
            log=log,
            env=self._around.env,
        )
        self._stack.callback(child.abandon, KILLED_S)  # by its lifeline, which ends what the commands left behind
        return child

    def _keep_log(self) -> None:
        """Append the output of a command that failed to the server's log."""
        if self._around.log_path is not None:
            with contextlib.suppress(OSError), self._around.log_path.open("ab") as log:
                log.write(self._log.read_bytes())


def main() -> NoReturn:
    """See the module's docstring."""
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    started = ProcessTree()

    def lifeline() -> None:
        incoming = Lines()
        while data := os.read(0, 1 << 16):
            for line in incoming.feed(data):
                orders.put(line.decode())
        started.kill()
        os._exit(1)

    programs.adopt_orphans()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the lifeline ends it, and what it has started with it
    threading.Thread(target=lifeline, name="lifeline", daemon=True).start()
    while True:
        say(_run(started, decode(ErrandOrder, orders.get())))


def _run(started: ProcessTree, order: ErrandOrder) -> ErrandDone:
    """Run a command to its end, which is an exit code of 0 within its time."""
    begin = time.monotonic()
    trouble = ""
    try:
        words = filled_words(order.command, order.arguments)
        process = started.start(words, changes=order.changes, cwd=order.cwd)
        code = exit_code_within(process, order.timeout_s)
        trouble = describe_exit(code) if code else ""
    except subprocess.TimeoutExpired:
        started.kill()
        trouble = f"did not finish within {order.timeout_s:g} s"
    except (OSError, ValueError, IndexError) as error:
        trouble = f"cannot be started: {error}"
    return ErrandDone(seconds=time.monotonic() - begin, trouble=trouble)


if __name__ == "__main__":
    main()
