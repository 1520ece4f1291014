"""Load shapes with an argument: their planned times are exact, whatever the number of workers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import FACTORS, LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core import shapes
from grpclab.load.core.arrivals import CHUNK, Recording, count_between, parse_rates, plan_window, planned, read_ahead
from grpclab.load.core.bounds import plan_bounds
from grpclab.load.core.shapes import recorded_times, replayed_file, with_recorded_load
from grpclab.load.plan import calls_planned
from grpclab.load.plan import planned as plan_load
from grpclab.study.designs.expected_times import ExpectedTimes
from grpclab.study.designs.grouping import not_interleaved
from grpclab.system.inputs import read_text


def times(arrival: str, rate_rps: float, count: int, *, seed: int = 1) -> np.ndarray:
    return np.array(list(itertools.islice(planned(rate_rps, arrival, starts_at=0.0, seed=seed), count)))


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Five calls in 4 s, at 1,000 s of somebody's clock."""
    path = tmp_path / "day.txt"
    path.write_text("time_s,method\n# a comment\n1000.0,a\n1000.5,b\n\n1000.5\n1003.75\n1004\n")
    return path


# ---- each shape ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.25, 1.0, 16.0])
def test_gamma_gaps_have_the_mean_of_the_rate_and_the_variation_of_their_shape(shape: float) -> None:
    count = 200_000
    gaps = np.diff(np.concatenate([[0.0], times(f"gamma:{shape}", 40.0, count, seed=7)])) * 40.0
    assert gaps.min() >= 0
    # five standard errors; the kurtosis of a gamma distribution is 6 / shape beyond 3
    assert gaps.mean() == pytest.approx(1, abs=5 / (shape * count) ** 0.5)
    assert gaps.var() * shape == pytest.approx(1, abs=5 * ((2 + 6 / shape) / count) ** 0.5)


def test_gamma_arrivals_follow_from_their_seed() -> None:
    assert (times("gamma:0.5", 9.0, 50) == times("gamma:0.5", 9.0, 50)).all()
    assert (times("gamma:0.5", 9.0, 50) != times("gamma:0.5", 9.0, 50, seed=2)).all()


def test_a_burst_is_due_at_one_moment_and_keeps_the_mean_rate() -> None:
    assert times("burst:3", 30.0, 9).tolist() == pytest.approx([0, 0, 0, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2])


@given(st.floats(0, 20), st.floats(0.01, 30), st.floats(0.1, 5000))
@settings(max_examples=50)
def test_each_call_of_a_ramp_is_due_when_the_integral_of_the_rate_is_its_number(
    share: float, time_s: float, rate_rps: float
) -> None:
    due = times(f"ramp:{share!r}@{time_s!r}s", rate_rps, 5000)
    inside = np.minimum(due, time_s)
    calls = rate_rps * (share * inside + (1 - share) * inside**2 / (2 * time_s) + np.maximum(due - time_s, 0))
    assert (np.diff(due) >= 0).all()
    assert calls == pytest.approx(np.arange(5000), abs=1e-6)


def test_steps_hold_each_share_for_their_time_and_the_last_for_ever() -> None:
    due = times("steps:0.5,0,2@1s", 10.0, 45)
    assert [int(((due >= second) & (due < second + 1)).sum()) for second in range(4)] == [5, 0, 20, 20]
    assert due[:6].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 2.0])


@pytest.mark.parametrize("chunk", [1, 7])
@pytest.mark.parametrize("arrival", ["gamma:0.5", "burst:3", "ramp:0.1@5s", "steps:0.2,1@3s"])
def test_the_times_do_not_depend_on_how_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch, arrival: str, chunk: int
) -> None:
    expected = times(arrival, 300.0, 9000)
    monkeypatch.setattr(shapes, "CHUNK", chunk)
    assert (times(arrival, 300.0, 9000) == expected).all()


# ---- replay ------------------------------------------------------------------------------------------------------


def test_a_file_is_replayed_at_its_times_and_scaled_to_a_rate_and_begins_anew(day: Path) -> None:
    own = ARRIVALS.resolve(f"replay:{day}").recording()
    assert (own.calls, own.rate_rps) == (5, 1.0)
    assert times(f"replay:{day}", 1.0, 7).tolist() == [0, 0.5, 0.5, 3.75, 4, 5, 5.5]
    assert times(f"replay:{day}", 4.0, 7).tolist() == [0, 0.125, 0.125, 0.9375, 1, 1.25, 1.375]


def test_a_replay_without_a_rate_sends_the_calls_of_the_file_once(day: Path) -> None:
    plan = plan_load({"load.arrival": f"replay:{day}"})
    load = plan.config.load
    assert (load.rate_rps, load.requests, load.duration_s) == (1.0, 5, None)
    assert "own rate is 1/s" in plan.notes[0]
    bounds = plan_bounds(load, 100.0, 1)
    due = list(
        itertools.islice(
            planned(1.0, load.arrival, starts_at=bounds.starts_at, seed=1, opens_at=bounds.opens_at),
            bounds.due.first if bounds.due else 0,
            bounds.due.first + 5 if bounds.due else 0,
        )
    )
    assert np.array(due) - bounds.opens_at == pytest.approx([0, 0.5, 0.5, 3.75, 4])
    assert plan_load({"load.arrival": f"replay:{day}"}, "2").config.load.rate_rps == 2.0


def test_the_file_of_a_replay_is_found_from_any_folder(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(day.parent)
    assert plan_load({"load.arrival": "replay:day.txt"}).config.load.arrival == f"replay:{day}"


def test_the_file_of_a_replay_is_read_before_the_time_counts_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it took a moment after the window had opened, in which the first calls were due."""
    file, read = tmp_path / "long.txt", []
    file.write_text("\n".join(map(str, range(3 * CHUNK))))

    def counted(name: str, path: str) -> str:
        read.append(path)
        return read_text(name, path)

    monkeypatch.setattr("grpclab.load.core.shapes.read_text", counted)
    arrival = f"replay:{file}"
    read_ahead(arrival)
    assert len(read) == 1
    moments = planned(10.0, arrival, starts_at=0.0, seed=1, opens_at=2.0)
    assert list(itertools.islice(moments, 22)) == pytest.approx([*(n / 10 for n in range(20)), 2.0, 2.1])
    assert max(map(len, itertools.islice(ARRIVALS.resolve(arrival).times(10.0, 1), 7))) <= CHUNK
    assert len(read) == 1
    file.write_text("0\n1\n3\n")
    assert recorded_times(str(file)).tolist() == [0, 1, 3]


def test_a_replay_may_have_a_speed(day: Path) -> None:
    assert ARRIVALS.resolve(f"replay:{day}@4").recording() == Recording(calls=5, rate_rps=4.0)
    assert times(f"replay:{day}@4", 4.0, 7).tolist() == times(f"replay:{day}", 4.0, 7).tolist()
    plan = plan_load({"load.arrival": f"replay:{day}@4"})
    assert (plan.config.load.rate_rps, plan.config.load.requests, plan.notes) == (4.0, 5, ())
    for more in ({"load.rate_rps": 2.0}, {"load.arrival": "constant"}):
        with pytest.raises(UsageError):
            plan_load({"load.arrival": f"replay:{day}@4", **more}, speed=None if "load.rate_rps" in more else 2.0)


@pytest.mark.parametrize(
    ("argument", "file"),
    [("day.txt", "day.txt"), ("day.txt@4", "day.txt"), ("me@home.txt", "me@home.txt"), ("a@4@0.5", "a@4"), ("7", "7")],
)
def test_a_speed_is_a_number_after_the_last_at(argument: str, file: str) -> None:
    assert replayed_file(f"replay:{argument}") == file
    assert [replayed_file(other) for other in ("constant", 7, None)] == [""] * 3


def test_a_configuration_takes_from_its_recording_what_nobody_gave(day: Path) -> None:
    def load(*given: str, arrival: str = "replay:day.txt@2", **levels: Level) -> LoadConfig:
        config = TrialConfig().replace({"load.arrival": arrival, **{f"load.{name}": of for name, of in levels.items()}})
        names = {f"load.{name}" for name in (*given, *levels)}
        return with_recorded_load(config, names, day.parent).load

    found = load()
    assert (found.rate_rps, found.requests, found.duration_s) == (2.0, 5, None)
    assert found.arrival == f"replay:{day}@2"
    assert load(arrival=found.arrival, rate_rps=found.rate_rps) == found
    assert (load(duration_s=3.0).requests, load(requests=9).duration_s) == (None, None)
    assert load(arrival="replay:day.txt", rate_rps=7.0).rate_rps == 7.0
    assert load(arrival="poisson", rate_rps=7.0).requests == LoadConfig().requests


@pytest.mark.parametrize("text", ["", "1\n", "1\n1\n", "2\n1\n", "1\nx\n3\n", "1\nnan\n"])
def test_a_file_without_times_that_ascend_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "times.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"times\.txt"):
        recorded_times(str(path))
    with pytest.raises(UsageError, match=r"times\.txt"):
        plan_load({"load.arrival": f"replay:{path}"})


# ---- a rate that changes, and its window -------------------------------------------------------------------------


@given(
    arrival=st.sampled_from(["ramp:0.1@2s", "ramp:3@1s", "steps:0,1@0.5s", "steps:1,0,0.5@0.7s"]),
    rate_rps=st.floats(1, 3000),
    warmup_s=st.floats(0, 3),
    workers=st.integers(1, 4),
)
@settings(max_examples=50)
def test_a_shape_that_varies_begins_as_the_window_opens_and_is_divided_exactly(
    arrival: str, rate_rps: float, warmup_s: float, workers: int
) -> None:
    opens_at, closes_at = 50.0 + warmup_s, 52.0 + warmup_s
    window = plan_window(rate_rps, arrival, starts_at=50.0, seed=1, opens_at=opens_at, closes_at=closes_at)
    alone = [opens_at + each for each in times(arrival, rate_rps, 10_000) if opens_at + each < closes_at]
    assert window.count == len(alone)
    sent = []
    for worker in range(workers):
        due = planned(rate_rps, arrival, starts_at=50.0, seed=1, worker=worker, workers=workers, opens_at=opens_at)
        mine = list(itertools.takewhile(lambda when: when < closes_at, due))
        assert sum(when >= opens_at for when in mine) == window.of_worker(worker, workers)
        sent += mine
    sent.sort()
    assert sent[window.first :] == alone
    assert all(50.0 <= when < opens_at for when in sent[: window.first])


def test_what_a_ramp_offers_is_the_mean_of_what_was_due() -> None:
    levels: dict[str, Level] = {
        "load.rate_rps": 1000.0,
        "load.arrival": "ramp:0@2s",
        "load.duration_s": 2.0,
        "load.requests": None,
    }
    load = TrialConfig().replace(levels).load
    bounds = plan_bounds(load, 10.0, 1)
    planned_calls = bounds.planned(load.arrival, 1)
    assert planned_calls == pytest.approx(1000, abs=1)
    assert bounds.offered_rps(planned_calls) == planned_calls / 2
    bounds.cut_at = bounds.opens_at + 1
    assert bounds.offered_rps(bounds.planned(load.arrival, 1)) == pytest.approx(250, abs=1)


def test_what_may_be_sent_counts_with_the_highest_rate() -> None:
    levels = {"load.rate_rps": 100.0, "load.duration_s": 10.0, "load.requests": None}
    falling = TrialConfig().replace({**levels, "load.arrival": "ramp:50@10s"})
    drawn = count_between(100.0, "ramp:50@10s", starts_at=0.0, seed=1, opens_at=0.0, closes_at=10.0)
    assert calls_planned(falling.load) > drawn > 100 * 10


# ---- what a person writes ----------------------------------------------------------------------------------------


def test_two_rates_and_a_time_are_a_ramp() -> None:
    (step,) = parse_rates("500:5000@60s")
    assert (step.rate_rps, step.hold_s, step.arrival) == (5000.0, 60.0, "ramp:0.1@60s")
    load = plan_load({}, "500:5000@60s").config.load
    assert (load.rate_rps, load.arrival, load.duration_s, load.requests) == (5000.0, "ramp:0.1@60s", 60.0, None)
    assert plan_load({"load.duration_s": 90.0}, "500:5000@60s").config.load.duration_s == 90.0
    assert plan_load({"load.requests": 7}, "500:5000@60s").config.load.requests == 7


@pytest.mark.parametrize(
    ("rate", "levels"), [("500:5000", {}), ("500:0@5s", {}), ("5:50@5s", {"load.arrival": "poisson"})]
)
def test_a_ramp_without_its_time_or_beside_another_shape_is_refused(rate: str, levels: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        plan_load(levels, rate)


@pytest.mark.parametrize(
    "word",
    [
        "gamma",
        "gamma:",
        "gamma:0",
        "gamma:x",
        "burst:0",
        "burst:1.5",
        "ramp:1",
        "ramp:-1@5s",
        "ramp:1@0s",
        "steps:1,0@5s",
        "steps:@5s",
        "replay:",
        "replay:day.txt@0",
        "replay:@4",
        "poisson:3",
        "gama:1",
    ],
)
def test_an_argument_that_a_shape_cannot_take_is_refused_with_what_it_takes(word: str) -> None:
    with pytest.raises(FactorError, match=word.partition(":")[0]):
        FACTORS["load.arrival"].parse(word, "--arrival")


def test_a_configuration_whose_rate_changes_is_measured_alone() -> None:
    def why(arrival: str) -> str:
        config = TrialConfig().replace({"load.rate_rps": 1000.0, "load.arrival": arrival})
        return not_interleaved("chatter", ExpectedTimes.of(config))

    assert "the load changes during the window" in why("ramp:0.1@60s")
    assert "the load changes during the window" in why("replay:day.txt")
    assert not why("gamma:0.5")
    assert not why("burst:5")
