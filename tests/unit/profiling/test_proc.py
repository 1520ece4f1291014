"""The profiler that stands beside the measured window."""

from __future__ import annotations

import math

from grpclab.profiling import proc
from grpclab.profiling.profiler import PROFILERS, WindowProfiler
from grpclab.profiling.threads import ThreadUse

USED = [
    ThreadUse(comm="python", threads=1, user_s=2.0, kernel_s=1.0, voluntary=30, involuntary=10),
    ThreadUse(comm="event_engine", threads=2, user_s=0.5, kernel_s=0.5, voluntary=70, involuntary=0),
]


def test_the_share_of_c_core_and_the_switches_of_all_threads_for_one_call() -> None:
    assert proc.metrics(USED, 10) == {
        "server_event_engine_share": 0.25,
        "server_voluntary_switches_per_call": 10.0,
        "server_involuntary_switches_per_call": 1.0,
    }


def test_without_a_call_nothing_is_known_of_one() -> None:
    assert all(math.isnan(value) for value in proc.metrics(USED, 0).values())


def test_it_is_the_one_built_in_profiler_that_stands_beside_the_window() -> None:
    beside = [name for name in PROFILERS.builtin if isinstance(PROFILERS[name], WindowProfiler)]
    assert beside == ["proc"]
