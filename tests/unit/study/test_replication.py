"""The Rust demo's claims: what is measured for each, and which trials lead to which verdict."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis import analyse
from grpclab.analysis.claims.claim import CONDITION, FAILS, HOLDS, NOT_EXPRESSIBLE, UNDECIDED, VERDICTS, combined
from grpclab.analysis.claims.load_claims import CLAIMED_RATIO
from grpclab.analysis.claims.replication import COLUMNS, claims
from grpclab.analysis.inference.edition import rules_of
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.judgement import adjust_family, compare_planned, headline_of, other_comparisons
from grpclab.analysis.study_plan import ArgumentRow, PlannedComparison, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.metrics import MEASURED
from grpclab.report.finished import FinishedStudy
from grpclab.report.past import summary
from grpclab.report.renderers.markdown import markdown
from grpclab.report.sections import answer
from grpclab.report.sections import claims as claims_section
from grpclab.study.designs import replication_design
from grpclab.study.parameters import StudyParameters
from grpclab.text.markdown import escape
from tests.support.finished import finished
from tests.support.pages import html_of
from tests.support.plans import document
from tests.support.synthetic import as_json, manifest_of

PLANNED = replication_design.plan(StudyParameters(design="replication"))
PLAN = document(PLANNED)
NAMES = [row["name"] for row in PLAN["configurations"]]
SCENARIO = {row["name"]: row["scenario"] for row in PLAN["configurations"]}
Changes = Mapping[str, Mapping[str, Any]]
"""What sets a configuration's trials apart: a value for all blocks, or one for each."""

USUAL: dict[str, Any] = {
    "throughput_rps": 1000.0,
    "requests": 2500.0,
    "errors": 0.0,
    "held": 0.0,
    "in_flight_max": 64.0,
    "latency_p50_s": 0.01,
    "connections_opened": 4.0,
    "link_connections": 1.0,
    "time_to_first_success_s": 0.004,
    "server_kernel_share": 0.4,
    "limited_by": "",
}
MANY = {"in_flight_max": 10_000.0, "requests": 20_000.0, "latency_p50_s": 2.0}
MADE: Changes = {"optimized-c10000": MANY, "own-limits-c10000": MANY, "per-call": {"connections_opened": 2600.0}}


def trials(changes: Changes | None = None, *, blocks: int = 6, noise: float = 0.005) -> pd.DataFrame:
    """A study in which every configuration is like every other, but for the changes."""
    random = np.random.default_rng(20261125)
    rows = []
    for block, name in itertools.product(range(blocks), NAMES):
        told = {**USUAL, **MADE.get(name, {}), **(changes or {}).get(name, {})}
        row = {key: value[block] if isinstance(value, list) else value for key, value in told.items()}
        row["throughput_rps"] *= float(np.exp(random.normal(0, noise)))
        place = {"configuration": name, "scenario": SCENARIO[name], "block": block, "order": NAMES.index(name)}
        rows.append({**place, "valid": True, "invalid_reason": "", **row})
    return pd.DataFrame(rows)


KNOWN: dict[tuple[object, ...], Comparison] = {}
"""Comparisons by what they are of: the trials of a configuration depend on no change but its own."""


def compared(changes: Changes | None = None, *, blocks: int = 6, noise: float = 0.005) -> list[Comparison]:
    """The headline and the other comparisons, as `analyse` makes them, without the rest of its work."""
    made = trials(changes, blocks=blocks, noise=noise)

    def one(planned: PlannedComparison, *, family: str = "", exact: bool = False) -> Comparison:
        changed = [repr((changes or {}).get(name)) for name in (planned.baseline, planned.candidate)]
        key = (planned.directed, blocks, noise, *changed)
        if key not in KNOWN:
            KNOWN[key] = compare_planned(made, planned, PLANNED, family=family, exact=exact)
        return KNOWN[key]

    family = other_comparisons(PLANNED)
    others = [one(planned, family=planned.metric) for planned in family]
    return [one(headline_of(PLANNED), exact=True), *adjust_family(others, family, rules_of(PLANNED))]


def judged(changes: Changes | None = None, *, blocks: int = 6, noise: float = 0.005) -> pd.DataFrame:
    """The claims of such a study, by their names."""
    made = trials(changes, blocks=blocks, noise=noise)
    return claims(made, compared(changes, blocks=blocks, noise=noise), PLANNED).set_index("claim")


def test_the_comparisons_of_these_tests_are_those_of_a_study() -> None:
    compared()  # of which the next ones take over what has not changed
    made = trials({"optimized": {"throughput_rps": 1500.0}})
    pd.testing.assert_frame_equal(
        judged({"optimized": {"throughput_rps": 1500.0}}),
        claims(made, analyse(made, PLANNED).judged, PLANNED).set_index("claim"),
    )


def outcome(claim: str, changes: Changes | None = None, **more: Any) -> tuple[str, str]:
    """Verdict and result of one claim."""
    row = judged(changes, **more).loc[claim]
    return str(row["verdict"]), str(row["result"])


def rps(**levels: float) -> dict[str, dict[str, float]]:
    return {name.replace("_", "-"): {"throughput_rps": level} for name, level in levels.items()}


# ---- the design ----------------------------------------------------------------------------------------------


def mentioned(part: object) -> Iterable[str]:
    """Every configuration that a part of the plan names."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key not in ("engine", "scenario", "metric", "place"):
                yield from mentioned(value)
    elif isinstance(part, list):
        for value in part:
            yield from mentioned(value)
    elif isinstance(part, str):
        yield part


def test_every_claim_is_judged_by_configurations_and_comparisons_that_the_plan_declares() -> None:
    asked = PLAN["replication"]
    assert set(mentioned(asked)) <= set(NAMES)
    declared = {(c["metric"], c["baseline"], c["candidate"]) for c in [PLAN["headline"], *PLAN["comparisons"]]}
    needed = {("throughput_rps", arm["basic"], arm["optimized"]) for arm in asked["throughput"]["arms"]}
    needed |= {(e["metric"], e["baseline"], e["candidate"]) for e in asked["handshakes"]["places"]}
    for network in asked["windows"]:
        fixed = list(network["fixed"].values())
        needed |= {("throughput_rps", fixed[0], fixed[-1])}
        needed |= {("throughput_rps", name, network["adaptive"]) for name in fixed}
    assert needed <= declared
    assert {metric for metric, _, _ in declared} <= set(MEASURED)


@pytest.mark.parametrize("engine", ["grpcio", "wire"])
def test_the_headline_has_the_engine_asked_for_and_the_other_beside_it(engine: str) -> None:
    plan = document(replication_design.plan(StudyParameters(design="replication", engine=engine)))
    configs = {row["name"]: TrialConfig().replace(row["settings"]) for row in plan["configurations"]}
    assert configs[plan["headline"]["candidate"]].load.engine == engine
    for arm in plan["replication"]["throughput"]["arms"]:
        assert {configs[arm[name]].load.engine for name in ("basic", "optimized")} == {arm["engine"]}
    handshakes = plan["replication"]["handshakes"]
    on, off = (configs[handshakes["places"][0][side]] for side in ("candidate", "baseline"))
    apart = {name.partition(".")[2] for name in on.differences(off)}
    assert apart == {"keepalive_s", "keepalive_timeout_s"}
    assert {c.load.engine for name, c in configs.items() if name.startswith("down-")} == {"grpcio"}
    assert all(row["without_effect"] == {} for row in plan["configurations"])


def test_without_a_round_trip_there_is_one_network_only() -> None:
    plan = document(replication_design.plan(StudyParameters(design="replication", rtt_ms=0)))
    assert [network["place"] for network in plan["replication"]["windows"]] == ["plain loopback"]


# ---- one verdict out of several places -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "verdict", "condition"),
    [
        ([True, True], HOLDS, ""),
        ([True, False], CONDITION, "only p0"),
        ([None, True, True], CONDITION, "confirmed p1 and p2"),
        ([False, False], FAILS, ""),
        ([False, None], UNDECIDED, ""),
        ([None], UNDECIDED, ""),
        ([], UNDECIDED, ""),
    ],
)
def test_places_make_one_verdict(outcomes: list[bool | None], verdict: str, condition: str) -> None:
    assert combined({f"p{n}": found for n, found in enumerate(outcomes)}) == (verdict, condition)


@given(st.lists(st.sampled_from([True, False, None]), max_size=6))
def test_what_is_refuted_somewhere_never_holds_without_a_condition(outcomes: list[bool | None]) -> None:
    verdict, condition = combined({str(n): found for n, found in enumerate(outcomes)})
    assert (verdict == HOLDS) == (bool(outcomes) and all(outcomes))
    assert bool(condition) == (verdict == CONDITION)
    assert verdict != FAILS or True not in outcomes


# ---- claim by claim ------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_of_eight_claims_and_known_verdicts_only() -> None:
    found = judged()
    assert [found.index.name, *found.columns] == list(COLUMNS)
    assert len(found) == 8
    assert set(found["verdict"]) <= set(VERDICTS)
    assert all(text for text in found.to_numpy().ravel())


FAST = {"optimized": 4000.0, "optimized_wire": 4000.0, "client_only": 1000.0}


def test_277_per_cent_hold_where_both_engines_and_the_server_alone_reach_them() -> None:
    verdict, told = outcome("throughput", rps(**FAST))
    assert verdict == HOLDS
    assert "above the claimed" in told
    assert "+300%" in told


def test_277_per_cent_that_a_channel_for_each_call_gives_hold_against_such_a_client_only() -> None:
    verdict, told = outcome("throughput", rps(**{**FAST, "client_only": 3900.0}))
    assert verdict == CONDITION
    assert told.startswith("only against a client that opens a channel for each call")


def test_277_per_cent_that_one_engine_reaches_hold_with_that_one() -> None:
    verdict, told = outcome("throughput", rps(**{**FAST, "optimized_wire": 2000.0}))
    assert verdict == CONDITION
    assert told.startswith("only with engine grpcio")


def test_less_than_277_per_cent_do_not_hold() -> None:
    verdict, told = outcome("throughput", rps(optimized=2000, optimized_wire=2000))
    assert verdict == FAILS
    assert "below the claimed" in told


def test_what_the_generator_bounded_refutes_nothing() -> None:
    slow: dict[str, dict[str, Any]] = rps(optimized=2000, optimized_wire=2000)
    slow["optimized"]["limited_by"] = "generator-bound"
    verdict, told = outcome("throughput", slow)
    assert verdict == FAILS, "the other engine decides"
    assert "a lower bound, because the load generator was the limit" in told
    slow["optimized-wire"]["limited_by"] = "generator-bound"
    assert outcome("throughput", slow)[0] == UNDECIDED


def test_277_per_cent_within_a_wide_interval_are_not_decided() -> None:
    assert outcome("throughput", rps(optimized=3700, optimized_wire=3700), noise=0.2)[0] == UNDECIDED


@settings(max_examples=6)
@given(ratio=st.floats(0.5, 12), noise=st.floats(0.001, 0.3), blocks=st.integers(1, 8))
def test_a_verdict_on_throughput_never_contradicts_its_interval(ratio: float, noise: float, blocks: int) -> None:
    changes = rps(optimized=1000 * ratio, optimized_wire=1000 * ratio)
    made = trials(changes, blocks=blocks, noise=noise)
    headline, *others = compared(changes, blocks=blocks, noise=noise)
    found = claims(made, [headline, *others], PLANNED).set_index("claim").loc["throughput", "verdict"]
    high = headline.ci_high
    if blocks < 3:
        assert found == UNDECIDED
    elif found in (HOLDS, FAILS):
        assert (high < CLAIMED_RATIO) == (found == FAILS) or headline.ci_low >= 0.95 * CLAIMED_RATIO


def looks(pyspy: float, perf: float) -> dict[str, Any]:
    """Shares of the kernel in three of six blocks."""
    share = [0.1 * pyspy / 2] * 3 + [np.nan] * 3  # a tenth is at work, the rest waits; sent and received alike
    waits, kernel = [0.9] * 3 + [np.nan] * 3, [perf - 0.001, perf, perf + 0.001] + [np.nan] * 3
    none = [0.0] * 3 + [np.nan] * 3
    families = {"send": share, "receive": share, "locks": none, "other_kernel": none, "wait": waits}
    return {f"share_{name}": values for name, values in families.items()} | {"perf_kernel_share": kernel}


def test_system_calls_by_what_each_tool_sees() -> None:
    def found(basic: tuple[float, float], optimized: tuple[float, float]) -> tuple[str, str]:
        return outcome("system calls", {"basic": looks(*basic), "optimized": looks(*optimized)})

    assert found((0.136, 0.136), (0.04, 0.04))[0] == HOLDS
    assert found((0.136, 0.44), (0.04, 0.38)) == (
        CONDITION,
        "only according to py-spy; by py-spy: 13.6% to 4.0% (change -9.6 to -9.6 points, 3 "
        "blocks); by perf: 44.0% to 38.0% (change -6.0 to -6.0 points, 3 blocks); for comparison, "
        "the kernel's own accounting of the CPU time: 40.0% to 40.0% (change +0.0 to +0.0 points, "
        "6 blocks)",
    )
    assert found((0.40, 0.44), (0.36, 0.38))[0] == FAILS
    assert found((0.02, 0.02), (0.03, 0.03))[0] == FAILS, "it is low, and has not fallen"


def test_system_calls_that_nobody_looked_at_are_not_decided() -> None:
    verdict, told = outcome("system calls")
    assert verdict == UNDECIDED
    assert "by perf: not measured" in told


def test_streams_hold_if_all_blocks_carry_them() -> None:
    verdict, told = outcome("streams")
    assert verdict == HOLDS
    assert "0 of 120,000 calls failed, median latency 2 s, sustained in 6 of 6 blocks" in told


def test_streams_that_only_the_raised_limits_carry_hold_under_that_condition() -> None:
    verdict, told = outcome("streams", {"own-limits-c10000": {"errors": 9000.0}})
    assert verdict == CONDITION
    assert told.startswith("only with the server's limits raised; ")


@pytest.mark.parametrize(
    "fault",
    [
        {"errors": [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]},
        {"held": 12.0},
        {"in_flight_max": [10_000.0] * 5 + [9_999.0]},
        {"errors": [0.0] * 5 + [20_000.0], "valid": [True] * 5 + [False]},
    ],
)
def test_streams_that_one_block_does_not_carry_do_not_hold(fault: dict[str, Any]) -> None:
    assert outcome("streams", {"optimized-c10000": fault})[0] == FAILS


def test_errors_by_load() -> None:
    verdict, told = outcome("errors")
    assert verdict == HOLDS
    assert "0 of 30,000 calls failed, in 0 of 6 blocks (with 95% confidence, in less than 39% of such blocks)" in told
    once = {"errors": [0.0] * 5 + [1.0]}
    verdict, told = outcome("errors", {"optimized-c10000": once})
    assert verdict == CONDITION
    assert told.startswith("only with 64 in flight; ")
    assert outcome("errors", {"optimized-c10000": once, "optimized": once})[0] == FAILS
    assert outcome("errors", blocks=2)[0] == UNDECIDED


def test_keepalive_that_changes_no_count_of_connections_does_not_hold() -> None:
    verdict, told = outcome("keepalive")
    assert verdict == FAILS
    assert "2,600 connections opened with one channel per call, 4 with channels that are kept open" in told


def test_keepalive_that_saves_connections_after_silence_holds_then() -> None:
    verdict, told = outcome("keepalive", {"idle-off": {"link_connections": [3.0, 4.0] * 3}})
    assert verdict == CONDITION
    assert told.startswith("only after an idle period on a link that drops connections; ")
    both = {"idle-off": {"link_connections": [3.0, 4.0] * 3}, "keepalive-off": {"connections_opened": [8.0, 9.0] * 3}}
    assert outcome("keepalive", both)[0] == HOLDS


def test_a_knob_that_grpcio_lacks_cannot_be_expressed_and_one_it_has_is_not_decided() -> None:
    assert outcome("no-delay")[0] == NOT_EXPRESSIBLE
    mapping = (ArgumentRow(tonic="tcp_nodelay", factor="server.no_delay"),)
    found = claims(trials(), compared(), replace(PLANNED, mapping=mapping)).set_index("claim")
    assert found.loc["no-delay", "verdict"] == UNDECIDED


def downloads(**levels: tuple[float, float, float]) -> dict[str, dict[str, float]]:
    """Requests/s by network: the smallest window, the largest, the adaptive one."""
    return {
        f"down-{network.removeprefix('at_')}-{end}": {"throughput_rps": level}
        for network, found in levels.items()
        for end, level in zip(("64kib", "16384kib", "adaptive"), found, strict=True)
    }


def test_large_windows_network_by_network() -> None:
    assert outcome("large windows")[0] == FAILS
    far = downloads(at_20ms=(300, 1000, 1000), at_60ms=(100, 900, 900))
    verdict, told = outcome("large windows", far)
    assert verdict == CONDITION
    assert told.startswith("only over a 20 ms round trip and over a 60 ms round trip; plain loopback: 16 MiB has 1.0")
    everywhere = {**far, **downloads(loopback=(500, 1000, 1000))}
    assert outcome("large windows", everywhere)[0] == HOLDS
    assert outcome("large windows", noise=0.3)[0] == UNDECIDED
    bound: dict[str, dict[str, Any]] = {name: dict(of) for name, of in downloads(loopback=(1000, 1000, 1000)).items()}
    bound["down-loopback-16384kib"]["limited_by"] = "generator-bound"
    assert outcome("large windows", bound)[0] == UNDECIDED, "a lower bound does not refute"


def test_adaptive_windows_must_keep_up_with_the_best_fixed_one_on_each_network() -> None:
    assert outcome("adaptive windows")[0] == HOLDS
    behind = downloads(at_60ms=(100, 1000, 600))
    verdict, told = outcome("adaptive windows", behind)
    assert verdict == CONDITION
    assert told.startswith("only over plain loopback and over a 20 ms round trip; ")
    assert "60 ms round trip: adaptive has 0.60×" in told
    assert "the throughput of the best fixed window, 16 MiB" in told
    nowhere = {
        name: {"throughput_rps": 500.0} for name in NAMES if name.startswith("down-") and name.endswith("adaptive")
    }
    assert outcome("adaptive windows", nowhere)[0] == FAILS
    assert outcome("adaptive windows", noise=0.3)[0] == UNDECIDED


# ---- too little ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 2])
def test_fewer_than_three_blocks_decide_only_what_needs_none(blocks: int) -> None:
    verdicts = judged(rps(**FAST), blocks=blocks)["verdict"]
    assert verdicts["no-delay"] == NOT_EXPRESSIBLE
    assert set(verdicts.drop("no-delay")) == {UNDECIDED}


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    """The trials of a study of which nothing is missing."""
    return trials()


def judge_without(missing: set[str], whole: pd.DataFrame) -> None:
    made = whole[~whole["configuration"].isin(missing)]
    headline, *others = compared()
    kept = [c for c in others if not missing & {c.baseline, c.candidate}]
    found = claims(made, [headline, *kept], PLANNED)
    assert len(found) == 8
    assert set(found["verdict"]) <= set(VERDICTS)


@pytest.mark.parametrize("missing", NAMES)
def test_a_configuration_that_is_missing_never_raises(missing: str, whole: pd.DataFrame) -> None:
    judge_without({missing}, whole)


@pytest.mark.parametrize("missing", sorted(set(SCENARIO.values())))
def test_a_scenario_that_is_missing_never_raises(missing: str, whole: pd.DataFrame) -> None:
    judge_without({name for name in NAMES if SCENARIO[name] == missing}, whole)


def test_trials_without_comparisons_and_none_at_all_never_raise(whole: pd.DataFrame) -> None:
    assert len(claims(whole, [], PLANNED)) == 8
    none = whole.iloc[:0]
    found = claims(none, analyse(none, PLANNED).judged, PLANNED)
    assert len(found) == 8
    assert set(found["verdict"]) <= set(VERDICTS)


def test_a_plan_that_tests_no_claim_has_none() -> None:
    found = claims(trials(), [], StudyPlan())
    assert found.empty
    assert list(found.columns) == list(COLUMNS)


# ---- in the report -------------------------------------------------------------------------------------------


def test_the_question_is_answered_by_how_many_claims_hold() -> None:
    made = trials(rps(**FAST))
    verdict = analyse(made, PLANNED)
    counts = Counter(claims(made, verdict.judged, PLANNED)["verdict"])
    first = verdict.sentence.partition(". ")[0]
    assert first.startswith("Of 8 claims in the Rust demo's README, ")
    assert f"{counts[HOLDS]} hold" in first
    assert sum(int(number) for number in re.findall(r"\b(\d+) (?:hold|do|is|are|can)", first)) == 8
    study = finished(manifest_of("replication", PLAN), made, as_json(verdict.as_dict()))
    assert answer.section(study).sentence == f"{first}."
    assert markdown(study).startswith(escape(first))
    assert summary(study).claims


def test_failures_that_are_what_is_measured_are_said_to_be() -> None:
    asked = {"own-limits-c10000": {"errors": 200.0}, "idle-off": {"errors": 40.0}}
    made = trials(asked, blocks=2)
    study = finished(manifest_of("replication", PLAN), made, as_json(analyse(made, PLANNED).as_dict()))
    assert study.failing_on_purpose == ["own-limits-c10000", "idle-off", "idle-working"]
    assert "all of them in configurations that measure failure" in html_of(answer.section(study))
    made = trials(asked | {"optimized-c10000": {"errors": 3.0}}, blocks=2)
    study = FinishedStudy.of(study.manifest, made, study.verdict)
    told = html_of(answer.section(study))
    assert "486 of " in told
    assert "480 of them in configurations that measure failure" in told


def test_the_report_has_a_section_of_claims_where_the_plan_tests_some() -> None:
    made = trials(rps(**FAST))
    study = finished(manifest_of("replication", PLAN), made, as_json(analyse(made, PLANNED).as_dict()))
    drawn = html_of(claims_section.section(study))
    assert drawn.count("<tr>") == 9
    assert '<span class="gl-badge gl-faster">holds</span>' in drawn
    assert '<span class="gl-badge gl-inconclusive">cannot be expressed in grpcio</span>' in drawn
    assert "&lt;" not in drawn
    assert claims_section.section(finished({"plan": {}}, made, {})) is None
