"""`grpclab bench` and `compare` on methods of every kind: options, figures, exit codes."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import GRPCLAB
from tests.support.stream_servers import PROTO, SERVICE, StreamServer, asyncio_server, digest_of, part

STREAMS = """
import grpc


def upload(requests, context):
    return bytes([8, sum(1 for _ in requests)])


def register(server):
    methods = {"Upload": grpc.stream_unary_rpc_method_handler(upload)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("streams.Streams", methods),))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[StreamServer]:
    with asyncio_server() as running:
        yield running


def bench(server: StreamServer, method: str, *words: str, code: int = 0) -> Any:
    """The JSON of a load of 20 calls; nothing where another exit code is expected."""
    command = [*GRPCLAB, "bench", server.target, "--call", f"{SERVICE}/{method}", "--proto", str(PROTO)]
    command += ["-n", "20", "-c", "4", "--warmup", "0", "-q", "--json", "-", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if not code else done.stderr


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_command_line_of_ghz_streams_what_ghz_streams(server: StreamServer, engine: str) -> None:
    words = ["-d", '[{"answers": 1}, {"answers": 2}, {"answers": 3}]', "--stream-call-count", "5", "--engine", engine]
    found = bench(server, "Chat", *words, "--stream-interval", "2ms")
    served = server.take(20)
    assert found["statusCodeDistribution"] == {"OK": 20}
    streaming = found["grpclab"]["streaming"]
    assert (streaming["messages"], streaming["messages_sent"]) == (100, 100)
    assert streaming["ended_by_client"] == 0
    for clock in ("time_to_first_message_s", "message_gap_s", "message_since_start_s", "message_since_sent_s"):
        assert streaming[clock]["p50"] >= 0
    sent = [part(answers=number).SerializeToString() for number in (1, 2, 3, 1, 2)]
    assert {(call.messages, call.digest) for call in served} == {(5, digest_of(sent))}


def test_a_file_of_ghz_streams_dynamic_messages(server: StreamServer, tmp_path: Path) -> None:
    tables = {
        "data": {"answers": "{{randomInt 1 1000000}}"},
        "stream-call-count": 3,
        "stream-dynamic-messages": True,
        "stream-interval": "1ms",
    }
    (tmp_path / "ghz.json").write_text(json.dumps(tables))
    found = bench(server, "Upload", "--config", str(tmp_path / "ghz.json"))
    served = server.take(20)
    assert found["grpclab"]["streaming"]["messages_sent"] == 60
    assert {call.messages for call in served} == {3}
    assert len({call.digest for call in served}) == 20


def test_lines_of_a_file_are_calls_in_turn(server: StreamServer, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text('[{"answers": 1}, {"answers": 2}]\n{"answers": 3}\n')
    bench(server, "Upload", "--data-file", str(tmp_path / "calls.jsonl"), "--workers", "2")
    assert Counter(call.messages for call in server.take(20)) == {2: 10, 1: 10}


def test_a_stream_of_the_server_that_the_client_ends_is_no_failure(server: StreamServer) -> None:
    found = bench(server, "Watch", "--data", '{"pause_ms": 1}', "--stream-call-count", "3", "--details")
    assert {call.status for call in server.take(20)} == {"CANCELLED"}
    assert found["statusCodeDistribution"] == {"Canceled": 20}
    assert {call["status"] for call in found["details"]} == {"Canceled"}
    assert found["errorDistribution"] == {}
    assert found["rps"] > 0
    assert found["grpclab"]["streaming"]["ended_by_client"] == 20
    assert found["grpclab"]["streaming"]["messages"] == 60


def test_an_answer_that_is_cut_off_is_checked(server: StreamServer) -> None:
    words = ["--data", '{"pause_ms": 1}', "--stream-call-count", "3", "--check"]
    assert bench(server, "Watch", *words, "reply.messages < 4")["statusCodeDistribution"] == {"Canceled": 20}
    assert "failed: WRONG_ANSWER" in bench(server, "Watch", *words, "reply.messages < 2", code=1)
    server.take(40)


@pytest.mark.parametrize("words", [["--stream-interval", "1s"], ["--stream-call-count", "2"]])
def test_options_of_streams_are_refused_where_the_method_has_none(server: StreamServer, words: list[str]) -> None:
    assert "expected a call" in bench(server, "One", *words, code=2)


@pytest.mark.long
def test_servers_are_compared_by_calls_whose_client_streams(tmp_path: Path) -> None:
    (tmp_path / "streaming.py").write_text(STREAMS)
    (tmp_path / "calls.jsonl").write_text('[{"answers": 1}, {"answers": 2}]\n[{"answers": 3}]\n')
    words = ["--app", "streaming:register", "--call", f"{SERVICE}/Upload", "--proto", str(PROTO), "--blocks", "2"]
    words += ["--data-file", "calls.jsonl", "-n", "200", "-z", "0.3", "-c", "4", "--b-set", "server.threads=4", "-q"]
    command = [*GRPCLAB, "compare", *words, "--allow-inconclusive", "--json", "verdict.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "answers: equal" in done.stdout + (tmp_path / "verdict.json").read_text()
