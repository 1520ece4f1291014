"""One trial: what it measures of an open loop, and what it keeps of many calls."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grpclab.factors.config import TrialConfig
from grpclab.load.core.recorder import Records
from grpclab.load.core.summary import summarise
from grpclab.load.core.worker_window import Window
from grpclab.load.run import LoadRun
from grpclab.metrics import MEASURED
from grpclab.study import window
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system import procfs
from grpclab.system.environment import CorePlan, machine, split_cores
from grpclab.system.notices import Notice
from tests.support.bench_results import result
from tests.support.stored_studies import row_of


@pytest.fixture(scope="module")
def cores() -> CorePlan:
    return split_cores(machine().affinity)


def measured(tmp_path: Path, cores: CorePlan, **levels: object) -> TrialResult:
    config = TrialConfig().replace({"load.requests": 200, "load.warmup_s": 0.1, **levels})  # type: ignore[dict-item]
    return run_trial(config, tmp_path, cores=cores, identity=TrialIdentity(block=3))


def test_an_open_loop_has_its_figures_in_the_row(tmp_path: Path, cores: CorePlan) -> None:
    result = measured(tmp_path, cores, **{"load.rate_rps": 400.0, "load.arrival": "poisson"})
    stored = json.loads((tmp_path / "result.json").read_text())
    found = row_of(stored)
    assert result.valid, result.invalid_reason
    assert found["requests"] == 200
    assert found["offered_rps"] == 400.0
    assert 0 < found["late_p50_s"] <= found["late_max_s"]
    assert math.isnan(found["late_p99_s"]), "200 calls carry no p99"
    assert (found["held"], found["connections_lost"], found["outage_s"]) == (0, 0, 0)
    assert found["server_cpu_per_call_s"] == pytest.approx(found["server_cpu_s"] / 200)
    assert 0 <= found["client_cpu_per_call_s"] <= found["client_cpu_s"] / 200
    assert found["client_spin_s"] >= 0
    assert stored["limits"] == result.limits
    assert stored["latency_rows_capped"] is False
    calls = pd.read_parquet(tmp_path / "latency.parquet")
    assert list(calls) == ["start_s", "latency_s", "late_s", "status", "worker"]
    assert (calls["start_s"] >= 0).sum() == 200
    assert (calls["late_s"] >= 0).all()


def test_a_closed_loop_offers_no_rate(tmp_path: Path, cores: CorePlan) -> None:
    measured(tmp_path, cores)
    found = row_of(json.loads((tmp_path / "result.json").read_text()))
    assert all(math.isnan(found[name]) for name in ("offered_rps", "late_p50_s", "late_p99_s", "late_max_s"))
    assert found["client_spin_s"] == 0
    assert found["client_cpu_per_call_s"] == pytest.approx(found["client_cpu_s"] / 200)


def test_all_trials_of_a_block_have_the_same_arrivals(tmp_path: Path, cores: CorePlan) -> None:
    levels = {"load.rate_rps": 400.0, "load.arrival": "poisson", "load.requests": 50}
    gaps = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        starts = measured(tmp_path / name, cores, **levels).latency["start_s"]
        gaps.append(np.diff(np.sort(starts)))
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-6)


def test_automatic_workers_have_a_connection_each(tmp_path: Path, cores: CorePlan) -> None:
    result = measured(tmp_path, cores, **{"load.workers": 0})
    assert result.valid, result.invalid_reason
    assert result.metrics["connections"] == len(cores.generator)


def test_a_trial_carries_its_notices_and_the_numbers_behind_them(
    tmp_path: Path, cores: CorePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_notices(self: LoadRun) -> tuple[Notice, ...]:
        return (Notice(kind="throttled", severity="warning", text="held back", remedy="whole cores"),)

    monkeypatch.setattr(LoadRun, "notices", property(with_notices))
    result = measured(tmp_path, cores)
    stored = json.loads((tmp_path / "result.json").read_text())
    assert stored["notices"] == [notice.to_json() for notice in result.notices]
    assert stored["notices"][0]["kind"] == "throttled"
    assert json.loads(row_of(stored)["notices"]) == stored["notices"]
    for name in ("others_cores", "stolen_s", "throttled_s", "stopped_s", "generator_still_s", "silence_s"):
        assert result.metrics[name] >= 0, name


def test_a_stream_s_first_message_and_its_gaps_are_columns_of_their_own() -> None:
    run = result([0.5] * 20, first_s=[0.2] * 20, gap_s=[0.1] * 80).run
    usage = procfs.Usage(at_s=0, cpu_s=0, user_s=0, kernel_s=0, rss_bytes=1, peak_rss_bytes=1)
    found = window.metrics(run, usage, usage)
    assert (found["first_message_p50_s"], found["message_gap_p50_s"]) == (0.2, 0.1)
    assert math.isnan(window.metrics(many(100, 1), usage, usage)["first_message_p50_s"])
    assert set(found) <= set(MEASURED)


def test_the_servers_cpu_is_not_known_where_the_opening_was_read_too_late() -> None:
    def usage(at_s: float) -> procfs.Usage:
        return procfs.Usage(at_s=at_s, cpu_s=at_s, user_s=at_s, kernel_s=at_s, rss_bytes=1, peak_rss_bytes=1)

    run = many(100, 1)
    assert window.metrics(run, usage(0.01), usage(100.0))["server_cpu_s"] == pytest.approx(99.99)
    late = window.metrics(run, usage(50.0), usage(100.0))
    assert math.isnan(late["server_cpu_s"])
    assert math.isnan(late["server_cpu_per_call_s"])
    assert late["requests"] == 100


def many(calls: int, workers: int) -> LoadRun:
    """A run of so many calls; the latency of each is its number."""
    windows = [
        Window(
            records=Records(
                start_s=np.arange(calls // workers, dtype=np.float64) / 100,
                latency_s=np.arange(calls // workers, dtype=np.float64) + worker * (calls // workers),
                status=np.zeros(calls // workers, dtype=np.uint8),
            ),
            opened_at=0.0,
            requests=calls // workers,
            closes_at=None,
        )
        for worker in range(workers)
    ]
    return LoadRun(windows=windows, summary=summarise(windows), cpu_s=1.0, busy_share=0.5)


@pytest.mark.parametrize(
    ("calls", "workers", "capped"), [(100, 1, False), (100, 4, False), (104, 1, True), (1000, 1, True), (1000, 4, True)]
)
def test_of_many_calls_the_latency_file_keeps_so_many_evenly_chosen(
    monkeypatch: pytest.MonkeyPatch, calls: int, workers: int, capped: bool
) -> None:
    monkeypatch.setattr(window, "LATENCY_ROWS", 100)
    frame, was_capped = window.latency_frame(many(calls, workers))
    assert was_capped is capped
    assert len(frame) == 100
    chosen = frame["latency_s"].to_numpy()
    assert chosen[0] == 0
    assert set(np.diff(chosen)) <= {calls // 100, -(-calls // 100)}
    assert frame["worker"].nunique() == workers


def test_a_window_without_calls_has_a_latency_file_without_rows() -> None:
    frame, capped = window.latency_frame(many(0, 2))
    assert (len(frame), capped) == (0, False)
