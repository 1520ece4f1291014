"""Scripts and configurations that were written for ghz, with the word replaced: the server's own record of them."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from grpclab.generated import greet_pb2
from grpclab.testing import fake_target
from grpclab.testing.fake_target import FakeTarget
from tests.support.certificates import NAME, Authority
from tests.support.command import GRPCLAB

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "tests" / "data" / "ghz"
WORD = re.compile(r"\bghz(?= -)")
Run = Callable[[str, FakeTarget], dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script in a folder with what it names; returns the JSON that it wrote."""
    for path in (*SCRIPTS.iterdir(), ROOT / "proto" / "greet.proto"):
        shutil.copy(path, tmp_path)

    def script(name: str, target: FakeTarget) -> dict[str, Any]:
        text = WORD.sub(shlex.join([*GRPCLAB, "bench"]), (SCRIPTS / f"{name}.sh").read_text())
        env = {**os.environ, "HOST": target.address, "GRPCLAB_BENCH_WARMUP": "0"}
        done = subprocess.run(
            ["sh", "-euc", text], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads((tmp_path / "answer.json").read_text())
        return answer

    return script


@pytest.fixture
def target() -> Iterator[FakeTarget]:
    with fake_target() as found:
        yield found


def assert_counted(answer: dict[str, Any], calls: int) -> None:
    assert (answer["count"], answer["statusCodeDistribution"]) == (calls, {"OK": calls})
    assert (answer["errorDistribution"], answer["endReason"]) == ({}, "normal")


def names(target: FakeTarget) -> Counter[str]:
    """The names in the requests that came, each with the number of requests."""
    return Counter(greet_pb2.HelloRequest.FromString(*call.messages).name for call in target.calls)


def values(target: FakeTarget, key: str) -> list[str]:
    """The values of a key of the metadata, over all calls."""
    return [str(value) for call in target.calls for name, value in call.metadata if name == key]


def test_templates_fill_requests_and_metadata_anew_for_each_call(run: Run, target: FakeTarget) -> None:
    answer = run("unary", target)
    assert_counted(answer, 120)
    assert answer["name"] == "greetings"
    assert names(target) == Counter(f"guest {number}" for number in range(120))
    assert sorted(map(int, values(target, "request-id"))) == list(range(120))
    assert len(set(values(target, "trace-id"))) == 120


def test_an_array_takes_turns_over_its_connections(run: Run, target: FakeTarget) -> None:
    answer = run("array", target)
    assert_counted(answer, 90)
    assert answer["options"]["connections"] == 2
    assert names(target) == {"Ann": 30, "Bob": 30, "Eve": 30}


def test_both_sides_present_certificates(run: Run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("client", "client@example.org")
    pair, roots = authority.issue("server", NAME), authority.ca.read_bytes()
    credentials = grpc.ssl_server_credentials([pair.blobs], roots, require_client_auth=True)
    with fake_target(credentials=credentials) as target:
        answer = run("mtls", target)
    assert_counted(answer, 60)
    assert names(target) == {"Joe": 60}
    assert answer["tags"] == {"team": "shop", "made by": "Ann, Bob"}


def test_the_command_line_goes_before_a_configuration_in_json(run: Run, target: FakeTarget) -> None:
    answer = run("json-config", target)
    assert_counted(answer, 75)
    assert (answer["options"]["concurrency"], answer["tags"]) == (8, {"stage": "nightly, small"})
    assert names(target) == Counter(f"Zoe {number}" for number in range(75))
    assert values(target, "tenant") == ["north"] * 75


def test_a_configuration_in_toml_sends_at_its_rate(run: Run, target: FakeTarget) -> None:
    answer = run("toml-config", target)
    assert_counted(answer, 80)
    assert (answer["name"], answer["options"]["rps"]) == ("by file", 400)
    assert sorted(map(int, values(target, "rn"))) == list(range(80))


def test_a_rate_rises_in_steps(run: Run, target: FakeTarget) -> None:
    answer = run("schedule", target)
    assert [step["requests"] for step in answer["grpclab"]["steps"]] == [20, 40, 60]
    assert answer["statusCodeDistribution"] == {"OK": 120}
    assert names(target) == {"Ida": 120}
    assert (answer["options"]["load-schedule"], answer["options"]["load-step"]) == ("step", 40)


def test_encoded_requests_come_from_a_file_and_from_standard_input(run: Run, target: FakeTarget) -> None:
    answer = run("binary", target)
    assert_counted(answer, 30)
    assert names(target) == {"Leo": 10, "Ann": 10, "Bob": 10, "Eve": 10}


@pytest.mark.long
def test_every_output_tells_of_the_same_number_of_calls(run: Run, target: FakeTarget, tmp_path: Path) -> None:
    assert_counted(run("outputs", target), 30)
    assert names(target) == {"Kim": 240}
    text = {path.name.removeprefix("answer."): path.read_text() for path in tmp_path.glob("answer.*")}
    assert re.search(r"^  calls +30\n", text["summary"], re.MULTILINE)
    assert [row["status"] for row in csv.DictReader(text["csv"].splitlines())] == ["OK"] * 30
    assert_counted(json.loads(text["pretty"]), 30)
    assert "<!doctype html>" in text["html"]
    assert " count=30," in text["influx-summary"]
    assert text["influx-details"].count("\nghz_detail,") == 29
    (count,) = (f for f in text_string_to_metric_families(text["prometheus"]) if f.name == "ghz_run_count")
    assert [sample.value for sample in count.samples] == [30]
