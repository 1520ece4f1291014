"""Child processes that never outlive their parent, and say what they have to say in JSON lines.

The child's standard input is its lifeline: a pipe of which only the parent holds the other end. When the
parent ends in whatever way, SIGKILL included, the kernel closes the pipe and the child ends itself. It works
for children of children, needs no privilege, and leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import IO, Any, TypeVar

from grpclab.errors import WorkerError
from grpclab.system import json_lines
from grpclab.text.printable import printable

STUDY_VARIABLE = "GRPCLAB_STUDY"
"""Every process of a study carries the study's id in this environment variable."""
TRIAL_VARIABLE = "GRPCLAB_TRIAL"
"""And the trial's folder name in this one."""

START_TIMEOUT_S = 60.0
"""So long a child may take to answer first. One that ended is noticed at once; one that lives is slow, where several
studies share a machine."""

T = TypeVar("T")

MARK = b"\x1e"
"""Precedes each JSON line of a child (the record separator of RFC 7464): a ``sitecustomize``, a library or an
application may print to the same standard output."""


class Lines:
    """Cuts bytes into lines as they come; a long line costs no more than its length, in however many pieces."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their ends."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._begun, lines[0]))
            self._begun.clear()
        if rest:
            self._begun.append(rest)
        return lines


def die_with_parent(on_line: Callable[[str], None] | None = None) -> None:
    """In a child: end this process, without ceremony, as soon as standard input is closed.

    Lines that come in before that are given to `on_line`, on the watching thread.
    """

    def watch() -> None:
        # os.read, not sys.stdin: a daemon thread inside a buffered reader makes the interpreter's exit fail.
        lines = Lines()
        while data := os.read(0, 1 << 16):
            for line in lines.feed(data):
                if on_line is not None:
                    on_line(line.decode())
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def say(message: object) -> None:
    """In a child: one message to the parent."""
    sys.stdout.write(f"{MARK.decode()}{json_lines.encode(message)}\n")
    sys.stdout.flush()


LOG_BYTES = 1 << 16
"""The end of a child's log that is looked at."""
LONGEST_REASON = 200


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in this Python, which imports nothing from the working folder.

    That is ``-P``. As an option it holds for this one process; a variable would reach a user's server too.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


@dataclasses.dataclass(kw_only=True)
class _Read:
    """The bytes that were read from a pipe: as they came, and the messages before them, undecoded."""

    chunks: list[bytes] = dataclasses.field(default_factory=list)
    searched: int = 0
    """So many of the chunks are known to hold no end of a line."""
    messages: list[bytes] = dataclasses.field(default_factory=list)


class Child:
    """A Python module, or a program given by its words, running as a child process of ours, spoken to in JSON lines.

    `env` changes the environment; None unsets a variable.
    `log` takes the child's standard error; where it can also be read, the error about a child that ended has its last
    line. `cpus` pins it. Use as a context manager: leaving it ends the child.
    """

    def __init__(
        self,
        module: str | Sequence[str],
        *arguments: str,
        name: str,
        cpus: Collection[int] | None = None,
        env: Mapping[str, str | None] | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self.popen = subprocess.Popen(
            module_command(module, *arguments) if isinstance(module, str) else [*module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log if log is not None else None,
            env={name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None},
            # Out of the terminal's process group: Ctrl-C goes to the parent alone, which ends things in order.
            process_group=0,
        )
        self.pid = self.popen.pid
        self._log = log if log is not None and log.readable() else None
        self.died = False
        """Whether it had ended before it was stopped."""
        if cpus:
            pin(self.pid, cpus)
        self._printed = os.dup(2 if log is None else log.fileno())
        """Takes what it prints beside its messages: where its standard error goes, too."""
        self._read = _Read()

    def send(self, message: object) -> None:
        """Send one message to the child. Raises WorkerError if it is gone."""
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(json_lines.encode(message).encode() + b"\n")
            self.popen.stdin.flush()
        except (BrokenPipeError, OSError):
            raise self._gone() from None

    def receive(self, timeout_s: float, kind: type[T]) -> T:
        """Return the child's next message. Raises WorkerError when it ends, or says nothing of that kind in time."""
        (message,) = receive_all([self], timeout_s, kind)
        return message

    def message(self, kind: type[T], line: bytes) -> T:
        """The message of one of its lines. Raises WorkerError where it is of another kind."""
        try:
            return json_lines.decode(kind, line)
        except ValueError as error:
            raise WorkerError(f"{self.name} (pid {self.pid}) sent no {kind.__name__}: {error}") from None

    @property
    def unread(self) -> list[bytes]:
        """The lines that have been read, but that nobody has taken yet."""
        return self._read.messages

    def read_available(self) -> None:
        """Read what its pipe holds (call when that is readable) into `unread`. Raises WorkerError at its end.

        A signal may raise between any two steps of this; what was read is there when it is called again.
        """
        assert self.popen.stdout is not None
        # In one step of the interpreter: between os.read and an assignment a signal would lose what was read.
        self._read.chunks.extend(map(os.read, (self.popen.stdout.fileno(),), (1 << 16,)))
        self.parse()

    def parse(self) -> None:
        """Make messages of what has been read. Raises WorkerError at the pipe's end."""
        read = self._read
        if not read.chunks:
            return
        if read.chunks[-1] and b"\n" not in b"".join(read.chunks[read.searched :]):
            read.searched = len(read.chunks)
            return  # no line has come to its end
        *lines, rest = b"".join(read.chunks).split(b"\n")
        parts = [line.partition(MARK) for line in lines]
        messages = [message for _, mark, message in parts if mark]
        if not read.chunks[-1] and not messages:
            raise self._gone()
        self._read = _Read(chunks=[rest] if rest else [], messages=[*read.messages, *messages])
        if printed := b"".join([text + b"\n" for text, mark, _ in parts if text or not mark]):
            with contextlib.suppress(OSError):
                os.write(self._printed, printed)

    def _gone(self) -> WorkerError:
        try:
            code = exit_code_within(self.popen, 2)
        except subprocess.TimeoutExpired:
            return WorkerError(f"{self.name} (pid {self.pid}) closed its pipe")
        written = self._written()
        lines = telling_lines(written)
        reason = f": {printable(lines[-1], LONGEST_REASON)}" if lines else ""
        error = WorkerError(f"{self.name} (pid {self.pid}) {describe_exit(code)}{reason}")
        if lines:
            error.add_note(written)
        return error

    def _written(self) -> str:
        """The end of its log. The child's descriptor has the same position as ours: it is left where it is."""
        if self._log is None or self._log.closed:
            return ""
        file = self._log.fileno()
        return os.pread(file, LOG_BYTES, max(0, os.fstat(file).st_size - LOG_BYTES)).decode(errors="replace")

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.popen.poll() is None

    def require_alive(self) -> None:
        """Raise WorkerError, with how it ended, where it no longer runs."""
        if not self.alive:
            raise self._gone()

    def stop(self, grace_s: float = 5.0) -> int:
        """End it: SIGTERM, then SIGKILL after `grace_s`. Returns its exit code."""
        if self.alive:
            self.popen.terminate()
        elif self.popen.stdin is not None and not self.popen.stdin.closed:
            self.died = True
        try:
            code = exit_code_within(self.popen, grace_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # an unsent line to a dead child
                    pipe.close()
        if self._printed >= 0:
            os.close(self._printed)
            self._printed = -1
        return code

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.stop()

    def abandon(self, grace_s: float = 1.0) -> None:
        """End it, and what it started, without letting anything drain: by its lifeline, else by SIGKILL."""
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):  # an unsent line to a dead child
            self.popen.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            exit_code_within(self.popen, grace_s)
        self.kill()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.abandon()
        else:
            self.stop()


def receive_all(
    children: Sequence[Child],
    timeout_s: float,
    kind: type[T],
    *,
    every_s: float | None = None,
    tick: Callable[[], None] | None = None,
) -> list[T]:
    """One message from each child, in their order; `tick` is called about every `every_s` meanwhile.

    Raises WorkerError when one of them ends or says something else, or when `timeout_s` is over. Whatever it raises
    (Ctrl-C, an error of `tick`), no line is lost: the next call finds it.
    """
    end = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for child in children:
            assert child.popen.stdout is not None
            child.parse()
            if not child.unread:
                selector.register(child.popen.stdout, selectors.EVENT_READ, child)
        while silent := [child.name for child in children if not child.unread]:
            left = max(0.0, end - time.monotonic())
            ready = selector.select(min(left, every_s or left))
            if not ready and left <= 0:  # what came in while this process was stopped itself is no silence
                raise WorkerError(f"{', '.join(silent)} did not answer within {timeout_s:g} s")
            for key, _ in ready:
                child = key.data
                child.read_available()
                if child.unread:
                    selector.unregister(key.fileobj)
            if tick is not None:
                tick()
    messages = [child.message(kind, child.unread[0]) for child in children]
    for child in children:
        child.unread.pop(0)
    return messages


def receive_any(
    children: Sequence[Child],
    timeout_s: float,
    kind: type[T],
    *,
    every_s: float,
    tick: Callable[[], None] | None = None,
) -> Iterator[tuple[Child, T]]:
    """The messages that come in first, each with its child; none after `timeout_s`. Otherwise as `receive_all`.

    A message is taken when the next one is asked for: one that a signal kept from being looked at comes again.
    """
    end = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for child in children:
            assert child.popen.stdout is not None
            child.parse()
            selector.register(child.popen.stdout, selectors.EVENT_READ, child)
        left = math.inf
        while not any(child.unread for child in children) and left > 0:
            left = max(0.0, end - time.monotonic())
            for key, _ in selector.select(min(left, every_s)):  # at the end, too: this process may have been stopped
                key.data.read_available()
            if tick is not None:
                tick()
    for child in children:
        while child.unread:
            yield child, child.message(kind, child.unread[0])
            child.unread.pop(0)


def telling_lines(log: str) -> list[str]:
    """The lines of a log that say what happened.

    Indented lines are left out: they are the frames of tracebacks, and where several processes end at once those of
    one hide what the other said.
    """
    return [line for line in log.splitlines() if line.strip() and not line.startswith((" ", "Traceback (most recent"))]


def exit_code_within(process: subprocess.Popen[Any], timeout_s: float) -> int:
    """The exit code of a child process, as soon as it has ended. Raises subprocess.TimeoutExpired.

    `Popen.wait` looks whether it has ended up to 50 ms apart; Linux tells.
    """
    if process.returncode is None and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # no such kernel, or no more open files
            handle = os.pidfd_open(process.pid)
            try:
                with selectors.DefaultSelector() as selector:
                    selector.register(handle, selectors.EVENT_READ)
                    selector.select(timeout_s)
            finally:
                os.close(handle)
            timeout_s = 0.0
    return process.wait(timeout_s)


def pin(pid: int, cpus: Collection[int]) -> None:
    """Let a process run on these cores only, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cpus)


def describe_exit(code: int) -> str:
    """An exit code in words: ``ended with exit code 3``, ``was killed by SIGKILL``."""
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"ended with exit code {code}"
