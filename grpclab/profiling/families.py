"""From stacks to families of work: send, receive, wait, locks, ... decided by the leaf of each stack.

A stack is py-spy's folded line: frames from the root to the leaf, ``;`` between them. Native frames look like
``sendmsg (libc.so.6)``, Python frames like ``SayHello (grpclab/servers/greeter.py:97)``. glibc's internal
functions have no names: such a leaf is classified by the first named frame above it. Waiting is a family of its
own and never counted as work: py-spy often takes a thread inside epoll_wait or a futex for a running one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WAIT = "wait"
FAMILIES: tuple[str, ...] = (
    "send",
    "receive",
    WAIT,
    "locks",
    "other_kernel",
    "python",
    "grpc_core",
    "memory",
    "other",
)
"""Every family, in the order in which they are shown."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A frame that matches `pattern` belongs to `family`; the first rule that matches decides."""

    family: str
    pattern: re.Pattern[str]


def _names(family: str, names: str) -> Rule:
    """Native functions by name: their frames name a library, where those of Python code name a file and a line."""
    alternatives = "|".join(names.split())
    return Rule(family=family, pattern=re.compile(rf"^_*(?:{alternatives})(?:@\S+)? \([^):]*\)$"))


LEAF_RULES: tuple[Rule, ...] = (
    _names("send", "send sendto sendmsg sendmmsg write writev pwrite64 libc_send libc_sendmsg libc_write"),
    _names("receive", "recv recvfrom recvmsg recvmmsg read readv pread64 libc_recv libc_recvmsg libc_read"),
    _names(
        WAIT,
        "epoll_wait epoll_pwait poll ppoll select pselect nanosleep clock_nanosleep usleep"
        " pthread_cond_wait pthread_cond_timedwait pthread_cond_clockwait sem_wait sem_timedwait sem_clockwait"
        " futex_abstimed_wait_common64 futex_abstimed_wait_cancelable64 PyThread_acquire_lock_timed take_gil"
        " pthread_clockjoin_ex sigwait",
    ),
    _names(
        "locks",
        "pthread_mutex_lock pthread_mutex_unlock pthread_mutex_trylock pthread_rwlock_rdlock"
        " pthread_rwlock_wrlock pthread_rwlock_unlock pthread_cond_signal pthread_cond_broadcast sem_post"
        " lll_lock_wait lll_lock_wait_private lll_lock_wake lll_lock_wake_private PyThread_release_lock drop_gil"
        " sched_yield syscall",  # C-core's mutexes (absl) call futex through syscall()
    ),
    _names(
        "other_kernel",
        "epoll_ctl accept accept4 connect socket close shutdown setsockopt getsockopt getsockname getpeername"
        " bind listen fcntl ioctl open openat fstat stat lseek eventfd_read eventfd_write timerfd_settime getpid"
        " madvise mprotect clone clone3 clock_gettime gettimeofday",
    ),
    _names(
        "memory",
        "malloc calloc realloc free cfree posix_memalign aligned_alloc mmap munmap brk sbrk mremap memcpy memmove"
        r" memset \S*memcpy\S* \S*memmove\S* \S*memset\S* malloc_consolidate int_malloc int_free"
        r" _PyObject_Malloc _PyObject_Free PyObject_Malloc PyObject_Free gc_collect_main \S*[oO]perator\s*new\S*",
    ),
    Rule(family="python", pattern=re.compile(r"\.pyx?(?::\d+)?\)$|\(libpython[\w.]*\)$|\(python[\w.]*\)$")),
    Rule(family="python", pattern=re.compile(r"\((?:\w+/)*\w+\.[ch](?:\.h)?:\d+\)$|\(uvloop/|_asyncio")),
    Rule(family="grpc_core", pattern=re.compile(r"cygrpc|\(grpc/")),
    Rule(family="python", pattern=re.compile(r"\.abi3\.so\)$|\.cpython-[\w.-]+\)$")),
)

IDLE_FRAMES = re.compile(r"\bdie_with_parent\b")
"""Threads of the lab itself, which only wait (the lifeline of children.py)."""

_UNNAMED = re.compile(r"^0x[0-9a-f]+ \((?:libc|libpthread|ld-)")


def classify(stack: str) -> str:
    """The family of one folded stack."""
    if IDLE_FRAMES.search(stack):
        return WAIT
    for depth, frame in enumerate(reversed(stack.split(";"))):
        if depth < 4 and _UNNAMED.search(frame):
            continue
        rule = next((rule for rule in LEAF_RULES if rule.pattern.search(frame)), None)
        if rule is None:
            return "other"
        if depth == 0 or rule.family not in ("python", "grpc_core"):
            return rule.family
        # Nameless glibc code called straight from C-core or Python. Two deep it is the slow path of a mutex
        # (lll_lock_wake under pthread_mutex_unlock); one deep it could be anything.
        return "locks" if depth >= 2 else "other"
    return "other"


def parse_folded(lines: Iterable[str]) -> dict[str, int]:
    """Samples by stack, out of py-spy's ``raw`` format (``frame;frame;frame count``)."""
    stacks: dict[str, int] = {}
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if stack and count.isdigit():
            stacks[stack] = stacks.get(stack, 0) + int(count)
    return stacks


def shares(stacks: Mapping[str, int]) -> dict[str, float]:
    """The share of each family in all samples, waiting included; they sum to 1 (all 0 without samples).

    Waiting is not work: divide by 1 - `wait` for shares of the samples that were at work.
    """
    counts = dict.fromkeys(FAMILIES, 0)
    for stack, samples in stacks.items():
        counts[classify(stack)] += samples
    total = sum(counts.values())
    return {family: (n / total if total else 0.0) for family, n in counts.items()}
