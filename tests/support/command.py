"""`grpclab` as a command: run to its end, and what a refusal looks like."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

GRPCLAB = [sys.executable, "-P", "-m", "grpclab"]


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`grpclab` with these words, to its end."""
    return subprocess.run(
        [*GRPCLAB, *words], capture_output=True, text=True, check=False, timeout=240, env={**os.environ, **(env or {})}
    )


def assert_refused(done: subprocess.CompletedProcess[str], code: int, pattern: str) -> None:
    """One line on standard error, and nothing on standard output."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("grpclab: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert re.search(pattern, done.stderr), done.stderr


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def taken_port(*, shared: bool) -> Iterator[int]:
    """A port that someone else listens on."""
    with socket.socket() as listener:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


Bench = Callable[..., tuple[int, str, str]]
