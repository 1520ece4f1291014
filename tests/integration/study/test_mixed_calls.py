"""Studies and comparisons of a mix of calls: each call has columns and a ratio of its own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from grpclab.analysis.setup import call_words
from grpclab.cli import commands
from grpclab.errors import UsageError
from grpclab.load.calls.mixed_call import MixedCall, mixed_calls
from grpclab.metrics import is_latency, lower_is_faster, metric_named, metric_words, of_call, value_text
from grpclab.servers.target import Address
from grpclab.study import comparing
from grpclab.study.comparing_study import ComparingStudy
from grpclab.study.designs.file_design import design
from grpclab.study.sides import PairOptions, pair
from grpclab.study.stored_values import read, written
from grpclab.study.target import Subject
from tests.support.busy_shop import PROTO, busy_shop

FILE = """
headline = "client.connections=2"
profile = false
[target]
address = "localhost:1"
[[call]]
name = "buy"
method = "a.Shop/Buy"
weight = 3
data = {id = 7}
proto = "shop.proto"
[[call]]
method = "a.Shop/Look"
data-file = "orders.jsonl"
metadata = {tenant = "a"}
ignore-fields = ["id"]
[set]
load.requests = 2000
client.pooling = "pool"
client.connections = 1
[factors]
client.connections = [2, 4]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the file names."""
    (tmp_path / "shop.proto").write_text(PROTO)
    (tmp_path / "orders.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    return tmp_path


def test_a_file_plans_a_ratio_for_each_call_and_for_all(folder: Path) -> None:
    plan = design(tomllib.loads(FILE), folder).plan
    target = plan.subjects["baseline"]
    assert [(one.name, one.weight, one.method) for one in target.mix] == [
        ("buy", 3, "a.Shop/Buy"),
        ("Look", 1, "a.Shop/Look"),
    ]
    assert target.mix[0].data == '{"id": 7}'
    assert target.mix[1].data == f"@{folder / 'orders.jsonl'}"
    assert target.mix[1].ignore_fields == ("id",)
    assert target.proto == str(folder / "shop.proto")
    assert (target.call, target.data, target.has_call) == ("", None, True)
    compared = {(one.candidate, one.metric) for one in plan.comparisons}
    of_each = {f"{metric}@{call}" for metric in ("throughput_rps", "latency_p99_s") for call in ("buy", "Look")}
    of_each -= {"latency_p99_s@Look"}  # a quarter of 2,000 calls carries no p99
    assert {metric for candidate, metric in compared if candidate == "connections-2"} == of_each
    assert {metric for candidate, metric in compared if candidate == "connections-4"} == {*of_each, "throughput_rps"}
    assert call_words(plan, "baseline").startswith('75% a.Shop/Buy {"id": 7}; 25% a.Shop/Look @')


def test_what_a_plan_stores_of_a_mix_is_read_again(folder: Path) -> None:
    target = design(tomllib.loads(FILE), folder).plan.subjects["baseline"]
    document = json.loads(json.dumps(written(target)))
    again = read(type(target), document)
    assert again == target
    assert Subject.of(again).mix == target.mix
    assert Subject.of(again).stored() == target


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("weight = 3", "weight = 0", "invalid weight=0: expected a number above 0"),
        ("weight = 3", "wait = 3", r"unknown key 'call\[1\].wait': did you mean weight\?"),
        ('method = "a.Shop/Look"', "", r"call\[2\]: data-file needs a method"),
        ('data-file = "orders.jsonl"', 'proto = "other.proto"', "proto, protoset and proto-path apply to all"),
        ("[set]", "[set]\nload.method = 'SayHello'", "load.method applies only to grpclab's own greeter"),
    ],
)
def test_a_mistake_in_a_mix_is_one_line(folder: Path, before: str, after: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        design(tomllib.loads(FILE.replace(before, after)), folder)
    assert "\n" not in str(refused.value)


def test_one_table_alone_has_no_weight(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"invalid call\.weight=3: expected no such key for a single call"):
        design({**tomllib.loads(FILE), "call": {"method": "a.Shop/Buy", "weight": 3}}, folder)


def test_a_scenario_may_have_a_mix_or_a_call_of_its_own(folder: Path) -> None:
    content = tomllib.loads(FILE)
    content["headline"] = "scenario=all client.connections=2"
    content["scenario"] = [{"name": "all"}, {"name": "one", "call": {"method": "a.Shop/Buy", "data": {"id": 1}}}]
    plan = design(content, folder).plan
    assert plan.subjects["all-baseline"].mix
    assert (plan.subjects["one-baseline"].call, plan.subjects["one-baseline"].mix) == ("a.Shop/Buy", ())
    assert {one.scenario for one in plan.comparisons if "@" in one.metric} == {"all"}


def test_a_metric_of_one_call_is_that_of_all_with_its_name() -> None:
    name = of_call("latency_p99_s", "pay")
    assert (name, metric_words(name)) == ("latency_p99_s@pay", "p99 latency of pay")
    assert is_latency(name)
    assert lower_is_faster(name)
    assert not lower_is_faster(of_call("throughput_rps", "pay"))
    assert metric_named(name).fewest_calls == 1000
    assert value_text(of_call("throughput_rps", "pay"), 1234.0) == value_text("throughput_rps", 1234.0)


def compared(folder: Path, addresses: tuple[str, str], mix: tuple[MixedCall, ...], **settings: Any) -> ComparingStudy:
    """Two blocks of a comparison of two running servers."""
    load: dict[str, Any] = {"warmup_s": 0.1, "requests": 200, "duration_s": 0.3, "concurrency": 4, **settings}
    options = PairOptions(
        mix=mix,
        proto=str(folder / "shop.proto"),
        settings={f"load.{name}": level for name, level in load.items()},
    )
    sides = pair(Address(addresses[0]), Address(addresses[1]), options)
    running = comparing.prepare(sides, blocks=2, delta=0.05, seed=1, study="mixed", write=lambda _: None, root=folder)
    running.run(lambda _: None)
    return running


@pytest.mark.parametrize("engine", ["wire", pytest.param("grpcio", marks=pytest.mark.long)])  # its mixes: test_mix.py
def test_a_comparison_measures_each_call_on_both_sides(engine: str, folder: Path) -> None:
    mix = mixed_calls(
        [
            {"method": "a.Shop/Buy", "weight": 3, "data": {"id": 1}},
            {"method": "a.Shop/Watch", "data": {"id": 2}},
        ]
    )
    with busy_shop() as one, busy_shop() as other:
        study = compared(folder, (one.address, other.address), mix, engine=engine)
    results = list(study.store.results().values())
    for result in results:
        assert (result.valid, result.invalid_reason) == (True, "")
        assert list(result.calls) == ["Buy", "Watch"]
        of_all = result.metrics["requests"]
        assert sum(figures["requests"] or 0 for figures in result.calls.values()) == of_all
        assert len(result.answers) > 2, "answers of both are kept"
    for side, shop in (("a", one), ("b", other)):
        made = [result.metrics["calls_made"] or 0 for result in results if result.configuration == side]
        assert shop.count("Buy") + shop.count("Watch") == sum(made)
    trials = study.collect()
    assert {"throughput_rps@Buy", "latency_p50_s@Watch"} <= set(trials.columns)
    metrics = {one.metric for one in study.plan.comparisons}
    assert {"throughput_rps@Buy", "throughput_rps@Watch"} <= metrics
    judged = {one.metric: one for one in study.judge(trials).comparisons}
    assert judged["throughput_rps@Buy"].computed
    assert judged["throughput_rps@Watch"].ratio > 0


def test_the_command_line_compares_a_mix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(folder))
    found = folder / "found.json"
    load = ["-n", "200", "-z", "0.3", "--warmup", "0.1", "-c", "4", "--blocks", "2"]
    mix = [
        "--call",
        "a.Shop/Buy=3",
        "--data",
        f"@{folder / 'orders.jsonl'}",
        "--call",
        "a.Shop/Look",
        "--data",
        '{"id": 5}',
    ]
    with busy_shop() as one, busy_shop() as other:
        sides = ["--a-address", one.address, "--b-address", other.address, "--proto", str(folder / "shop.proto")]
        code = commands.main(["compare", *sides, *mix, *load, "--json", str(found), "-q"])
    document = json.loads(found.read_text())
    assert (code, document["exit_code"]) == (4, 4), "two blocks give no verdict"
    ratios = {one["metric"]: one["ratio"] for one in document["comparisons"]}
    assert all(ratios[f"throughput_rps@{call}"] > 0 for call in ("Buy", "Look"))
    assert document["setup"]["call"].startswith("75% a.Shop/Buy @")
    for shop in (one, other):
        assert {(call.method, call.request) for call in shop.came} == {
            ("Buy", b"\x08\x01"),
            ("Buy", b"\x08\x02"),
            ("Look", b"\x08\x05"),
        }
