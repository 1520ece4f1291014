"""`grpclab serve` as a command that runs beside a test."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.command import GRPCLAB


@dataclass
class Serving:
    """`grpclab serve`, running."""

    process: subprocess.Popen[str]
    announced: str
    target: str

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Its exit code, and what else it wrote to its two streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serving(*words: str, env: dict[str, str] | None = None) -> Iterator[Serving]:
    """`grpclab serve` with these words until the block is left."""
    command = [*GRPCLAB, "serve", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            target = re.search(r" on (127\.0\.0\.\d:\d+) ", announced)
            assert target is not None, f"{announced!r} {process.communicate(timeout=60)}"
            yield Serving(process=process, announced=announced, target=target[1])
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
