"""The design ``production``: each feature against the same service without it, within its budget, and in the report."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from grpclab.analysis.inference.edition import TODAY
from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.features import FEATURES
from grpclab.factors.variants import OPTIMIZED
from grpclab.metrics import metric_named
from grpclab.report.grouping import FEATURES as GROUP
from grpclab.report.grouping import grouped as named_groups
from grpclab.report.renderers.terminal import table
from grpclab.report.sections import features
from grpclab.report.tables import text_of
from grpclab.study.designs import production_design
from grpclab.study.designs.grouping import MOST_MEMBERS, group_s
from grpclab.study.parameters import StudyParameters
from grpclab.study.wall_budget import LEAST_COUNTED_S, counted_for, for_blocks
from tests.support import synthetic

RATE_RPS, RATE_ON_A_LOOP = 3000.0, 2000.0
LATER = {feature.name for feature in FEATURES if feature.later}


@pytest.fixture(scope="module", params=["sync", "asyncio"])
def plan(request: pytest.FixtureRequest) -> StudyPlan:
    parameters = StudyParameters(design="production", implementation=request.param, rate=f"{RATE_RPS:g}", budget="none")
    return production_design.plan(parameters)


def test_the_sides_of_each_comparison_differ_in_the_feature_and_in_nothing_else(plan: StudyPlan) -> None:
    assert [one.name for one in plan.features] == [feature.name for feature in FEATURES]
    for feature, planned in zip(FEATURES, plan.features, strict=True):
        for baseline, candidate in (*planned.pairs.values(), *filter(None, [planned.steady_pair])):
            with_it, without = plan.configuration(candidate).config, plan.configuration(baseline).config
            assert set(with_it.differences(without)) == set(feature.on if not feature.without else feature.without)


def test_every_configuration_is_the_service_under_its_load_and_every_factor_acts(plan: StudyPlan) -> None:
    of_client = {name for one in plan.features if one.of_client for name in (one.plain, one.alone)}
    assert of_client
    for one in plan.configurations:
        load = one.config.load
        assert load.engine == ("grpcio" if one.name in of_client else "wire")
        assert load.rate_rps == (RATE_RPS if "-half" in one.name else None)
        assert load.duration_s == (production_design.LONG_S if "-long" in one.name else 2.0)
    assert [one.without_effect for one in plan.configurations] == [{}] * len(plan.configurations)


def test_the_server_is_the_optimized_one_or_an_asyncio_one_with_its_settings() -> None:
    sync, asyncio = (
        production_design.plan(StudyParameters(design="production", implementation=name)).configuration("optimized")
        for name in ("sync", "asyncio")
    )
    assert sync.config.server == OPTIMIZED.server
    assert asyncio.config.server == replace(
        OPTIMIZED.server, implementation="asyncio", event_loop="uvloop", threads=10, spare_threads=0
    )


def test_a_feature_whose_library_is_missing_is_left_out_and_the_plan_says_so(plan: StudyPlan) -> None:
    found = production_design.plan(StudyParameters(design="production", budget="none"), missing=["trustme"])
    names = {one.name for one in found.features}
    assert [one.name for one in plan.features if one.name not in names] == ["tls", "mutual-tls"]
    assert found.left_out is not None
    assert [text.partition(" needs ")[0] for text in found.left_out] == [
        "not measured: TLS",
        "not measured: TLS with client certificates",
    ]
    assert plan.left_out == ()


def test_it_is_compared_in_throughput_in_cpu_per_call_and_in_latency_at_half_load(plan: StudyPlan) -> None:
    judged = {(c.metric, c.baseline, c.candidate) for c in plan.comparisons}
    for feature, planned in zip(FEATURES, plan.features, strict=True):
        side = "client" if planned.of_client else "server"
        for pair in planned.pairs.values():
            assert {("throughput_rps", *pair), (f"{side}_cpu_per_call_s", *pair)} <= judged
        assert bool(planned.steady_pair) == (feature.each_call and not feature.of_client)
        if planned.steady_pair:
            assert ("latency_p99_s", *planned.steady_pair) in judged
    assert plan.headline is not None
    assert (plan.headline.baseline, plan.headline.candidate) == ("optimized", "production")


def test_without_a_rate_no_latency_is_compared() -> None:
    plans = [
        production_design.plan(StudyParameters(design="production", rate=rate, budget="none"))
        for rate in ("none", "auto")
    ]
    for found in plans:
        assert [one.steady_pair for one in found.features] == [None] * len(FEATURES)
        assert all(one.config.load.rate_rps is None for one in found.configurations)


def test_an_open_loop_has_enough_calls_for_its_percentile(plan: StudyPlan) -> None:
    for one in plan.configurations:
        load = one.config.load
        if load.rate_rps is not None:
            assert load.requests == metric_named("latency_p99_s").fewest_calls
            assert load.rate_rps * (load.duration_s or math.inf) >= load.requests


def test_features_that_put_work_off_are_measured_in_long_windows_until_the_server_is_idle(plan: StudyPlan) -> None:
    long = [group for group in plan.groups if group.until_idle]
    members = [name for group in long for name in group.members]
    assert sorted(members) == sorted(
        {name for one in plan.features if one.name in LATER for name in (one.plain, one.alone)}
    )
    assert not any(group.interleaved for group in long)
    assert {group.counted_s for group in long} == {production_design.LONG_S}
    assert production_design.LONG_S >= 10.0
    steady = {name for one in plan.features for name in one.steady_pair or ()}
    for group in plan.groups:
        in_few = not group.interleaved or bool(steady & set(group.members))
        assert group.blocks == (TODAY.fewest_for_t if in_few else None)
    shortened = counted_for(plan.groups, 0.5)
    assert [group for group in shortened if group.until_idle] == long
    assert {group.counted_s for group in shortened if group not in long} == {0.5}


def test_the_sides_of_each_comparison_are_measured_together_within_the_budget(plan: StudyPlan) -> None:
    assert all(len(group.members) <= MOST_MEMBERS for group in plan.groups)
    together = [set(group.members) for group in plan.groups if not group.interleaved]
    assert {name for members in together for name in members} == {
        name
        for one in plan.features
        if one.name in LATER
        for pair in (*one.pairs.values(), one.steady_pair)
        for name in pair or ()
    }
    for comparison in plan.comparisons:
        assert any({comparison.baseline, comparison.candidate} <= set(group.members) for group in plan.groups)


@pytest.mark.parametrize(
    ("implementation", "too_short", "enough"),
    [("sync", "auto", "15m"), ("both", "15m", "30m"), ("sync", "14m", "none")],
)
def test_features_that_can_be_spared_need_a_larger_budget(implementation: str, too_short: str, enough: str) -> None:
    spare = {feature.name for feature in FEATURES if feature.spare}
    short, whole = (
        production_design.plan(StudyParameters(design="production", implementation=implementation, budget=budget))
        for budget in (too_short, enough)
    )
    assert {one.name for one in whole.features} - {one.name for one in short.features} == spare
    needed = "30m" if implementation == "both" else "15m"
    assert short.left_out == (
        "not measured: scraping of the metrics once a second, 1 empty interceptor, tracing of no calls, client tracing "
        "of no calls, client tracing of 1% of the calls and client tracing of every call, which need "
        f"--budget {needed}",
    )
    assert whole.left_out == ()


@pytest.mark.parametrize(("implementation", "minutes"), [("sync", 10), ("asyncio", 10), ("both", 20)])
def test_the_fewest_blocks_fit_into_the_budget_with_less_counted_time(implementation: str, minutes: int) -> None:
    parameters = StudyParameters(design="production", implementation=implementation, rate=f"{RATE_RPS:g}")
    plan = production_design.plan(parameters)
    assert parameters.budget_s == 60 * minutes
    shortened = counted_for(plan.groups, LEAST_COUNTED_S)
    blocks = [plan.blocks if group.blocks is None else group.blocks for group in shortened]
    lengths = [count * group_s(plan, group) for count, group in zip(blocks, shortened, strict=True)]
    assert sum(lengths) < for_blocks(parameters.budget_s, sum(lengths) / plan.blocks)


def test_both_implementations_are_measured_in_one_study_each_against_itself() -> None:
    parameters = StudyParameters(
        design="production", implementation="both", rate=f"{RATE_RPS:g},{RATE_ON_A_LOOP:g}", budget="none"
    )
    plan = production_design.plan(parameters)
    on_a_loop = [one for one in plan.features if one.implementation]
    assert [one.name for one in on_a_loop] == [feature.name for feature in FEATURES if not feature.of_client]
    assert [one.name for one in plan.features if not one.implementation] == [feature.name for feature in FEATURES]
    for one in plan.features:
        for names in (*one.pairs.values(), *filter(None, [one.steady_pair])):
            configs = [plan.configuration(name).config for name in names]
            assert {config.server.implementation for config in configs} == {one.implementation or "sync"}
            rates = {config.load.rate_rps for config in configs} - {None}
            assert rates <= {RATE_ON_A_LOOP if one.implementation else RATE_RPS}
    directed = [one.directed for one in plan.comparisons]
    assert len(directed) == len(set(directed))
    assert len({one.title for one in plan.configurations}) == len(plan.configurations)


def test_the_report_has_the_features_on_both_implementations() -> None:
    study = synthetic.production_study(name="both", implementation="both").finished()
    assert "Features that cost throughput on asyncio: access log of every call (0.7" in features.summary(study)
    headings = [text_of(rows[0][0]) for rows in features.table(study).groups]
    assert headings == [
        "alone: added to optimized",
        "alone: added to optimized on asyncio",
        features.HEADINGS["in the client"],
    ]


def test_scraping_is_compared_with_metrics_that_nobody_scrapes(plan: StudyPlan) -> None:
    (planned,) = [one for one in plan.features if one.name == "scraping"]
    plain, scraped = (plan.configuration(name).config.server for name in (planned.plain, planned.alone))
    assert (plain.metrics, plain.desk, plain.scrape_s) == (True, True, None)
    assert (scraped.metrics, scraped.desk, scraped.scrape_s) == (True, True, 1.0)


def test_the_report_says_what_stood_in_for_others_and_what_that_used() -> None:
    made = synthetic.production_study()
    assert "On the load generator's cores" not in str(features.section(made.finished()))
    trials = made.trials.copy()
    for name, metric, cores in (
        ("optimized-long-tracing", "collector_cores", 0.02),
        ("optimized-long-tracing-all", "collector_cores", 0.0823),
        ("optimized-scraping", "scraper_cores", 0.0021),
    ):
        trials.loc[trials["configuration"] == name, metric] = cores
    told = str(features.section(replace(made, trials=trials).finished()))
    assert (
        "On the load generator's cores, the stand-in for a trace collector used up to 0.082 cores and the stand-in "
        "for Prometheus used 0.0021 cores."
    ) in told


def test_the_report_says_what_costs_throughput_and_what_does_not() -> None:
    study = synthetic.production_study().finished()
    summary = features.summary(study)
    assert summary.startswith("Features that cost throughput: access log of every call (0.7")
    assert "Features that cost less than 5% in throughput: calls counted for Prometheus, " in summary
    assert " in CPU time in the client: " in summary
    shown = features.table(study)
    assert [text_of(cell) for cell in shown.header] == [
        "feature",
        "throughput",
        "CPU per call",
        "p99 at half load",
        "verdict",
    ]
    alone, client = shown.groups
    server = [one for one in FEATURES if not one.of_client]
    verdicts = {text_of(row[0]): text_of(row[4]) for row in alone[1:]}
    assert verdicts == {one.title: "equivalent" for one in server} | {"access log of every call": "slower"}
    latencies = {text_of(row[0]): text_of(row[3]) for row in alone[1:]}
    assert {title for title, text in latencies.items() if "×" in text} == {one.title for one in server if one.each_call}
    assert {text for text in latencies.values() if "×" not in text} == {""}
    verdicts = {text_of(row[0]): text_of(row[4]) for row in client[1:]}
    assert verdicts == {one.title: "equivalent" for one in FEATURES if one.of_client}
    steady = [one for one in study.plan.features if one.steady_pair]
    assert len(dict(named_groups(study))[GROUP]) == 2 * len(FEATURES) + len(steady)
    assert "  TLS, alone" in table(study)
