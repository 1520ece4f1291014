"""The tables of a mix of calls: read, named, and refused by their key."""

from __future__ import annotations

from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.load.calls.mixed_call import MixedCall, mixed_calls
from grpclab.load.output.config_file import read_bench_file

FILE = """
[[call]]
name = "pay"
method = "shop.v1.Till/Pay"
weight = 70
data = {id = 9007199254740993.0}
metadata = {tenant = "a"}

[[call]]
call = "shop.v1.Till/List"
weight = 2.5
data-file = "orders.jsonl"
data-order = "random"
check = "reply.total > 0"

[[call]]
method = "shop.v1.Till/List"
"""


def read(text: str, name: str = "bench.toml") -> Any:
    return read_bench_file(text, name, words=["call", "data"], lists=[], switches=[]).options


def test_tables_are_the_calls_of_a_mix() -> None:
    pay, some, all_ = read(FILE)["mix"]
    assert (pay.name, pay.weight, pay.method, pay.metadata) == ("pay", 70, "shop.v1.Till/Pay", ("tenant=a",))
    assert str(pay.data["id"].text) == "9007199254740993.0", "as it was written"
    assert some == MixedCall(
        name="List-2",
        weight=2.5,
        method="shop.v1.Till/List",
        data="@orders.jsonl",
        data_order="random",
        check="reply.total > 0",
    )
    assert (all_.name, all_.weight, all_.data) == ("List-3", 1.0, None)


def test_json_has_the_same_tables() -> None:
    text = '{"call": [{"method": "a.B/C", "data": {"id": 9007199254740993}}, {"method": "a.B/D", "weight": 3}]}'
    one, other = read(text, "bench.json")["mix"]
    assert (one.name, one.data["id"].text, other.name, other.weight) == ("C", "9007199254740993", "D", 3)


def test_one_call_is_a_word_as_before() -> None:
    assert read('call = "a.B/C"') == {"call": "a.B/C"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([], "invalid call=0 tables: expected 1 to 100 calls"),
        ([{}], r"call\[1\].method is missing: expected package.Service/Method"),
        ([{"method": "a.B/C"}, "a.B/D"], r"invalid call\[2\]=a.B/D: expected a table, written \[\[call\]\]"),
        ([{"method": "a.B/C", "wieght": 3}], r"unknown key 'call\[1\].wieght': did you mean weight\?"),
        ([{"method": "a.B/C", "zzz": 3}], r"unknown key 'call\[1\].zzz': expected one of name, weight, method"),
        ([{"method": "a.B/C", "call": "a.B/D"}], r"call\[1\].call is given twice"),
        ([{"method": "a.B/C", "weight": "3"}], r"invalid call\[1\].weight='?3'?: expected a number"),
        ([{"method": "a.B/C", "weight": True}], r"invalid call\[1\].weight=True: expected a number"),
        ([{"method": "a.B/C", "weight": 0}], "invalid weight=0: expected a number above 0"),
        ([{"method": "a.B/C", "weight": float("inf")}], "invalid weight=inf: expected a number above 0"),
        ([{"method": "a.B/C", "name": "a b"}], "invalid name=a b: expected at most 40 characters: letters, digits"),
        ([{"method": "a.B/C", "name": "x"}, {"method": "a.B/D", "name": "x"}], "invalid call.name=x: expected a diff"),
        ([{"method": "a.B/C", "data": {}, "data-file": "x"}], r"call\[1\]: data and data-file both specify"),
        ([{"method": f"a.B/C{number}"} for number in range(101)], "invalid call=101 tables: expected 1 to 100 calls"),
    ],
)
def test_what_is_no_mix_is_refused_in_one_line(tables: list[Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        mixed_calls(tables)
    assert "\n" not in str(refused.value)


def test_the_file_is_named_in_what_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^bench.toml: unknown key 'call\[1\].sort'"):
        read("[[call]]\nsort = 1\n")
