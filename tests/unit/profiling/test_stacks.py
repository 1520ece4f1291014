"""Folded stacks made fit to be looked at."""

from __future__ import annotations

from grpclab.profiling.stacks import at_work, readable


def test_stacks_that_wait_are_left_out() -> None:
    stacks = {"main (a.py:1);epoll_wait (libc.so.6)": 9, "main (a.py:1);work (a.py:2)": 1}
    assert at_work(stacks) == {"main (a.py:1);work (a.py:2)": 1}


def test_the_desks_own_thread_is_no_work() -> None:
    assert at_work({"run (threading.py:1);_serve (grpclab/servers/agent.py:70);accept4 (libc.so.6)": 3}) == {}


def test_runs_of_nameless_functions_become_one_frame_and_equal_stacks_are_added() -> None:
    stacks = {
        "0x7f01 (libc.so.6);main (a.py:1);0x7f02 (grpc/_cython/core.so);0x7f03 (grpc/_cython/core.so)": 2,
        "0x7e01 (libc.so.6);main (a.py:1);0x7e02 (grpc/_cython/core.so)": 3,
        "main (a.py:1);main (a.py:1)": 1,
    }
    assert readable(stacks) == {"[libc.so.6];main (a.py:1);[core.so]": 5, "main (a.py:1);main (a.py:1)": 1}
