"""One group measured, with servers and generators that only pretend: who is measured how, and what is kept of it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.study_plan import PlannedGroup
from grpclab.errors import ServerError, UsageError, WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.load.core.slices import Slice, SliceLengths, WarmUp
from grpclab.load.run import LoadRun
from grpclab.study.group import run_group
from grpclab.study.group_result import SLICE_COLUMNS, GroupMember, GroupResult
from grpclab.study.profile_window import Evidence
from grpclab.study.running_member import GroupTools
from grpclab.study.set_up import SetUp
from grpclab.study.slice_account import IdleReading
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system import procfs
from grpclab.system.accounting import KernelCounts
from grpclab.system.environment import CorePlan
from grpclab.system.notices import Notice
from tests.support.bench_results import SAY_HELLO, result
from tests.support.slices import made_slice

CORES = CorePlan(server=(0,), generator=(1,), shared=False)
WARM = WarmUp(calls=1000, latency_p50_s=0.001, latency_p99_s=0.002, throughput_rps=2000.0)


class World:
    """A machine on which only this group runs; its clock goes on by slices and gaps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.servers: dict[str, FakeServer] = {}
        self.log: list[str] = []
        """Who was started, visited, looked into, stopped and measured alone."""
        self.free_bytes = 1e10
        self.fails_beside: set[str] = set()
        self.fails_alone: set[str] = set()
        self.alone: dict[str, dict[str, Any]] = {}
        self.no_yardstick = ""
        """Why there is none."""
        self.measured_cores: list[int] = []
        self.slow: list[tuple[float, float]] = []
        """The times at which the servers' core has half of its speed."""

    @contextlib.contextmanager
    def yardstick(self, cores: Collection[int]) -> Iterator[Any]:
        """A yardstick on a core that has half of its speed at the slow times."""
        if self.no_yardstick:
            raise WorkerError(self.no_yardstick)
        self.measured_cores = list(cores)
        yield self

    def take(self) -> list[Any]:
        moments = np.arange(0.0, self.now, 0.002)
        took = np.full(len(moments), 1e-5)
        for began, ended in self.slow:
            took[(moments >= began) & (moments < ended)] = 2e-5
        return [np.column_stack([moments, took])]

    def wait(self, seconds: float, busy: str = "") -> None:
        """Let time go by; `busy` works for its calls meanwhile, and whoever burns does."""
        self.now += seconds
        for server in self.servers.values():
            if server.up:
                server.cpu_s += server.burns * seconds + (0.8 * seconds if server.name == busy else 0.0)


@dataclasses.dataclass
class FakeServer:
    """A server that uses CPU as it is told."""

    name: str
    world: World
    pids: list[int]
    burns: float = 0.0
    """The share of a core that it uses all the time."""
    works_on: float = 0.0
    """The CPU time that it uses after each of its slices."""
    rss: float = 1e7
    warm: WarmUp = WARM
    dies_in: int | None = None
    """The number of the slice in which it dies."""
    worker_dies_in: int | None = None
    late_in: Collection[int] = ()
    slow_in: Collection[int] = ()
    """The slices in which its core has half of its speed."""
    slice_fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cpu_s: float = 0.0
    pending: float = 0.0
    up: bool = False
    alive: bool = True
    process: str = "a process"
    helpers: tuple[int, ...] = ()
    prepare_s = None
    cleanup_s = None
    program_at_end = None
    notices: tuple[Notice, ...] = ()

    def require_alive(self) -> None:
        if not self.alive:
            raise ServerError("the server was killed by SIGKILL")

    def await_end(self, timeout_s: float) -> None:
        pass

    def usage(self) -> procfs.Usage:
        used, rss = self.cpu_s, int(self.rss)
        return procfs.Usage(
            at_s=self.world.now, cpu_s=used, user_s=used, kernel_s=used, rss_bytes=rss, peak_rss_bytes=rss
        )

    def connections(self, *, excluding: Collection[int]) -> list[int]:
        assert excluding
        return [1]


class FakeGenerator:
    """A generator whose slices have 200 calls each."""

    workers = 1
    pids: Collection[int] = ()
    beside: Mapping[str, Collection[int]] = {}
    call = SAY_HELLO

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.calls_made = 0
        self.slices: list[Slice] = []
        self.kept: list[int] = []

    def warm_up(self) -> WarmUp:
        self.server.world.wait(0.5, self.server.name)
        self.calls_made += self.server.warm.calls
        return self.server.warm

    def open_slices(self) -> None:
        pass

    def slice(self, lengths: SliceLengths, *, counts: bool) -> Slice:
        assert not counts, "the group reads them"
        server, number, world = self.server, len(self.slices), self.server.world
        world.log.append(f"visit {server.name}")
        if number == server.worker_dies_in:
            raise WorkerError("load worker 1 of 1 was killed by SIGKILL")
        started_at = world.now
        closed_at = started_at + lengths.ramp_s + lengths.counted_s
        fields: dict[str, Any] = {"closed_at": closed_at, "tail_ended_at": closed_at, "drained_at": closed_at + 0.001}
        if number in server.late_in:
            fields["invalid"] = "a worker of the load generator started 9 ms late"
        if number in server.slow_in:
            world.slow.append((started_at, closed_at))
            fields["counted_ok"] = 75
        world.wait(closed_at + 0.001 - started_at, server.name)
        made = made_slice(
            number, started_at, opened_at=started_at + lengths.ramp_s, **fields | dict(server.slice_fields)
        )
        self.slices.append(made)
        made = dataclasses.replace(made, stretch=None)
        server.pending = server.works_on
        self.calls_made += made.calls
        if number == server.dies_in:
            server.alive = False
        return made

    def prepare_slice(self, lengths: SliceLengths) -> None:
        assert lengths.counted_s > 0
        self.server.world.log.append(f"prepare {self.server.name}")

    def finish_slices(self) -> list[Slice]:
        return self.slices

    def close_slices(self, keep: Collection[int], idle: Mapping[int, tuple[KernelCounts, KernelCounts]]) -> LoadRun:
        assert list(idle) == list(keep)
        self.kept = sorted(keep)
        return result([0.001] * 200 * len(self.kept)).run


class Bench:
    """A group on a machine that only pretends."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder, self.names = folder, names
        self.world = World()
        self.world.servers = {
            name: FakeServer(name, self.world, [10_000_001 + number]) for number, name in enumerate(names)
        }
        self.generators = {name: FakeGenerator(server) for name, server in self.world.servers.items()}
        self.levels: dict[str, Any] = {"load.requests": 1000, "load.duration_s": 20.0}
        self.profiled: set[str] = set()
        self.group = PlannedGroup(hub=names[0], members=names)

    def __getitem__(self, name: str) -> FakeServer:
        return self.world.servers[name]

    def measure(self) -> GroupResult:
        members = []
        for order, name in enumerate(self.names):
            (self.folder / name).mkdir(exist_ok=True)
            identity = TrialIdentity(study="s", trial=f"00-00-{name}", configuration=name, order=order, group=0)
            config = TrialConfig().replace(self.levels)
            member = GroupMember(
                config=config, identity=identity, folder=self.folder / name, profile=name in self.profiled
            )
            members.append(member)
        return run_group(members, self.folder, group=self.group, cores=CORES, seed=7, tools=self._tools())

    def _tools(self) -> GroupTools:
        world = self.world

        @contextlib.contextmanager
        def start(member: GroupMember, cores: CorePlan, share: tuple[int, int]) -> Iterator[SetUp]:
            server = self[member.name]
            if member.name in world.fails_beside:
                raise ServerError("the server could not be started: port 9000 is in use")
            server.up = True
            try:
                yield SetUp(server=cast("Any", server), generator=cast("Any", self.generators[member.name]))
            finally:
                server.up = False
                world.log.append(f"stop {member.name}")

        def read(
            pids: Mapping[str, Collection[int]], visited: Mapping[str, Collection[int]], cores: Collection[int]
        ) -> IdleReading:
            used = {name: self[name].cpu_s for name in pids}
            found = IdleReading(at_s=world.now, cpu_s=used, waited_s=dict.fromkeys(visited, 0.0))
            world.wait(0.0005)
            for server in world.servers.values():  # what follows the drain comes after the reading
                server.cpu_s, server.pending = server.cpu_s + server.pending, 0.0
            return found

        def alone(member: GroupMember, cores: CorePlan, **given: Any) -> TrialResult:
            world.log.append(f"alone {member.name}")
            world.alone[member.name] = given
            assert not any(server.up for server in world.servers.values())
            bad = member.name in world.fails_alone
            made = TrialResult(identity=member.identity, config=member.config, started_at="", valid=not bad)
            made.invalid_reason = "the server could not be started" if bad else ""
            made.metrics["pass_count"] = 0
            made.notices = list(given["notices"])
            made.write(member.folder)
            return made

        def observe(server: FakeServer, generator: FakeGenerator, *, cpus: Collection[int]) -> Evidence:
            world.log.append(f"observe {server.name}")
            return Evidence(profile_note="seen")

        return GroupTools(
            start=start,
            begin=lambda result, up, expected: None,
            read=read,
            alone=cast("Any", alone),
            observe=cast("Callable[..., Evidence]", observe),
            yardstick=world.yardstick,
            free_bytes=lambda: world.free_bytes,
            clock=lambda: world.now,
        )

    def visits(self) -> Counter[str]:
        return Counter(line.removeprefix("visit ") for line in self.world.log if line.startswith("visit "))


def test_every_member_is_visited_pass_by_pass_until_it_has_its_time_and_its_calls(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    found = bench.measure()
    assert bench.visits() == {"hub": 14, "b": 14, "c": 14}, "1 s of 75 ms each; 1,000 calls are there before"
    assert all(len(visited) == 3 for visited in found.passes)
    assert len({visited[0] for visited in found.passes}) == 3, "the order is random"
    assert all(result.valid for result in found.trials.values())
    assert found.interleaved
    assert found.alone == {}
    assert found.trials["b"].metrics["pass_count"] == 14


@pytest.mark.parametrize(("shortened", "slices"), [(False, 34), (True, 7)])
def test_a_budget_ends_slices_that_have_few_calls(tmp_path: Path, shortened: bool, slices: int) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.levels["load.requests"] = 5000
    bench.group = dataclasses.replace(bench.group, counted_s=0.5, shortened=shortened)
    bench.measure()
    assert bench.visits() == {"hub": slices, "b": slices}


def test_between_two_slices_everything_is_read_once(tmp_path: Path) -> None:
    """A reading takes 0.5 ms here. Where somebody may leave after a pass, nobody knows who comes first in the next."""
    for names in (("hub", "b"), ("hub", "b", "c")):
        found = Bench(tmp_path, *names).measure()
        frame = found.slices()
        readings_s = frame["hand_over_s"].to_numpy() / 0.0005
        assert math.isnan(readings_s[0])
        looked = frame["pass"].isin([2, 3, 4, 6, 9, 13]) & (len(names) > 2)
        again = (frame["pass"].diff() > 0) & (frame["member"] != frame["member"].shift()) & looked
        assert readings_s[1:] == pytest.approx(1.0 + again.to_numpy()[1:])
        assert frame["throughput_rps"].notna().all(), "the figures are there when the slices are over"
        pairs = itertools.pairwise(found.readings)
        assert all(
            before.after is after.before for (before, after), twice in zip(pairs, again[1:], strict=True) if not twice
        )


def test_who_comes_next_in_a_pass_gets_ready_while_the_servers_are_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    found = bench.measure()
    log = [line for line in bench.world.log if line.startswith(("prepare", "visit"))]
    first, second, third = found.passes[0]
    assert log[:5] == [f"visit {first}", f"prepare {second}", f"visit {second}", f"prepare {third}", f"visit {third}"]
    assert log.count("visit b") == len(found.passes)
    assert log[5:7] == [f"prepare {found.passes[1][0]}", f"visit {found.passes[1][0]}"], "nobody can leave before"
    assert log[11] == f"visit {found.passes[2][0]}", "two passes are over: somebody may leave"


def test_calls_are_counted_until_there_are_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.levels["load.requests"] = 3000
    bench.measure()
    assert bench.visits() == {"hub": 20, "b": 20}, "150 counted calls a slice"


def test_a_member_is_measured_for_no_longer_than_the_load_may_last(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.levels |= {"load.requests": 100_000, "load.duration_s": 1.5}
    bench.measure()
    assert bench.visits() == {"hub": 20, "b": 20}, "1.5 s of 75 ms each"


def test_a_group_ends_within_its_time_and_says_what_is_missing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.levels |= {"load.requests": 10_000_000, "load.duration_s": None}
    found = bench.measure()
    assert 50 < found.seconds < 60
    assert [notice.kind for notice in found.trials["b"].notices] == ["cut-short"]


def test_one_length_holds_for_all_and_the_slowest_decides(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].warm = dataclasses.replace(WARM, latency_p50_s=0.1, latency_p99_s=0.15)
    found = bench.measure()
    assert found.lengths == SliceLengths(ramp_s=0.3, counted_s=0.5)


def test_one_whose_slice_would_be_too_long_is_measured_alone_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench["c"].warm = dataclasses.replace(WARM, latency_p50_s=1.0, latency_p99_s=1.5)
    found = bench.measure()
    assert set(found.alone) == {"c"}
    assert "a slice would take" in found.alone["c"]
    assert bench.visits().keys() == {"hub", "b"}
    assert [notice.kind for notice in found.trials["c"].notices] == ["alone"]
    assert not bench.world.alone["c"]["until_idle"]
    assert found.lengths == SliceLengths(ramp_s=0.025, counted_s=0.075), "those that are left decide"


def test_a_member_whose_warm_up_has_no_call_is_measured_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench["b"].warm = WarmUp(calls=0, latency_p50_s=math.nan, latency_p99_s=math.nan, throughput_rps=0.0)
    assert bench.measure().alone == {"b": "no call completed in its warm-up"}


def test_a_pair_is_measured_one_after_the_other_where_one_side_has_to_be(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].warm = dataclasses.replace(WARM, latency_p50_s=1.0, latency_p99_s=1.5)
    found = bench.measure()
    assert set(found.alone) == {"hub", "b"}
    assert found.alone["hub"] == (
        f"no other configuration is left in its group, since b was measured alone ({found.alone['b']})"
    )
    assert found.reasons == (f"b was measured alone: {found.alone['b']}",)
    assert bench.visits() == {}
    assert not found.interleaved


def test_the_busiest_of_those_that_work_without_calls_leaves_and_what_it_disturbed_does_not_count(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench["c"].burns = 0.1
    found = bench.measure()
    assert set(found.alone) == {"c"}
    assert bench.world.alone["c"]["until_idle"]
    assert "of a core even while no calls are in progress" in found.alone["c"]
    frame = found.slices()
    early = frame[frame["reason"] == "c left the group"]
    assert not early["valid"].any()
    assert bench.generators["b"].kept == [slice_.number for slice_ in bench.generators["b"].slices][2:]
    assert found.trials["b"].valid
    assert found.trials["b"].metrics["slices_left_out"] == 2
    assert bench.world.log.index("stop c") < len(bench.world.log) - 10, "its server does not go on meanwhile"


def test_a_server_that_works_when_its_calls_have_ended_is_measured_until_it_is_idle(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench["b"].works_on = 0.003
    found = bench.measure()
    assert set(found.alone) == {"b"}
    assert bench.world.alone["b"]["until_idle"]
    assert "after its calls have ended" in found.alone["b"]


@pytest.mark.parametrize("until_idle", [True, False])
def test_a_plan_says_which_groups_are_measured_until_their_servers_are_idle(tmp_path: Path, until_idle: bool) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.group = dataclasses.replace(
        bench.group, interleaved=False, reason="they are", counted_s=10.0, until_idle=until_idle
    )
    bench.measure()
    assert {name: each["until_idle"] for name, each in bench.world.alone.items()} == {
        "hub": until_idle,
        "b": until_idle,
    }


def test_servers_that_take_too_much_memory_are_measured_one_after_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].rss = 6e9
    found = bench.measure()
    assert set(found.alone) == {"hub", "b"}
    assert len(found.reasons) == 1
    assert "more than half" in found.reasons[0]


def test_servers_that_are_known_to_take_too_much_memory_are_not_started_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.group = dataclasses.replace(bench.group, memory_bytes=int(6e9))
    bench.measure()
    assert bench.world.log == ["alone hub", "alone b"]


def test_a_server_that_starts_only_alone_is_measured_alone_and_the_others_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench.world.fails_beside = {"c"}
    found = bench.measure()
    assert set(found.alone) == {"c"}
    assert bench.visits().keys() == {"hub", "b"}
    assert found.reasons == (
        "c was measured alone: it does not start while the others are running (the server could not be started: port "
        "9000 is in use)",
    )


def test_where_two_servers_cannot_live_together_both_sides_are_measured_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.world.fails_beside = {"b"}
    found = bench.measure()
    assert set(found.alone) == {"hub", "b"}
    why = "the server could not be started: port 9000 is in use"
    assert found.alone["hub"] == f"b does not start while the others are running ({why})"
    assert found.reasons == (found.alone["hub"],), "why is said, and once"
    notices = bench.world.alone["b"]["notices"]
    assert [each.text for each in notices] == [
        f"measured alone in one window: it does not start while the others are running ({why})"
    ]


def test_a_server_that_does_not_start_at_all_is_an_invalid_trial(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.world.fails_beside = bench.world.fails_alone = {"b"}
    found = bench.measure()
    assert not found.trials["b"].valid
    assert found.trials["hub"].valid
    assert found.alone == {"hub": "b is invalid"}


def test_a_server_that_dies_makes_its_own_trial_invalid_and_the_others_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b", "c")
    bench["b"].dies_in = 3
    found = bench.measure()
    assert found.trials["b"].invalid_reason == "the server was killed by SIGKILL"
    assert (found.trials["hub"].valid, found.trials["c"].valid) == (True, True)
    assert bench.visits()["b"] == 4
    assert bench.visits()["c"] == 14


def test_a_worker_that_dies_makes_its_own_trial_invalid(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].worker_dies_in = 3
    found = bench.measure()
    assert "was killed by SIGKILL" in found.trials["b"].invalid_reason
    assert found.trials["hub"].valid


def test_a_slice_that_began_late_is_left_out_and_another_one_measured(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].late_in = {2, 5}
    found = bench.measure()
    assert bench.visits()["b"] == 16
    assert found.trials["b"].metrics["pass_count"] == 14
    assert bench.generators["b"].kept == [0, 1, 3, 4, *range(6, 16)]
    assert "slices-left-out" in [notice.kind for notice in found.trials["b"].notices]


def test_a_member_whose_slices_are_all_late_does_not_go_on_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].late_in = range(1000)
    bench.measure()
    assert bench.visits()["b"] == 21


def test_a_member_of_whose_slices_none_counts_is_measured_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "a", "b")
    bench["b"].late_in = range(1000)
    found = bench.measure()
    assert [name for name in ("hub", "a", "b") if name in found.alone] == ["b"]
    assert "started 9 ms late" in found.alone["b"]
    assert found.trials["b"].valid


def test_an_open_loop_whose_queue_grows_is_measured_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.levels |= {"load.rate_rps": 1000.0, "load.arrival": "poisson"}
    bench["b"].slice_fields = {"under_way_opened": 5, "under_way_closed": 60}
    found = bench.measure()
    assert set(found.alone) == {"b"}
    assert found.lengths is not None
    assert found.lengths.counted_s == 1.0


def test_profiles_come_after_all_passes_one_member_after_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.profiled = {"hub", "b"}
    found = bench.measure()
    log = [line for line in bench.world.log if not line.startswith("stop")]
    assert {*log[-2:]} == {"observe hub", "observe b"}
    assert found.trials["b"].evidence.profile_note == "seen"


def test_a_core_that_was_slow_for_one_side_is_taken_out_of_its_throughput(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench["b"].slow_in = {2, 3, 4, 9}
    found = bench.measure()
    assert bench.world.measured_cores == [0], "that of the servers"
    frame = pd.read_parquet(tmp_path / "slices.parquet")
    of_b = frame[frame["member"] == "b"]
    assert of_b["core_speed"].to_numpy()[[1, 2, 9]] == pytest.approx([1.0, 0.5, 0.5])
    hub, b = (found.trials[name].metrics for name in ("hub", "b"))
    assert hub["throughput_rps"] == b["throughput_rps"]
    assert b["throughput_even_rps"] / hub["throughput_even_rps"] == pytest.approx(2000 / of_b["throughput_rps"].mean())


def test_without_a_yardstick_a_group_is_measured_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.world.no_yardstick = "the yardstick on core 0 ended with exit code 1"
    found = bench.measure()
    assert found.reasons == (f"the speed of the cores is unknown: {bench.world.no_yardstick}",)
    assert all(result.valid and "throughput_even_rps" not in result.metrics for result in found.trials.values())


def test_a_group_that_is_not_interleaved_is_measured_in_its_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    bench.group = dataclasses.replace(bench.group, interleaved=False, reason="exclusive = true")
    found = bench.measure()
    assert bench.world.log == ["alone hub", "alone b"]
    assert bench.world.alone["b"]["counted_s"] == 1.0
    assert found.reasons == ("exclusive = true",)
    assert found.trials["b"].notices == [], "the plan says it already"


def test_a_group_of_one_is_measured_in_one_window(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub")
    found = bench.measure()
    assert bench.world.log == ["alone hub"]
    assert (found.alone, found.reasons, found.interleaved) == ({}, (), False)


def test_what_is_stored_of_a_group(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    found = bench.measure()
    document = json.loads(json.dumps(found.document()))
    assert document["members"][1] == {
        "configuration": "b",
        "trial": "00-00-b",
        "valid": True,
        "invalid_reason": "",
        "alone": "",
        "pass_count": 14,
    }
    assert (document["hub"], document["lengths"]) == ("hub", {"ramp_s": 0.025, "counted_s": 0.075})
    assert len(document["passes"]) == 14
    frame = pd.read_parquet(tmp_path / "slices.parquet")
    assert list(frame) == SLICE_COLUMNS
    assert len(frame) == 28
    assert frame["started_at"].is_monotonic_increasing
    assert frame["throughput_rps"].to_numpy() == pytest.approx(150 / 0.075)
    assert (tmp_path / "b" / "result.json").exists()
    assert json.loads((tmp_path / "b" / "result.json").read_text())["metrics"]["pass_count"] == 14


def test_a_call_that_there_is_not_ends_everything(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")
    tools = bench._tools()

    @contextlib.contextmanager
    def start(member: GroupMember, cores: CorePlan, share: tuple[int, int]) -> Iterator[SetUp]:
        if member.name == "b":
            raise UsageError("invalid --call=No/Such: expected one of ...")
        with tools.start(member, cores, share) as up:
            yield up

    bench._tools = lambda: dataclasses.replace(tools, start=start)  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="No/Such"):
        bench.measure()
    assert bench.world.log == ["stop hub"]


def test_a_signal_in_the_middle_stops_everything(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hub", "b")

    def interrupted(lengths: SliceLengths, *, counts: bool) -> Slice:
        raise KeyboardInterrupt

    bench.generators["b"].slice = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.measure()
    assert sorted(bench.world.log[-2:]) == ["stop b", "stop hub"]
    assert not any(server.up for server in bench.world.servers.values())
