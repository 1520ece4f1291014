"""A mix of calls in both engines: every call is made as its turn says, and recorded as what it was."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grpclab
from grpclab.errors import UsageError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallMix, CallSpec
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.load.core.call_order import shares
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.core.slices import SliceLengths
from grpclab.load.generator import Generator
from grpclab.load.mix import mixed
from grpclab.load.run import LoadRun
from grpclab.status import NOT_ENDED, OK
from grpclab.system.pacing import Pacer
from grpclab.system.transport import PLAINTEXT
from tests.support.busy_shop import MESSAGES, PROTO, BusyShop, busy_shop
from tests.support.generator_help import slices_until

BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])
METHODS = ("Buy", "Look", "Watch")


def shop_mix(weights: Sequence[float], methods: Sequence[str] = METHODS, **calls: dict[str, Any]) -> CallSpec:
    """The mix of these methods, each with its own request, or as `calls` have it."""
    made = [
        CallSpec(
            **{
                "path": f"/a.Shop/{method}",
                "payload": method.encode(),
                "server_streaming": method == "Watch",
                **calls.get(method, {}),
            }
        )
        for method in methods
    ]
    return mixed(CallMix(names=tuple(methods), calls=tuple(made), weights=tuple(weights)))


def measured(engine: str, shop: BusyShop, call: CallSpec, **levels: Level) -> LoadRun:
    """One window of the load."""
    settings: dict[str, Level] = {"load.engine": engine, "load.warmup_s": 0.0}
    settings |= {f"load.{name}": level for name, level in levels.items()}
    with Generator(TrialConfig().replace(settings), shop.address, call=call, seed=7) as generator:
        return generator.measure()


@BOTH
@pytest.mark.parametrize("workers", [1, 2])
def test_every_call_is_counted_as_what_it_was(engine: str, workers: int) -> None:
    with busy_shop() as shop:
        run = measured(engine, shop, shop_mix([7, 2, 1]), requests=400, concurrency=8, workers=workers)
    assert run.summary.errors == 0
    assert [one.requests for one in run.by_call] == [shop.count(method) for method in METHODS]
    assert [one.requests for one in run.by_call] == [280, 80, 40]
    assert sum(one.requests for one in run.by_call) == run.summary.requests == 400
    assert [one.messages for one in run.by_call] == [0, 0, 40 * MESSAGES]
    assert {call.method: call.request for call in shop.came} == {method: method.encode() for method in METHODS}
    total = sum(one.throughput_rps for one in run.by_call)
    assert total == pytest.approx(run.summary.throughput_rps)
    assert {one.window_s for one in run.by_call} == {run.summary.window_s}


@BOTH
def test_the_order_is_the_seeds(engine: str) -> None:
    orders = []
    for seed in (7, 7, 8):
        with busy_shop() as shop:
            levels: dict[str, Level] = {"load.engine": engine, "load.warmup_s": 0.0, "load.concurrency": 1}
            config = TrialConfig().replace({**levels, "load.requests": 60})
            with Generator(config, shop.address, call=shop_mix([3, 2, 1]), seed=seed) as generator:
                generator.measure()
            orders.append([call.method for call in shop.came])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert len(set(orders[0][:10])) > 1, "the first calls are a mix already"


@BOTH
@pytest.mark.long
def test_70_20_10_is_kept_within_one_percent_over_20_000_calls(engine: str) -> None:
    with busy_shop() as shop:
        run = measured(engine, shop, shop_mix([70, 20, 10]), requests=20_000, concurrency=16, workers=2)
    for one, share in zip(run.by_call, (0.7, 0.2, 0.1), strict=True):
        assert abs(one.requests / 20_000 - share) <= 0.01 * share
    assert run.summary.errors == 0


@BOTH
def test_an_open_loop_makes_the_calls_in_their_order_too(engine: str) -> None:
    with busy_shop() as shop:
        run = measured(engine, shop, shop_mix([1, 1, 2]), requests=200, rate_rps=800.0)
    assert [one.requests for one in run.by_call] == [50, 50, 100]
    assert [shop.count(method) for method in METHODS] == [50, 50, 100]


@BOTH
def test_what_fails_is_a_failure_of_its_own_call(engine: str) -> None:
    with busy_shop() as shop:
        run = measured(engine, shop, shop_mix([3, 1], ["Buy", "Fail"]), requests=200, concurrency=4)
    buy, fail = run.by_call
    assert (buy.errors, fail.errors, fail.requests) == (0, 50, 50)
    assert fail.errors_by_status == {"INVALID_ARGUMENT": 50}
    assert fail.throughput_rps == 0
    assert math.isnan(fail.latency_ok["p50"])


@BOTH
def test_requests_metadata_and_checks_are_each_calls_own(engine: str, tmp_path: Path) -> None:
    (tmp_path / "shop.proto").write_text(PROTO)
    tables = [
        {"method": "a.Shop/Buy", "weight": 3, "data": [{"id": 1}, {"id": 2}], "metadata": {"x-of": "buy"}},
        {
            "method": "a.Shop/Look",
            "data": {"id": 9},
            "check": "reply.id == 8",
            "metadata": {"x-id": "{{.RequestNumber}}"},
        },
    ]
    with busy_shop() as shop:
        result = asyncio.run(
            grpclab.bench(
                shop.address,
                mix=tables,
                proto=tmp_path / "shop.proto",
                requests=100,
                concurrency=1,
                engine=engine,
                metadata={"x-all": "1"},
                settings={"load.warmup_s": 0.0},
            )
        )
    bought = [call for call in shop.came if call.method == "Buy"]
    looked = [call for call in shop.came if call.method == "Look"]
    assert [call.request for call in bought] == [b"\x08\x01", b"\x08\x02"] * 37 + [b"\x08\x01"]
    assert {dict(call.metadata)["x-of"] for call in bought} == {"buy"}
    assert [dict(call.metadata)["x-id"] for call in looked] == [str(number) for number in range(25)]
    assert all(dict(call.metadata)["x-all"] == "1" for call in shop.came)
    buy, look = result.calls
    assert (buy.name, buy.path, buy.share, buy.summary.errors) == ("Buy", "/a.Shop/Buy", 0.75, 0)
    assert look.summary.errors_by_status == {"WRONG_ANSWER": 25}
    frame = result.to_frame()
    assert frame["call"].value_counts().to_dict() == {"Buy": 75, "Look": 25}
    assert set(frame[frame["status"] == "WRONG_ANSWER"]["call"]) == {"Look"}


@BOTH
def test_a_load_ends_where_one_call_has_no_request_left(engine: str) -> None:
    few = PAYLOAD_FOLDER.write([b"1", b"2", b"3"], repeat=False)
    mix = shop_mix([1, 1], ["Buy", "Look"], Look={"payloads": few, "payload": b"1"})
    with busy_shop() as shop:
        run = measured(engine, shop, mix, requests=1000, concurrency=2)
    assert run.ran_out
    assert "expected" not in run.stopped_because
    assert [call.request for call in shop.came if call.method == "Look"] == [b"1", b"2", b"3"]
    assert run.by_call[1].requests == 3


@BOTH
def test_slices_have_the_figures_of_each_call(engine: str) -> None:
    levels: dict[str, Level] = {"load.engine": engine, "load.concurrency": 4, "load.warmup_s": 0.1}
    config = TrialConfig().replace(levels)
    with busy_shop() as shop, Generator(config, shop.address, call=shop_mix([7, 2, 1])) as generator:
        generator.warm_up()
        generator.open_slices()
        slices_until(generator, SliceLengths(ramp_s=0.01, counted_s=0.05), 3)
        run = generator.close_slices()
        made = generator.calls_made
    assert len(shop.came) == made
    assert sum(one.requests for one in run.by_call) == run.summary.requests > 0
    assert sum(one.throughput_rps for one in run.by_call) == pytest.approx(run.summary.throughput_rps)
    for one, share in zip(run.by_call, shares([7, 2, 1]), strict=True):
        assert one.requests == pytest.approx(share * run.summary.requests, rel=0.25, abs=10)


@BOTH
def test_calls_that_are_never_sent_are_those_whose_turn_it_was(engine: str, tmp_path: Path) -> None:
    call = shop_mix([1, 1, 2]).of_worker(0, 1, seed=3)

    async def main(target: str) -> Records:
        made = ENGINES[engine](TrialConfig(), target, PLAINTEXT, call, residence=False)
        await made.connect(10)
        recorder = Recorder(tmp_path / "calls", mixed=True)
        loop, gate = asyncio.get_running_loop(), Gate(opens_at=0.0, closes_at=math.inf)
        pacer = Pacer(loop, spin=False)
        begun = asyncio.create_task(made.run_open(iter([0.0] * 100 + [1e12]), gate, recorder, pacer, 1))
        while recorder.calls < 10:  # the first were due long ago, and go out one after the other
            await asyncio.sleep(0.001)
        gate.close(1.0)
        made.give_up()
        await begun
        pacer.close()
        recorder.close()
        await made.close()
        return Records.load(tmp_path / "calls", calls=3)

    with busy_shop() as shop:
        records = asyncio.run(main(shop.address))
    assert records.call is not None
    assert len(records) == 100
    assert (records.status == NOT_ENDED).sum() >= 80
    assert np.bincount(records.call, minlength=3).tolist() == [25, 25, 50], "no call is left out, or counted as another"


def test_an_engine_of_another_package_that_knows_no_mix_says_so() -> None:
    from grpclab.load.worker import _missing

    assert _missing(object, shop_mix([1, 1, 1]), LoadConfig()) == "mix of calls"  # type: ignore[arg-type]
    assert _missing(ENGINES["wire"], shop_mix([1, 1, 1]), LoadConfig()) == ""


def test_an_error_about_one_call_names_it(tmp_path: Path) -> None:
    (tmp_path / "shop.proto").write_text(PROTO)
    tables = [{"method": "a.Shop/Buy"}, {"name": "look", "method": "a.Shop/Look", "data": {"di": 3}}]
    with busy_shop() as shop, pytest.raises(UsageError, match=r"^call look: invalid data.*: expected"):
        asyncio.run(grpclab.bench(shop.address, mix=tables, proto=tmp_path / "shop.proto"))


def test_failures_of_a_connection_have_a_call_too(tmp_path: Path) -> None:
    """A call that found no connection was never started, and is still one of the mix."""
    with busy_shop() as shop:
        address = shop.address

    async def main() -> Records:
        made = ENGINES["wire"](
            TrialConfig().replace({"client.pooling": "per_call", "client.deadline_s": 0.2}),
            address,
            PLAINTEXT,
            shop_mix([1, 1, 2]).of_worker(0, 1, seed=3),
            residence=False,
        )
        recorder = Recorder(tmp_path / "calls", mixed=True)
        await made.run(Gate(opens_at=0.0, requests=8), recorder, 2)
        recorder.close()
        await made.close()
        return Records.load(tmp_path / "calls", calls=3)

    records = asyncio.run(main())
    assert len(records) == 8
    assert OK not in records.status
    assert records.call is not None
    assert records.call.max() <= 2
