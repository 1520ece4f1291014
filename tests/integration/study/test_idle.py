"""Connections that go silent: the design, real trials, and the figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab import quantities as qty
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.metrics import MEASURED
from grpclab.report import figures
from grpclab.report.figures.idle import silences
from grpclab.report.finished import FinishedStudy
from grpclab.study.designs import desk_design, idle_design, idle_scenario
from grpclab.study.parameters import StudyParameters
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from tests.support.finished import finished
from tests.support.plans import document

SHORT: dict[str, Level] = {
    "load.engine": "grpcio",
    "load.rate_rps": 20.0,
    "load.requests": None,
    "load.duration_s": 0.6,
    "load.warmup_s": 0.2,
    "load.pause_s": 1.2,
    "client.deadline_s": 0.2,
    "link.idle_timeout_s": 0.6,
}


def silent(folder: Path, **levels: Level) -> TrialResult:
    config = TrialConfig().replace(SHORT | levels)
    return run_trial(config, folder, cores=split_cores(machine().affinity), identity=TrialIdentity())


def test_after_a_silence_without_keepalive_no_call_comes_through_and_the_trial_counts(tmp_path: Path) -> None:
    result = silent(tmp_path)
    assert result.valid, result.invalid_reason
    assert result.metrics["errors"] == result.metrics["requests"] > 0
    assert result.metrics["first_success_censored"] == 1
    assert result.metrics["time_to_first_success_s"] == pytest.approx(result.metrics["window_s"])
    assert result.metrics["link_connections"] == 1


def test_pings_keep_a_silent_connection_usable(tmp_path: Path) -> None:
    pinging: dict[str, Level] = {"server.keepalive_s": 0.15, "server.keepalive_without_calls": True}
    result = silent(tmp_path, **pinging, **{"client.deadline_s": 5.0})
    assert result.valid, result.invalid_reason
    assert result.metrics["errors"] == 0
    assert result.metrics["first_success_censored"] == 0
    assert 0 < result.metrics["time_to_first_success_s"] < result.metrics["window_s"]
    assert result.metrics["link_server_pings"] > 4
    assert result.goaways == {}


def test_the_design_names_five_ways_and_the_noise_and_compares_each_with_none() -> None:
    plan = document(idle_design.plan(StudyParameters(design="idle")))
    names = [row["name"] for row in plan["configurations"]]
    assert names == [*(f"idle-{key}" for key in idle_scenario.SETTINGS), "idle-off-again"]
    assert plan["headline"]["candidate"] == "idle-working"
    assert {c["baseline"] for c in [plan["headline"], *plan["comparisons"], plan["aa"]]} == {"idle-off"}
    assert {c["metric"] for c in plan["comparisons"]} == {"time_to_first_success_s"} <= set(MEASURED)
    for row in plan["configurations"]:
        config = TrialConfig().replace(row["settings"])
        assert config.load.pause_s > 2 * config.link.idle_timeout_s > 0  # type: ignore[operator]
        assert row["without_effect"] == {}


def test_the_desk_is_measured_with_each_of_its_parts_as_a_factor() -> None:
    plan = document(desk_design.plan(StudyParameters(design="desk", engine="wire")))
    both = {(c["baseline"], c["candidate"]) for c in [plan["headline"], *plan["comparisons"], plan["aa"]]}
    assert both == {("neither", other) for other in ("both", "metrics", "desk", "neither-again")}
    configs = {row["name"]: TrialConfig().replace(row["settings"]) for row in plan["configurations"]}
    assert {n: (c.server.metrics, c.server.desk) for n, c in configs.items()} == {
        "neither": (False, False),
        "metrics": (True, False),
        "desk": (False, True),
        "both": (True, True),
        "neither-again": (False, False),
    }


def study() -> FinishedStudy:
    rows: list[dict[str, Any]] = []
    times = {"idle-off": [4.0, 4.0], "idle-working": [0.003, 0.005], "idle-longer": [2.5, 4.0]}
    for name, firsts in times.items():
        for block, first in enumerate(firsts):
            rows.append(
                {
                    "configuration": name,
                    "scenario": "idle",
                    "block": block,
                    "order": 0,
                    "valid": True,
                    "requests": 80,
                    "errors": 0 if first < 1 else 60,
                    "time_to_first_success_s": first,
                    "first_success_censored": float(first == 4.0),
                    "link_goaways": float(name == "idle-longer"),
                }
            )
    plan = document(idle_design.plan(StudyParameters(design="idle")))
    return finished({"plan": plan}, pd.DataFrame(rows), {})


def test_a_time_that_is_only_known_to_be_longer_is_told_as_such() -> None:
    off, working, longer = silences(study())
    assert (off.typical, working.typical, longer.typical) == ("> 4 s", "4 ms", "3.25 s")
    assert (off.failed, off.calls, longer.goaways) == (120, 160, 2)


def test_the_figure_says_who_came_back_when_and_what_failed() -> None:
    block = figures.idle(study())
    assert block is not None
    assert block.caption.startswith(
        "The connections were idle for 6 s on a link that drops idle connections after 2 s. "
    )
    assert "Keepalive off: no success within 4 s, 120 of 160 calls failed" in block.caption
    assert "shorter than the timeout: first success after 4 ms, 0 of 160 calls failed" in block.caption
    assert "2 GOAWAYs" in block.caption


def test_a_ratio_far_below_1_keeps_its_digits() -> None:
    assert (qty.ratio(0.00099), qty.interval(0.00022, 0.0045)) == ("0.00099×", "0.00022 to 0.0045")
    assert (qty.ratio(0.5), qty.interval(0.0, 0.5)) == ("0.50×", "0.00 to 0.50")


def test_without_the_scenario_there_is_no_figure() -> None:
    assert figures.idle(finished({"plan": {}}, pd.DataFrame(), {})) is None
