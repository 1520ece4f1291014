"""The table of metrics: every column of trials.parquet that is no factor, and the page of the documentation on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from grpclab.factors import effective
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.http2.peer_settings import PeerSettings
from grpclab.load.core.traffic import Traffic
from grpclab.metrics import (
    IDENTITY,
    MEASURED,
    METRICS,
    PERCENTILES,
    WORK,
    Quantity,
    calls_needed,
    completed,
    is_latency,
    lower_is_faster,
    metric_named,
    metric_words,
)
from grpclab.profiling.families import FAMILIES
from grpclab.study.collection import row
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.interference import Interference
from tests.support import first_edition
from tools import metrics_page


@pytest.fixture(scope="module")
def stored() -> Iterator[list[pd.DataFrame]]:
    """What trials.parquet of the first edition's studies held."""
    with first_edition.unpacked() as folder:
        yield [pd.read_parquet(path) for path in sorted(folder.glob("results/*/trials.parquet"))]


def test_every_column_of_a_trial_is_a_factor_or_in_the_table_in_its_order() -> None:
    result = TrialResult(identity=TrialIdentity(group=0, machine="m"), config=TrialConfig(), started_at="")
    notes = [name for name in METRICS if name not in IDENTITY and name not in MEASURED]
    assert list(row(result.stored())) == [*IDENTITY, *FACTORS, *MEASURED, *notes]


def test_every_column_that_the_first_edition_stored_is_a_factor_or_in_the_table(stored: list[pd.DataFrame]) -> None:
    assert len(stored) > 3
    for trials in stored:
        assert set(trials.columns) <= {*FACTORS, *METRICS}


def test_what_the_table_calls_a_number_is_one(stored: list[pd.DataFrame]) -> None:
    for trials in stored:
        for name in trials.columns.intersection(list(METRICS)):
            assert METRICS[name].numeric == pd.api.types.is_numeric_dtype(trials[name]), name


def test_what_is_measured_beside_the_calls_is_in_the_table() -> None:
    sent = effective.as_row(PeerSettings(), PeerSettings())
    assert {*Traffic().as_row(), *Interference().as_row(), *sent} <= set(MEASURED)
    assert tuple(WORK) == FAMILIES


def test_a_column_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert metric.meaning, name
        assert metric.subject, name
        assert metric.quantity in get_args(Quantity), name


def test_a_column_carries_its_unit() -> None:
    units = {"time": "_s", "rate": "_rps", "bytes": "_bytes", "cores": "_cores"}
    for name, metric in METRICS.items():
        assert name.endswith(units.get(metric.quantity, "")), name
        assert (metric.quantity == "share") == ("share" in name), name


def test_every_time_but_the_length_of_the_window_is_better_when_it_is_less() -> None:
    for name, metric in METRICS.items():
        if metric.quantity == "time" and name != "window_s":
            assert metric.better == "lower", name
            assert lower_is_faster(name), name


@pytest.mark.parametrize("metric", ["throughput_rps", "requests", "requests_per_server_cpu_s"])
def test_more_of_what_gets_done_is_faster(metric: str) -> None:
    assert not lower_is_faster(metric)


@pytest.mark.parametrize(
    "metric",
    ["latency_p50_s", "server_cpu_s", "client_cpu_per_call_s", "late_p99_s", "server_peak_rss_bytes", "errors"],
)
def test_less_of_what_it_costs_is_faster(metric: str) -> None:
    assert lower_is_faster(metric)


def test_metrics_have_words() -> None:
    assert metric_words("throughput_rps") == "throughput"
    assert metric_words("latency_p50_s") == "p50 latency"
    assert metric_words("latency_p999_s") == "p99.9 latency"
    assert metric_words("latency_ok_p99_s") == "p99 latency of successful calls"
    assert metric_words("first_message_p50_s") == "p50 time to the first message"
    assert metric_words("message_gap_p99_s") == "p99 gap between messages"
    assert metric_words("client_cpu_per_call_s") == "client CPU per call"
    assert metric_words("latency_uncorrected_p99_s") == "p99 latency from the actual sends"
    assert metric_words("something_new") == "something_new"


@pytest.mark.parametrize("label", PERCENTILES)
def test_a_percentile_of_calls_needs_ten_beyond_it(label: str) -> None:
    assert METRICS[f"latency_{label}_s"].fewest_calls == calls_needed(PERCENTILES[label])
    assert is_latency(f"latency_{label}_s")


def test_a_call_has_many_gaps_between_messages() -> None:
    assert METRICS["message_gap_p99_s"].fewest_calls == 1
    assert METRICS["first_message_p99_s"].fewest_calls == 1000


@pytest.mark.parametrize(
    ("name", "quantity", "better"),
    [("calls_rps", "rate", "higher"), ("wait_p75_s", "time", "lower"), ("bytes_per_call", "count", "lower")],
)
def test_a_metric_of_another_version_is_what_its_name_says(name: str, quantity: Quantity, better: str) -> None:
    found = metric_named(name)
    assert (found.quantity, found.better) == (quantity, better)


def test_what_is_derived_is_computed_from_what_is_measured_where_it_is_missing() -> None:
    measured = {"requests": 100.0, "client_cpu_s": 3.0, "client_spin_s": 1.0, "server_cpu_s": 2.0}
    found = completed(measured | {"server_user_s": 1.5, "server_kernel_s": 0.5})
    assert found["client_cpu_per_call_s"] == found["server_cpu_per_call_s"] == 0.02
    assert found["server_kernel_share"] == 0.25
    assert tuple(found) == MEASURED
    assert completed(measured | {"server_cpu_per_call_s": 7.0})["server_cpu_per_call_s"] == 7.0


def test_what_cannot_be_derived_is_not_a_number() -> None:
    derived = [name for name in MEASURED if METRICS[name].derived]
    for values in ({}, {"requests": 0.0, "server_cpu_s": 1.0}, {"requests": None}):
        assert all(math.isnan(completed(values)[name]) for name in derived)


def test_a_trial_that_does_not_say_how_long_its_client_spun_did_not_spin() -> None:
    assert completed({"requests": 10, "client_cpu_s": 2.0})["client_cpu_per_call_s"] == 0.2
    assert math.isnan(completed({"requests": 10})["client_cpu_per_call_s"])


def test_the_page_of_the_documentation_is_made_of_the_table() -> None:
    assert Path(metrics_page.__file__).resolve().parents[1] / "docs" / "metrics.md" == metrics_page.PAGE
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.page(), "`make guides` makes it anew"
