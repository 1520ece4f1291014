"""What happened around a measurement, and what the reader is told of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from grpclab.load.interference_watch import LOOK_S, InterferenceWatch
from grpclab.metrics import MEASURED
from grpclab.system.accounting import KernelCounts, Throttling
from grpclab.system.interference import GENERATOR, LINK, SERVER, UNWATCHED_S, Interference, Party, between
from grpclab.system.notices import Notice, kinds

PARTIES = {
    SERVER: Party(pids=(10, 11), cores=frozenset({0})),
    GENERATOR: Party(pids=(20,), cores=frozenset({1})),
}


def reading(at_s: float, **counts: Any) -> KernelCounts:
    known: dict[str, Any] = {"wall_s": 1000.0, "used_s": {0: 0.0, 1: 0.0, 2: 0.0}}
    return KernelCounts(at_s=at_s, **known | counts)


def around(
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    parties: Mapping[str, Party] | None = None,
    **more: Any,
) -> Interference:
    """Ten seconds."""
    return between(reading(5.0, **before or {}), reading(15.0, **after or {}), parties or PARTIES, **more)


def test_a_quiet_machine_has_nothing_to_tell() -> None:
    found = around(after={"used_s": {0: 8.0, 1: 5.0, 2: 9.0}, "cpu_s": {10: 3.0, 11: 4.9, 20: 4.8}})
    assert found.seconds == 10.0
    assert found.cores == (0, 1)
    assert found.others_s == pytest.approx(0.3), "what runs on other cores does not count"
    assert found.notices == ()


@pytest.mark.parametrize(
    ("after", "more", "kind"),
    [
        ({"used_s": {0: 9.9, 1: 5.0}, "cpu_s": {10: 5.0, 20: 5.0}}, {}, "others"),
        ({"stolen_s": {0: 1.0, 1: 0.0}}, {}, "stolen"),
        ({"pressure_s": {"memory": 0.2}}, {}, "memory-pressure"),
        ({"throttling": {11: Throttling(periods=100, throttled=30, throttled_s=1.5)}}, {}, "throttled"),
        ({}, {"stopped_s": {SERVER: 1.0}}, "server-stopped"),
        ({}, {"stopped_s": {LINK: 0.1}}, "link-stopped"),
    ],
)
def test_what_may_have_changed_the_figures_is_a_warning_with_its_remedy(
    after: dict[str, Any], more: dict[str, Any], kind: str
) -> None:
    (notice,) = around(after=after, **more).notices
    assert (notice.kind, notice.severity) == (kind, "warning")
    assert notice.remedy


@pytest.mark.parametrize(
    ("after", "more", "kind"),
    [
        ({"wall_s": 4600.0}, {}, "clock-set"),
        ({"wall_s": -2600.0}, {}, "clock-set"),
        ({"pressure_s": {"io": 4.0}}, {}, "io-pressure"),
        ({}, {"unwatched_s": 1.0}, "unwatched"),
        ({}, {"governor": "powersave", "turbo": True}, "frequency"),
        ({}, {"governor": "performance", "turbo": True}, "frequency"),
    ],
)
def test_what_does_not_change_them_is_a_note(after: dict[str, Any], more: dict[str, Any], kind: str) -> None:
    (notice,) = around(after=after, **more).notices
    assert (notice.kind, notice.severity) == (kind, "note")


def test_a_core_that_both_share_is_a_warning_and_a_quota_that_was_not_used_up_a_note() -> None:
    shared = {name: Party(pids=(1,), cores=frozenset({0})) for name in (SERVER, GENERATOR)}
    assert kinds(around(parties=shared).notices) == ("shared-core",)
    limited = {**PARTIES, SERVER: Party(pids=(10,), cores=frozenset({0}), quota_cores=0.5)}
    (notice,) = around(parties=limited).notices
    assert (notice.kind, notice.severity) == ("cpu-quota", "note")
    used_up = around(parties=limited, after={"throttling": {10: Throttling(periods=9, throttled=1, throttled_s=0.1)}})
    assert kinds(used_up.notices) == ("throttled",)
    assert "0.5 cores" in used_up.notices[0].text


def test_throttling_and_pressure_before_the_window_do_not_count() -> None:
    before = {"throttling": {10: Throttling(periods=50, throttled=30, throttled_s=9.0)}, "pressure_s": {"memory": 7.0}}
    after = {"throttling": {10: Throttling(periods=90, throttled=30, throttled_s=9.0)}, "pressure_s": {"memory": 7.0}}
    assert around(before, after).notices == ()


def test_of_a_server_whose_processes_are_unknown_nobody_can_tell_what_others_used() -> None:
    found = around(after={"used_s": {0: 9.9, 1: 9.9}}, parties={GENERATOR: PARTIES[GENERATOR]})
    assert math.isnan(found.others_s)
    assert found.notices == ()
    assert json.loads(json.dumps(found.to_json()))["others_s"] is None


def test_the_interference_of_several_windows_adds_up() -> None:
    one = around(after={"pressure_s": {"memory": 0.06}, "waited_s": {10: 1.0, 11: 2.0}}, stopped_s={SERVER: 0.5})
    both = one + one
    assert (both.seconds, both.stopped_s, both.waited_s[SERVER]) == (20.0, {SERVER: 1.0}, 6.0)
    assert both.pressure_s["memory"] == pytest.approx(0.12)
    assert set(both.as_row()) <= set(MEASURED)
    assert both.as_row()["memory_pressure_share"] == pytest.approx(0.006)


def test_a_notice_is_one_line_with_its_remedy() -> None:
    assert str(Notice(kind="k", severity="note", text="it was late", remedy="be early")) == "it was late: be early"
    assert str(Notice(kind="k", severity="note", text="it was late")) == "it was late"


# ---- watching a window -----------------------------------------------------------------------------------------


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def watched(root: Path, clock: Time) -> InterferenceWatch:
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/stat").write_text("7 (a (b) c) S 1 1\n")
    return InterferenceWatch({SERVER: [7]}, clock=clock, root=root)


def test_a_stop_is_about_as_long_as_the_process_was_seen_stopped(tmp_path: Path) -> None:
    clock = Time()
    watch = watched(tmp_path, clock)
    watch.open()
    for step in range(100):
        state = "T" if 30 <= step < 55 else "S"
        (tmp_path / "proc/7/stat").write_text(f"7 (a (b) c) {state} 1 1\n")
        clock.now += LOOK_S
        watch.look()
    found = watch.close()
    assert found.stopped_s == pytest.approx({SERVER: 1.0}, abs=2 * LOOK_S)
    assert found.unwatched_s == 0.0


def test_looks_before_it_is_time_cost_nothing(tmp_path: Path) -> None:
    clock = Time()
    watch = watched(tmp_path, clock)
    watch.open()
    (tmp_path / "proc/7/stat").write_text("7 (a) T 1 1\n")
    clock.now += LOOK_S / 2
    watch.look()
    assert watch.close().stopped_s == {}


def test_a_watcher_that_stood_still_says_so(tmp_path: Path) -> None:
    clock = Time()
    watch = watched(tmp_path, clock)
    watch.open(late_s=2.0)
    clock.now += 3.0
    watch.look()
    clock.now += UNWATCHED_S / 2
    assert watch.close().unwatched_s == pytest.approx(5.0)


def test_a_window_that_never_opened_has_no_interference(tmp_path: Path) -> None:
    assert watched(tmp_path, Time()).close().notices == ()
