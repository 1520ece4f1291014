"""`grpclab bench --config`: a file's options, and flags that beat them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from grpclab.errors import UsageError
from grpclab.load.calls import encoding, request
from grpclab.load.output.config_file import BenchFile, read_bench_file
from tests.support import kinds
from tests.support.bench_results import thousand

FILE = """
target = "localhost:7"
duration = 10
connections = 2
rate = 100
slo = { p99 = "5ms", errors = 0.01 }
abort-on-slo = true
call = "a.B/C"
data = { x = [1, 2] }
metadata = { tenant = "a", b = "c" }
data_file = "-"
[set]
client.window_kib = 64
"client.adaptive_window" = false
load.max_in_flight = 77
"""


def read(text: str, name: str = "bench.toml") -> BenchFile:
    return read_bench_file(
        text,
        name,
        words=["target", "duration", "connections", "rate", "slo", "call", "data", "data_file"],
        lists=["metadata"],
        switches=["abort_on_slo"],
    )


def test_a_file_is_the_words_of_a_command_line() -> None:
    found = read(FILE)
    assert found.options == {
        "target": "localhost:7",
        "duration": "10",
        "connections": "2",
        "rate": "100",
        "slo": "p99=5ms,errors=0.01",
        "abort_on_slo": True,
        "call": "a.B/C",
        "data": {"x": [1, 2]},
        "metadata": ["tenant=a", "b=c"],
        "data_file": "-",
    }
    assert found.settings == ["client.window_kib=64", "client.adaptive_window=false", "load.max_in_flight=77"]
    assert read('metadata = ["a=b"]').options == {"metadata": ["a=b"]}
    assert read('metadata = "a=b"').options == {"metadata": ["a=b"]}
    assert read("") == BenchFile(options={}, settings=[])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("duratoin = 3", r"unknown key 'duratoin'; did you mean 'duration'\? Keys have the same names as"),
        ("abort-on-sol = true", r"unknown key 'abort-on-sol'; did you mean 'abort-on-slo'\?"),
        ("[sets]\na = 1", r"unknown key 'sets'; did you mean 'set'\?"),
        ("abort-on-slo = 1", r"bench.toml: invalid abort-on-slo=1: expected true or false"),
        (
            "abort-on-slo = true\nabort_on_slo = true",
            r"abort_on_slo is given twice, with a dash and with an underscore",
        ),
        ("duration = 2026-11-23", r"bench.toml: invalid duration=2026-11-23: expected a number, a string, or"),
        ("duration = [1]", r"bench.toml: invalid duration=\[1\]: expected a number"),
        ("set = 3", r"invalid set=3: expected a table of factors, e.g. \[set\] followed by"),
        ("[set]\nclient.window = 3", r"set: unknown factor 'client.window': did you mean"),
        ("[set]\nload.requests = []", r"invalid set\.load\.requests=\[\]: expected a number"),
        ("duration = ", r"invalid --config=bench.toml: expected TOML or JSON; Invalid value \(at"),
        ("duration = " + "9" * 5000, r"invalid --config=bench.toml: expected TOML with less nesting"),
        ("data = " + "[" * 5000, r"invalid --config=bench.toml: expected TOML with less nesting"),
        ("[data]\nts = 2024-01-01T00:00:00.1234567Z", r"data: expected times with at most six decimals"),
    ],
)
def test_what_a_file_cannot_say_is_told_in_one_line_with_its_name(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read(text)
    assert "bench.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = '{\"i32\": 5}'", "i32: 5"),
        ("[data]\ni64 = 9007199254740993.0\nd = 1_0.5\nf = +inf\nmany = [0x10, 1e1]", ""),
        ("[data]\nts = 2024-02-29T12:00:00.5+01:00 # 12:00:00.1234567", "ts { seconds: 1709204400 nanos: 500000000 }"),
        ("[data]\nts = '2024-02-29T12:00:00.123456789Z'", "ts { seconds: 1709208000 nanos: 123456789 }"),
        ('{"data": {"i64": 9007199254740993.0, "d": 10.5, "f": "Infinity", "many": [16, 10]}}', ""),
        ('{"data": {"v": NaN}}', None),
        ("[data.subs]", None),
        ("[data]\nts = 2024-02-29T12:00:00", None),
        ("[data]\nts = 2024-02-29", None),
        ("[data]\ns = 2024-02-29T12:00:00Z", None),
        ("[data]\nv = nan", None),
        ("data = [1]", None),
    ],
)
def test_a_request_in_a_file_is_sent_as_it_was_written(text: str, message: str | None) -> None:
    def sent() -> Any:
        name = "bench.json" if text.startswith("{") else "bench.toml"
        data = read(text, name).options["data"]
        tree = request.parse(data) if isinstance(data, str) else request.from_python(data)
        return kinds.message().FromString(encoding.encode(tree, kinds.kind(), kinds.pool()))

    if message is None:
        with pytest.raises(UsageError, match=r"^invalid data"):
            sent()
    elif message:
        assert sent() == text_format.Parse(message, kinds.message())
    else:
        found = sent()
        assert (found.i64, found.d, found.f, list(found.many)) == (9007199254740993, 10.5, math.inf, [16, 10])


def config_file(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "bench.toml"
    path.write_text(text)
    return ["--config", str(path)]


def test_a_flag_beats_the_file(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    file = config_file(tmp_path, FILE.replace('data_file = "-"', ""))
    found = asked(*file)
    assert (found["target"], found["abort"]) == ("localhost:7", True)
    assert (found["config"].load.duration_s, found["config"].client.connections) == (10.0, 2)
    assert (found["config"].client.window_kib, found["config"].load.max_in_flight) == (64, 77)
    assert found["call"].metadata == ("tenant=a", "b=c")

    flags = ["localhost:8", "-z", "3", "--connections", "1", "--metadata", "tenant=z", "--slo", "p50=9ms"]
    flags += ["--set", "client.window_kib=128", "--rate", "7"]
    found = asked(*file, *flags)
    assert found["target"] == "localhost:8"
    assert (found["config"].load.duration_s, found["config"].client.pooling) == (3.0, "shared")
    assert (found["config"].client.window_kib, found["config"].load.max_in_flight) == (128, 77)
    assert (found["config"].load.rate_rps, found["objectives"][0].text) == (7.0, "9ms")
    assert found["call"].metadata == ("b=c", "tenant=z")


def test_a_flag_beats_the_file_under_another_name_too(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"x": 2}')
    file = config_file(tmp_path, 'data = "{}"\ncall = "a.B/C"\nrate = 100\n[set]\nload.concurrency = 5\n')
    assert asked(*file, "--data-file", str(tmp_path / "request.json"))["call"].data == '{"x": 2}'
    found = asked(*file, "--set", "load.rate_rps=none")
    assert (found["rates"], found["config"].load.rate_rps, found["config"].load.requests) == ((), None, 500)
    assert asked(*file, "-c", "9", "--set", "load.rate_rps=none")["config"].load.concurrency == 9


def test_a_file_may_give_what_is_written_and_where(gave: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    where = tmp_path / "out.csv"
    file = config_file(tmp_path, f"format = 'csv'\noutput = '{where}'\nquiet = true\n")
    assert gave(thousand(), *file) == (0, "", "")
    assert where.read_text().startswith("start_s,late_s,latency_s,status,error\n")
    file = config_file(tmp_path, "format = 'xml'")
    code, out, err = gave(thousand(), *file)
    assert (code, out) == (2, "")
    assert "invalid format=xml: expected one of summary, json, csv" in err
