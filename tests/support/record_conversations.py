"""Record what real servers say to the client, for the mutations of test_conversations.py.

``python -m tests.support.record_conversations`` writes tests/data/conversations.json anew: gRPC's own servers
(C-core), the interoperability server in Go where it can be built, and the reference server.
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, Literal

from grpclab.factors.config import LoadConfig, ServerConfig
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.load.calls.method import CallSpec, find_call, greeting
from grpclab.servers.process.launcher import launch
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support import interop_service

FILE = Path(__file__).resolve().parents[1] / "data" / "conversations.json"
CALLS = 3
HEALTH = CallSpec(path="/grpc.health.v1.Health/Check", payload=b"\n\x07nothing")
ABSENT = CallSpec(path="/no.Service/Method", payload=b"")


async def recorded(target: str, call: CallSpec) -> bytes:
    """What the server says to three calls: the first alone, then two at once."""
    request = Request(
        path=call.path,
        authority=target,
        payload=call.payload,
        server_streaming=call.server_streaming,
        metadata=call.metadata,
    )
    client = ClientConnection(request, stream_window=65_535, connection_window=65_535)
    reader, writer = await asyncio.open_connection(*target.split(":"))
    said = b""
    for calls in (1, CALLS - 1):
        for _ in range(calls):
            assert client.start(Call())
        while client.calls:
            writer.write(client.take())
            heard = await asyncio.wait_for(reader.read(65_536), 10)
            assert heard
            said += heard
            client.receive(heard)
            assert client.closed is None
    writer.close()
    return said


def interop_calls(target: str) -> dict[str, CallSpec]:
    """Calls of every shape that the interoperability server answers."""

    def call(method: str, data: dict[str, Any], **further: Any) -> CallSpec:
        name = f"grpc.testing.TestService/{method}"
        return find_call(target, name, data=data, proto=interop_service.PROTO, **further)

    echo = ((interop_service.INITIAL, "seen"), (interop_service.TRAILING, "CgsKCwoL"))
    sizes = [{"size": size} for size in (300, 9, 0, 1200)]
    return {
        "unary": call("UnaryCall", {"responseSize": 40}, metadata=echo),
        "stream": call("StreamingOutputCall", {"responseParameters": sizes}),
        "status": call("UnaryCall", {"responseStatus": {"code": 9, "message": "größer als 100 %"}}),
        "unimplemented": call("UnimplementedCall", {}),
    }


def greeter_calls(stream: bool) -> dict[str, CallSpec]:
    """Those of the greeter's servers."""
    calls = {"unary": greeting(LoadConfig()), "status": HEALTH, "unimplemented": ABSENT}
    return calls | ({"stream": greeting(LoadConfig(method="SayHelloStream"))} if stream else {})


def main() -> None:
    """See the module."""
    conversations: dict[str, dict[str, Any]] = {}

    def record(server: str, target: str, calls: dict[str, CallSpec]) -> None:
        for name, call in calls.items():
            said = asyncio.run(recorded(target, call))
            print(server, name, len(said))
            conversations[f"{server} {name}"] = {
                "streaming": call.server_streaming,
                "said": base64.b64encode(said).decode("ascii"),
            }

    kinds: tuple[Literal["sync", "asyncio"], ...] = ("sync", "asyncio")
    for kind in kinds:
        with launch(ServerConfig(implementation=kind)) as server:
            record(f"C-core {kind}", server.target, greeter_calls(stream=kind == "sync"))
    with launch_reference(ReferenceSpec(stream_interval_ms=1)) as server:
        record("reference", server.target, greeter_calls(stream=True))
    with interop_service.go_server() as target:
        record("Go", target, interop_calls(target))
    FILE.write_text(json.dumps(conversations, indent=1) + "\n")


if __name__ == "__main__":
    main()
