"""Where it is told that a factor did not take effect: the trial's row and its result.json, and the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab.factors.config import TrialConfig
from grpclab.factors.effective import COLUMNS
from grpclab.notebook.trial import key_figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import configurations
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from tests.support.finished import finished
from tests.support.pages import html_of
from tests.support.stored_studies import row_of


def measured(folder: Path, **levels: Any) -> TrialResult:
    short = {"load.requests": 50, "load.warmup_s": 0.0, "server.window_kib": 64}
    config = TrialConfig().replace({**short, **{name.replace("__", "."): level for name, level in levels.items()}})
    return run_trial(config, folder, cores=split_cores(machine().affinity), identity=TrialIdentity())


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_bulk_with_adaptation_on_is_marked_as_ignoring_its_window(tmp_path: Path, engine: str) -> None:
    result = measured(tmp_path, load__engine=engine, server__response_bytes=10_000)
    stored = json.loads((tmp_path / "result.json").read_text())
    found = row_of(stored)
    assert result.valid, result.invalid_reason
    assert found["connections"] == 1, "those that only asked do not count"
    assert set(json.loads(found["without_effect"])) == {"server.window_kib"}
    assert "65,536 bytes requested" in stored["without_effect"]["server.window_kib"]
    assert found["server_advertised_window_bytes"] != 64 * 1024
    assert stored["advertised"]["server"]["initial_window_size"] == found["server_advertised_window_bytes"]
    assert stored["advertised"]["client"]["initial_window_size"] == found["client_advertised_window_bytes"]


def test_with_adaptation_off_the_row_holds_the_window_that_was_asked_for(tmp_path: Path) -> None:
    result = measured(tmp_path, server__adaptive_window=False, server__tls=True)
    found = row_of(json.loads((tmp_path / "result.json").read_text()))
    assert result.valid, result.invalid_reason
    assert found["server_advertised_window_bytes"] == 64 * 1024
    assert found["without_effect"] == "{}"
    assert math.isnan(found["server_advertised_max_streams"])
    assert set(COLUMNS) <= set(found)


def test_a_second_process_without_a_connection_is_told(tmp_path: Path) -> None:
    result = measured(tmp_path, server__processes=2, server__window_kib=None)
    stored = json.loads((tmp_path / "result.json").read_text())
    assert result.valid, result.invalid_reason
    assert sorted(stored["connections_by_process"]) == [0, 1]
    assert set(stored["without_effect"]) == {"server.processes"}
    assert "one of 2 processes has the only connection" in row_of(stored)["without_effect"]


def test_a_trial_that_never_began_still_tells_what_could_not_act() -> None:
    config = TrialConfig().replace({"server.window_kib": 64})
    found = TrialResult(identity=TrialIdentity(), config=config, started_at="").stored()
    assert set(found.without_effect) == {"server.window_kib"}
    assert found.advertised == {}


def test_the_trials_notebook_tells_it_even_where_nothing_was_measured() -> None:
    config = TrialConfig().replace({"server.max_frame_kib": 64})
    result = TrialResult(identity=TrialIdentity(), config=config, started_at="", invalid_reason="the server died")
    result.metrics["server_advertised_window_bytes"] = 65_535.0
    shown = key_figures(result)["value"]
    assert shown["server.max_frame_kib"] == "no effect: BDP probing overrides it; set adaptive_window=false"
    assert "calls" not in shown


def study(*cells: str | None) -> FinishedStudy:
    """A study of two configurations; `cells` are what the trials of the first saw, as in trials.parquet."""
    settings: dict[str, Any] = {"server.window_kib": 64, "server.max_frame_kib": 64}
    plan: dict[str, Any] = {
        "configurations": [
            {"name": name, "scenario": "bulk", "title": name, "settings": settings, "without_effect": {}}
            for name in ("fixed", "other")
        ]
    }
    plan["configurations"][0]["without_effect"] = {"server.window_kib": "planned"}
    rows = [
        {"configuration": "fixed", "block": block, "valid": True, "throughput_rps": 1.0, "without_effect": cell}
        for block, cell in enumerate(cells)
    ]
    rows.append({"configuration": "other", "block": 0, "valid": True, "throughput_rps": 1.0})
    frame = pd.DataFrame(rows)
    return finished({"plan": plan}, frame if cells else frame.drop(columns="without_effect", errors="ignore"), {})


def test_what_was_seen_takes_the_place_of_what_was_planned() -> None:
    seen = json.dumps({"server.window_kib": "seen", "server.max_frame_kib": "<b>"})
    assert study(seen, seen).without_effect("fixed") == {"server.window_kib": "seen", "server.max_frame_kib": "<b>"}
    half = study(seen, json.dumps({"server.window_kib": "seen"})).without_effect("fixed")
    assert half == {"server.window_kib": "seen", "server.max_frame_kib": "<b> (in 1 of 2 trials)"}


@pytest.mark.parametrize("cells", [(), (None,), ("",), ("not json",), ("[1]",)])
def test_a_study_of_before_shows_what_was_planned(cells: tuple[str | None, ...]) -> None:
    assert study(*cells).without_effect("fixed") == {"server.window_kib": "planned"}
    assert study(*cells).without_effect("other") == {}
    assert study(*cells).without_effect("neither") == {}


def test_the_reason_stands_beside_its_setting_even_where_all_share_it() -> None:
    html = html_of(configurations.section(study(json.dumps({"server.max_frame_kib": "4 < 5"}))))
    assert html.count("no effect: 4 &lt; 5") == 1
    assert html.count("no effect: planned") == 1
