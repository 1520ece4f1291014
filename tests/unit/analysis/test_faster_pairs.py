"""A faster pair that differs in one factor names that factor as the limit of the slower one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis.limits.resources import Limit, limit_of
from grpclab.analysis.study_plan import StoredTarget, StudyPlan
from tests.support.limits import IDLE, NOISE, ONE, judged, pair, rows

WINDOW = {"client.adaptive_window": False, "client.window_kib": 64}
PAIRS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (WINDOW, {"client.window_kib": 1024}, "window", "with a higher client.window_kib than 64, more has 2.0×"),
    ({**WINDOW, "client.window_kib": None}, {"client.window_kib": 1024}, "window", "than unset"),
    (
        {"server.adaptive_window": False, "server.window_kib": 64},
        {"server.window_kib": 1024},
        "window",
        "server.window_kib",
    ),
    (
        {"server.max_concurrent_streams": 2, "held": 900.0},
        {"server.max_concurrent_streams": 64},
        "stream-limit",
        "900 calls waited for a stream during the window",
    ),
    ({"server.max_concurrent_streams": 2}, {"server.max_concurrent_streams": None}, "stream-limit", "6 blocks"),
    (IDLE, {"server.threads": 1000}, "threads", "50 calls were in flight on 10 handler threads"),
    (IDLE, {"server.spare_threads": 1000}, "threads", "server.spare_threads"),
    ({}, {"load.concurrency": 200}, "concurrency", "with a higher load.concurrency than 50"),
]


@pytest.mark.parametrize(("low", "high", "resource", "told"), PAIRS)
def test_a_faster_pair_that_differs_in_one_factor_names_that_factor(
    low: dict[str, Any], high: dict[str, Any], resource: str, told: str
) -> None:
    found = judged(*pair(low, high, ratio=2.0))
    assert (found.resource, found.certain) == (resource, True), found.evidence
    assert told in found.evidence


@pytest.mark.parametrize(("low", "high", "resource", "told"), PAIRS)
@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.03])
def test_a_pair_that_is_not_faster_names_nothing(
    low: dict[str, Any], high: dict[str, Any], resource: str, told: str, ratio: float
) -> None:
    assert judged(*pair(low, high, ratio=ratio)).resource == "unknown"


@pytest.mark.parametrize(("low", "high", "resource", "told"), PAIRS)
@pytest.mark.parametrize(
    "besides", [{"server.tls": True}, {"scenario": "bulk"}, {"valid": False}, {"throughput_rps": [9e3, 1e3, 500.0] * 2}]
)
def test_a_pair_that_is_none_or_too_noisy_names_nothing(
    low: dict[str, Any], high: dict[str, Any], resource: str, told: str, besides: dict[str, Any]
) -> None:
    mine, other = pair(low, high, ratio=2.0)
    changes = rows("more", blocks=6, **besides)
    for row, change in zip(other, changes, strict=True):
        row |= {key: change[key] for key in besides}
    assert judged(mine, other).resource == "unknown"


def test_the_configuration_that_has_more_is_not_limited_by_what_it_has() -> None:
    low, high = pair({"server.max_concurrent_streams": 2}, {"server.max_concurrent_streams": 64}, ratio=2.0)
    assert judged(low, high, name="more").resource == "unknown"


def test_a_window_that_bdp_probing_overrides_is_not_named() -> None:
    low = {"client.adaptive_window": True, "client.window_kib": 64}
    assert judged(*pair(low, {"client.window_kib": 1024}, ratio=2.0)).resource == "unknown"


def test_of_several_pairs_the_fastest_is_the_evidence() -> None:
    slower: dict[str, Any] = {"load.concurrency": 100, "throughput_rps": [1500 * noise for noise in NOISE]}
    some = rows("some", blocks=6, **slower)
    found = judged(*pair({}, {"load.concurrency": 200}, ratio=2.0), some)
    assert "more has 2.0×" in found.evidence


def test_a_full_cpu_is_named_before_a_faster_pair() -> None:
    low, high = pair({"server_cores": 0.97}, {"load.concurrency": 200}, ratio=2.0)
    assert judged(low, high).resource == "server-cpu"


def test_more_that_was_tried_in_vain_asks_for_a_profile() -> None:
    found = judged(*pair({"server.threads": 50}, {"load.concurrency": 200}, ratio=1.0))
    assert "a higher load.concurrency (more) was not faster, so a profile" in found.evidence


APP = StoredTarget(app="shop:register", call="shop.Cart/Get")
COMMAND = StoredTarget(command="./srv {port} {threads}", call="shop.Cart/Get")


def of_targets(
    low: dict[str, Any], high: dict[str, Any], *, ratio: float, targets: tuple[StoredTarget, StoredTarget]
) -> Limit:
    plan = StudyPlan(subjects=dict(zip(("it", "more"), targets, strict=True)))
    trials = pd.DataFrame([row for configuration in pair(low, high, ratio=ratio) for row in configuration])
    return limit_of("it", trials, plan, ONE)


@pytest.mark.parametrize(
    ("factor", "low", "high"),
    [("arg.threads", "4", "64"), ("arg.threads", "64", "4"), ("env.MODE", "none", "fast"), ("target.python", "a", "b")],
)
def test_a_sweep_over_a_factor_of_the_users_own_holds_the_answer(factor: str, low: str, high: str) -> None:
    target = APP if factor == "target.python" else COMMAND
    found = of_targets({factor: low}, {factor: high}, ratio=2.0, targets=(target, target))
    assert (found.resource, found.certain) == ("own-factor", True), found.evidence
    assert f"with {factor}={high} instead of {low}, more has 2.0×" in found.evidence
    for ratio in (0.5, 1.0, 1.03):
        assert of_targets({factor: low}, {factor: high}, ratio=ratio, targets=(target, target)).resource == "unknown"


@pytest.mark.parametrize(
    ("target", "low", "high", "resource"),
    [
        (APP, IDLE, {"server.threads": 1000}, "threads"),
        (APP, {}, {"load.concurrency": 200}, "concurrency"),
        (COMMAND, {}, {"load.concurrency": 200}, "concurrency"),
    ],
)
def test_factors_that_a_target_does_not_have_hide_no_pair_and_another_target_is_none(
    target: StoredTarget, low: dict[str, Any], high: dict[str, Any], resource: str
) -> None:
    assert of_targets(low, high, ratio=2.0, targets=(target, target)).resource == resource
    other = replace(target, call="shop.Cart/Put")
    assert of_targets(low, high, ratio=2.0, targets=(target, other)).resource == "unknown"
