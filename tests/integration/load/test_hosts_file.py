"""A line in /etc/hosts that points localhost at another machine, in a mount and a network namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import GRPCLAB

IN_A_NAMESPACE = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def elsewhere(hosts: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where these are the known hosts, and no network is."""
    words = ["unshare", "--mount", "--net", "sh", "-c", IN_A_NAMESPACE, "sh", str(hosts), *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n192.0.2.1 localhost\n")
    if shutil.which("unshare") is None:
        pytest.skip("unshare is missing: apt-get install util-linux")
    if (made := elsewhere(path, "true")).returncode:
        pytest.skip(f"namespaces need Linux and root, in a container CAP_SYS_ADMIN: {made.stderr.strip()}")
    return path


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_localhost_that_is_another_machine_is_refused(hosts: Path, engine: str) -> None:
    done = elsewhere(hosts, *GRPCLAB, "bench", "localhost:50051", "-n", "1", "--engine", engine)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("grpclab: invalid target=localhost:50051: ")
    assert done.stderr.count("\n") == 1
    assert "192.0.2.1" in done.stderr
