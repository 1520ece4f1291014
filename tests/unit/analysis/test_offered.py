"""The knee of an open loop: the highest offered rate that was kept up with."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.offered import series
from grpclab.analysis.study_plan import PlannedConfiguration
from grpclab.report import figures
from grpclab.study.stored_values import written
from tests.support.finished import finished

RATES = (100.0, 200.0, 400.0, 800.0)


def plan(rates: tuple[float, ...] = RATES, **settings: Any) -> list[PlannedConfiguration]:
    return [
        PlannedConfiguration(
            name=f"r{rate:g}",
            title=f"{rate:g}/s",
            scenario="custom",
            settings={**settings, "load.rate_rps": rate},
        )
        for rate in rates
    ]


def trials(
    answered: dict[float, float], p99_s: dict[float, float], *, limited: float = 0, blocks: int = 6
) -> pd.DataFrame:
    random = np.random.default_rng(3)
    rows = [
        {
            "scenario": "custom",
            "configuration": f"r{rate:g}",
            "block": block,
            "order": 0,
            "valid": True,
            "invalid_reason": "",
            "limited_by": "generator-bound" if rate == limited else "",
            "load.rate_rps": rate,
            "throughput_rps": answered[rate],
            "latency_p50_s": 0.001,
            "latency_p99_s": p99_s[rate] * float(np.exp(random.normal(0, 0.01))),
            "requests": 5000.0,
            "errors": 0.0,
        }
        for rate in answered
        for block in range(blocks)
    ]
    return pd.DataFrame(rows)


FLAT = dict.fromkeys(RATES, 0.002)
ALL = {rate: rate for rate in RATES}


@pytest.mark.parametrize(
    ("answered", "p99_s", "limited", "told"),
    [
        (ALL, FLAT, 0, "there is no knee, because the server kept up with every rate up to 800/s"),
        (ALL | {800.0: 610.0}, FLAT, 0, "the knee is at 400/s: at 800/s, only 610/s were answered"),
        (ALL, FLAT | {400.0: 0.5, 800.0: 0.9}, 0, "the knee is at 200/s: at 400/s, the tail latency was more than "),
        (
            ALL,
            FLAT,
            800.0,
            "the knee is at 400/s or above, because the load generator was the limit at 800/s",
        ),
        (
            dict.fromkeys(RATES, 50.0),
            FLAT,
            0,
            "there is no knee, because the server did not keep up even with the lowest rate (at 100/s, only 50/s "
            "were answered)",
        ),
    ],
)
def test_the_knee_is_where_calls_begin_to_queue(
    answered: dict[float, float], p99_s: dict[float, float], limited: float, told: str
) -> None:
    (found,) = series(trials(answered, p99_s, limited=limited), plan())
    assert [rate.offered_rps for rate in found.rates] == list(RATES)
    assert found.sentence().startswith(told)


def test_a_series_is_what_differs_in_its_rate_alone() -> None:
    frame = trials(ALL, FLAT)
    assert series(frame, plan(RATES[:1])) == []
    mixed = [*plan((100.0, 200.0)), *plan((400.0, 800.0), **{"server.threads": 4})]
    assert [[rate.offered_rps for rate in one.rates] for one in series(frame, mixed)] == [[100, 200], [400, 800]]
    again = dataclasses.replace(plan((100.0,))[0], name="again")
    assert len(series(frame, [*plan(), again])[0].rates) == 4
    assert series(frame.iloc[:0], plan()) == []


def test_the_figure_says_where_the_knee_is() -> None:
    frame = trials(ALL | {800.0: 610.0}, FLAT)
    manifest = {"study": "rates", "plan": {"configurations": [written(one) for one in plan()], "delta": 0.05}}
    block = figures.offered_rates(finished(manifest, frame, {}))
    assert block is not None
    assert block.caption.startswith("The knee is at 400/s")
    assert re.search(r"at 800/s p50 1 ms, p99 (2|1.99|2.01) ms, 610/s answered", block.alt)
    assert "offered rate, requests per second" in block.svg_wide


@pytest.mark.parametrize(("arrival", "found"), [("gamma:0.5", 1), ("burst:5", 1), ("ramp:0.1@9s", 0), ("gone:1", 1)])
def test_rates_that_change_on_their_way_have_no_knee(arrival: str, found: int) -> None:
    assert len(series(trials({rate: rate for rate in RATES}, FLAT), plan(RATES, **{"load.arrival": arrival}))) == found
