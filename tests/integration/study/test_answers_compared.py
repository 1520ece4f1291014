"""Two servers that do not answer alike, compared: it is told, unless it is what varies by nature."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grpclab.study.comparing import compare
from grpclab.study.comparison import CompareResult

PROTO = """
syntax = "proto3";
package till;
message Sale { int32 id = 1; }
message Receipt { int32 total = 1; int64 at = 2; }
service Till { rpc Pay(Sale) returns (Receipt); }
"""
SERVER = """
import sys, time
from concurrent import futures
import grpc

calls = 0

def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])

def pay(request, context):
    global calls
    calls += 1
    total = 8 if "wrong" in sys.argv and calls % 200 == 199 else 7
    return b"\\x08" + bytes([total]) + b"\\x10" + varint(time.time_ns())

server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Pay": grpc.unary_unary_rpc_method_handler(pay)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("till.Till", handlers),))
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
"""

pytestmark = pytest.mark.long


def compared(folder: Path, *, wrong: bool, ignore: tuple[str, ...]) -> CompareResult:
    (folder / "till.proto").write_text(PROTO)
    (folder / "server.py").write_text(SERVER)
    command = f"{sys.executable} {folder / 'server.py'} {{port}}"
    return compare(
        command,
        f"{command} {'wrong' if wrong else 'right'}",
        call="till.Till/Pay",
        data=[{"id": number} for number in range(3)],
        proto=str(folder / "till.proto"),
        ignore_fields=ignore,
        settings={"load.requests": 600, "load.warmup_s": 0.1, "load.concurrency": 4},
        blocks=2,
        write=lambda _: None,
    )


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))


def test_one_wrong_field_in_one_call_of_200_is_told(tmp_path: Path) -> None:
    result = compared(tmp_path, wrong=True, ignore=("at",))
    told = [line for line in result.conclusion if "answers differ" in line]
    assert "in total" in told[0]
    assert result.judgement.sentence in told  # beside the verdict


def test_equal_servers_with_the_time_in_their_answers_are_equal_without_it(tmp_path: Path) -> None:
    result = compared(tmp_path, wrong=False, ignore=("at",))
    assert result.answers is not None
    told = [line for line in result.conclusion if "answers" in line]
    assert told == [f"answers: equal in all {result.answers.compared:,} sampled calls"]
