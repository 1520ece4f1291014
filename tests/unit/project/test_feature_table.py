"""The tables of what features cost, in the README and in a guide: taken from a report, and as it has them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from grpclab.errors import DesignError
from grpclab.factors.features import FEATURES
from grpclab.report.renderers.json import as_json
from tests.support import synthetic
from tools import feature_table
from tools.feature_table import DEAREST, Cost

ROOT = Path(__file__).resolve().parents[3]
PAGES = {"README.md": "dearest", "docs/production.md": "all"}


@pytest.fixture(scope="module")
def costs() -> list[Cost]:
    report = as_json(synthetic.production_study().finished())
    return feature_table.taken(json.loads(json.dumps(report)))


def test_every_feature_is_taken_with_its_ratios(costs: list[Cost]) -> None:
    assert [(one.feature, one.of_client) for one in costs] == [(one.title, one.of_client) for one in FEATURES]
    for feature, cost in zip(FEATURES, costs, strict=True):
        assert cost.verdict == ("slower" if feature.name == "access-log-all" else "equivalent")
        assert (cost.latency_p99 is not None) == (feature.each_call and not feature.of_client)
        assert cost.judged is not None
        ratio, low, high, limits = cost.judged
        assert low <= ratio <= high
        assert limits == ""


def test_the_features_of_a_further_implementation_say_so() -> None:
    report = as_json(synthetic.production_study(name="both", implementation="both").finished())
    costs = feature_table.taken(json.loads(json.dumps(report)))
    assert [one.feature for one in costs if one.implementation == "asyncio"] == [
        one.title for one in FEATURES if not one.of_client
    ]
    rows = feature_table.markdown(costs, "all").splitlines()
    assert any(row.startswith("| TLS (asyncio) |") for row in rows)
    assert len(feature_table.markdown(costs, "dearest").splitlines()) == 2 + DEAREST


def test_the_dearest_features_of_the_server_come_first_and_the_others_are_left_out(costs: list[Cost]) -> None:
    rows = feature_table.markdown(costs, "dearest").splitlines()[2:]
    assert len(rows) == DEAREST
    assert rows[0].startswith("| access log of every call | 0.70×")
    assert len(feature_table.markdown(costs, "all").splitlines()) == 2 + len(costs)
    with pytest.raises(DesignError):
        feature_table.markdown(costs, "some")


def test_what_was_not_measured_has_a_dash_and_what_the_generator_limited_says_so() -> None:
    cost = Cost(
        feature="TLS",
        of_client=False,
        throughput=(0.9, 0.85, 0.95, ""),
        cpu_per_call=None,
        latency_p99=(2.1, 1.0, 4.2, "generator-bound"),
        verdict="slower",
    )
    assert feature_table.markdown([cost], "all").splitlines()[-1] == (
        "| TLS | 0.90× (0.85 to 0.95) | – | 2.1× (1.0 to 4.2), generator-bound | slower |"
    )


def test_the_file_holds_what_was_taken(costs: list[Cost], tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    path.write_text(json.dumps({"features": [dataclasses.asdict(cost) for cost in costs]}))
    assert feature_table.stored(path) == costs
    with pytest.raises(DesignError):
        feature_table.stored(tmp_path / "none.json")


def test_a_report_without_features_is_refused() -> None:
    with pytest.raises(DesignError):
        feature_table.taken({"sections": []})


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_have_the_tables_of_the_stored_study(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"<!-- features: {PAGES[page]} -->" in text
    assert feature_table.with_feature_tables(text, feature_table.stored(ROOT / feature_table.STORED)) == text
