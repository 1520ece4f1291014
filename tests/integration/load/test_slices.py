"""Slices with real workers and servers: every call is made, and known to whom it counts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from grpclab.factors.config import ClientConfig, ServerConfig
from grpclab.load.core.slices import SliceLengths, closed_lengths
from grpclab.load.core.worker_window import SlicedWindow
from grpclab.load.generator import Generator
from grpclab.servers.process.launcher import RunningServer, launch
from tests.support.generator_help import counting, load, slices_until, stretches

SHORT = SliceLengths(ramp_s=0.01, counted_s=0.03)


@pytest.mark.parametrize(
    ("engine", "pooling", "workers"), [("wire", "shared", 1), ("wire", "pool", 2), ("grpcio", "shared", 1)]
)
def test_the_server_has_seen_every_call_and_those_of_the_stretches_count(
    engine: str, pooling: Any, workers: int
) -> None:
    config = load(ClientConfig(pooling=pooling, connections=2), engine=engine, concurrency=8, workers=workers)
    with launch(ServerConfig(implementation="asyncio")) as server:
        with Generator(config, server.target) as generator:
            warmup = generator.warm_up()
            generator.open_slices()
            slices = slices_until(generator, SHORT, 3)
            figures = stretches(generator)
            run = generator.close_slices()
            made = generator.calls_made
        server.stop()
    assert warmup.calls > 0
    assert closed_lengths([warmup]).counted_s >= 0.075
    assert server.calls == run.calls_made == made == warmup.calls + sum(each.calls for each in slices)
    valid = counting(slices)
    assert run.summary.requests == sum(each.started for each in valid)
    assert [each.started for each in valid] == [each.started for each in figures], "known at the drain, and exact"
    assert run.summary.throughput_rps * run.summary.window_s == pytest.approx(sum(each.counted_ok for each in figures))
    assert run.summary.window_s == pytest.approx(len(valid) * SHORT.counted_s)
    for each in slices:
        assert each.started_at < each.opened_at < each.closed_at <= each.tail_ended_at <= each.drained_at
        assert each.closed_at - each.opened_at == pytest.approx(SHORT.counted_s)
    for window in run.windows:
        assert isinstance(window, SlicedWindow)
        starts = window.records.start_s
        for before, after in itertools.pairwise(slices):
            assert not ((starts > before.drained_at) & (starts < after.started_at)).any()


@pytest.fixture(scope="module")
def slow_server() -> Any:
    with launch(ServerConfig(implementation="sync", threads=10, handler_wait_ms="5")) as server:
        yield server


@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_the_load_goes_on_until_the_last_counted_call_has_ended(slow_server: RunningServer, pooling: Any) -> None:
    config = load(ClientConfig(pooling=pooling), engine="wire", concurrency=16)
    with Generator(config, slow_server.target) as generator:
        slices = slices_until(generator, SliceLengths(ramp_s=0.01, counted_s=0.2), 2, started=1)
        run = generator.close_slices()
    records = run.windows[0].records
    for each in (one for one in counting(slices) if one.started):
        counted = (records.start_s >= each.opened_at) & (records.start_s < each.closed_at)
        assert counted.any()
        last = float(records.end_s[counted].max())
        assert each.closed_at < last <= each.tail_ended_at
        tail = (records.start_s >= each.closed_at) & (records.start_s < each.drained_at)
        # Each caller whose call ended before that began another one at once: the load was the same to the last.
        ends = records.end_s[(records.end_s > each.closed_at) & (records.end_s < last)]
        assert np.isin(ends, records.start_s[tail]).all()


def test_a_slice_that_is_kept_out_does_not_count(quick_server: RunningServer) -> None:
    with Generator(load(engine="wire", concurrency=4), quick_server.target) as generator:
        warmup = generator.warm_up()
        slices = slices_until(generator, SHORT, 4)
        kept = counting(slices)[1:3]
        run = generator.close_slices(keep={each.number for each in kept})
        again = generator.measure(warmup_s=0.0)
    assert run.summary.requests == sum(each.started for each in kept)
    assert run.summary.window_s == pytest.approx(2 * SHORT.counted_s)
    assert again.calls_made == warmup.calls + sum(each.calls for each in slices) + again.summary.requests


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_callers_of_slow_calls_begin_evenly_over_the_time_of_a_call(engine: str) -> None:
    """Each of them ends elsewhere in a slice, which has few calls of each."""
    config = load(engine=engine, concurrency=8)
    with (
        launch(ServerConfig(implementation="asyncio", handler_wait_ms="40")) as server,
        Generator(config, server.target) as generator,
    ):
        turn_s = generator.warm_up().latency_p50_s
        measured = slices_until(generator, SliceLengths(ramp_s=2 * turn_s, counted_s=0.1), 1)[-1]
        run = generator.close_slices()
    starts = run.windows[0].records.start_s
    since = np.sort(starts[starts >= measured.started_at])[:8] - measured.started_at
    first = since[since < 0.04]  # until then, no caller begins its second call
    due = np.arange(8) / 8 * turn_s
    assert (first >= due[: len(first)] - 0.002).all()
    assert measured.calls == len(starts[starts >= measured.started_at])
