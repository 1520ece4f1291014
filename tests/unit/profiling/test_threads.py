"""Kernel accounting by thread name."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import pytest

from grpclab.profiling import threads
from grpclab.profiling.threads import Thread

STAT = "7 (event engine) S 1 7 7 0 -1 4194304 100 0 0 0 300 200 0 0 20 0 5 0 9999 0 0"
STATUS = "Name:\tevent engine\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n"
ONE = threads.parse(5, 7, STAT, STATUS)


def later(thread: Thread, **more: float) -> Thread:
    return dataclasses.replace(thread, **{name: getattr(thread, name) + by for name, by in more.items()})


def test_a_thread_is_read_from_stat_and_status() -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert (ONE.comm, ONE.started, ONE.voluntary, ONE.involuntary) == ("event engine", 9999, 12, 3)
    assert ONE.user_s == pytest.approx(300 * tick)
    assert ONE.kernel_s == pytest.approx(200 * tick)


def test_the_difference_is_summed_by_name_with_new_and_gone_threads() -> None:
    python = dataclasses.replace(ONE, tid=8, comm="python")
    ended = dataclasses.replace(ONE, tid=9)
    new = dataclasses.replace(ONE, tid=10, user_s=0.5, kernel_s=0.0, voluntary=1, involuntary=0)
    found = threads.difference(
        [ONE, python, ended], [later(ONE, user_s=1.0, voluntary=4), later(python, kernel_s=2.0, involuntary=6), new]
    )
    assert [use.comm for use in found] == ["python", "event engine"], "the busiest first"
    engine = found[1]
    assert (engine.threads, engine.gone, engine.voluntary) == (2, 1, 5)
    assert engine.user_s == pytest.approx(1.5)
    assert threads.total(found).cpu_s == pytest.approx(3.5)
    assert found[0].kernel_share == pytest.approx(1.0)


def test_another_thread_of_the_same_id_begins_at_nothing() -> None:
    again = dataclasses.replace(ONE, started=10_500, user_s=0.25)
    (found,) = threads.difference([ONE], [again])
    assert found.user_s == pytest.approx(0.25)
    assert found.gone == 1


def test_a_call_gets_its_part_and_none_of_nothing() -> None:
    (use,) = threads.difference([], [ONE])
    assert use.per_call(100).voluntary == pytest.approx(0.12)
    assert math.isnan(use.per_call(0).user_s)


def test_the_threads_of_this_process_are_there(tmp_path: Path) -> None:
    assert os.getpid() in {thread.tid for thread in threads.read([os.getpid()])}
    assert threads.read([os.getpid()], proc=tmp_path) == []
