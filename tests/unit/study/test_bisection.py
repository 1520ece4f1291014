"""Bisection by verdicts: the planted commit is named, by the rules of real comparisons and whatever else happens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab import App
from grpclab.analysis import Comparison, Verdict, judge, log_t_interval, paired_t_p
from grpclab.errors import DesignError, MeasurementError, ServerError, StorageError, UsageError
from grpclab.study.bisection import BisectResult, BisectStep, StepOptions, bisect, outcome_of
from grpclab.study.sides import GivenTarget, PairOptions
from grpclab.system.repository import Commit

METRIC, DELTA = "throughput_rps", 0.05
COMMITS = [Commit(id=f"{number:02x}" * 20, subject=f"Change {number}") for number in range(41)]
FIGURES: dict[Verdict, tuple[float, float, float]] = {
    "slower": (0.86, 0.84, 0.88),
    "equivalent": (1.0, 0.98, 1.02),
    "faster": (1.2, 1.1, 1.3),
    "inconclusive": (0.93, 0.80, 1.08),
}
"""A ratio with its interval for each verdict."""
Judged = Callable[[int, int, bool], Verdict]
"""The verdict on a commit against a baseline, by their numbers; in a second try or not."""


def bisected(last: int, judged: Judged, lines: list[str] | None = None) -> BisectResult:
    """A bisection whose verdicts are known."""

    def measure(baseline: Commit, candidate: Commit, before: BisectStep | None) -> BisectStep:
        verdict = judged(COMMITS.index(baseline), COMMITS.index(candidate), before is not None)
        ratio, low, high = FIGURES[verdict]
        comparison = Comparison(metric=METRIC, ratio=ratio, ci_low=low, ci_high=high, blocks=9, verdict=verdict)
        return BisectStep(baseline=baseline, candidate=candidate, comparison=comparison, study="x")

    told: list[str] = [] if lines is None else lines
    return bisect(COMMITS[0], COMMITS[1 : last + 1], measure, told.append)


def planted(slow_from: int) -> Judged:
    return lambda baseline, candidate, _: "slower" if baseline < slow_from <= candidate else "equivalent"


@given(last=st.integers(1, 40), place=st.floats(0, 1), flaky=st.frozensets(st.integers(1, 40)))
def test_the_planted_commit_is_named_though_some_comparisons_decide_in_the_second_try_only(
    last: int, place: float, flaky: frozenset[int]
) -> None:
    slow_from = 1 + round(place * (last - 1))
    certain = planted(slow_from)

    def judged(baseline: int, candidate: int, again: bool) -> Verdict:
        return "inconclusive" if candidate in flaky and not again else certain(baseline, candidate, again)

    found = bisected(last, judged)
    assert (found.first_slower, found.exit_code) == (COMMITS[slow_from], 0)
    own = found.steps[-1]
    assert own.candidate == COMMITS[slow_from]
    assert own.baseline == COMMITS[slow_from - 1], "at the end it is compared with its parent"
    assert f"{0.86:.2f}" in found.sentence


@given(last=st.integers(2, 40), place=st.floats(0, 1), broken=st.frozensets(st.integers(1, 39)))
def test_commits_that_cannot_be_measured_are_passed_over(last: int, place: float, broken: frozenset[int]) -> None:
    slow_from = 1 + round(place * (last - 1))
    broken -= {last}
    certain = planted(slow_from)

    def judged(baseline: int, candidate: int, again: bool) -> Verdict:
        if candidate in broken:
            raise ServerError("the server could not be started")
        return certain(baseline, candidate, again)

    found = bisected(last, judged)
    assert COMMITS[slow_from] in found.suspects
    named = not broken & {slow_from - 1, slow_from}
    assert (found.first_slower == COMMITS[slow_from]) == named
    assert found.exit_code == (0 if named else 4)
    troubled = {step.candidate for step in found.steps if step.trouble}
    assert troubled <= {COMMITS[number] for number in broken}


@pytest.mark.parametrize(
    ("verdict", "code", "told"),
    [
        ("equivalent", 1, "is not slower than"),
        ("faster", 1, "is not slower than"),
        ("inconclusive", 4, "it remains unclear"),
    ],
)
def test_without_a_slowdown_between_the_ends_nothing_is_named(verdict: Verdict, code: int, told: str) -> None:
    found = bisected(9, lambda *_: verdict)
    assert (found.first_slower, found.suspects, found.exit_code) == (None, (), code)
    assert told in found.sentence
    assert len(found.steps) == (2 if verdict == "inconclusive" else 1)


def test_a_slowdown_in_several_steps_is_told_from_one_in_a_single_step() -> None:
    found = bisected(8, lambda baseline, candidate, _: "slower" if candidate >= 5 and baseline == 0 else "equivalent")
    assert found.first_slower == COMMITS[5]
    assert "the slowdown comes from several commits" in found.sentence


@pytest.mark.parametrize("error", [UsageError, MeasurementError])
def test_an_end_that_cannot_be_measured_ends_the_search(error: type[Exception]) -> None:
    def judged(*_: object) -> Verdict:
        raise error("there is no shop/server.py")

    with pytest.raises(error, match="there is no shop"):
        bisected(4, judged)


@pytest.mark.parametrize("error", [DesignError, StorageError])
def test_what_no_commit_is_to_blame_for_ends_the_search(error: type[Exception]) -> None:
    def judged(baseline: int, candidate: int, again: bool) -> Verdict:
        if candidate < 4:
            raise error("the disk is full")
        return "slower"

    with pytest.raises(error, match="the disk is full"):
        bisected(4, judged)


def test_the_result_is_json_and_every_step_a_line() -> None:
    lines: list[str] = []
    certain = planted(3)

    def judged(baseline: int, candidate: int, again: bool) -> Verdict:
        if candidate == 4:
            raise ServerError("boom")
        return certain(baseline, candidate, again)

    found = bisected(8, judged, lines)
    document = json.loads(json.dumps(found.as_dict()))
    assert document["first_slower"] == COMMITS[3].id
    assert [step["candidate"] for step in document["steps"]] == [step.candidate.id for step in found.steps]
    broken = next(step for step in document["steps"] if step["trouble"])
    assert (broken["candidate"], broken["verdict"], broken["ratio"]) == (COMMITS[4].id, None, None)
    for step in found.steps:
        assert str(step) in lines
    assert any("could not be measured (boom)" in line for line in lines)
    assert not any("\n" in line for line in lines)


# ---- by the rules of real comparisons --------------------------------------------------------------------------------


def drawn(
    speeds: Sequence[float], noise: float, blocks: int, random: np.random.Generator
) -> Callable[[Commit, Commit, BisectStep | None], BisectStep]:
    """Comparisons whose blocks are drawn, and judged as measured ones are."""

    def measure(baseline: Commit, candidate: Commit, before: BisectStep | None) -> BisectStep:
        true = math.log(speeds[COMMITS.index(candidate)] / speeds[COMMITS.index(baseline)])
        count = blocks if before is None else 2 * blocks
        ln_ratios = true + random.normal(0, noise, count)
        inside = log_t_interval(np.exp(ln_ratios))
        comparison = Comparison(
            metric=METRIC,
            ratio=inside.mean,
            ci_low=inside.low,
            ci_high=inside.high,
            blocks=count,
            verdict=judge(
                metric=METRIC,
                ratio=inside.mean,
                ci_low=inside.low,
                ci_high=inside.high,
                p_value=paired_t_p(ln_ratios),
                delta=DELTA,
                blocks=count,
            ),
        )
        return BisectStep(baseline=baseline, candidate=candidate, comparison=comparison, study="x")

    return measure


@pytest.mark.parametrize("noise", [0.02, 0.04, 0.08])
def test_a_slowdown_of_15_percent_among_16_commits_is_named_in_nine_of_ten_tries(noise: float) -> None:
    random = np.random.default_rng(7)
    tries, named = 100, 0
    for number in range(tries):
        slow_from = 1 + number % 16
        speeds = [1.0] * slow_from + [0.85] * (17 - slow_from)
        found = bisect(COMMITS[0], COMMITS[1:17], drawn(speeds, noise, 12, random), lambda _: None)
        assert found.first_slower in (None, COMMITS[slow_from]), "a wrong one is worse than none"
        named += found.first_slower == COMMITS[slow_from]
    assert named >= 0.9 * tries


def test_without_a_slowdown_none_is_named() -> None:
    random = np.random.default_rng(8)
    found = [bisect(COMMITS[0], COMMITS[1:17], drawn([1.0] * 17, 0.03, 12, random), lambda _: None) for _ in range(100)]
    assert not any(one.first_slower for one in found)
    assert sum(one.exit_code == 1 for one in found) >= 90


@pytest.mark.parametrize(
    ("figures", "half", "outcome"),
    [
        ((0.93, 0.90, 0.96), 0.92, "unknown"),
        ((0.97, 0.93, 1.01), 0.92, "good"),
        ((0.88, 0.85, 0.91), 0.92, "slow"),
        ((1.03, 0.99, 1.07), 1.08, "good"),
        ((1.12, 1.09, 1.15), 1.08, "slow"),
        ((0.97, 0.93, 1.01), math.nan, "unknown"),
        ((0.97, math.nan, math.nan), 0.92, "unknown"),
    ],
)
def test_an_inconclusive_step_decides_on_one_side_of_half_the_slowdown(
    figures: tuple[float, float, float], half: float, outcome: str
) -> None:
    ratio, low, high = figures
    comparison = Comparison(ratio=ratio, ci_low=low, ci_high=high, blocks=9)
    step = BisectStep(baseline=COMMITS[0], candidate=COMMITS[1], comparison=comparison)
    assert outcome_of(step, half) == outcome_of(step, half, certain=False) == outcome


def test_what_is_slower_by_less_than_half_of_it_is_measured_once_more() -> None:
    doubtful = Comparison(ratio=0.93, ci_low=0.89, ci_high=0.97, blocks=9, verdict="slower")
    step = BisectStep(baseline=COMMITS[0], candidate=COMMITS[1], comparison=doubtful)
    assert outcome_of(step, 0.92, certain=False) == "unknown"
    assert outcome_of(step, 0.92) == outcome_of(step, 0.98, certain=False) == outcome_of(step, certain=False) == "slow"


# ---- the names of the steps ------------------------------------------------------------------------------------------


def options(call: str = "a.B/C") -> StepOptions:
    return StepOptions(
        target=GivenTarget(App("shop.server:register"), "--app"),
        options=PairOptions(call=call),
        blocks=None,
        delta=DELTA,
        seed=1,
        write=lambda _: None,
        root=Path(),
    )


def test_the_same_command_finds_its_steps_again_and_another_one_has_others() -> None:
    good, bad = COMMITS[1], COMMITS[9]
    name = options().named_after(good, bad).name
    assert name is not None
    assert name == options().named_after(good, bad).name
    others = [options("a.B/D").named_after(good, bad).name, options().named_after(good, good).name]
    assert len({name, *others}) == 3
    assert len(f"{name}-{good.id[:8]}-parent-more") <= 64, "the longest name of a study"
