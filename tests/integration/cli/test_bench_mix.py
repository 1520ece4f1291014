"""`grpclab bench --config` with a mix of calls: on a real server, by its own record."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from grpclab.cli import commands
from tests.support.busy_shop import PROTO, busy_shop
from tests.support.command import Bench

FILE = """
proto = "shop.proto"
warmup = 0
requests = 100
concurrency = 4

[[call]]
name = "buy"
method = "a.Shop/Buy"
weight = 7
data-file = "orders.jsonl"

[[call]]
name = "watch"
method = "a.Shop/Watch"
weight = 2
data = {id = 5}

[[call]]
method = "a.Shop/Fail"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration, with the files that it names beside it."""
    (tmp_path / "shop.proto").write_text(PROTO)
    (tmp_path / "orders.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    path = tmp_path / "mix.toml"
    path.write_text(FILE)
    return path


def test_each_call_has_its_own_figures_in_every_output(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, table = tmp_path / "found.json", tmp_path / "calls.csv"
    with busy_shop() as shop:
        assert commands.main(["bench", shop.address, "--config", str(file), "--json", str(found), "-q"]) == 0
        words = ["bench", shop.address, "--config", str(file), "--format", "csv", "-o", str(table), "-q"]
        assert commands.main(words) == 0
    assert {call.request for call in shop.came if call.method == "Buy"} == {b"\x08\x01", b"\x08\x02"}
    text = capsys.readouterr().out
    assert "a mix of 3 calls at" in text
    rows = {line.split()[0]: line.split()[1:4] for line in text.splitlines() if line.endswith(("Buy", "Watch", "Fail"))}
    assert rows == {"buy": ["70.0%", "70", "0"], "watch": ["20.0%", "20", "0"], "Fail": ["10.0%", "10", "10"]}
    document = json.loads(found.read_text())
    assert document["options"]["call"] == "a.Shop.Buy, a.Shop.Watch, a.Shop.Fail"
    by_name = {call["name"]: call for call in document["grpclab"]["calls"]}
    assert {name: (call["share"], call["requests"], call["errors"]) for name, call in by_name.items()} == {
        "buy": (0.7, 70, 0),
        "watch": (0.2, 20, 0),
        "Fail": (0.1, 10, 10),
    }
    assert by_name["Fail"]["errors_by_status"] == {"INVALID_ARGUMENT": 10}
    assert {(call["call"], call["status"]) for call in document["details"]} == {
        ("buy", "OK"),
        ("watch", "OK"),
        ("Fail", "InvalidArgument"),
    }
    calls = list(csv.DictReader(table.read_text().splitlines()))
    assert sorted(call["call"] for call in calls) == ["Fail"] * 10 + ["buy"] * 70 + ["watch"] * 20


def test_the_command_line_takes_precedence_over_the_mix(file: Path, bench: Bench) -> None:
    with busy_shop() as shop:
        code, out, _ = bench(shop.address, "--config", str(file), "--call", "a.Shop/Look", "-n", "10", "-q")
    assert code == 0
    assert "a.Shop/Look at" in out
    assert {call.method for call in shop.came} == {"Look"}


@pytest.mark.parametrize("words", [["--data", "{}"], ["--check", "True"], ["--data-order", "random"]])
def test_what_belongs_to_one_call_is_refused_beside_a_mix(file: Path, words: list[str], bench: Bench) -> None:
    code, _, err = bench("127.0.0.1:1", "--config", str(file), *words)
    assert code == 2
    assert f"{words[0]} applies to a single call, but several calls are given" in err
    assert err.count("\n") == 1


def test_several_methods_with_weights_are_a_mix(file: Path, bench: Bench) -> None:
    orders, proto = str(file.parent / "orders.jsonl"), str(file.parent / "shop.proto")
    words = ["--call", "a.Shop/Buy=7", "--data", f"@{orders}", "--call", "a.Shop/Look=3", "--data", '{"id": 5}']
    with busy_shop() as shop:
        code, out, _ = bench(shop.address, *words, "--proto", proto, "--warmup", "0", "-n", "100", "-c", "4", "-q")
    assert code == 0
    assert "a mix of 2 calls at" in out
    assert {(call.method, call.request) for call in shop.came} == {
        ("Buy", b"\x08\x01"),
        ("Buy", b"\x08\x02"),
        ("Look", b"\x08\x05"),
    }
    assert (shop.count("Buy"), shop.count("Look")) == (70, 30)


def test_one_request_goes_with_all_calls_of_a_mix(file: Path, bench: Bench) -> None:
    proto = str(file.parent / "shop.proto")
    words = ["--call", "a.Shop/Buy", "--call", "a.Shop/Look", "--data", '{"id": 5}', "--proto", proto]
    with busy_shop() as shop:
        code, _, _ = bench(shop.address, *words, "--warmup", "0", "-n", "20", "-q")
    assert code == 0
    assert {(call.method, call.request) for call in shop.came} == {("Buy", b"\x08\x05"), ("Look", b"\x08\x05")}


def test_methods_of_the_command_line_take_the_place_of_the_mix_in_the_file(file: Path, bench: Bench) -> None:
    words = ["--call", "a.Shop/Look", "--call", "a.Shop/Watch"]
    with busy_shop() as shop:
        code, out, _ = bench(shop.address, "--config", str(file), *words, "-n", "100", "-q")
    assert code == 0
    assert (shop.count("Look"), shop.count("Watch")) == (50, 50), out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--call", "a.B/C=7"], "invalid --call=a.B/C=7: expected no weight, since there is only one --call"),
        (["--call", "a.B/C=0", "--call", "a.B/D"], "invalid --call=a.B/C=0: expected METHOD or METHOD=WEIGHT"),
        (["--call", "a.B/C=x", "--call", "a.B/D"], "invalid --call=a.B/C=x: expected METHOD or METHOD=WEIGHT"),
        (["--call", "a.B/C", "--data", "{}", "--data", "{}"], "--data is given 2 times: expected one --data"),
        (
            ["--call", "a.B/C", "--call", "a.B/D", "--call", "a.B/E", "--data", "{}", "--data", "{}"],
            "--data is given 2 times for 3 --call",
        ),
    ],
)
def test_calls_that_cannot_be_a_mix_are_refused_in_one_line(words: list[str], told: str, bench: Bench) -> None:
    code, out, err = bench("127.0.0.1:1", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_mistake_in_a_table_is_one_line_that_names_the_file_and_the_key(file: Path, bench: Bench) -> None:
    file.write_text(FILE.replace("weight = 2", "wait = 2"))
    code, _, err = bench("127.0.0.1:1", "--config", str(file))
    assert code == 2
    assert f"{file}: unknown key 'call[2].wait': " in err
