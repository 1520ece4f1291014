"""What the calibration makes of interleaved slices: noise of each kind, intervals resampled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grpclab.calibration import interleaved_noise, pairs, resampling
from grpclab.calibration.interleaved_noise import COUNTED, SLICED, WALL
from grpclab.calibration.pairs import PairFigures
from grpclab.calibration.plan import Plan, core_plan
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig


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


def test_the_noise_of_every_kind_is_drawn() -> None:
    html = interleaved_noise.body(pd.concat([noise(0.01, 0.04, 0.04), noise(0.01, 0.04, 0.04, engine="grpcio")]))
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


@pytest.mark.long
def test_one_block_of_each_kind_is_measured_on_real_servers() -> None:
    frame = interleaved_noise.measure_blocks(core_plan(), blocks=1, counted_s=0.2, seed=1, engines=("wire",))
    assert sorted(frame["kind"]) == sorted(interleaved_noise.KINDS)
    assert frame.loc[frame["failed"] == "", "ln_ratio"].notna().all()
    assert (frame.loc[frame["kind"] == SLICED, "slices"] >= 2).all()
