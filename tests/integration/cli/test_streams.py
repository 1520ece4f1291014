"""Standard streams that are closed, full, or read by a program that leaves."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grpclab.cli import commands
from grpclab.factors.config import ServerConfig
from grpclab.servers.process.launcher import launch
from grpclab.system.terminal import PIPE_CLOSED
from tests.support.command import GRPCLAB, assert_refused


def run(*words: str, redirected: str = "") -> subprocess.CompletedProcess[str]:
    """`grpclab` with these words and a shell's redirection."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", *GRPCLAB, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def run_unread(*words: str, both: bool = False) -> subprocess.CompletedProcess[str]:
    """The same with a standard output whose reader has left; `both`: standard error goes there, too."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        errors = writer if both else subprocess.PIPE
        return subprocess.run([*GRPCLAB, *words], stdout=writer, stderr=errors, text=True, check=False, timeout=240)
    finally:
        os.close(writer)


def test_a_closed_standard_output_is_refused_before_anything_is_done() -> None:
    assert_refused(run("bench", "localhost:1", redirected=">&-"), 2, "standard output is closed")


def test_without_standard_error_nothing_else_is_printed_in_its_place() -> None:
    done = run("factors", "--json", "-", redirected="2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)
    refused = run("bench", "localhost:0", redirected="2>&-")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_command_needs_no_standard_input() -> None:
    assert run("factors", "-q", redirected="<&-").returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="not Linux")
def test_a_full_disk_behind_standard_output_is_named() -> None:
    done = run("factors", redirected="> /dev/full")
    assert (done.returncode, done.stderr) == (3, "grpclab: standard output: No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="not Linux")
def test_standard_error_that_cannot_be_written_is_not_missed() -> None:
    done = run("bench", "localhost:0", redirected="2> /dev/full")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_that_leaves_ends_a_command_in_silence() -> None:
    done = run_unread("factors")
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, "")
    assert run_unread("factors", both=True).returncode == PIPE_CLOSED


class Unread(io.StringIO):
    """A standard output whose reader has left."""

    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_files_are_written_before_a_reader_can_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.json"
    with launch(ServerConfig()) as server:
        monkeypatch.setattr(sys, "stdout", Unread())
        words = [server.target, "-n", "20", "-c", "2", "--warmup", "0", "-q", "--json", str(file)]
        assert commands.main(["bench", *words]) == PIPE_CLOSED
    assert json.loads(file.read_text())["count"] == 20


def test_a_module_in_the_working_folder_is_not_imported_by_python_m(tmp_path: Path) -> None:
    for name in ("argparse", "json", "numpy", "queue", "signal"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported: {name}')")
    command = [sys.executable, "-m", "grpclab", "factors", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
