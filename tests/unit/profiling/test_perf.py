"""What perf prints becomes folded stacks; what it cannot do becomes one line."""

from __future__ import annotations

import math
import os

import pytest

from grpclab.profiling import perf

SCRIPT = """\
python  4711
\tffffffff81a2b3c4 tcp_sendmsg_locked.isra.0 ([kernel.kallsyms])
\tffffffff81a2b3c0 __sys_sendmsg ([kernel.kallsyms])
\t    7f1234567890 __GI___libc_sendmsg (/usr/lib/x86_64-linux-gnu/libc.so.6)
\t    7f1234500000 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
\t          12345f [unknown] ([unknown])

event_engine  4712
\t    7f1234567890 memcpy (/usr/lib/x86_64-linux-gnu/libc.so.6 (deleted))

a b;c  4713
\t    7ffd00000010 __vdso_clock_gettime ([vdso])
event_engine 4712 PERF_RECORD_LOST_SAMPLES lost 7
"""


def test_frames_are_folded_from_root_to_leaf_after_the_threads_name() -> None:
    assert perf.parse(SCRIPT.splitlines()) == {
        "python;_PyEval_EvalFrameDefault (libpython3.11.so.1.0);__libc_sendmsg (libc.so.6)"
        ";__sys_sendmsg ([kernel]);tcp_sendmsg_locked ([kernel])": 1,
        "event_engine;memcpy (libc.so.6)": 1,
        "a b:c;__vdso_clock_gettime ([vdso])": 1,
    }


def test_lost_samples_are_counted() -> None:
    assert perf.lost(SCRIPT) == 7
    assert perf.lost("") == 0


def test_a_missing_permission_is_said_with_its_remedy() -> None:
    said = "Error:\nAccess to performance monitoring and observability operations is limited."
    assert "perf_event_paranoid" in perf._why_nothing(said)
    assert perf._why_nothing("[ perf record: Woken up 1 times ]\nbad thing\n").endswith("bad thing")
    assert perf._note(["python;main (x.so)"], 2) == perf.USER_ONLY_ADVICE
    assert perf._note(["python;main (x.so)"], 1) == ""


def test_without_the_kernel_there_is_no_share_of_it() -> None:
    assert math.isnan(perf.PerfProfile(stacks={"a;b (c)": 1}, samples=1, note=perf.USER_ONLY_ADVICE).kernel_share)


def test_without_perf_the_note_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = perf.record([os.getpid()], duration_s=0.01)
    assert (found.samples, found.note) == (0, perf.MISSING_ADVICE)
