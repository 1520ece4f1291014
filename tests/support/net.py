"""A network in memory, in virtual time, with gRPC servers on `h2` at its other end: for engine `wire`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, PingReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

from grpclab.factors.config import ClientConfig, LoadConfig, TrialConfig
from grpclab.http2 import frames
from grpclab.load import reachability
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.wire import WireEngine
from grpclab.status import STATUS_NAMES
from grpclab.system.transport import PLAINTEXT
from grpclab.testing.virtual import VirtualLoop, pacer, run
from tests.support.http2_peer import BEGIN, HELLO

MS = 1 / 1024
"""A millisecond of the virtual clock, so that sums are exact."""
GOODBYE = frames.goaway(0, 0)
HELLO_CALL = CallSpec(path="/greet.GreeterService/SayHello", payload=b"world")
STREAM_CALL = CallSpec(path="/greet.GreeterService/SayHelloStream", payload=b"world", server_streaming=True)


class Cable(asyncio.Transport):
    """The client's end of a connection; the server speaks by :meth:`say`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: asyncio.Protocol, server: Server) -> None:
        super().__init__()
        self._loop, self._client, self._server = loop, client, server
        self.closed = False
        self.unread = 0
        """Bytes that the server has not read."""
        self.paused = 0

    def write(self, data: Any) -> None:
        self._loop.call_soon(self._server.received, bytes(data))

    def say(self, data: bytes) -> None:
        """The server says this."""
        self._loop.call_soon(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self.closed:
            self._client.data_received(data)

    def end(self, error: Exception | None = None) -> None:
        """Either side closes."""
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self._client.connection_lost, error)

    def close(self) -> None:
        self.end()

    def abort(self) -> None:
        self.end()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Counted; what the server has said arrives all the same."""
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused -= 1

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 (nothing is known)
        return default


class Server:
    """One connection of a server."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.cable: Cable
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.streams: list[int] = []
        """Requests that have come."""
        self.resets: list[int] = []
        self.pings = 0
        self.gone_away = False
        self.said_goodbye = False

    def greet(self) -> None:
        """The server's settings."""
        self.h2.local_settings = Settings(client=False, initial_values=self.net.settings)
        self.h2.initiate_connection()
        self.flush()

    def received(self, data: bytes) -> None:
        if self.net.deaf:
            return
        if data.endswith(GOODBYE):  # h2 would say nothing any more
            self.said_goodbye = True
            data = data.removesuffix(GOODBYE)
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.net.in_flight += 1
                self.net.high_water = max(self.net.high_water, self.net.in_flight)
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                self.streams.append(event.stream_id)
                self.net.on_request(self, event.stream_id)
            elif isinstance(event, StreamReset):
                self.resets.append(event.stream_id or 0)
                self.net.in_flight -= 1
            elif isinstance(event, PingReceived):
                self.pings += 1
        self.flush()

    def flush(self) -> None:
        """Say what is to be said."""
        data = b"" if self.net.mute else self.h2.data_to_send()
        if data:
            self.cable.say(data)

    def answer(
        self, stream_id: int, status: int = 0, message: bytes = HELLO, further: Sequence[tuple[str, str]] = ()
    ) -> None:
        """A whole answer; nothing where the call is over or the connection gone."""
        if stream_id not in self.resets and not self.cable.closed:
            self.net.in_flight -= 1
            self.h2.send_headers(stream_id, BEGIN)
            self.h2.send_data(stream_id, message)
            self.h2.send_headers(stream_id, [("grpc-status", str(status)), *further], end_stream=True)
            self.flush()

    def refuse(self, stream_id: int, code: frames.ErrorCode = frames.ErrorCode.REFUSED_STREAM) -> None:
        """Reset it."""
        self.net.in_flight -= 1
        self.h2.reset_stream(stream_id, code)
        self.flush()

    def go_away(self, last_stream_id: int) -> None:
        """GOAWAY; what was accepted is still answered."""
        self.cable.say(frames.goaway(last_stream_id, 0, b"maintenance"))


class Net:
    """What the loop's `create_connection` leads to. A request is answered after `service_s`."""

    def __init__(self, loop: VirtualLoop, *, service_s: float = 8 * MS) -> None:
        loop.create_connection = self._connect  # type: ignore[method-assign,assignment]
        self._loop = loop
        self.service_s = service_s
        self.settings: dict[SettingCodes, int] = {SettingCodes.MAX_CONCURRENT_STREAMS: frames.MAX_STREAM_ID}
        self.up = True
        """Whether somebody listens."""
        self.deaf = False
        """Nothing that is sent arrives any more."""
        self.mute = False
        """Nothing more is said."""
        self.on_request: Callable[[Server, int], None] = self.answer_later
        self.on_connect: Callable[[Server], None] = Server.greet
        self.servers: list[Server] = []
        self.attempts: list[float] = []
        """When somebody dialled."""
        self.in_flight = self.high_water = 0

    async def _connect(self, factory: Callable[[], asyncio.Protocol], *_: Any, **__: Any) -> tuple[Cable, Any]:
        self.attempts.append(self._loop.time())
        await asyncio.sleep(0)
        if not self.up:
            raise ConnectionRefusedError(111, "Connection refused")
        client, server = factory(), Server(self)
        server.cable = cable = Cable(self._loop, client, server)
        self.servers.append(server)
        client.connection_made(cable)
        self.on_connect(server)
        return cable, client

    def answer_later(self, server: Server, stream_id: int) -> None:
        """What is done with a request where a test says nothing else."""
        self._loop.call_later(self.service_s, server.answer, stream_id)

    def cut(self) -> None:
        """All connections break."""
        for server in self.servers:
            server.cable.end(ConnectionResetError(104, "Connection reset by peer"))
        self.in_flight = 0

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something then."""
        self._loop.call_at(seconds, action)


class Bench:
    """An engine on a net, and its records."""

    def __init__(
        self,
        loop: VirtualLoop,
        path: Path,
        client: ClientConfig,
        call: CallSpec = HELLO_CALL,
        *,
        residence: bool = False,
        load: LoadConfig = LoadConfig(),  # noqa: B008 (a frozen value)
    ) -> None:
        self.loop = loop
        self.path = path
        self.residence = residence
        self.net = Net(loop)
        config = TrialConfig(client=client, load=load)
        self.engine = WireEngine(config, "127.0.0.1:1", PLAINTEXT, call, residence=residence, clock=loop.time)
        self.engine._look_every_s = 16 * MS
        self.accidents: list[Any] = []
        loop.set_exception_handler(lambda _, context: self.accidents.append(context))
        self.counters = self.engine.counters

    async def closed_loop(self, concurrency: int = 1, gate: Gate | None = None, requests: int = 100) -> Records:
        """Connect if need be, run, read."""
        if not self.engine._pool.connections and not self.engine._single:
            await self.engine.connect(5)
        recorder = Recorder(self.path, residence=self.residence)
        async with asyncio.timeout(10_000):
            await self.engine.run(gate or Gate(opens_at=0, requests=requests), recorder, concurrency)
        recorder.close()
        return Records.load(self.path, residence=self.residence)


def on_a_net(main: Callable[[Bench], Any], path: Path, client: ClientConfig | None = None, **given: Any) -> Any:
    """The result of `main`, given an engine with this configuration on a net of its own."""

    async def with_bench(loop: VirtualLoop) -> Any:
        bench = Bench(loop, path, client or ClientConfig(), **given)
        try:
            return await main(bench)
        finally:
            await bench.engine.close()
            assert bench.accidents == []

    # Nobody can be looked at by a real socket here.
    with mock.patch.object(reachability, "LOOK_AFTER_S", math.inf):
        return run(with_bench)


def statuses(records: Records) -> dict[str, int]:
    """How many calls ended how."""
    found: dict[str, int] = {}
    for code in records.status:
        found[STATUS_NAMES[code]] = found.get(STATUS_NAMES[code], 0) + 1
    return found


POOL = ClientConfig(pooling="pool", connections=2)
PER_CALL = ClientConfig(pooling="per_call")


async def open_loop(
    bench: Bench, planned: list[float], gate: Gate | None = None, max_in_flight: int = 10_000
) -> Records:
    await bench.engine.connect(5)
    recorder = Recorder(bench.path, residence=bench.residence)
    window = gate or Gate(opens_at=0, requests=len(planned))
    async with asyncio.timeout(10_000):
        await bench.engine.run_open(iter(planned), window, recorder, pacer(bench.loop), max_in_flight)
    recorder.close()
    return Records.load(bench.path, residence=bench.residence)
