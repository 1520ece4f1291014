"""Servers of ``streams.proto`` that write down each call: grpcio's two and one in Go.

A call is written down once it has ended: its method, the number of its messages and a hash of them, its answers, and
whether it ended by itself (its status) or was given up by the client (CANCELLED).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import queue
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message_factory import GetMessageClass

from grpclab.load.calls.schema import from_file
from tests.support.go_programs import own_go_program
from tests.support.interop_service import GO_VERSION

PROTO = Path(__file__).parent / "streams.proto"
SERVICE = "streams.Streams"
KINDS = {"One": (False, False), "Upload": (True, False), "Watch": (False, True), "Chat": (True, True)}
"""By method: whether the client streams, and whether the server does."""
WAIT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class ServedCall:
    """A call as its server has seen it."""

    method: str
    messages: int
    digest: str
    answers: int
    status: str


@dataclass(kw_only=True)
class StreamServer:
    """A server that runs."""

    target: str
    served: queue.Queue[ServedCall] = field(default_factory=queue.Queue)

    def take(self, calls: int) -> list[ServedCall]:
        """So many calls that have ended, and that there was no other."""
        taken = [self.served.get(timeout=WAIT_S) for _ in range(calls)]
        assert self.served.empty(), "a call was counted twice"
        return taken


def digest_of(messages: Iterable[bytes]) -> str:
    """The hash of the messages of a call, by which servers write them down."""
    hashed = hashlib.sha256()
    for message in messages:
        hashed.update(len(message).to_bytes(4, "big") + message)
    return hashed.hexdigest()[:16]


def part(**fields: bytes | int) -> Any:
    """A message of a request."""
    return _kind("Part")(**fields)


def _kind(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"streams.{name}"))


POOL = from_file(PROTO, []).pool


class _Account:
    """What comes of one call, until it has ended."""

    def __init__(self, method: str, served: queue.Queue[ServedCall]) -> None:
        self._method, self._served = method, served
        self.messages: list[bytes] = []
        self.answers = 0
        self.last = part()

    def take(self, message: bytes) -> None:
        self.messages.append(message)
        self.last = part()
        self.last.ParseFromString(message)

    def answer(self) -> bytes:
        self.answers += 1
        number = self.answers if self._method == "Watch" else len(self.messages)
        content: bytes = _kind("Sum")(messages=number, digest=digest_of(self.messages).encode()).SerializeToString()
        return content

    def end(self, status: str) -> None:
        self._served.put(
            ServedCall(
                method=self._method,
                messages=len(self.messages),
                digest=digest_of(self.messages),
                answers=self.answers,
                status=status,
            )
        )

    @property
    def status(self) -> grpc.StatusCode:
        return next(code for code in grpc.StatusCode if code.value[0] == self.last.status)

    @property
    def answers_once(self) -> bool:
        return self._method in ("One", "Upload") and self.status is grpc.StatusCode.OK

    @property
    def wants_more(self) -> bool:
        return self.answers < self.last.answers or not self.last.answers


# ---- grpcio's servers ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def sync_server() -> Iterator[StreamServer]:
    """A grpc.server."""
    running = StreamServer(target="")
    server = grpc.server(ThreadPoolExecutor(max_workers=64))
    server.add_generic_rpc_handlers((_handlers(lambda method: _sync(method, running.served)),))
    running.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield running
    finally:
        server.stop(None).wait()


def _handlers(behaviour: Callable[[str], Any]) -> grpc.GenericRpcHandler:
    """Every method as a stream both ways, which is what the others are on the wire."""
    methods: dict[str, Any] = {method: grpc.stream_stream_rpc_method_handler(behaviour(method)) for method in KINDS}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _sync(method: str, served: queue.Queue[ServedCall]) -> Any:
    def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        account, ended, status = _Account(method, served), threading.Event(), "CANCELLED"
        context.add_callback(ended.set)
        try:
            for message in requests:
                account.take(message)
                if method == "Chat" and account.status is grpc.StatusCode.OK:
                    yield account.answer()
            if method == "Watch":
                while account.wants_more and not ended.wait(account.last.pause_ms / 1000):
                    yield account.answer()
            elif not ended.wait(account.last.pause_ms / 1000) and account.answers_once:
                yield account.answer()
            if not ended.is_set():
                status = account.status.name
                context.set_code(account.status)
                context.set_details("" if status == "OK" else "as asked")
        finally:
            account.end(status)

    return handle


@contextlib.contextmanager
def asyncio_server() -> Iterator[StreamServer]:
    """A grpc.aio server, on a loop in a thread of its own."""
    running, started, over = StreamServer(target=""), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_handlers(lambda method: _asynchronous(method, running.served)),))
        running.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        started.set()
        await over.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait()
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def _asynchronous(method: str, served: queue.Queue[ServedCall]) -> Any:
    async def handle(requests: AsyncIterator[bytes], context: Any) -> Any:
        account, status = _Account(method, served), "CANCELLED"
        try:
            async for message in requests:
                account.take(message)
                if method == "Chat" and account.status is grpc.StatusCode.OK:
                    yield account.answer()
            if method == "Watch":
                while account.wants_more:
                    await asyncio.sleep(account.last.pause_ms / 1000)
                    yield account.answer()
            else:
                await asyncio.sleep(account.last.pause_ms / 1000)
                if account.answers_once:
                    yield account.answer()
            status = account.status.name
        finally:
            account.end(status)
        if account.status is not grpc.StatusCode.OK:
            await context.abort(account.status, "as asked")

    return handle


# ---- Go ------------------------------------------------------------------------------------------------------

GO_SERVER = """
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

type raw struct{}

func (raw) Name() string                          { return "proto" }
func (raw) Marshal(v any) ([]byte, error)         { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error    { *v.(*[]byte) = append([]byte(nil), data...); return nil }

type part struct{ answers, pause, status uint64 }

func read(data []byte) (p part) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		data = data[n:]
		if kind == protowire.VarintType {
			value, n := protowire.ConsumeVarint(data)
			data = data[n:]
			switch number {
			case 2:
				p.answers = value
			case 3:
				p.pause = value
			case 4:
				p.status = value
			}
		} else {
			data = data[protowire.ConsumeFieldValue(number, kind, data):]
		}
	}
	return
}

func serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method := path[strings.LastIndex(path, "/")+1:]
	hash, messages, answers := sha256.New(), 0, 0
	var last part
	name := "CANCELLED"
	digest := func() string { return fmt.Sprintf("%x", hash.Sum(nil))[:16] }
	defer func() {
		fmt.Printf(`{"method":"%s","messages":%d,"digest":"%s","answers":%d,"status":"%s"}`+"\\n",
			method, messages, digest(), answers, name)
	}()
	answer := func() error {
		answers++
		number := messages
		if method == "Watch" {
			number = answers
		}
		content := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(number))
		content = protowire.AppendString(protowire.AppendTag(content, 2, protowire.BytesType), digest())
		return stream.SendMsg(&content)
	}
	pause := func() error {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-time.After(time.Duration(last.pause) * time.Millisecond):
			return nil
		}
	}
	for {
		var data []byte
		err := stream.RecvMsg(&data)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(data)))
		hash.Write(length[:])
		hash.Write(data)
		messages++
		last = read(data)
		if method == "Chat" && last.status == 0 {
			if err := answer(); err != nil {
				return err
			}
		}
	}
	if method == "Watch" {
		for last.answers == 0 || answers < int(last.answers) {
			if err := pause(); err != nil {
				return err
			}
			if err := answer(); err != nil {
				return err
			}
		}
	} else {
		if err := pause(); err != nil {
			return err
		}
		if method != "Chat" && last.status == 0 {
			if err := answer(); err != nil {
				return err
			}
		}
	}
	name = strings.ToUpper(codes.Code(last.status).String())
	if last.status != 0 {
		return status.Error(codes.Code(last.status), "as asked")
	}
	return nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(serve))
	log.Fatal(server.Serve(listener))
}
"""


@contextlib.contextmanager
def go_server() -> Iterator[StreamServer]:
    """A server in Go. Skips the test where it cannot be built."""
    needs = (f"google.golang.org/grpc {GO_VERSION}", "google.golang.org/protobuf v1.36.11")
    program = own_go_program("streams", GO_SERVER, needs)
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout
        running = StreamServer(target=lines.readline().strip())
        assert re.fullmatch(r"127\.0\.0\.1:\d+", running.target)

        def note() -> None:
            for line in lines:
                running.served.put(ServedCall(**json.loads(line)))

        noting = threading.Thread(target=note, daemon=True)
        noting.start()
        try:
            yield running
        finally:
            process.kill()
            noting.join()


SERVERS: dict[str, Callable[[], contextlib.AbstractContextManager[StreamServer]]] = {
    "sync": sync_server,
    "asyncio": asyncio_server,
    "go": go_server,
}
