"""gRPC's interoperability cases against its implementation in Go: our engines as the client, and the reference
server's connections as the server (grpc/grpc ``doc/interop-test-descriptions.md``)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.load.calls.method import CallSpec, find_call
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.status import NOT_ENDED, OK, STATUS_NAMES
from grpclab.system.transport import PLAINTEXT
from tests.support import interop_service
from tests.support.go_programs import go_path, go_program, long_until_built

pytestmark = long_until_built(
    *(
        go_path(package, interop_service.GO_VERSION)
        for package in (interop_service.GO_CLIENT, interop_service.GO_SERVER)
    )
)
BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])
LARGE_REQUEST, LARGE_RESPONSE = 271_828, 314_159
STREAMED = (31_415, 9, 2_653, 58_979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


# ---- the Go client against our server ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def go_client() -> Path:
    return go_program(interop_service.GO_CLIENT, interop_service.GO_VERSION)


CASES = {
    "empty_unary": "EmptyCall",
    "large_unary": "UnaryCall",
    "client_streaming": "StreamingInputCall",
    "server_streaming": "StreamingOutputCall",
    "ping_pong": "FullDuplexCall",
    "empty_stream": "FullDuplexCall",
    "timeout_on_sleeping_server": "",  # its millisecond may be over before the call has come
    "cancel_after_begin": "",
    "cancel_after_first_response": "FullDuplexCall",
    "status_code_and_message": "FullDuplexCall",
    "special_status_message": "UnaryCall",
    "custom_metadata": "FullDuplexCall",
    "unimplemented_method": "UnimplementedCall",
    "unimplemented_service": "/grpc.testing.UnimplementedService/UnimplementedCall",
    "pick_first_unary": "UnaryCall",
    "rpc_soak": "UnaryCall",
    "channel_soak": "UnaryCall",
}


@pytest.mark.parametrize("case", CASES)
def test_the_client_in_go_is_content_with_the_reference_server(go_client: Path, case: str) -> None:
    async def main() -> tuple[int, str, set[str]]:
        async with interop_service.serving() as (service, port):
            code, output = await interop_service.run_case(go_client, port, case)
            return code, output, service.served

    code, output, served = asyncio.run(main())
    assert code == 0, output
    assert CASES[case] in {*served, ""}


# ---- our engines against the Go server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    with interop_service.go_server() as target:
        yield target


def call_of(target: str, method: str, data: Any, **further: Any) -> CallSpec:
    name = method if "/" in method else f"grpc.testing.TestService/{method}"
    return find_call(target, name, data=data, proto=interop_service.PROTO, **further)


def outcome(
    engine: str, target: str, call: CallSpec, tmp_path: Path, *, calls: int = 3, end_after_s: float = 0, **client: Any
) -> tuple[Records, list[str]]:
    """The records of so many calls, and the different texts of those that failed."""
    recorder = Recorder(tmp_path / "calls")

    async def main() -> None:
        config = TrialConfig(client=ClientConfig(**client))
        made = ENGINES[engine](config, target, PLAINTEXT, call, residence=False)
        await made.connect(10)
        try:
            if end_after_s:
                asyncio.get_running_loop().call_later(end_after_s, made.give_up)
            async with asyncio.timeout(30):
                await made.run(Gate(opens_at=0, requests=calls), recorder, 2)
        finally:
            await made.close()

    asyncio.run(main())
    recorder.close()
    return Records.load(tmp_path / "calls"), [entry.text for entry in recorder.failures.entries()]


def statuses(records: Records) -> list[str]:
    return [STATUS_NAMES[code] for code in records.status]


@BOTH
def test_empty_unary(engine: str, target: str, tmp_path: Path) -> None:
    assert statuses(outcome(engine, target, call_of(target, "EmptyCall", {}), tmp_path)[0]) == ["OK"] * 3


@BOTH
def test_large_unary(engine: str, target: str, tmp_path: Path) -> None:
    request = {"responseSize": LARGE_RESPONSE, "payload": {"body": bytes(LARGE_REQUEST)}}
    call = call_of(target, "UnaryCall", request)
    assert len(call.payload) > LARGE_REQUEST
    assert statuses(outcome(engine, target, call, tmp_path)[0]) == ["OK"] * 3
    limited, texts = outcome(engine, target, call, tmp_path, max_message_mib=1)
    assert statuses(limited) == ["OK"] * 3, texts


@BOTH
def test_server_streaming(engine: str, target: str, tmp_path: Path) -> None:
    call = call_of(target, "StreamingOutputCall", {"responseParameters": [{"size": size} for size in STREAMED]})
    records, _ = outcome(engine, target, call, tmp_path)
    assert statuses(records) == ["OK"] * 3
    assert len(records.message_s) == 3 * len(STREAMED)


@BOTH
@pytest.mark.parametrize("code", range(1, len(STATUS_NAMES)))
def test_status_code_and_message(engine: str, target: str, tmp_path: Path, code: int) -> None:
    request = {"responseStatus": {"code": code, "message": "test status message"}}
    records, texts = outcome(engine, target, call_of(target, "UnaryCall", request), tmp_path)
    assert statuses(records) == [STATUS_NAMES[code]] * 3
    assert texts == ["test status message"]


@BOTH
@pytest.mark.parametrize("message", [SPECIAL, "100 %", "%41", " spaces at both ends ", "x" * 499, "\0\x1b[31m"])
def test_special_status_message(engine: str, target: str, tmp_path: Path, message: str) -> None:
    call = call_of(target, "UnaryCall", {"responseStatus": {"code": 2, "message": message}})
    assert outcome(engine, target, call, tmp_path)[1] == [message]


@BOTH
def test_deadline(engine: str, target: str, tmp_path: Path) -> None:
    call = call_of(target, "StreamingOutputCall", {"responseParameters": [{"size": 9, "intervalUs": 5_000_000}]})
    records, _ = outcome(engine, target, call, tmp_path, deadline_s=0.05)
    assert statuses(records) == ["DEADLINE_EXCEEDED"] * 3


@BOTH
def test_cancel(engine: str, target: str, tmp_path: Path) -> None:
    call = call_of(target, "StreamingOutputCall", {"responseParameters": [{"size": 9, "intervalUs": 5_000_000}]})
    records, _ = outcome(engine, target, call, tmp_path, end_after_s=0.2)
    assert set(records.status) == {NOT_ENDED}


@BOTH
@pytest.mark.parametrize(
    "method", ["grpc.testing.TestService/UnimplementedCall", "grpc.testing.UnimplementedService/UnimplementedCall"]
)
def test_unimplemented(engine: str, target: str, tmp_path: Path, method: str) -> None:
    assert statuses(outcome(engine, target, call_of(target, method, {}), tmp_path)[0]) == ["UNIMPLEMENTED"] * 3


def test_custom_metadata(target: str) -> None:
    """The engines do not keep what answers say beside their status: this looks one floor below them."""
    binary = "CgsKCwoL"  # 0x0a0b0a0b0a0b in base64
    metadata = ((interop_service.INITIAL, "test_initial_metadata_value"), (interop_service.TRAILING, binary))
    call = call_of(target, "UnaryCall", {"responseSize": 1, "payload": {"body": b"\0"}}, metadata=metadata)

    async def main() -> dict[str, str]:
        client = ClientConnection(
            Request(path=call.path, authority=target, payload=call.payload, metadata=call.metadata),
            stream_window=65_535,
            connection_window=65_535,
        )
        reader, writer = await asyncio.open_connection(*target.split(":"))
        assert client.start(Call())
        async with asyncio.timeout(10):
            while True:
                writer.write(client.take())
                for ended in client.receive(await reader.read(65_536)):
                    assert ended.status == OK
                    writer.close()
                    return dict(ended.trailers)

    assert asyncio.run(main())[interop_service.TRAILING] == binary


def test_bench_calls_it_too(target: str) -> None:
    command = [sys.executable, "-m", "grpclab", "bench", target, "-n", "20", "-q", "--json", "-"]
    command += ["--call", "grpc.testing.TestService/UnaryCall", "--proto", str(interop_service.PROTO)]
    command += ["--data", json.dumps({"responseSize": 100})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert json.loads(done.stdout)["statusCodeDistribution"] == {"OK": 20}
