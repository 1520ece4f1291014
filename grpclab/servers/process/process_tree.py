"""The process of somebody's command, with all that it starts, in whatever session or process group that is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

import psutil

from grpclab.system import programs

SETTLED_S, MOST_LOOKS = 0.1, 10


class ProcessTree:
    """What this process starts by commands. A lock keeps the lifeline from missing one that starts.

    The process has to call :func:`.programs.adopt_orphans` before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[psutil.Process] = set()

    def start(self, words: list[str], *, changes: Mapping[str, str | None], cwd: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, in the folder `cwd`. Raises OSError.

        Its environment is ours with these changes; None unsets a variable. It writes to our standard error.
        """
        environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
        with self._lock:
            self._process = subprocess.Popen(
                programs.tied(words),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                process_group=0,
                env=environment,
                cwd=cwd or None,
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
