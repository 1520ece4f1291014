"""From the stacks of py-spy and perf to families of work."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.profiling.families import FAMILIES, OF_THE_HANDLER, WAIT, classify, kernel_share, parse_folded, shares
from grpclab.profiling.pyspy import IDLE_NOTE, PERMISSION_ADVICE, _note

HANDLER = "<module> (serve.py:3);SayHello (grpclab/servers/greeter.py:97)"
LOOP = "<module> (serve.py:3);run_once (uvloop/loop.pyx:512)"
CORE = "cygrpc (grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so)"

LEAVES = [
    ("send", "sendmsg (libc.so.6)"),
    ("send", "__libc_sendmsg (libc.so.6)"),
    ("send", "__write (libc.so.6)"),
    ("receive", "recvmsg (libc.so.6)"),
    ("receive", "__libc_read (libc.so.6)"),
    ("wait", "epoll_wait (libc.so.6)"),
    ("wait", "pthread_cond_wait@@GLIBC_2.3.2 (libc.so.6)"),
    ("wait", "__poll (libc.so.6)"),
    ("wait", "take_gil (python3.11)"),
    ("locks", "pthread_mutex_lock (libc.so.6)"),
    ("locks", "__lll_lock_wake (libc.so.6)"),
    ("locks", "syscall (libc.so.6)"),
    ("other_kernel", "epoll_ctl (libc.so.6)"),
    ("other_kernel", "accept4 (libc.so.6)"),
    ("memory", "malloc (libc.so.6)"),
    ("memory", "__memcpy_avx_unaligned_erms (libc.so.6)"),
    ("memory", "_PyObject_Malloc (libpython3.11.so.1.0)"),
    ("memory", "operator new (cygrpc.cpython-311-x86_64-linux-gnu.so)"),
    ("handler", "SayHello (grpclab/servers/greeter.py:97)"),
    ("protobuf", "SerializeToString (_message.abi3.so)"),
    ("protobuf", "FromString (google/protobuf/message.py:12)"),
    ("python", "_PyEval_EvalFrameDefault (libpython3.11.so.1.0)"),
    ("python", "_PyEval_EvalFrameDefault (python3.11)"),
    ("python", "uvloop_run (uvloop/loop.pyx:512)"),
    ("python", "method_vectorcall (Objects/descrobject.c:364)"),
    ("grpc_core", CORE),
    ("grpc_core", "grpc_core::Call::Start (cygrpc.cpython-311-x86_64-linux-gnu.so)"),
    ("other", "inflate (libz.so.1)"),
]


@pytest.mark.parametrize(("family", "leaf"), LEAVES)
def test_the_leaf_decides_the_family(family: str, leaf: str) -> None:
    assert classify(f"{LOOP};{leaf}") == family
    assert classify(leaf) == family


@pytest.mark.parametrize(("family", "leaf"), LEAVES)
def test_what_a_handler_calls_is_its_own_doing_but_for_transport_and_messages(family: str, leaf: str) -> None:
    expected = "handler" if family in OF_THE_HANDLER else family
    assert classify(f"{HANDLER};{leaf}") == expected


def test_the_file_of_the_handlers_can_be_another() -> None:
    stack = "serve (grpc/_server.py:9);Buy (shop/api.py:5)"
    assert classify(stack) == "python"
    assert classify(stack, handler="shop/api.py") == "handler"
    assert classify("Buy (workshop/api.py:5)", handler="shop/api.py") == "python"


SYSCALL = "entry_SYSCALL_64_after_hwframe ([kernel]);do_syscall_64 ([kernel])"
KERNEL_STACKS = [
    (
        "send",
        f"python;sendmsg (libc.so.6);{SYSCALL};__sys_sendmsg ([kernel]);tcp_sendmsg ([kernel]);tcp_rcv ([kernel])",
    ),
    ("receive", f"event_engine;recvmsg (libc.so.6);{SYSCALL};__sys_recvmsg ([kernel]);tcp_recvmsg ([kernel])"),
    (
        "locks",
        f"python;syscall (libc.so.6);{SYSCALL};__x64_sys_futex ([kernel]);futex_wait ([kernel]);schedule ([kernel])",
    ),
    ("locks", f"python;write (libc.so.6);{SYSCALL};ksys_write ([kernel]);eventfd_write ([kernel])"),
    ("locks", f"python;send (libc.so.6);{SYSCALL};__sys_sendto ([kernel]);unix_stream_sendmsg ([kernel])"),
    ("other_kernel", f"python;epoll_wait (libc.so.6);{SYSCALL};__x64_sys_epoll_wait ([kernel]);schedule ([kernel])"),
    ("memory", "python;memcpy (libc.so.6);asm_exc_page_fault ([kernel]);do_user_addr_fault ([kernel])"),
    ("send", "python;sendmsg (libc.so.6);finish_task_switch ([kernel])"),
    ("locks", "python;pthread_cond_wait (libc.so.6);finish_task_switch ([kernel])"),
    ("other_kernel", "python;epoll_wait (libc.so.6);finish_task_switch ([kernel])"),
]


@pytest.mark.parametrize(("family", "stack"), KERNEL_STACKS)
def test_inside_the_kernel_the_system_call_decides_and_nothing_waits(family: str, stack: str) -> None:
    assert classify(stack) == family


def test_the_kernels_share_counts_leaves() -> None:
    assert kernel_share({KERNEL_STACKS[0][1]: 3, LOOP: 1}) == 0.75
    assert math.isnan(kernel_share({}))


def test_every_family_can_be_reached() -> None:
    assert {family for family, _ in LEAVES} == set(FAMILIES)


@pytest.mark.parametrize(
    "leaf", ["sendmsg_slow_path (libc.so.6)", "resend (libc.so.6)", "mallocate (libx.so)", "epoll_wait"]
)
def test_a_name_counts_only_whole_and_with_its_library(leaf: str) -> None:
    assert classify(leaf) == "other"


def test_only_the_leaf_counts_not_what_called_it() -> None:
    assert classify(f"epoll_wait (libc.so.6);{LOOP}") == "python"
    assert classify(f"{HANDLER};{CORE};sendmsg (libc.so.6)") == "send"


def test_a_nameless_function_of_libc_is_what_its_caller_is() -> None:
    assert classify(f"{HANDLER};sendmsg (libc.so.6);0x7f3a (libc.so.6)") == "send"
    assert classify(f"{HANDLER};epoll_wait (libc.so.6);0x7f3a (libc.so.6);0x7f3b (libc.so.6)") == "wait"


def test_nameless_functions_straight_under_core_or_python_are_guessed_as_little_as_possible() -> None:
    assert classify(f"{CORE};0x7f3a (libc.so.6)") == "other"
    assert classify(f"{LOOP};0x7f3a (libc.so.6)") == "other"
    assert classify(f"{CORE};0x7f3a (libc.so.6);0x7f3b (libc.so.6)") == "locks"


def test_a_stack_of_nothing_but_nameless_functions_is_other() -> None:
    assert classify(";".join(["0x7f3a (libc.so.6)"] * 3)) == "other"
    assert classify(";".join(["0x7f3a (libc.so.6)"] * 9)) == "other"
    assert classify("") == "other"


def test_the_labs_own_lifeline_thread_only_waits() -> None:
    assert classify("watch (die_with_parent grpclab/system/subprocesses.py:40);read (libc.so.6)") == WAIT


def test_folded_lines_are_read_and_equal_stacks_added() -> None:
    lines = ["a (x.py:1);b (y.py:2) 3", "", "a (x.py:1);b (y.py:2) 4", "c (z.py:3) 1", "no count", "17"]
    assert parse_folded(lines) == {"a (x.py:1);b (y.py:2)": 7, "c (z.py:3)": 1}


def test_shares_are_of_all_samples_waiting_included() -> None:
    found = shares({"epoll_wait (libc.so.6)": 60, "sendmsg (libc.so.6)": 30, "f (x.py:1)": 10})
    assert {name: share for name, share in found.items() if share} == {WAIT: 0.6, "send": 0.3, "python": 0.1}
    assert list(found) == list(FAMILIES)


def test_without_samples_every_share_is_0() -> None:
    assert shares({}) == dict.fromkeys(FAMILIES, 0.0)


@given(st.dictionaries(st.sampled_from([leaf for _, leaf in LEAVES]), st.integers(1, 10_000), min_size=1))
def test_the_shares_sum_to_1(stacks: dict[str, int]) -> None:
    assert sum(shares(stacks).values()) == pytest.approx(1)


# ---- py-spy's own words --------------------------------------------------------------------------------------


def test_a_clean_run_has_no_note() -> None:
    assert _note(["Wrote raw flamegraph data. Samples: 79 Errors: 0"], [True]) == ""


@pytest.mark.parametrize(
    "text",
    ["Error: Permission Denied: Try running again with elevated permissions", "Operation not permitted (os error 1)"],
)
def test_a_refusal_to_attach_says_what_to_do(text: str) -> None:
    assert _note([text], [False]) == PERMISSION_ADVICE
    assert "ptrace_scope" in PERMISSION_ADVICE
    assert "\n" not in PERMISSION_ADVICE


def test_no_stacks_are_explained_with_the_last_thing_it_said() -> None:
    assert _note(["ok", "first\nError: no such process\n\n"], [True, False]) == (
        "py-spy returned no stacks: no such process"
    )
    assert _note([""], [False]) == "py-spy returned no stacks: no output"
    assert _note(["py-spy> Wrote raw. Samples: 0 Errors: 0"], [False]) == IDLE_NOTE


def test_falling_behind_is_a_warning_on_the_shares() -> None:
    text = "py-spy> 1.46s behind in sampling, results may be inaccurate. Try reducing the sampling rate"
    assert _note([text], [True]) == "py-spy fell 1.46s behind in sampling, so its shares are less certain"
