"""What the calibration makes of interleaved slices: their noise, their edges, and the verdicts that follow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grpclab.calibration import deciding, interleaved_noise, pairs, resampling, slice_edges, sliced_stall
from grpclab.calibration.interleaved_noise import COUNTED, SLICED, WALL
from grpclab.calibration.pairs import PairFigures
from grpclab.calibration.plan import Plan, core_plan
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from tests.support.pages import html_of


def blocks_of(kind: str, sd: float, *, blocks: int = 40, engine: str = "wire", within: float = 0.0) -> pd.DataFrame:
    draw = np.random.default_rng(len(kind))
    values = draw.standard_normal(blocks)
    values = (values - values.mean()) / values.std(ddof=1) * sd
    return pd.DataFrame({"ln_ratio": values, "block": range(blocks)}).assign(
        engine=engine, kind=kind, counted_s=1.0, wall_s=4.0, within_sd=within or math.nan, slices=14, failed=""
    )


def noise(sliced: float, counted: float, wall: float, **given: Any) -> pd.DataFrame:
    frames = [blocks_of(SLICED, sliced, within=0.006, **given), blocks_of(COUNTED, counted, **given)]
    return pd.concat([*frames, blocks_of(WALL, wall, **given)], ignore_index=True)


def test_slices_must_halve_the_noise_or_be_quiet_where_the_machine_is() -> None:
    halved = interleaved_noise.claims(noise(0.02, 0.041, 0.05))
    assert [claim.holds for claim in halved[:2]] == [True, True]
    assert [claim.holds for claim in interleaved_noise.claims(noise(0.02, 0.035, 0.05))[:2]] == [False, True]
    assert [claim.holds for claim in interleaved_noise.claims(noise(0.014, 0.02, 0.031))[:2]] == [True, True]
    assert [claim.holds for claim in interleaved_noise.claims(noise(0.016, 0.02, 0.029))[:2]] == [False, False]
    few = interleaved_noise.claims(noise(0.01, 0.05, 0.05, blocks=5))
    assert [claim.holds for claim in few[:2]] == [None, None]
    assert "0.0200 (0.0164 to 0.0257) against 0.0410" in halved[0].measured, "chi-square: 0.8192 and 1.2840 of s"


def test_what_remains_is_split_into_within_and_between_pairs() -> None:
    within, between = interleaved_noise.parts(noise(0.01, 0.04, 0.04), "wire")
    assert within == pytest.approx(0.006)
    assert between == pytest.approx(0.008)


@pytest.mark.parametrize(("without", "holds"), [(0.05, True), (0.019, False), (None, None)])
def test_the_yardstick_must_narrow_the_spread(without: float | None, holds: bool | None) -> None:
    frame = noise(0.02, 0.041, 0.05)
    if without is not None:
        frame = frame.assign(ln_whole=frame["ln_ratio"] * without / 0.02)
    (told,) = (claim for claim in interleaved_noise.claims(frame) if "core speed" in claim.claim)
    assert told.holds is holds


def test_a_hand_over_costs_at_most_5_ms_in_the_median() -> None:
    frame = noise(0.01, 0.04, 0.04)
    assert "hand-over" not in html_of(interleaved_noise.body(frame)), "an earlier version stored none"
    sliced = frame["kind"] == SLICED
    for median_s, holds in ((0.004, True), (0.006, False)):
        stored = frame.assign(hand_over_s=np.where(sliced, median_s, math.nan), hand_over_p90_s=0.008)
        (told,) = (claim for claim in interleaved_noise.claims(stored) if "from the end of one slice" in claim.claim)
        assert told.holds == holds
        assert told.measured == f"{1000 * median_s:.2f} ms (median), 8.00 ms (90th percentile)"
        assert f"The median time between two slices was {1000 * median_s:.2f} ms with wire." in (
            html_of(interleaved_noise.body(stored))
        )


def test_the_noise_of_every_kind_is_drawn() -> None:
    both = [noise(0.01, 0.04, 0.04), noise(0.01, 0.04, 0.04, engine="grpcio")]
    html = html_of(interleaved_noise.body(pd.concat(both)))
    assert "engine grpcio" in html
    assert html.count("one after the other, equal wall time") >= 2


def test_intervals_of_resampled_blocks_hold_1_as_often_as_they_say() -> None:
    normal = np.random.default_rng(1).standard_normal(400) * 0.01
    told = resampling.claims(normal, "A/A")
    assert [claim.holds for claim in told] == [True, True]
    assert resampling.coverage(normal, 12) == resampling.coverage(normal, 12), "the seed is fixed"
    heavy = np.concatenate([np.zeros(38), [1.0, 1.0]])
    assert resampling.claims(heavy, "A/A")[0].holds is False
    assert [claim.holds for claim in resampling.claims(normal[:11], "A/A")] == [None, None]


def test_a_side_that_wins_against_itself_is_told() -> None:
    leaning = 0.004 + np.random.default_rng(1).standard_normal(400) * 0.01
    assert resampling.claims(leaning, "A/A")[1].holds is False


class Machine:
    """A group measured without servers: a call takes `call_us` and the work of its handler."""

    def __init__(self, call_us: float = 100.0, failed: str = "") -> None:
        self.call_us, self.failed = call_us, failed
        self.asked: list[tuple[bool, float]] = []

    def __call__(self, configs: dict[str, TrialConfig], **given: Any) -> PairFigures:
        self.asked.append((given["interleaved"], given["counted_s"]))
        rates = {name: 1e6 / (self.call_us + config.server.handler_work_us) for name, config in configs.items()}
        return PairFigures(
            metrics={name: {"throughput_rps": rate, "latency_p50_s": 1 / rate} for name, rate in rates.items()},
            limits={},
            slices=pd.DataFrame({"member": []}),
            seconds=5.0 if given["interleaved"] else 4.0,
            failed=self.failed,
        )


def test_at_equal_wall_time_servers_one_after_the_other_get_what_a_sliced_block_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    monkeypatch.setattr(interleaved_noise, "measure", machine)
    frame = interleaved_noise.sized(Plan(rounds=2))
    assert len(frame) == 2 * 2 * len(interleaved_noise.KINDS)
    assert set(frame.loc[frame["kind"] == WALL, "counted_s"]) == {1.5}
    assert set(frame.loc[frame["kind"] != WALL, "counted_s"]) == {1.0}
    assert frame["ln_ratio"].tolist() == [0.0] * 12
    monkeypatch.setattr(interleaved_noise, "measure", Machine(failed="no server"))
    with pytest.raises(MeasurementError, match="no server"):
        interleaved_noise.sized(Plan(rounds=1))


def test_planted_work_follows_from_what_work_does_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for call_us in (40.0, 250.0):
        monkeypatch.setattr(pairs, "measure", Machine(call_us))
        found = pairs.work_us(TrialConfig(), 1.05, cores=core_plan(), seed=1, counted_s=1.0)
        assert found == pytest.approx(0.05 * call_us, abs=0.01)
    monkeypatch.setattr(pairs, "measure", Machine(failed="no server"))
    with pytest.raises(MeasurementError, match="no server"):
        pairs.work_us(TrialConfig(), 1.05, cores=core_plan(), seed=1, counted_s=1.0)


EDGES = [*(f"latency_{name}_s" for name in ("p50", "p99")), "throughput_rps"]


def edges(bias: float = 0.0, *, rounds: int = 20, side: str = "b") -> pd.DataFrame:
    draw = np.random.default_rng(2)
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        for times in (sliced_stall.WINDOW, *slice_edges.TIMES):
            for name in ("a", "b"):
                shift = bias if times == 1 and name == side else 0.0
                figures = {column: math.exp(shift + 0.01 * draw.standard_normal()) for column in EDGES}
                given = {"slices": 10, "slice_s": 0.1, "limited_by": "", "failed": "", "stall_s": math.nan}
                rows.append({"case": "large", "round": number, "times": times, "side": name, **figures, **given})
    for times in (1, sliced_stall.WINDOW):
        stalled = {"case": slice_edges.STALL, "round": 0, "times": times, "side": "a", "latency_p99_s": 0.9}
        rows.append({**stalled, "stall_s": 1.0, "limited_by": "", "failed": ""})
    return pd.DataFrame(rows)


def test_slices_of_every_length_must_show_what_the_window_shows() -> None:
    assert [claim.holds for claim in slice_edges.claims(edges())] == [True] * 4
    ratio, levels, *stall = slice_edges.claims(edges(-0.3))
    assert (ratio.holds, levels.holds) == (False, False)
    assert "at 1×: -30." in ratio.measured or "at 1×: -29." in ratio.measured
    assert [claim.holds for claim in stall] == [True, True]
    assert [claim.holds for claim in slice_edges.claims(edges(rounds=5))][:2] == [None, None]
    late = edges()
    late.loc[late["stall_s"].eq(1.0) & late["times"].eq(1), "latency_p99_s"] = 0.3
    assert [claim.holds for claim in slice_edges.claims(late)][2:] == [False, True]


def test_a_case_is_told_by_length_of_slice() -> None:
    html = html_of(slice_edges.body(edges()))
    assert html.count("slices, 2×") == 1
    assert "4× by extra work, 8 in flight" in html


def test_the_cases_differ_in_what_is_planted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "measure", Machine())
    for name, case in slice_edges.CASES.items():
        both = slice_edges.sides(case, cores=core_plan(), seed=1, counted_s=1.0)
        different = both["b"].differences(both["a"])
        assert set(different) == {"server.handler_work_us" if case.slower else "server.handler_wait_ms"}, name


def decided(same: list[str], five: list[str], ten: list[str], **columns: Any) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    draw = np.random.default_rng(3)
    for kind, verdicts in (("same", same), ("five", five), ("ten", ten)):
        for verdict in verdicts:
            ratio = deciding.KINDS[kind].ratio
            blocks = (math.log(ratio) + 0.01 * draw.standard_normal(12)).tolist()
            rows.append({"kind": kind, "verdict": verdict, "ratio": ratio, "ln_ratios": blocks, "blocks": 12})
    frame = pd.DataFrame(rows).assign(work_us=0.0, wall_s=60.0, failed="")
    return frame.assign(ci_low=frame["ratio"] - 0.02, ci_high=frame["ratio"] + 0.02, **columns)


def test_no_winner_in_a_a_and_planted_differences_in_time_are_asked_for() -> None:
    found = ["slower"] * 9 + ["inconclusive"]
    good = deciding.claims(decided(["equivalent"] * 38 + ["inconclusive"] * 2, found, found))
    assert [claim.holds for claim in good] == [True] * 10
    bad = deciding.claims(decided(["equivalent"] * 37 + ["faster"] * 3, found[1:], ["faster"] * 10, wall_s=91.0))
    assert [claim.holds for claim in bad][:3] == [False, False, True]
    assert [claim.holds for claim in bad][5:9] == [False] * 4
    failed = decided(["equivalent"], ["slower"], ["slower"], failed="exit code 3")
    assert [claim.holds for claim in deciding.claims(failed)][-1] is False


def test_a_comparison_that_does_not_end_is_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "LONGEST_S", 0.01)
    row = deciding.by_command("ten", 20.0, seed=1)
    assert row["failed"] == "no verdict within 0.01 s"
    assert [claim.holds for claim in deciding.claims(pd.DataFrame([{"kind": "ten", "work_us": 20.0, **row}]))][
        -1
    ] is False


def test_comparisons_of_every_kind_are_drawn() -> None:
    html = html_of(deciding.body(decided(["equivalent", "inconclusive"], ["slower"], ["slower"])))
    assert "optimized against itself: 1 equivalent, 1 inconclusive" in html
    assert html.count('<div class="gl-narrow"><svg') >= 1


@pytest.mark.long
def test_one_block_of_each_kind_is_measured_on_real_servers() -> None:
    frame = interleaved_noise.measure_blocks(core_plan(), blocks=1, counted_s=0.2, seed=1, engines=("wire",))
    assert sorted(frame["kind"]) == sorted(interleaved_noise.KINDS)
    assert frame.loc[frame["failed"] == "", "ln_ratio"].notna().all()
    assert (frame.loc[frame["kind"] == SLICED, "slices"] >= 2).all()


@pytest.mark.long
def test_slices_and_windows_are_measured_in_turn_on_real_servers() -> None:
    cases = {"small": slice_edges.CASES["waiting"]}
    frame = slice_edges.measure_cases(
        core_plan(), rounds=1, counted_s=0.2, window_s=0.2, stall_s=0.1, seed=1, cases=cases
    )
    told = frame[frame["case"] == "small"]
    assert sorted(told["times"]) == sorted([sliced_stall.WINDOW, *slice_edges.TIMES] * 2)
    assert (told.loc[told["failed"] == "", "throughput_rps"] > 0).all()
    assert frame.loc[frame["case"] == slice_edges.STALL, "latency_p99_s"].notna().all()
