"""What a bench result looks like for other programs: Prometheus, InfluxDB, HdrHistogram's plotter, a browser."""

from __future__ import annotations

import dataclasses
import io
import re
from collections import Counter
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from grpclab.errors import UsageError
from grpclab.load.bench_result import BenchResult
from grpclab.load.core.summary import histogram
from grpclab.load.output.exporters import FORMATS
from grpclab.load.output.histogram import Bucket, bar_lengths, buckets
from grpclab.text.printable import printable as plain
from tests.support.bench_results import (
    DEADLINE_EXCEEDED,
    OK,
    OPENED_AT,
    STARTED_AT,
    UNAVAILABLE,
    ghz_json,
    open_loop,
    rate_run,
    result,
    schedule,
    thousand,
)

HOSTILE = st.text(max_size=30) | st.sampled_from(['a"b\\c', "x=y,z w", "a\nb", "\\", "\\,", "é\u202e", "<script>", "="])
"""Names and tags as nobody should write them."""


def text(found: BenchResult, format_: str) -> str:
    return found.to_text(format_)


def named(found: BenchResult, name: str = "", tags: dict[str, str] | None = None) -> BenchResult:
    return dataclasses.replace(found, name=name, tags=tags or {})


# ---- the registry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS.builtin)
@pytest.mark.parametrize("found", [thousand(), result([]), result([0.01])], ids=["many", "none", "one"])
def test_every_format_has_something_to_say_of_any_result(format_: str, found: BenchResult) -> None:
    assert text(found, format_) or (format_, found.run.summary.requests) == ("influx-details", 0)


@pytest.mark.parametrize("format_", FORMATS.builtin)
def test_every_format_takes_a_schedule(format_: str) -> None:
    assert text(schedule(rate_run(100.0, [0.001] * 100), rate_run(200.0, [0.001] * 200)), format_)


def test_an_unknown_format_is_an_error_that_names_the_near_one() -> None:
    with pytest.raises(UsageError, match="did you mean prometheus"):
        FORMATS["promtheus"]


# ---- the histogram -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=50))
def test_every_call_is_in_one_bucket_and_none_is_above_its_mark(latency_s: list[float]) -> None:
    drawn = buckets(np.array(latency_s))
    assert sum(bucket.calls for bucket in drawn) == len(latency_s)
    assert [bucket.mark_s for bucket in drawn] == sorted(bucket.mark_s for bucket in drawn)
    up_to = np.cumsum([bucket.calls for bucket in drawn])
    for bucket, calls in zip(drawn, up_to, strict=True):
        assert sum(value <= bucket.mark_s for value in latency_s) == calls


def test_the_fullest_bucket_has_the_longest_bar() -> None:
    drawn = [Bucket(mark_s=0.1, calls=3), Bucket(mark_s=0.2, calls=0), Bucket(mark_s=0.3, calls=12)]
    assert bar_lengths(drawn, 40) == [10, 0, 40]
    assert bar_lengths([], 40) == []
    assert bar_lengths([Bucket(mark_s=0.1, calls=0)], 40) == [0]


def test_the_summary_draws_the_histogram_of_the_calls_that_succeeded() -> None:
    lines = text(thousand(), "summary").splitlines()
    title = lines.index("  successful calls by latency, up to")
    rows = [line.split() for line in lines[title + 1 : title + 12]]
    assert [row[:2] for row in rows][::10] == [["1.00", "ms"], ["990.00", "ms"]]
    assert sum(int(row[2]) for row in rows) == 990
    assert max(len(bar) for row in rows for bar in row[3:]) == 40
    assert "∎" not in text(result([0.01] * 99), "summary"), "all in one place is no histogram"


# ---- Prometheus --------------------------------------------------------------------------------------------------

Samples = dict[tuple[str, str], float]


def samples(found: BenchResult) -> tuple[Samples, set[frozenset[tuple[str, str]]]]:
    """The values by name and by what tells the samples of a family apart, and the labels that all have."""
    values: Samples = {}
    common = set()
    for family in text_string_to_metric_families(text(found, "prometheus")):
        assert family.documentation
        for sample in family.samples:
            own = {name: sample.labels.pop(name) for name in ("le", "quantile", "status") if name in sample.labels}
            values[sample.name, next(iter(own.values()), "")] = sample.value
            common.add(frozenset(sample.labels.items()))
    return values, common


def test_prometheus_has_ghzs_names_and_units() -> None:
    values, _ = samples(thousand())
    document = ghz_json(thousand())
    for ours, theirs in (
        ("count", "count"),
        ("total", "total"),
        ("average", "average"),
        ("fastest", "fastest"),
        ("slowest", "slowest"),
        ("rps", "rps"),
    ):
        assert values[f"ghz_run_{ours}", ""] == pytest.approx(document[theirs])
    assert values["ghz_run_errors", ""] == 10
    quantiles = {row["percentage"] / 100: row["latency"] for row in document["latencyDistribution"]}
    assert {float(q): v for (name, q), v in values.items() if name == "ghz_run_latency"} == quantiles


def test_prometheus_has_cumulative_buckets_and_sums_of_latencies() -> None:
    values, _ = samples(thousand())
    marks = [(float(le), count) for (name, le), count in values.items() if name == "ghz_run_histogram_bucket"]
    assert len(marks) == 12
    for mark, count in marks:
        assert count == min(990, np.floor(mark * 1000 + 1e-6))
    assert values["ghz_run_histogram_count", ""] == values["ghz_run_latency_count", ""] == 990
    assert values["ghz_run_histogram_sum", ""] == pytest.approx(sum(range(1, 991)) / 1000)
    assert values["ghz_run_latency_sum", ""] == pytest.approx(sum(range(1, 991)) * 1e6)


def test_no_bucket_stands_twice_where_all_calls_took_the_same_time() -> None:
    lines = text(result([0.01] * 5), "prometheus").splitlines()
    assert [line.partition('le="')[2].partition('"')[0] for line in lines if "_bucket{" in line] == ["0.01", "+Inf"]


def test_prometheus_counts_calls_by_status() -> None:
    values, _ = samples(thousand())
    calls = {status: count for (name, status), count in values.items() if name == "grpclab_run_calls"}
    assert calls == {"OK": 990, "UNAVAILABLE": 7, "DEADLINE_EXCEEDED": 3}


def test_every_sample_has_the_same_labels_and_says_what_limited_the_load() -> None:
    _, (labels,) = samples(named(thousand(busy_share=0.99), "nightly", {"team": "shop"}))
    assert dict(labels) | {"name": "nightly", "tag_team": "shop", "limited_by": "generator-bound"} == dict(labels)
    assert dict(labels)["call"] == "greet.GreeterService.SayHello"
    _, (calm,) = samples(thousand())
    assert "limited_by" not in dict(calm)


@given(HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=4))
def test_prometheus_is_read_back_whatever_name_and_tags_are(name: str, tags: dict[str, str]) -> None:
    _, (labels,) = samples(named(result([0.01, 0.02]), name, tags))
    own = Counter(value for label, value in labels if label.startswith("tag_"))
    assert own == Counter(plain(value) for value in tags.values() if value)
    assert dict(labels).get("name", "") == plain(name)


def test_a_run_without_a_call_has_no_latency() -> None:
    values, _ = samples(result([]))
    assert values["ghz_run_count", ""] == 0
    assert ("ghz_run_average", "") not in values


# ---- InfluxDB ----------------------------------------------------------------------------------------------------

_UNESCAPED = r"(?:\\[,= ]|[^,= \n])+"
_TEXT = r'"(?:\\.|[^"\\])*"'
_POINT = re.compile(rf"([a-z_]+)((?:,{_UNESCAPED}={_UNESCAPED})*) ((?:[\w]+=(?:{_TEXT}|[\d.e+-]+),?)+) (\d+)")
"""A point of the line protocol: measurement, tags, fields, nanoseconds."""


def unescaped(word: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", word)


def points(found: BenchResult, format_: str) -> list[tuple[str, dict[str, str], dict[str, Any], int]]:
    """The points of a text, by the grammar of the line protocol."""
    read = []
    for line in text(found, format_).splitlines():
        match = _POINT.fullmatch(line)
        assert match, line
        tags = {
            unescaped(name): unescaped(value)
            for name, value in re.findall(rf",({_UNESCAPED})=({_UNESCAPED})", match[2])
        }
        fields: dict[str, Any] = {}
        for name, word in re.findall(rf"(\w+)=({_TEXT}|[^,]+)", match[3]):
            fields[name] = re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else float(word)
        read.append((match[1], tags, fields, int(match[4])))
    return read


def nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


def test_influx_has_a_point_for_the_run_with_ghzs_names() -> None:
    found = named(thousand(), "nightly run", {"env": "ci"})
    (point,) = points(found, "influx-summary")
    measurement, tags, fields, at = point
    assert (measurement, at) == ("ghz_run", nanoseconds(STARTED_AT))
    assert tags | {"name": "nightly run", "tag_env": "ci", "has_errors": "true", "n": "1000", "c": "50"} == tags
    assert (tags["host"], tags["timeout"]) == ("localhost:50051", "20")
    document = ghz_json(found)
    for name in ("count", "total", "average", "fastest", "slowest", "rps"):
        assert fields[name] == pytest.approx(document[name])
    shares = {row["percentage"]: row["latency"] for row in document["latencyDistribution"]}
    assert (fields["median"], fields["p95"], fields["errors"]) == (shares[50], shares[95], 10)
    assert "p99" not in fields, "990 calls are too few for it"


def test_influx_has_a_point_for_each_call_and_no_two_at_the_same_time() -> None:
    statuses = [OK, UNAVAILABLE, DEADLINE_EXCEEDED, OK]
    read = points(result([0.1, 0.2, 0.3, 0.4], statuses), "influx-details")
    assert [(p[0], p[2]["latency"], p[2]["status"]) for p in read] == [
        ("ghz_detail", 100_000_000, "OK"),
        ("ghz_detail", 200_000_000, "Unavailable"),
        ("ghz_detail", 300_000_000, "DeadlineExceeded"),
        ("ghz_detail", 400_000_000, "OK"),
    ]
    assert [p[1]["hasError"] for p in read] == ["false", "true", "true", "false"]
    assert [bool(p[2]["error"]) for p in read] == [False, True, True, False]
    assert [later[3] - earlier[3] for earlier, later in pairwise(read)] == [1, 1, 1], "all started at once"
    assert read[0][3] == nanoseconds(STARTED_AT)


def test_the_points_of_an_open_loop_are_as_far_apart_as_its_calls() -> None:
    found = open_loop(100.0, [0.001] * 5)
    opened = nanoseconds(STARTED_AT) + round(found.config.load.warmup_s * 1e9)
    assert [p[3] for p in points(found, "influx-details")] == [opened + n * 10_000_000 for n in range(5)]


@given(HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=4))
def test_influx_is_read_back_whatever_name_and_tags_are(name: str, tags: dict[str, str]) -> None:
    found = named(result([0.01, 0.02], [OK, UNAVAILABLE]), name, tags)
    for format_ in ("influx-summary", "influx-details"):
        for _, read, _, _ in points(found, format_):
            assert read.get("name", "") == plain(name).rstrip("\\")
            own = {key for key in read if key.startswith("tag_")}
            kept = {plain(f"tag_{key}").rstrip("\\") for key, value in tags.items() if plain(value).rstrip("\\")}
            assert own == kept


# ---- HdrHistogram ------------------------------------------------------------------------------------------------


def test_the_percentile_text_is_in_milliseconds_throughout() -> None:
    lines = text(thousand(), "hgrm").splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [list(map(float, line.split()[:3])) for line in lines[2:] if not line.startswith("#")]
    assert rows == sorted(rows)
    assert [value for value, _, _ in rows] == pytest.approx([calls for _, _, calls in rows], rel=1e-3)
    assert rows[-1] == [pytest.approx(1000, rel=1e-3), 1.0, 1000]
    mean, deviation = map(float, re.findall(r"[\d.]+", next(line for line in lines if "StdDeviation" in line)))
    assert mean == pytest.approx(500.5, rel=1e-3)
    assert deviation == pytest.approx(np.std(np.arange(1, 1001)), rel=1e-3)
    limited = text(thousand(busy_share=0.99), "hgrm").splitlines()
    assert limited == [*lines, "#[Limited by generator-bound]"]


def test_the_percentile_text_is_that_of_the_histogram_of_the_json() -> None:
    found = result(np.geomspace(0.0001, 2.0, 500))
    made = HdrHistogram.decode(ghz_json(found)["grpclab"]["hdr_histogram_us"])
    assert made.encode() == HdrHistogram.decode(histogram(np.geomspace(0.0001, 2.0, 500))).encode()
    out = io.BytesIO()
    made.output_percentile_distribution(out, 1000.0)
    theirs = [line for line in out.getvalue().decode().splitlines() if not line.startswith("#[Mean")]
    assert theirs == [line for line in text(found, "hgrm").splitlines() if not line.startswith("#[Mean")]


# ---- the page ----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page: its tags balanced, its attributes, its text."""

    VOID = ("meta", "line", "path", "circle", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html.replace("\xa0", " "))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data.strip())


def test_the_page_stands_alone_with_figures_histogram_settings_and_tags() -> None:
    found = named(thousand(levels={"client.deadline_s": 1.5}), "nightly", {"env": "ci"})
    page = Page(text(found, "html"))
    assert {"src", "href", "onload"}.isdisjoint(name for name, _ in page.attributes)
    assert page.tags["script"] == 0
    assert page.texts.count("nightly") == 2, "as title and as heading"
    for word in ("1,000", "client.deadline_s", "1.5", "990.00 ms"):
        assert word in page.texts
    assert any("env: ci" in text for text in page.texts)
    widths = [value for name, value in page.attributes if name == "style" and value and value.startswith("width:")]
    assert len(widths) == 11


PLAIN_PAGE = Page(text(result([0.01]), "html"))


@given(HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=4))
def test_no_name_and_no_tag_becomes_markup(name: str, tags: dict[str, str]) -> None:
    assert Page(text(named(result([0.01]), name, tags), "html")).tags == PLAIN_PAGE.tags


def test_a_page_of_a_schedule_has_its_steps_and_no_histogram() -> None:
    runs = [rate_run(rate, [0.001] * 200, opened_at=OPENED_AT + at) for at, rate in enumerate((100.0, 200.0))]
    page = Page(text(schedule(*runs), "html"))
    assert "offered/s" in page.texts
    assert not [value for name, value in page.attributes if name == "style" and (value or "").startswith("width:")]
