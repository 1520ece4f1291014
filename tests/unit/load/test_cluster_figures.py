"""What a result says of the generator processes of a cluster."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from grpclab.errors import UsageError
from grpclab.load.bench_result import BenchResult
from grpclab.load.cluster_figures import ClusterFigures, GeneratorFigures
from grpclab.load.core.merging import WindowCounts, observations
from grpclab.system.notices import Notice
from tests.support.bench_results import thousand


def generator(name: str, **figures: float | tuple[str, ...] | tuple[Notice, ...]) -> GeneratorFigures:
    usual = GeneratorFigures(
        name=name,
        address=f"tcp://{name}:1",
        calls=500,
        calls_per_s=50.0,
        started_after_s=0.001,
        offset_s=0.25,
        bound_s=0.0004,
        late_p99_s=math.nan,
        busy_share=0.4,
        limits=(),
    )
    return dataclasses.replace(usual, **figures)  # type: ignore[arg-type]


LIMITED = ("a generator process was busy for 95% of the window, above 90%",)
PAIR = ClusterFigures(
    address="tls://10.0.0.5:8786",
    machines=2,
    generators=(
        generator("load-1 w0", started_after_s=0.0035, offset_s=-86_400.0),
        generator("load-2 w1", bound_s=0.0021, busy_share=0.95, limits=LIMITED),
    ),
)


def from_cluster(figures: ClusterFigures) -> BenchResult:
    """A result whose records stayed on the machines."""
    result = thousand()
    (window,) = result.run.windows
    counts = WindowCounts.of(window, observations(window))
    run = dataclasses.replace(result.run, windows=[], distributions=counts.distributions, limits=figures.limits)
    return dataclasses.replace(result, run=run, cluster=figures)


def test_starts_and_clocks_are_told_by_the_worst() -> None:
    assert pytest.approx(0.0025) == PAIR.starts_spread_s
    assert PAIR.bound_s == 0.0021
    assert "2 processes on 2 machines" in PAIR.sentence
    assert "2.50 ms" in PAIR.sentence
    assert "2.10 ms" in PAIR.sentence


def test_a_process_without_calls_has_no_start() -> None:
    idle = dataclasses.replace(PAIR, generators=(*PAIR.generators, generator("load-3 w2", started_after_s=math.nan)))
    assert idle.starts_spread_s == PAIR.starts_spread_s
    assert idle.to_json()["generators"][2]["started_after_s"] is None


def test_the_slow_one_is_named_however_many_there_are() -> None:
    assert not ClusterFigures(address="", machines=1, generators=(generator("a"),)).limits
    (limit,) = PAIR.limits
    assert limit.startswith("1 of 2 generator processes")
    assert "load-2 w1" in limit
    assert "load-1" not in limit


def test_what_happened_on_a_machine_says_where() -> None:
    notice = Notice(kind="pressure", severity="warning", text="tasks waited for a core", remedy="end them")
    figures = dataclasses.replace(PAIR, generators=(PAIR.generators[0], generator("load-2 w1", notices=(notice,))))
    (found,) = from_cluster(figures).notices
    assert (found.kind, found.severity, found.remedy) == ("pressure", "warning", "end them")
    assert found.text == "load-2 w1: tasks waited for a core"


def test_every_medium_shows_every_process_and_marks_the_one_that_was_the_limit() -> None:
    result = from_cluster(PAIR)
    lines = str(result).splitlines()
    (first,) = (line for line in lines if line.startswith("  load-1 w0"))
    (second,) = (line for line in lines if line.startswith("  load-2 w1"))
    assert "-86,400.0 s" in first
    assert "generator-bound" not in first
    assert second.endswith("generator-bound")
    page = result._repr_html_()
    assert page.count("load-1 w0") == 1
    assert "-86,400.0" in page
    shown = json.loads(result.to_text("json"))["grpclab"]["cluster"]
    assert shown["timeline_bound_s"] == PAIR.bound_s
    assert [one["generator_bound"] for one in shown["generators"]] == [False, True]


def test_without_records_the_picture_comes_from_the_histogram_and_calls_cannot_be_listed() -> None:
    result, complete = from_cluster(PAIR), thousand()
    found, expected = (json.loads(one.to_text("json")) for one in (result, complete))
    assert found["details"] == []
    assert [bucket["count"] for bucket in found["histogram"]] == pytest.approx(
        [bucket["count"] for bucket in expected["histogram"]], abs=1
    )
    assert [one["latency"] for one in found["latencyDistribution"]] == pytest.approx(
        [one["latency"] for one in expected["latencyDistribution"]], rel=0.0005
    )
    assert "svg" in result._repr_html_()
    with pytest.raises(UsageError, match="records=True"):
        result.to_text("csv")
