"""Child processes that end: their exit code is known at once."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from grpclab.system.subprocesses import exit_code_within


@pytest.fixture(params=["told by the kernel", "looked at"], autouse=True)
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's word on the end of a process, and without."""
    if request.param == "looked at":
        monkeypatch.delattr(os, "pidfd_open", raising=False)


def test_the_exit_code_of_a_child_that_ends_is_its_own_however_often_it_is_asked_for() -> None:
    with subprocess.Popen(["sh", "-c", "exit 3"]) as child:
        assert [exit_code_within(child, 60.0) for _ in range(2)] == [3, 3]


def test_a_child_that_goes_on_has_none_until_it_is_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            exit_code_within(child, 0.05)
        child.kill()
        assert exit_code_within(child, 60.0) == -signal.SIGKILL
