"""From stacks to families of work: send, receive, wait, locks, ... decided by the leaf of each stack.

A stack is a folded line: frames from the root to the leaf, ``;`` between them. Native frames look like
``sendmsg (libc.so.6)``, Python frames like ``SayHello (grpclab/servers/greeter.py:97)``, and the kernel's, which
only perf sees, like ``tcp_sendmsg ([kernel])``. glibc's internal functions have no names: such a leaf is
classified by the first named frame above it. Waiting is a family of its own and never counted as work: py-spy
often takes a thread inside epoll_wait or a futex for a running one.

Inside the kernel it is the system call that decides, not the leaf: sending over loopback runs the receiver's
half of TCP as well, and py-spy calls all of it ``sendmsg``. A sample of perf was on the CPU: what epoll_wait and
its kin cost to fall asleep and to wake up is work (`other_kernel`), and so is a futex, also one that waits
(`locks`). perf's `wait` is therefore next to nothing.
"""

from __future__ import annotations

import math
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
    "handler",
    "python",
    "protobuf",
    "grpc_core",
    "memory",
    "other",
)
"""Every family, in the order in which they are shown."""


SHOWN = {
    "send": ("sending (system calls)", "#0B4F8A"),
    "receive": ("receiving (system calls)", "#3E8FCB"),
    "locks": ("locks and wake-ups", "#9CCBEB"),
    "other_kernel": ("other kernel work", "#C9D3DE"),
    "handler": ("the application's handler", "#9A3F12"),
    "python": ("Python interpreter", "#D98A1F"),
    "protobuf": ("protobuf", "#E8A96B"),
    "grpc_core": ("gRPC core", "#F2C879"),
    "memory": ("memory management", "#B58BB0"),
    "other": ("everything else", "#E6E3DE"),
}
"""What each family of work is called, and its colour, in the order in which they are shown: blues are the kernel's,
warm colours user space."""

HANDLER = "servers/greeter.py"
"""The end of the path of the file that holds the application's handlers: by default our greeter's."""
OF_THE_HANDLER = frozenset({"python", "memory", "other_kernel", "other"})
"""What is the handler's own doing below one of its frames; sending, locks, protobuf and waiting stay what they are."""


@dataclass(frozen=True, kw_only=True)
class FamilyRule:
    """A frame that matches `pattern` belongs to `family`; the first rule that matches decides."""

    family: str
    pattern: re.Pattern[str]


def _names(family: str, names: str) -> FamilyRule:
    """Native functions by name: their frames name a library, where those of Python code name a file and a line."""
    alternatives = "|".join(names.split())
    return FamilyRule(family=family, pattern=re.compile(rf"^_*(?:{alternatives})(?:@\S+)? \([^):]*\)$"))


LEAF_RULES: tuple[FamilyRule, ...] = (
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
        "pthread_mutex_lock pthread_mutex_unlock pthread_mutex_unlock_usercnt pthread_mutex_trylock"
        " pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock pthread_cond_signal pthread_cond_broadcast"
        " sem_post"
        " lll_lock_wait lll_lock_wait_private lll_lock_wake lll_lock_wake_private PyThread_release_lock drop_gil"
        " sched_yield syscall",  # C-core's mutexes (absl) call futex through syscall()
    ),
    _names(
        "other_kernel",
        "epoll_ctl accept accept4 connect socket close shutdown setsockopt getsockopt getsockname getpeername"
        " bind listen fcntl ioctl open openat fstat stat lseek eventfd_read eventfd_write timerfd_settime getpid"
        " madvise mprotect clone clone3 clock_gettime vdso_clock_gettime gettimeofday",
    ),
    _names(
        "memory",
        "malloc calloc realloc free cfree posix_memalign aligned_alloc mmap munmap brk sbrk mremap memcpy memmove"
        r" memset \S*memcpy\S* \S*memmove\S* \S*memset\S* malloc_consolidate int_malloc int_free"
        r" _PyObject_Malloc _PyObject_Free PyObject_Malloc PyObject_Free gc_collect_main \S*[oO]perator\s*new\S*",
    ),
    FamilyRule(
        family="protobuf", pattern=re.compile(r"\((?:\S*/)?_message\.(?:abi3|cpython)|\(google/|_pb2\.pyi?:\d+\)$")
    ),
    FamilyRule(
        family="python",
        pattern=re.compile(r"\.pyx?(?::\d+)?\)$|\(<[^)]*>:\d+\)$|\(libpython[\w.]*\)$|\(python[\w.]*\)$"),
    ),
    FamilyRule(family="python", pattern=re.compile(r"\((?:\w+/)*\w+\.[ch](?:\.h)?:\d+\)$|\(uvloop/|_asyncio")),
    FamilyRule(family="grpc_core", pattern=re.compile(r"cygrpc|\(grpc/")),
    FamilyRule(family="python", pattern=re.compile(r"\.abi3\.so\)$|\.cpython-[\w.-]+\)$")),
)


def _calls(family: str, pattern: str) -> FamilyRule:
    """A rule on the kernel's frames, root to leaf, ``;`` between them and at both ends."""
    return FamilyRule(family=family, pattern=re.compile(pattern))


KERNEL_RULES: tuple[FamilyRule, ...] = (
    # Wake-ups of another thread: an eventfd, a pipe, or a socket pair. C-core's own connections, also those over
    # a Unix socket, use sendmsg and recvmsg; loops and pollers wake each other with write, send, read and recv.
    _calls("locks", r";(?:eventfd|pipe)_(?:write|read);|sys_(?:futex\w*|sched_yield);|;do_futex;"),
    _calls("locks", r"sys_(?:write|read|sendto|recvfrom);(?:.*;)?unix_stream_"),
    _calls("send", r"sys_(?:send|sendto|sendmsg|sendmmsg|sendfile\d*|p?writev?\d*);"),
    _calls("send", r";(?:tcp|inet6?|unix_stream|sock)_sendmsg\w*;"),
    _calls("receive", r"sys_(?:recv|recvfrom|recvmsg|recvmmsg|p?readv?\d*);"),
    _calls("receive", r";(?:tcp|inet6?|unix_stream|sock)_recvmsg\w*;"),
    _calls("memory", r"sys_(?:mmap\w*|munmap|mremap|brk);|page_fault;|;do_user_addr_fault;|;do_mem_abort;"),
    _calls("other_kernel", r"sys_[a-z]\w*;|;(?:asm_sysvec_|asm_common_interrupt|irqentry_|el0_irq|ret_from_fork)"),
)
"""The first rule that matches anywhere among the kernel's frames decides: the system call, or the fault."""

IDLE_FRAMES = re.compile(r"\bdie_with_parent\b|\b_serve \(grpclab/servers/agent\.py")
"""Threads of the lab itself, which only wait (the lifeline of children.py, the desk's agent)."""

KERNEL = " ([kernel])"
"""How the kernel's frames end."""

_UNNAMED = re.compile(r"^0x[0-9a-f]+ \((?:libc|libpthread|ld-|\[vdso\])")
_POLLS = re.compile(r"poll|select|sleep")


def classify(stack: str, *, handler: str = HANDLER) -> str:
    """The family of one folded stack. `handler` ends the path of the file with the application's handlers."""
    if IDLE_FRAMES.search(stack):
        return WAIT
    family = _of_kernel(stack) if stack.endswith(KERNEL) else _of_program(stack)
    if family in OF_THE_HANDLER and (f"({handler}:" in stack or f"/{handler}:" in stack):
        return "handler"
    return family


def _of_kernel(stack: str) -> str:
    frames = stack.split(";")
    depth = next((n for n, frame in enumerate(reversed(frames)) if not frame.endswith(KERNEL)), len(frames))
    program, kernel = frames[: len(frames) - depth], frames[len(frames) - depth :]
    named = f";{';'.join(frame.removesuffix(KERNEL) for frame in kernel)};"
    for rule in KERNEL_RULES:
        if rule.pattern.search(named):
            return rule.family
    # On the way in or out, or without the kernel's symbols: the function that made the call knows.
    family = _of_program(";".join(program[-1:]))
    if family == WAIT:
        return "other_kernel" if _POLLS.search(program[-1]) else "locks"
    return family if family in ("send", "receive", "locks", "memory") else "other_kernel"


def _of_program(stack: str) -> str:
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


MOST_DIGITS = 15
"""Of a count of samples."""


def parse_folded(lines: Iterable[str]) -> dict[str, int]:
    """Samples by stack, out of lines ``frame;frame;frame count`` (py-spy's ``raw`` format)."""
    stacks: dict[str, int] = {}
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if stack and count.isdecimal() and len(count) <= MOST_DIGITS:
            stacks[stack] = stacks.get(stack, 0) + int(count)
    return stacks


def kernel_share(stacks: Mapping[str, int]) -> float:
    """The share of the samples whose leaf is the kernel's, in those of perf; NaN without samples."""
    total = sum(stacks.values())
    kernel = sum(samples for stack, samples in stacks.items() if stack.endswith(KERNEL))
    return kernel / total if total else math.nan


def shares(stacks: Mapping[str, int], *, handler: str = HANDLER) -> dict[str, float]:
    """The share of each family in all samples, waiting included; they sum to 1 (all 0 without samples).

    Waiting is not work: divide by 1 - `wait` for shares of the samples that were at work.
    """
    counts = dict.fromkeys(FAMILIES, 0)
    for stack, samples in stacks.items():
        counts[classify(stack, handler=handler)] += samples
    total = sum(counts.values())
    return {family: (n / total if total else 0.0) for family, n in counts.items()}
