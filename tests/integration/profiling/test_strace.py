"""System calls by name, counted by strace."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from grpclab.profiling import strace
from grpclab.profiling.strace import Syscall, SyscallCounts

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 71.43    0.001250           5       250           sendmsg
 28.57    0.000500           1       500       120 recvmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.001750           2       750       120 total
"""
BUSY = "import os, sys; sys.stdin.readline(); [os.getppid() for _ in range(1000)]; print('done', flush=True); input()"


def test_the_table_is_read_with_and_without_errors() -> None:
    assert strace.parse(TABLE.splitlines()) == {
        "sendmsg": Syscall(calls=250, errors=0, seconds=0.00125),
        "recvmsg": Syscall(calls=500, errors=120, seconds=0.0005),
    }


def test_calls_for_a_request_come_with_the_most_frequent_first() -> None:
    counts = SyscallCounts(syscalls=strace.parse(TABLE.splitlines()))
    assert counts.calls == 750
    assert list(counts.per_call(250).items()) == [("recvmsg", 2.0), ("sendmsg", 1.0)]
    assert counts.per_call(0) == {}


def test_a_missing_permission_is_said_with_its_remedy() -> None:
    assert strace.why("strace: attach: ptrace(PTRACE_SEIZE, 7): Operation not permitted") == strace.PERMISSION_ADVICE
    assert strace.why("strace: attach: No such process\n").endswith("No such process")


def test_without_strace_the_note_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with strace.attached([os.getpid()]) as tracing:
        assert tracing.note == strace.MISSING_ADVICE
    assert tracing.counts.note == strace.MISSING_ADVICE


def test_the_calls_of_a_real_process_are_counted_and_it_lives_on() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdin
        assert child.stdout
        with strace.attached([child.pid]) as tracing:
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
        alive = child.poll() is None
        child.communicate("end\n")
    if tracing.counts.note in (strace.MISSING_ADVICE, strace.PERMISSION_ADVICE):
        pytest.skip(tracing.counts.note)
    assert alive
    assert tracing.counts.syscalls["getppid"].calls == 1000
