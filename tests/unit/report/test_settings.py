"""What the report says of each setting of the Rust demo."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from grpclab.report.finished import FinishedStudy
from grpclab.report.sections.mapping import section, tried
from grpclab.study.stored_values import read_verdict
from tests.support.finished import finished
from tests.support.pages import html_of

WINDOW, ADAPTIVE, STREAMS = "client.window_kib", "client.adaptive_window", "server.max_concurrent_streams"


def configuration(name: str, scenario: str, **silent: str) -> dict[str, Any]:
    settings = {
        "small": {WINDOW: 64, ADAPTIVE: False},
        "large": {WINDOW: 1024, ADAPTIVE: False},
        "adaptive": {},
        "all": {WINDOW: 1024, ADAPTIVE: False, STREAMS: 8},
    }[name]
    return {"name": name, "scenario": scenario, "settings": settings, "without_effect": silent}


def comparison(scenario: str, baseline: str, candidate: str, ratio: float | None) -> dict[str, Any]:
    return {
        **{"title": f"{candidate} against {baseline}", "scenario": scenario, "metric": "throughput_rps"},
        **{"baseline": baseline, "candidate": candidate, "ratio": ratio, "ci_low": ratio and ratio - 0.1},
        **{"ci_high": ratio and ratio + 0.1, "verdict": "faster"},
    }


@pytest.fixture
def study() -> FinishedStudy:
    plan = {
        "configurations": [
            configuration("small", "bulk"),
            configuration("large", "bulk"),
            configuration("adaptive", "bulk"),
            configuration("all", "chatter", **{WINDOW: "BDP probing overrides it"}),
        ],
        "mapping": [
            {"tonic": name, "factor": factor, "grpcio": "grpc.knob", "note": "notes"}
            for name, factor in (
                ("window", WINDOW),
                ("streams", STREAMS),
                ("frame", "server.max_frame_kib"),
                ("tcp", ""),
            )
        ],
    }
    judged = [
        comparison("bulk", "adaptive", "large", 1.5),
        comparison("bulk", "small", "large", 2.0),
        comparison("chatter", "adaptive", "all", 1.2),
    ]
    return finished({"plan": plan}, pd.DataFrame(), {"comparisons": judged})


def test_a_setting_is_told_by_the_comparison_that_changes_least_in_each_scenario(study: FinishedStudy) -> None:
    told = [(one.comparison.scenario, one.comparison.ratio, one.others) for one in tried(study, WINDOW)]
    assert told == [("bulk", 2.0, 0), ("chatter", 1.2, 2)]


def test_the_table_says_what_acted_and_what_moved(study: FinishedStudy) -> None:
    html = html_of(section(study))
    assert "set, but without effect in 1 configuration: BDP probing overrides it" in html
    assert "<b>2.00×</b> 1.90 to 2.10" in html
    assert "chatter: all against adaptive, with 2 other settings" in html
    assert "not set in this study" in html
    assert "cannot be set in grpcio" in html
    assert html.count("yes, as advertised") == 1, "the limit of streams"


def test_a_comparison_without_a_ratio_tells_nothing(study: FinishedStudy) -> None:
    judged = read_verdict({"comparisons": [comparison("bulk", "small", "large", None)]})
    assert tried(FinishedStudy.of(study.manifest, pd.DataFrame(), judged), WINDOW) == []


def test_without_such_a_table_in_the_plan_there_is_none() -> None:
    assert section(finished({"plan": {}}, pd.DataFrame(), {})) is None
