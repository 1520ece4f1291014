"""Times and shares as people, TOML and other tools write them; one parser for every option, factor and file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.factors.levels import format_level
from grpclab.load.core.arrivals import parse_rates
from grpclab.load.slo import parse_slo
from grpclab.quantities import UNITS_NS, in_unit, seconds, share

TIMES = {
    "1h": 3600.0,
    "1m30s": 90.0,
    "90min": 5400.0,
    "1h 5m 2s": 3902.0,
    "1.5s": 1.5,
    ".5s": 0.5,
    "2sec": 2.0,
    "500ms": 0.5,
    "1s500ms": 1.5,
    "100us": 0.0001,
    "100µs": 0.0001,  # the micro sign
    "100μs": 0.0001,  # the Greek letter
    "200ns": 2e-7,
    "1e-3s": 0.001,
    "1e3us": 0.001,
    " 2 m ": 120.0,
    "0s": 0.0,
    " 5 ms ": 0.005,
    "00:01:30": 90.0,
    "01:00:00.25": 3600.25,
}
NO_TIMES = [
    "",
    "5",
    "s",
    "-1s",
    "1x",
    "1s1m",
    "1m1m",
    "1ms1s",
    "1_0s",
    "٣s",
    "nan s",
    "infs",
    "1:30",
    "00:99:00",
    "ms",
    "nans",
    "infs",
    "1 hour",
    "1:2s",
    "1e999s",
]


@pytest.mark.parametrize(("text", "meant"), TIMES.items())
def test_a_time_may_be_written_in_many_ways(text: str, meant: float) -> None:
    assert seconds(text) == meant
    assert in_unit(text, "ms") == pytest.approx(meant * 1e3, rel=1e-15)
    if meant >= 0.01:
        assert FACTORS["load.duration_s"].parse(text) == meant


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_with_its_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time"):
        seconds(text)


def test_a_number_without_a_unit_counts_in_the_unit_asked_for() -> None:
    assert (seconds("5", bare="s"), seconds("5", bare="ms")) == (5.0, 0.005)
    assert (in_unit("5", "ms"), in_unit("5s", "ms"), in_unit("5ms", "us")) == (5.0, 5000.0, 5000.0)


@given(st.lists(st.integers(0, 10**6), min_size=len(UNITS_NS), max_size=len(UNITS_NS)))
def test_a_time_is_the_sum_of_its_parts(parts: list[int]) -> None:
    text = "".join(f"{part}{unit}" for part, unit in zip(parts, UNITS_NS, strict=True))
    assert seconds(text) == sum(part * unit for part, unit in zip(parts, UNITS_NS.values(), strict=True)) / 10**9


def test_every_factor_that_is_a_time_takes_units() -> None:
    times = {name: factor.time_unit for name, factor in FACTORS.items() if factor.time_unit}
    assert {name.rpartition("_")[2] for name in FACTORS if name.endswith(("_s", "_ms", "_us"))} == set(times.values())
    for name, unit in times.items():
        assert FACTORS[name].parse(f"3{unit}") == FACTORS[name].parse("3") == 3.0
    assert FACTORS["link.rtt_ms"].parse("0.02s") == 20.0
    assert FACTORS["server.handler_work_us"].parse("5ms") == 5000.0


def test_a_time_may_be_text_in_python_too() -> None:
    config = TrialConfig().replace({"client.deadline_s": "1m30s", "link.rtt_ms": "0.02s"})
    assert (config.client.deadline_s, config.link.rtt_ms) == (90.0, 20.0)
    with pytest.raises(FactorError, match=r"^invalid client.deadline_s=soon: expected seconds"):
        TrialConfig().replace({"client.deadline_s": "soon"})


def test_a_time_prints_as_it_was_meant() -> None:
    assert format_level(FACTORS["load.pause_s"].parse("100us")) == "0.0001"


@pytest.mark.parametrize("text", ["100us", "-1", "1_0", "soon", "1s1m"])
def test_a_time_that_a_factor_cannot_take_is_refused_as_it_was_written(text: str) -> None:
    with pytest.raises(FactorError, match=rf"^invalid client.deadline_s={text}: expected .*0.001.*1m30s"):
        FACTORS["client.deadline_s"].parse(text)


def test_schedules_and_thresholds_read_times_alike() -> None:
    assert [step.hold_s for step in parse_rates("100:200:100@1m30s")] == [90.0, 90.0]
    assert parse_rates("100@500ms")[0].hold_s == 0.5
    assert parse_rates("100@2")[0].hold_s == 2.0
    assert [one.limit for one in parse_slo("p99=100us,max=1m30s,mean=1h")] == [0.0001, 90.0, 3600.0]


@pytest.mark.parametrize("text", ["0", "1", "100%", "-1%", "nan", "5 percent", ""])
def test_a_share_is_above_0_and_below_1(text: str) -> None:
    assert share("x", "5%") == share("x", "0.05") == 0.05
    with pytest.raises(UsageError, match=f"^invalid --min-effect={text}: expected a percentage"):
        share("--min-effect", text)
