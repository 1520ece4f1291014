"""The merged figures of parts equal those of all records together."""

from __future__ import annotations

import dataclasses
import math
import pickle
import time
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from grpclab.load.core.call_figures import summaries_by_call, windows_of
from grpclab.load.core.merging import CountsSum, SlotCounts, WindowCounts, inside, joined, observations, slots_of
from grpclab.load.core.recorder import Floats, Records
from grpclab.load.core.summary import Summary, lateness, percentiles, summarise
from grpclab.load.core.worker_window import Window
from grpclab.status import ENDED_BY_CLIENT, NOT_ENDED

OPENED_AT, LENGTH_S = 50.0, 4.0


def part(random: np.random.Generator, calls: int, *, streams: bool = False, mixed: int = 0) -> Window:
    """One machine's records: some in the warm-up, some late, failed, given up."""
    start = np.sort(random.uniform(OPENED_AT - 1, OPENED_AT + LENGTH_S, calls))
    latency = random.lognormal(-6, 1, calls)
    status = random.choice([0, 14, NOT_ENDED, ENDED_BY_CLIENT], calls, p=[0.9, 0.05, 0.03, 0.02]).astype(np.uint8)
    messages = np.repeat(start, 3) if streams else np.zeros(0)
    call = random.integers(0, max(1, mixed), calls).astype(np.uint8)
    return Window(
        records=Records(
            start_s=start,
            latency_s=latency,
            status=status,
            late_s=random.exponential(1e-4, calls),
            message_s=random.exponential(0.01, len(messages)),
            message_start_s=messages,
            message_first=np.arange(len(messages)) % 3 == 0,
            message_age_s=random.exponential(0.1, len(messages)),
            sent_start_s=start if streams else np.zeros(0),
            sent_messages=np.full(calls, 2.0) if streams else np.zeros(0),
            calls=mixed,
            call=call if mixed else None,
            message_call=np.repeat(call, 3) if mixed and streams else np.zeros(0, np.uint8) if mixed else None,
            sent_call=call.astype(np.float64) if mixed and streams else np.zeros(0) if mixed else None,
        ),
        opened_at=OPENED_AT,
        requests=None,
        closes_at=OPENED_AT + LENGTH_S,
        held_open=True,
    )


def merged(windows: Sequence[Window]) -> tuple[Summary, dict[str, float]]:
    """The figures by counts that travel as bytes, and by the few observations that are asked for."""
    values = [observations(window) for window in windows]
    total = CountsSum()
    for window, one in zip(windows, values, strict=True):
        total.add(pickle.loads(pickle.dumps((WindowCounts.of(window, one),))))
    (whole,) = total.total()
    wanted = whole.wanted()
    known = joined([inside(one, wanted) for one in values])
    return whole.summary(known), whole.lateness(known)


def assert_equal(found: Summary, expected: Summary) -> None:
    for name, value in dataclasses.asdict(expected).items():
        if isinstance(value, float) or (isinstance(value, dict) and value and name != "errors_by_status"):
            assert getattr(found, name) == pytest.approx(value, rel=1e-12, nan_ok=True), name
        else:
            assert getattr(found, name) == value, name


@pytest.mark.parametrize("sizes", [(1,), (5, 3), (0, 400), (3000, 20_000, 1, 700)])
@pytest.mark.parametrize("streams", [False, True])
def test_merged_figures_equal_those_of_all_records_together(sizes: tuple[int, ...], streams: bool) -> None:
    random = np.random.default_rng(sum(sizes))
    windows = [part(random, calls, streams=streams) for calls in sizes]
    found, late = merged(windows)
    assert_equal(found, summarise(windows))
    assert late == pytest.approx(lateness(windows), rel=1e-12, nan_ok=True)


def test_percentiles_are_exact_though_only_a_few_observations_travel() -> None:
    random = np.random.default_rng(3)
    windows = [part(random, 50_000) for _ in range(4)]
    values = [observations(window) for window in windows]
    whole = CountsSum()
    for window, one in zip(windows, values, strict=True):
        whole.add((WindowCounts.of(window, one),))
    (total,) = whole.total()
    known = joined([inside(one, total.wanted()) for one in values])
    latency = np.concatenate([one["latency"] for one in values])
    assert total.percentiles("latency", known) == percentiles(latency)
    assert sum(map(len, known.values())) < len(latency) / 20


def test_each_call_of_a_mix_is_merged_as_the_whole_is() -> None:
    random = np.random.default_rng(5)
    windows = [part(random, calls, mixed=3) for calls in (500, 2000)]
    for number, expected in enumerate(summaries_by_call(windows)):
        found, _ = merged(windows_of(windows, number))
        assert_equal(found, expected)


def test_a_window_without_calls_has_no_figures() -> None:
    found, late = merged([part(np.random.default_rng(1), 0), part(np.random.default_rng(2), 0)])
    assert found.requests == 0
    assert math.isnan(found.latency_mean_s)
    assert math.isnan(found.latency["p50"])
    assert math.isnan(late["max"])


def test_observations_of_zero_are_counted_and_never_travel() -> None:
    distribution = SlotCounts.of(np.concatenate([np.zeros(5000), np.full(100, 0.003)]))
    assert (distribution.zeros, distribution.total) == (5000, 5100)
    assert distribution.percentiles(np.full(100, 0.003))["p50"] == 0.0
    assert distribution.percentiles(np.full(100, 0.003))["p99"] == 0.003
    assert distribution.wanted().tolist() == slots_of(np.array([0.003])).tolist()


def test_a_slot_is_as_narrow_as_it_is_said_to_be() -> None:
    values: Floats = np.geomspace(1e-6, 3600, 10_000)
    middles = SlotCounts.of(values).expanded()
    assert np.abs(middles / values - 1).max() < 0.00025
    assert (np.diff(slots_of(values)) >= 0).all()


def test_where_a_slot_is_too_full_to_travel_its_middle_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpclab.load.core.merging.LARGEST_SLOT", 10)
    latency: Floats = np.full(5000, 0.00123)
    distribution = SlotCounts.of(latency)
    assert len(distribution.wanted()) == 0
    assert distribution.percentiles(np.zeros(0))["p50"] == pytest.approx(0.00123, rel=0.00025)


def test_the_counts_of_many_machines_are_merged_in_little_memory() -> None:
    random = np.random.default_rng(11)
    counts = []
    for _ in range(8):
        window = part(random, 20_000)
        counts.append(pickle.dumps((WindowCounts.of(window, observations(window)),)))
    tracemalloc.start()
    began = time.process_time()
    total = CountsSum()
    for number in range(200):
        total.add(pickle.loads(counts[number % len(counts)]))
    (whole,) = total.total()
    took_s = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = pickle.loads(counts[0])[0]
    assert whole.requests == 25 * sum(pickle.loads(each)[0].requests for each in counts)
    assert peak < 60 * sum(d.counts.nbytes for d in one.distributions.values())
    assert took_s < 60
