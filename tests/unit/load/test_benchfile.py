"""Configurations of bench: TOML, JSON and those of ghz; which files they name; what they cannot say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from grpclab.cli import commands
from grpclab.errors import UsageError
from grpclab.load import bench as bench_module
from grpclab.load.calls.request import Number
from grpclab.load.output.config_file import BenchFile, read_bench_file
from grpclab.load.output.ghz_config import KEYS, REFUSED, RENAMED
from grpclab.load.plan import CallRequest, LoadPlan

FLAGS = {
    "words": [
        "target",
        "duration",
        "concurrency",
        "requests",
        "connections",
        "deadline",
        "rate",
        "call",
        "data",
        "proto",
        *("cacert", "cert", "key", "server_name", "authority"),
        *("data_file", "data_format", "format", "tags"),
    ],
    "lists": ["metadata", "proto_path"],
    "switches": ["quiet", "tls", "insecure_skip_verify"],
}


def read(tables: dict[str, Any] | str, name: str = "ghz.json") -> BenchFile:
    return read_bench_file(tables if isinstance(tables, str) else json.dumps(tables), name, **FLAGS)


def refused(tables: dict[str, Any] | str, name: str = "ghz.json") -> str:
    with pytest.raises(UsageError) as caught:
        read(tables, name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    return str(caught.value)


GHZ = {
    "proto": "shop/v1/till.proto",
    "import-paths": ["roots", "/include"],
    "call": "shop.v1.Till.Pay",
    "host": "0.0.0.0:50051",
    "insecure": True,
    "total": 2000,
    "concurrency": 50,
    "connections": 2,
    "rps": 100,
    "async": True,
    "timeout": "5s",
    "keepalive": "30s",
    "data": {"price": {"units": 5}},
    "metadata": {"tenant": "a"},
    "count-errors": True,
    "name": "",
    "tags": {},
    "skipTLS": False,
    "load-schedule": "const",
    "stream-interval": "0s",
    "cpus": 0,
    "duration": "0s",
    "connect-timeout": 0,
    "protoset": "",
    "data-file": "",
}
READ = {
    "proto": "shop/v1/till.proto",
    "proto_path": ["roots", "/include"],
    "call": "shop.v1.Till.Pay",
    "target": "0.0.0.0:50051",
    "requests": "2000",
    "concurrency": "50",
    "connections": "2",
    "rate": "100",
    "deadline": "5s",
    "data": {"price": {"units": Number("5")}},
    "metadata": ["tenant=a"],
}


def test_a_configuration_of_ghz_is_read_with_its_own_keys() -> None:
    assert read(GHZ) == BenchFile(options=READ, settings=["client.keepalive_s=30s"])


def test_what_ghz_sets_as_a_switch_or_a_time_may_be_a_factor() -> None:
    tables = {"enable-compression": True, "keepalive": "30s", "set": {"client.keepalive_s": "9s"}}
    assert read(tables).settings == ["client.keepalive_s=9s", "client.compression=gzip"]
    assert read({"enable-compression": False, "total": 5}).settings == []


def test_the_keys_of_ghz_are_read_in_toml_too() -> None:
    text = 'host = "localhost:7"\ntotal = 10\ntimeout = "5s"\n[metadata]\na = "b"\n'
    options = {"target": "localhost:7", "requests": "10", "deadline": "5s", "metadata": ["a=b"]}
    assert read(text, "ghz.toml").options == options


def test_the_flags_names_are_read_in_json() -> None:
    bench_file = read({"requests": 10, "proto_path": "roots", "quiet": True, "rate": None, "set": {"load.workers": 2}})
    assert bench_file.options == {"requests": "10", "proto_path": ["roots"], "quiet": True}
    assert bench_file.settings == ["load.workers=2"]


@pytest.mark.parametrize(
    ("tables", "options"),
    [
        ({"total": 100, "duration": "10s"}, {"duration": "10s"}),  # ghz ignores the total then
        ({"total": 100, "max-duration": "10s"}, {"requests": "100", "duration": "10s"}),
        ({"total": 100, "duration": "0s", "rps": 0}, {"requests": "100"}),
        (
            {"cacert": "a.pem", "cname": "shop", "insecure": False},
            {"tls": True, "cacert": "a.pem", "server_name": "shop"},
        ),
        (
            {"skipTLS": True, "cert": "c.pem", "key": "c.key", "authority": "shop"},
            {"insecure_skip_verify": True, "cert": "c.pem", "key": "c.key", "authority": "shop"},
        ),
        ({"insecure": True, "cacert": "", "cert": "", "key": "", "cname": "", "skipTLS": False, "authority": ""}, {}),
        ({"protoset": "shop.binpb"}, {"proto": "shop.binpb"}),
        ({"data": [{"a": 1.50}]}, {"data": [{"a": Number("1.5")}]}),
        (
            {"load-schedule": "step", "load-start": 50, "load-end": 150, "load-step": 10, "load-step-duration": "5s"},
            {"rate": "50:150:10@5s"},
        ),
        ({"load-schedule": "line", "load-start": 5, "load-end": 100, "load-step": 5}, {"rate": "5:100@19s"}),
        ({"load-schedule": "line", "load-start": 200, "load-end": 100, "load-step": -2}, {"rate": "200:100@50s"}),
        ({"load-schedule": "line", "load-step": 5, "load-max-duration": "20s"}, {"rate": "0:100@20s"}),
        (
            {
                **{"concurrency-schedule": "step", "concurrency-start": 5, "concurrency-end": 50, "concurrency": 7},
                **{"concurrency-step": 5, "concurrency-step-duration": "10s"},
            },
            {"concurrency": "5:50:5@10s"},
        ),
        (
            {
                **{"concurrency-schedule": "line", "concurrency-start": 9, "concurrency-step": -2},
                **{"concurrency-max-duration": "3s", "concurrency-end": 0},
            },
            {"concurrency": "9:3:2@1s"},
        ),
        ({"concurrency-schedule": "const", "concurrency": 7}, {"concurrency": "7"}),
        ({"binary-file": "asked.bin"}, {"data_file": "asked.bin", "data_format": "binary"}),
        ({"format": "pretty"}, {"format": "json"}),
        ({"format": "csv"}, {"format": "csv"}),
        ({"tags": {"by": "Ann, Bob", "env": "ci"}}, {"tags": '{"by": "Ann, Bob", "env": "ci"}'}),
    ],
)
def test_what_ghz_means_by_several_keys_is_kept(tables: dict[str, Any], options: dict[str, Any]) -> None:
    assert read(tables).options == options


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_what_cannot_act_is_refused_with_the_reason(key: str) -> None:
    assert refused({key: "x"}) == f"ghz.json: invalid {key}=x: expected no such key; {REFUSED[key]}"


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"insecure": "no"}, "invalid insecure=no: expected true or false"),
        ({"insecure": True, "cacert": "a.pem"}, "invalid insecure=True: expected false together with cacert"),
        ({"async": True}, "async requires a rate"),
        ({"binary-file": "a.bin", "data-file": "b"}, "which mean the same"),
        ({"load-schedule": "line"}, "load-schedule=line requires load-step"),
        ({"load-schedule": "sine"}, "invalid load-schedule=sine: expected step or line"),
        (
            {"load-schedule": "line", "load-step": 5, "load-start": 50, "load-end": 5},
            "invalid load-step=5: expected a step",
        ),
        ({"load-schedule": "line", "load-step": "x", "load-end": 5}, "invalid load-step=x: expected calls per second"),
        (
            {
                **{"load-schedule": "step", "load-start": 5, "load-end": 9, "load-step": 1},
                **{"load-step-duration": "5s", "load-max-duration": "5s"},
            },
            "invalid load-max-duration=5s: expected no such key, since",
        ),
        ({"load-schedule": "step", "load-start": 5}, "load-schedule=step requires load-end"),
        ({"load-schedule": "step", "rps": 5}, "expected either a schedule or a single rate"),
        ({"load-start": 5}, "load-start requires load-schedule=step or load-schedule=line"),
        ({"concurrency-schedule": "sine"}, "invalid concurrency-schedule=sine: expected step or line"),
        ({"concurrency-schedule": "step", "rps": 5}, "concurrency-schedule cannot be combined with a rate"),
        ({"concurrency-start": 5}, "concurrency-start requires concurrency-schedule=step or concurrency-schedule=line"),
        (
            {"concurrency-schedule": "line", "concurrency-start": 5, "concurrency-step": 1},
            "concurrency-schedule=line requires concurrency-end or concurrency-max-duration",
        ),
        ({"concurrency-schedule": "step", "concurrency-start": 5}, "requires concurrency-step"),
        ({"duration": 10_000_000_000}, "expected a time with its unit, e.g. '10s'"),
        ({"timeout": 20.5}, "expected a time with its unit, e.g. '10s'"),
        ({"total": 5, "requests": 5}, "which mean the same"),
        ({"proto": "a", "protoset": "b"}, "which mean the same"),
        ({"totale": 5}, "unknown key 'totale'"),
        ("[1]", "expected an object of options in JSON"),
        ("{,}", "expected valid JSON; the error is at line 1, column 2"),
        ('{"total": 1, "total": 2}', "the key 'total' is given twice"),
        ("[" * 100_000, "expected JSON with less nesting"),
        ('{"requests": ' + "9" * 5000 + "}", "expected JSON with less nesting and shorter numbers"),
    ],
)
def test_what_contradicts_itself_is_one_line(tables: dict[str, Any] | str, why: str) -> None:
    assert why in refused(tables)


@pytest.mark.parametrize("name", ["bench.yaml", "bench.YML"])
def test_yaml_is_refused_by_its_ending(name: str) -> None:
    assert refused("total: 5", name) == (
        f"invalid --config={name}: expected a TOML or JSON file; YAML is not supported"
    )


def test_json_is_known_without_its_ending() -> None:
    assert read('  {"total": 5}', "config").options == read("total = 5", "config").options == {"requests": "5"}


def test_every_key_of_ghz_is_either_renamed_or_refused_or_known_to_do_nothing() -> None:
    rest = KEYS - set(RENAMED) - set(REFUSED)
    factors = {"keepalive", "enable-compression", "stream-dynamic-messages"}
    nothing = {"insecure", "async", "count-errors"}
    single = {key for key in rest if not key.startswith(("load-", "concurrency-"))}
    assert single == nothing | factors


def test_streams_of_ghz_are_those_of_bench() -> None:
    tables = {"stream-interval": "25ms", "stream-call-count": 5, "stream-call-duration": "2s"}
    flags = {**FLAGS, "words": [*FLAGS["words"], "stream_interval", "stream_call_count", "stream_call_duration"]}
    found = read_bench_file(json.dumps(tables | {"stream-dynamic-messages": True}), "ghz.json", **flags)
    assert found.options == {"stream_interval": "25ms", "stream_call_count": "5", "stream_call_duration": "2s"}
    assert found.settings == ["load.stream_dynamic=true"]
    unset = {"stream-interval": "0s", "stream-call-count": 0, "stream-call-duration": 0, "cpus": 0}
    assert read(unset) == BenchFile(options={}, settings=[])
    assert "a time with its unit" in refused({"stream-interval": 25_000_000})


def test_a_time_of_toml_is_a_time() -> None:
    assert read("duration = 00:01:30", "bench.toml").options == {"duration": "00:01:30"}
    assert "bench.toml: invalid duration=2026-11-23: expected a number" in refused(
        "duration = 2026-11-23", "bench.toml"
    )


# ---- the files that a configuration names ------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What a call of the command line asks for, as far as the call goes."""

    class AskedError(Exception):
        pass

    def stop(target: str, plan: LoadPlan, *, call: CallRequest, **_more: Any) -> NoReturn:
        raise AskedError({"target": target, "config": plan.config, **vars(call)})

    monkeypatch.setattr(bench_module, "run_bench", stop)

    def run(*words: str) -> dict[str, Any]:
        with pytest.raises(AskedError) as caught:
            commands.main(["bench", *words])
        return dict(caught.value.args[0])

    return run


CONFIG = """
proto = "./till.proto"
proto-path = ["roots", "/include"]
data-file = "ask.json"
call = "shop.v1.Till/Pay"
duration = 00:01:30
"""


def test_files_lie_beside_the_configuration_that_names_them(
    asked: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "bench.toml").write_text(CONFIG, encoding="utf-16")
    (folder / "ask.json").write_text("{}", encoding="utf-8-sig")
    (tmp_path / "ask.json").write_text('{"price": {}}')
    monkeypatch.chdir(tmp_path)
    options = asked("--config", "configs/bench.toml")
    assert (options["proto"], options["proto_path"]) == ("configs/till.proto", ["configs/roots", "/include"])
    assert options["data"] == "{}"
    assert options["config"].load.duration_s == 90.0
    # what the command line names lies in the working folder
    options = asked(
        "--config", "configs/bench.toml", "--data-file", "ask.json", "--proto", "x.proto", "--proto-path", "y"
    )
    assert (options["proto"], options["proto_path"], options["data"]) == ("x.proto", ["y"], '{"price": {}}')
    (folder / "ghz.json").write_text(json.dumps({"call": "a.B/C", "data": "@ask.json"}))
    assert asked("--config", "configs/ghz.json")["data"] == "{}"


def test_the_file_of_a_replay_lies_beside_the_configuration(
    asked: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "times.txt").write_text("1\n2\n4\n")
    monkeypatch.chdir(tmp_path)
    for content in ('arrival = "replay:times.txt@2"', '[set]\nload.arrival = "replay:times.txt@2"'):
        (folder / "bench.toml").write_text(content)
        load = asked("--config", "configs/bench.toml")["config"].load
        assert (load.arrival, load.requests) == (f"replay:{folder}/times.txt@2", 3)
    (folder / "bench.toml").write_text('arrival = "poisson"\nrate = 5')
    assert asked("--config", "configs/bench.toml")["config"].load.arrival == "poisson"


def test_a_mark_before_the_request_is_no_part_of_it(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert asked("--call", "a.B/C", "--data", '\ufeff{"a": 1}')["data"] == '{"a": 1}'


def test_a_file_that_is_missing_is_told_with_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bench.toml").write_text(CONFIG)
    assert commands.main(["bench", "--config", str(tmp_path / "bench.toml")]) == 2
    message = f"grpclab: invalid --data-file={tmp_path}/ask.json: expected a readable file in {tmp_path} (No such"
    assert capsys.readouterr().err.startswith(message)
