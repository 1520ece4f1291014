"""gRPC's interoperability test service: on the connections of the reference server, and the one in Go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message_factory import GetMessageClass

from grpclab.http2 import frames, messages
from grpclab.http2.headers import literal
from grpclab.http2.replies import BEGINNING, Trailers
from grpclab.http2.server import ServerConnection
from grpclab.load.calls.schema import from_file
from grpclab.servers.reference.protocol import ReferenceProtocol, ServerContext
from grpclab.servers.reference.service import ServerCall, Service
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support.go_programs import go_program, own_go_program
from tests.support.http2_server_help import WatchingServer, respond

PROTO = Path(__file__).parent / "interop.proto"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
GO_VERSION = "v1.85.0"
GO_CLIENT, GO_SERVER = (f"google.golang.org/grpc/interop/{side}" for side in ("client", "server"))
_PREFIX = "/grpc.testing.TestService/"


class TestService(Service):
    """What the description asks of a server: it answers as requests say, and returns two headers of theirs."""

    __test__ = False

    def __init__(self, spec: ReferenceSpec) -> None:
        super().__init__(spec, clock=time.perf_counter, wake_at=lambda _at, _call: None)
        self._pool = from_file(PROTO, []).pool
        self.served: set[str] = set()
        """The methods that have been called."""

    def take(self, peer: Any, calls: Iterable[ServerCall], read_at: float) -> None:  # noqa: ARG002 (answers at once)
        for call in dict.fromkeys(calls):
            if call.stream_id in peer.http2.streams:
                self._answer(peer.http2, call)

    def _answer(self, http2: ServerConnection, call: ServerCall) -> None:
        method = call.request.path.removeprefix(_PREFIX)
        self.served.add(method)
        if method == "FullDuplexCall":
            self._converse(http2, call)
        elif not call.half_closed:
            return
        elif method == "EmptyCall":
            self._begin(http2, call)
            self._finish(http2, call, [self._message("Empty")])
        elif method == "UnaryCall":
            self._unary(http2, call)
        elif method == "StreamingOutputCall":
            self._begin(http2, call)
            request = self._message("StreamingOutputCallRequest", call.messages[0])
            self._finish(http2, call, self._wanted(request))
        elif method == "StreamingInputCall":
            self._begin(http2, call)
            sizes = [len(self._message("StreamingInputCallRequest", data).payload.body) for data in call.messages]
            self._finish(http2, call, [self._message("StreamingInputCallResponse", aggregated_payload_size=sum(sizes))])
        else:
            http2.answers.finish(call, messages.UNIMPLEMENTED, f"{call.request.path} is not served here")

    def _unary(self, http2: ServerConnection, call: ServerCall) -> None:
        request = self._message("SimpleRequest", call.messages[0])
        self._begin(http2, call)
        if request.response_status.code:
            http2.answers.finish(
                call, request.response_status.code, request.response_status.message, self._trailing(call)
            )
            return
        answer = self._message("SimpleResponse", server_id="reference" if request.fill_server_id else "")
        answer.payload.body = bytes(request.response_size)
        self._finish(http2, call, [answer])

    def _converse(self, http2: ServerConnection, call: ServerCall) -> None:
        """Answer the messages that have come since the last time; end when the client has."""
        self._begin(http2, call)
        for data in call.received[call.sent :]:
            call.sent += 1
            request = self._message("StreamingOutputCallRequest", data)
            if request.response_status.code:
                http2.answers.finish(call, request.response_status.code, request.response_status.message)
                return
            for answer in self._wanted(request):
                http2.answers.send_message(call, answer.SerializeToString())
        if call.half_closed:
            self._finish(http2, call, [])

    def _wanted(self, request: Any) -> list[Any]:
        return [
            self._message("StreamingOutputCallResponse", payload={"body": bytes(wanted.size)})
            for wanted in request.response_parameters
        ]

    def _begin(self, http2: ServerConnection, call: ServerCall) -> None:
        """The answer's headers, with the one that the request wants to see again."""
        if not call.begun:
            call.begun = True
            block = BEGINNING + b"".join(literal(*pair) for pair in _echoed(call, INITIAL))
            http2.outgoing.append(frames.headers(call.stream_id, block, end=False))

    def _trailing(self, call: ServerCall) -> Trailers:
        return _echoed(call, TRAILING)

    def _finish(self, http2: ServerConnection, call: ServerCall, answers: Iterable[Any]) -> None:
        respond(http2, call, (answer.SerializeToString() for answer in answers), self._trailing(call))

    def _message(self, name: str, data: bytes = b"", **fields: Any) -> Any:
        message = GetMessageClass(self._pool.FindMessageTypeByName(f"grpc.testing.{name}"))(**fields)
        message.MergeFromString(data)
        return message


def _echoed(call: ServerCall, name: str) -> Trailers:
    return tuple(pair for pair in call.request.headers if pair[0] == name)


class _ServerContext(ServerContext):
    def connection(self, fault: Any = None) -> ServerConnection:  # noqa: ARG002 (there is none here)
        window = self.spec.window_kib * 1024
        return WatchingServer(stream_window=window, connection_window=window, make_stream=ServerCall)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[TestService, int]]:
    """Serve on loopback until the block is left: the service, and the port."""
    spec = ReferenceSpec()
    service = TestService(spec)
    context = _ServerContext(spec, service, time.perf_counter, lambda: None)
    server = await asyncio.get_running_loop().create_server(
        lambda: ReferenceProtocol(context, context.connection()), "127.0.0.1", 0
    )
    try:
        yield service, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for peer in list(context.protocols):
            peer.abort()


TUNED_SERVER = """
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	port := flag.Int("port", 0, "")
	workers := flag.Uint("workers", 0, "goroutines that are kept for calls")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("GOMAXPROCS=%s workers=%d\\n", os.Getenv("GOMAXPROCS"), *workers)
	server := grpc.NewServer(grpc.NumStreamWorkers(uint32(*workers)))
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	log.Fatal(server.Serve(listener))
}
"""


def tuned_go_server() -> Path:
    """A server of the same service in Go, which takes ``-port`` and, as a factor, ``-workers``."""
    return own_go_program("tuned", TUNED_SERVER, (f"google.golang.org/grpc {GO_VERSION}",))


async def run_case(client: Path, port: int, case: str) -> tuple[int, str]:
    """Run one case of gRPC's own client in Go against a server on this machine: its exit code, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        client,
        *("--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    async with asyncio.timeout(60):
        _, output = await process.communicate()
    return process.returncode or 0, output.decode()


@contextlib.contextmanager
def go_server() -> Iterator[str]:
    """Run gRPC's own server in Go until the block is left: its target. Skips the test where it cannot be built."""
    program = go_program(GO_SERVER, GO_VERSION)
    env = {**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
    with subprocess.Popen([program, "-port=0"], stderr=subprocess.PIPE, text=True, env=env) as server:
        assert server.stderr is not None
        try:
            port = next(found[1] for line in server.stderr if (found := re.search(r"listening on .*:(\d+)", line)))
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
