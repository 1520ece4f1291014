"""Folded stacks in pprof's format."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grpclab.diagnostics.app import heap_samples
from grpclab.profiling import pprof
from grpclab.servers.agent import Allocation
from tests.support.pprof_message import folded, read

FRAMES = st.tuples(
    st.from_regex(r"[a-zA-Zé_<>:~]{1,9}", fullmatch=True),
    st.from_regex(r"[a-z/._-]{1,9}", fullmatch=True),
    st.integers(1, 10**6),
)
STACKS = st.dictionaries(st.lists(FRAMES, min_size=1, max_size=6).map(tuple), st.integers(1, 10**9), max_size=8)


@given(STACKS)
def test_every_stack_comes_back_with_its_names_lines_and_count(
    stacks: dict[tuple[tuple[str, str, int], ...], int],
) -> None:
    text = {";".join(f"{n} ({f}:{line})" for n, f, line in stack): count for stack, count in stacks.items()}
    profile = read(pprof.cpu(text, rate_hz=40, duration_s=2, time_ns=7))
    assert folded(profile) == stacks
    assert all(sample.value[1] == sample.value[0] * 25_000_000 for sample in profile.sample)


def test_types_period_and_duration_are_named() -> None:
    profile = read(pprof.cpu({"main": 1}, rate_hz=100, duration_s=2, time_ns=1_700_000_000_000_000_000))
    names = profile.string_table
    assert [(names[t.type], names[t.unit]) for t in profile.sample_type] == [
        ("samples", "count"),
        ("cpu", "nanoseconds"),
    ]
    assert names[0] == ""
    assert (profile.period, profile.duration_nanos) == (10_000_000, 2_000_000_000)
    assert profile.time_nanos == 1_700_000_000_000_000_000
    assert names[profile.period_type.type] == "cpu"


def test_memory_is_told_in_blocks_and_bytes() -> None:
    found = heap_samples([Allocation(size=700, blocks=3, frames=(("a/b.py", 1), ("a/c.py", 7)))])
    profile = read(pprof.heap(found, duration_s=1, time_ns=1))
    names = profile.string_table
    assert [(names[t.type], names[t.unit]) for t in profile.sample_type] == [
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    assert list(profile.sample[0].value) == [3, 700]
    assert list(folded(profile)) == [(("b.py:1", "a/b.py", 1), ("c.py:7", "a/c.py", 7))]


def test_frames_without_file_or_line_are_kept() -> None:
    assert pprof.parse_frame("epoll_wait (libc.so.6)") == pprof.Frame(name="epoll_wait", file="libc.so.6")
    assert pprof.parse_frame("operator()(int)") == pprof.Frame(name="operator()(int)")
