"""Recordings in comparisons and studies: both sides get the recorded calls at their times, block after block."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from grpclab.analysis.study_plan import StudyPlan
from grpclab.cli import commands
from grpclab.errors import UsageError
from grpclab.load.core.recording import RecordedCall, call_line, header_line
from grpclab.servers.target import Address
from grpclab.study import comparing
from grpclab.study.designs.file_design import design
from grpclab.study.designs.grouping import grouped
from grpclab.study.pilot import group_lines
from grpclab.study.sides import PairOptions, pair
from tests.support.busy_shop import PROTO, busy_shop

CALLS = 1200
METHODS = ("Buy", "Buy", "Buy", "Look", "Watch")
FILE = """
headline = "load.arrival=replay:day.calls@4"
profile = false
[target]
address = "localhost:1"
[call]
data-file = "day.calls"
proto = "shop.proto"
[set]
load.arrival = "replay:day.calls"
[factors]
load.arrival = ["replay:day.calls@2", "replay:day.calls@4"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recording of 2 s and the schema of its calls."""
    (tmp_path / "shop.proto").write_text(PROTO)
    calls = [
        RecordedCall(
            at_s=number * 2.0 / CALLS,
            method=f"a.Shop/{METHODS[number % len(METHODS)]}",
            messages=(b"\x08" + bytes([number % 100 + 1]),),
            status=0,
            answers=3 if METHODS[number % len(METHODS)] == "Watch" else 1,
        )
        for number in range(CALLS)
    ]
    lines = [header_line("localhost:1", "2026-11-30T08:00:00+00:00"), *map(call_line, calls)]
    (tmp_path / "day.calls").write_text("".join(lines))
    return tmp_path


def rates(plan: StudyPlan) -> dict[str, float | None]:
    return {one.name: one.config.load.rate_rps for one in plan.configurations}


def test_a_file_has_speeds_as_levels_and_names_the_recording_beside_it(folder: Path) -> None:
    plan = design(tomllib.loads(FILE), folder).plan
    own_rps = (CALLS - 1) / (2.0 * (CALLS - 1) / CALLS)
    faster = {name: rate for name, rate in rates(plan).items() if not name.startswith("baseline")}
    assert rates(plan)["baseline"] == pytest.approx(own_rps)
    assert sorted(filter(None, faster.values())) == pytest.approx([2 * own_rps, 4 * own_rps])
    assert plan.headline is not None
    assert faster[plan.headline.candidate] == pytest.approx(4 * own_rps)
    assert all(str(folder) not in name for name in plan.names)
    for one in plan.configurations:
        load = one.config.load
        assert load.arrival.startswith(f"replay:{folder / 'day.calls'}")
        assert (load.requests, load.duration_s, load.warmup_s) == (CALLS, None, 0.0)
    assert not any(group.interleaved for group in plan.groups), "slices would cut it"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('load.arrival = "replay:day.calls"\n', 'load.arrival = "replay:night.calls"\n', "night.calls"),
        ("[set]\n", "[set]\nload.rate_rps = 5\n", "no @SPEED"),
        ("[set]\n", "[set]\nload.warmup_s = 1\n", "invalid load.warmup_s=1"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(folder: Path, before: str, after: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        design(tomllib.loads(FILE.replace(before, after)), folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("engine", ["wire", pytest.param("grpcio", marks=pytest.mark.long)])  # its: test_record.py
def test_both_sides_of_a_comparison_get_the_recorded_calls_at_their_times(engine: str, folder: Path) -> None:
    path = folder / "day.calls"
    settings: dict[str, Any] = {"load.arrival": f"replay:{path}@4", "load.engine": engine}
    options = PairOptions(data=f"@{path}", proto=str(folder / "shop.proto"), settings=settings)
    with busy_shop() as one, busy_shop() as other:
        sides = pair(Address(one.address), Address(other.address), options)
        study = comparing.prepare(
            sides, blocks=2, delta=0.05, seed=1, study="replayed", write=lambda _: None, root=folder
        )
        study.run(lambda _: None)
    results = list(study.store.results().values())
    assert [(result.valid, result.invalid_reason) for result in results] == [(True, "")] * 4
    for result in results:
        assert (result.metrics["requests"], result.metrics["errors"]) == (CALLS, 0), result.notices
        assert {name: call["requests"] for name, call in result.calls.items()} == {
            "Buy": 720,
            "Look": 240,
            "Watch": 240,
        }
        assert result.metrics["offered_rps"] == pytest.approx(4 * CALLS / 2.0)
    expected = [(METHODS[number % len(METHODS)], b"\x08" + bytes([number % 100 + 1])) for number in range(CALLS)]
    for shop in (one, other):
        came = [(call.method, call.request) for call in shop.came]
        assert len(came) == 2 * CALLS
        assert [sorted(came[:CALLS]), sorted(came[CALLS:])] == [sorted(expected)] * 2
    trials = study.collect()
    buys = {one.metric: one for one in study.judge(trials).comparisons}["throughput_rps@Buy"]
    # A server that stands still for the whole window of 0.5 s answers every call, and none of them within it.
    assert buys.computed == (trials["throughput_rps@Buy"] > 0).all(), buys.missing


def test_a_replay_is_not_compared_with_a_closed_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    words = ["compare", "basic", "basic", "--b-set", "load.arrival=replay:day.calls"]
    assert commands.main(words) == 2
    assert "expected a rate on both sides or on neither" in capsys.readouterr().err


def test_a_plan_counts_for_as_long_as_each_recording_lasts(folder: Path) -> None:
    plan = grouped(design(tomllib.loads(FILE), folder).plan)
    counted = [
        line.partition(" counted for each")[0].rpartition("(")[2].split(" or ") for line in group_lines(plan)[1:]
    ]
    assert {word for words in counted for word in words} == {"2 s", "1 s", "500 ms"}
