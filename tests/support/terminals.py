"""Programs in a terminal of their own."""

from __future__ import annotations

import os
import termios
from collections.abc import Sequence
from typing import Any

import pexpect
import ptyprocess


class Terminal(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """pexpect's, started without a fork: in a process that uses gRPC it can kill the child before it runs anything."""

    def _spawnpty(
        self,
        args: Sequence[str | bytes],
        *,
        env: dict[str, str],
        dimensions: tuple[int, int],
        cwd: str | None = None,
        **_: Any,
    ) -> ptyprocess.PtyProcess:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, dimensions)
        command = ["setsid", "--ctty", "env", "--chdir", cwd or os.getcwd(), *args]
        streams = [(os.POSIX_SPAWN_DUP2, theirs, number) for number in range(3)]
        pid = os.posix_spawnp(command[0], command, env, file_actions=streams)
        os.close(theirs)
        return ptyprocess.PtyProcess(pid, ours)
