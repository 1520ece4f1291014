"""What the servers of a group used in the slices and between them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Collection

import pytest

from grpclab.study.running_member import IdleReader
from grpclab.study.slice_account import (
    IdleReading,
    ServerAccount,
    SliceReading,
    common_cores,
    cpu_over_counted_time,
    disturber,
)
from grpclab.system import procfs
from grpclab.system.accounting import KernelCounts
from tests.support.slices import made_slice


def readings(
    visited: str,
    *,
    passes: int = 4,
    inside: float = 0.08,
    others: float = 0.0,
    after_drain: float = 0.0,
    waited: float = 0.0,
    core: float = 0.08,
) -> list[SliceReading]:
    """A member `a` and a member `b` by turns, a slice of 0.1 s and a gap of 0.01 s each; figures in seconds a slice.

    While `visited` is, it uses `inside`, and the other one `others`; `after_drain` it uses after each slice of its own.
    """
    found: list[SliceReading] = []
    at, used, waits, cores = 0.0, {"a": 0.0, "b": 0.0}, 0.0, 0.0
    for number in range(passes):
        for name in ("a", "b"):
            before = IdleReading(at_s=at, cpu_s=dict(used), waited_s={name: waits}, cores_s=cores)
            at += 0.1
            used[name] += inside if name == visited else 0.08
            used["b" if name == "a" else "a"] += others if name == visited else 0.0
            waits += waited if name == visited else 0.0
            cores += core
            after = IdleReading(at_s=at, cpu_s=dict(used), waited_s={name: waits}, cores_s=cores)
            part = made_slice(number, before.at_s)
            found.append(SliceReading(pass_number=number, member=name, slice=part, before=before, after=after))
            at += 0.01
            used[name] += after_drain if name == visited else 0.0
    return found


def test_cpu_for_a_call_is_all_cpu_between_two_idle_moments_over_all_calls_between_them() -> None:
    metrics = ServerAccount.of("a", readings("a")).metrics(kernel_share=0.25)
    assert metrics["server_cpu_s"] == pytest.approx(4 * 0.08)
    assert metrics["server_cpu_per_call_s"] == pytest.approx(0.08 / 200)
    assert metrics["server_kernel_s"] == pytest.approx(0.08)
    assert metrics["pass_count"] == 4


def test_slices_that_do_not_count_are_left_out_of_everything_but_their_number() -> None:
    some = readings("a")
    some[0] = some[0].without("b left the group")
    account = ServerAccount.of("a", some)
    assert (account.slices, account.left_out, account.calls) == (3, 1, 600)
    assert account.cpu_s == pytest.approx(3 * 0.08)
    assert [notice.kind for notice in account.notices()] == ["slices-left-out"]


def test_a_server_without_work_outside_its_slices_stays() -> None:
    account = ServerAccount.of("a", readings("a"))
    assert account.outside_s == pytest.approx(0.0)
    assert not account.works_on()
    assert disturber(readings("a")).name == ""


def test_a_server_that_works_when_its_calls_have_ended_is_found() -> None:
    account = ServerAccount.of("a", readings("a", after_drain=0.004))
    assert account.outside_s == pytest.approx(0.016)
    assert account.works_on()


def test_a_server_that_does_next_to_nothing_without_calls_is_idle_however_little_it_does_with_them() -> None:
    account = ServerAccount.of("a", readings("a", inside=0.001, after_drain=0.0002))
    assert account.outside_s > 0.02 * account.cpu_s
    assert not account.works_on()


def test_the_busiest_of_the_others_is_found_by_its_share_of_a_core() -> None:
    found = disturber(readings("a", others=0.003))
    assert found.name == "b"
    assert found.cores == pytest.approx(0.03)
    assert disturber(readings("a", others=0.0015)).name == ""


def idling(**cores: float) -> list[SliceReading]:
    """Four passes over servers that use so much of a core all the time, and 80% more in their own slices of 0.1 s."""
    found: list[SliceReading] = []
    at, used = 0.0, dict.fromkeys(cores, 0.0)
    for number in range(4):
        for visited in cores:
            before = IdleReading(at_s=at, cpu_s=dict(used))
            at += 0.1
            used = {name: spent + 0.1 * cores[name] + (0.08 if name == visited else 0) for name, spent in used.items()}
            after = IdleReading(at_s=at, cpu_s=dict(used))
            part = made_slice(number, before.at_s)
            found.append(SliceReading(pass_number=number, member=visited, slice=part, before=before, after=after))
    return found


def test_what_most_servers_do_without_calls_is_their_runtime_and_no_reason_to_leave() -> None:
    polling = idling(hub=0.01, a=0.014, b=0.009, c=0.011, d=0.01, e=0.012)
    assert common_cores(polling) == pytest.approx(0.01)
    assert disturber(polling).name == ""
    account = ServerAccount.of("a", polling)
    assert account.works_on()
    assert not account.works_on(common_cores(polling))


@pytest.mark.parametrize("cores", [{"a": 0.001, "b": 0.03}, {"a": 0.1, "b": 0.11}, {"a": 0.01, "b": 0.01, "c": 0.04}])
def test_whoever_does_more_than_most_is_found_and_where_all_do_much_the_busiest(cores: dict[str, float]) -> None:
    assert disturber(idling(**cores)).name == max(cores, key=cores.__getitem__)


def test_one_collection_of_garbage_is_no_reason_to_leave() -> None:
    some = readings("a", passes=1, others=0.01)
    assert disturber(some).name == ""


def bursts(*works: float) -> list[SliceReading]:
    """Twelve passes over a and b; in the n-th slice of a, b works for the n-th of these times, in seconds."""
    found: list[SliceReading] = []
    at, used = 0.0, {"a": 0.0, "b": 0.0}
    for number in range(12):
        for name in ("a", "b"):
            before = IdleReading(at_s=at, cpu_s=dict(used))
            at += 0.1
            used[name] += 0.08
            used["b"] += works[number] if name == "a" and number < len(works) else 0.0
            after = IdleReading(at_s=at, cpu_s=dict(used))
            part = made_slice(number, before.at_s)
            found.append(SliceReading(pass_number=number, member=name, slice=part, before=before, after=after))
    return found


def test_one_burst_of_work_in_a_whole_group_is_no_reason_to_leave() -> None:
    """Seen on a virtual machine: its host took 33 ms, and the kernel charged a server without calls with them."""
    some = bursts(0.0, 0.035)
    assert 0.035 > 0.02 * 12 * 0.1, "more than the limit"
    assert disturber(some).name == ""
    assert ServerAccount.of("b", some).outside_s == pytest.approx(0.035)
    assert not ServerAccount.of("b", some).works_on()


@pytest.mark.parametrize("works", [(0.0, 0.035, 0.035), (0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.03)])
def test_work_that_comes_again_is_a_reason_to_leave(works: tuple[float, ...]) -> None:
    assert disturber(bursts(*works)).name == "b"
    assert ServerAccount.of("b", bursts(*works)).works_on()


def test_one_long_burst_of_work_is_work_that_calls_leave_behind() -> None:
    assert ServerAccount.of("b", bursts(0.0, 0.15)).works_on()


def test_those_that_call_the_same_server_do_not_disturb_each_other() -> None:
    assert disturber(readings("a", others=0.05), {"a": ["b"], "b": ["a"]}).name == ""


def test_a_server_that_waits_for_what_others_use_is_told_of() -> None:
    account = ServerAccount.of("a", readings("a", waited=0.012, core=0.1))
    assert account.lost_share == pytest.approx(0.12)
    (notice,) = account.notices()
    assert (notice.kind, notice.severity) == ("server-waited", "warning")
    assert "did not run for 12% of its time" in notice.text


def test_threads_of_a_server_that_wait_for_each_other_are_no_notice() -> None:
    account = ServerAccount.of("a", readings("a", waited=0.5, core=0.08))
    assert account.waited_s == pytest.approx(2.0)
    assert account.notices() == []


def test_what_is_not_known_of_a_server_elsewhere_is_not_a_number() -> None:
    nothing = IdleReading(at_s=0.0)
    later = IdleReading(at_s=0.1)
    one = SliceReading(pass_number=0, member="a", slice=made_slice(), before=nothing, after=later)
    account = ServerAccount.of("a", [one])
    assert math.isnan(account.cpu_s)
    assert math.isnan(account.metrics(math.nan)["server_cpu_per_call_s"])
    assert not account.works_on()
    assert account.notices() == []
    assert disturber([one, one]).name == ""


def test_the_cpu_share_lies_over_counted_time() -> None:
    middles, shares = cpu_over_counted_time("a", readings("a", passes=3))
    assert middles == pytest.approx([0.0375, 0.1125, 0.1875])
    assert shares == pytest.approx([0.8] * 3)


def test_what_a_server_forks_counts_as_its_own() -> None:
    program = "import os,sys; sys.stdin.readline(); os.fork() or os._exit(sum(range(3_000_000)) * 0)\nos.wait();"
    program += "print('done', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        read = IdleReader()
        before = read({"a": [server.pid]}, {"a": [server.pid]}, [0]).cpu_s["a"]
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "done\n"
        assert read({"a": [server.pid]}, {"a": [server.pid]}, [0]).cpu_s["a"] - before > 0.02
        server.kill()
    assert math.isnan(read({"a": [server.pid]}, {"a": [server.pid]}, [0]).cpu_s["a"])


def test_children_are_listed_where_anything_was_started_on_the_machine_since(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = iter([5, 5, 6, 0, 0])
    listed: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        KernelCounts, "take", lambda pids, *, quotas: KernelCounts(at_s=0.0, wall_s=0.0, forks=next(forks))
    )

    def descendants(pids: Collection[int]) -> set[int]:
        listed.append(tuple(pids))
        return set()

    monkeypatch.setattr(procfs, "descendants", descendants)
    read, own = IdleReader(), os.getpid()
    for expected in (1, 1, 2, 3, 4):  # 0 is not known
        read({"a": [own]}, {"a": [own]}, [0])
        assert len(listed) == expected
