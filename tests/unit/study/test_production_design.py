"""The design ``production``: each feature against the same service without it, within its budget, and in the report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.features import FEATURES
from grpclab.factors.variants import OPTIMIZED, PRODUCTION
from grpclab.report.grouping import FEATURES as GROUP
from grpclab.report.grouping import grouped as named_groups
from grpclab.report.renderers.terminal import table
from grpclab.report.sections import features
from grpclab.report.tables import text_of
from grpclab.study.designs import production_design
from grpclab.study.designs.grouping import MOST_MEMBERS, group_s
from grpclab.study.parameters import StudyParameters
from tests.support import synthetic


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    return production_design.plan(StudyParameters(design="production"))


def test_the_sides_of_each_comparison_differ_in_the_feature_and_in_nothing_else(plan: StudyPlan) -> None:
    assert [one.name for one in plan.features] == [feature.name for feature in FEATURES]
    for feature, planned in zip(FEATURES, plan.features, strict=True):
        assert ("in production" in planned.pairs) == feature.in_production
        changed = set(feature.on) | set(feature.without)
        for where, (baseline, candidate) in planned.pairs.items():
            with_it, without = plan.configuration(candidate).config, plan.configuration(baseline).config
            different = set(with_it.differences(without))
            assert different
            assert different <= changed
            if where == "in production":
                assert with_it.server == PRODUCTION.server
                assert different == changed


def test_every_configuration_is_the_service_under_one_load_and_every_factor_acts(plan: StudyPlan) -> None:
    of_client = {name for one in plan.features if one.of_client for name in (one.plain, one.alone)}
    assert of_client
    for one in plan.configurations:
        engine = "grpcio" if one.name in of_client else "wire"
        assert one.config.load == replace(plan.configurations[0].config.load, engine=engine)
    assert [one.without_effect for one in plan.configurations] == [{}] * len(plan.configurations)
    assert plan.configuration("optimized").config.server == OPTIMIZED.server


def test_a_feature_whose_library_is_missing_is_left_out_and_the_plan_says_so(plan: StudyPlan) -> None:
    found = production_design.plan(StudyParameters(design="production"), missing=["trustme"])
    assert [one.name for one in plan.features if one not in found.features] == ["tls", "mutual-tls"]
    assert found.left_out is not None
    assert [text.partition(" needs ")[0] for text in found.left_out] == [
        "not measured: TLS",
        "not measured: TLS with client certificates",
    ]
    assert plan.left_out == ()


def test_it_is_compared_in_throughput_and_in_cpu_per_call(plan: StudyPlan) -> None:
    judged = {(c.metric, c.baseline, c.candidate) for c in plan.comparisons}
    for planned in plan.features:
        for pair in planned.pairs.values():
            side = "client" if planned.of_client else "server"
            assert {("throughput_rps", *pair), (f"{side}_cpu_per_call_s", *pair)} <= judged
    assert plan.headline is not None
    assert (plan.headline.baseline, plan.headline.candidate) == ("optimized", "production")


def test_the_sides_of_each_comparison_are_measured_together_within_the_budget(plan: StudyPlan) -> None:
    assert all(len(group.members) <= MOST_MEMBERS for group in plan.groups)
    assert [group.members for group in plan.groups if not group.interleaved] == [("optimized", "optimized-tracing-all")]
    for comparison in plan.comparisons:
        assert any({comparison.baseline, comparison.candidate} <= set(group.members) for group in plan.groups)
    budget_s = StudyParameters(design="production").budget_s
    assert budget_s is not None
    assert plan.blocks * sum(group_s(plan, group) for group in plan.groups) < 0.9 * budget_s


def test_the_report_says_what_costs_throughput_and_what_does_not() -> None:
    study = synthetic.production_study().finished()
    summary = features.summary(study)
    assert summary.startswith("Features that cost throughput: access log of every call (0.7")
    assert "Features that cost less than 5% in throughput: calls counted for Prometheus, " in summary
    assert " in CPU time in the client: " in summary
    alone, inside, client = features.table(study).groups
    verdicts = {text_of(row[0]): text_of(row[3]) for row in alone[1:]}
    server = [one for one in FEATURES if not one.of_client]
    assert verdicts == {one.title: "equivalent" for one in server} | {"access log of every call": "slower"}
    verdicts = {text_of(row[0]): text_of(row[3]) for row in inside[1:]}
    assert verdicts == {one.title: "equivalent" for one in FEATURES if one.in_production}
    verdicts = {text_of(row[0]): text_of(row[3]) for row in client[1:]}
    assert verdicts == {one.title: "equivalent" for one in FEATURES if one.of_client}
    assert len(dict(named_groups(study))[GROUP]) == 2 * sum(len(one.pairs) for one in study.plan.features)
    assert "  TLS, alone" in table(study)
