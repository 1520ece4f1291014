"""The process of the emulated link: an asyncio relay that moves the bytes (see :mod:`grpclab.link.emulation`).

:mod:`grpclab.link.model` decides what is due when. Standard input carries one RelayOrder and, by ending, the order to
stop; standard output carries the messages of :mod:`grpclab.link.relay_messages`. Each further line is answered by a
LinkTraffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import math
import os
import signal
import socket
import struct
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Protocol, cast

from grpclab.errors import UsageError
from grpclab.factors.config import LinkConfig, TrialConfig
from grpclab.http2.frame_counter import FrameCounter
from grpclab.link.model import Direction, EmulatedPath, Ending, buffer_bytes
from grpclab.link.relay_messages import LinkTraffic, RelayListening, RelayOrder
from grpclab.system import event_loop, ulimits
from grpclab.system.dialling import loopback_target
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import say

_WRITE_BUFFER_BYTES = 4 * 2**20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End(asyncio.Protocol):
    """One end of a connection: the client's socket, or the target's. What it reads travels in `direction`."""

    transport: asyncio.Transport | None = None
    finished = False
    """The peer has sent its last byte, or is gone."""
    lost = False
    reading = True
    writable = True

    def __init__(self, relay: _Connection, direction: Direction):
        self.relay, self.direction = relay, direction

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.relay.end_is_up(self)

    def data_received(self, data: bytes) -> None:
        self.relay.arrived(self, data)

    def eof_received(self) -> bool:
        self.finished = True
        self.relay.arrived(self, Ending.END)
        return True  # half-close: the other direction goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.finished = True
        self.relay.end_is_lost(self, reset=exc is not None)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.relay.drain(self.direction.opposite)

    def reset(self) -> None:
        """Close with RST rather than FIN."""
        if self.transport is not None and not self.lost:
            with contextlib.suppress(OSError):
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class _Connection:
    """A client's connection, its counterpart to the target, and the path between."""

    def __init__(self, relay: Relay):
        self.relay = relay
        relay.open.add(self)
        self.taps = relay.taps()
        self.path = EmulatedPath(relay.config, opened=time.monotonic())
        self.ends = (_End(self, Direction.UP), _End(self, Direction.DOWN))
        self.timers: list[asyncio.TimerHandle | None] = [None, None]
        self.dialling: asyncio.Task[None] | None = None

    def end_is_up(self, end: _End) -> None:
        if end.direction is Direction.UP:
            self.dialling = self.relay.loop.create_task(self.dial())
        else:
            self.drain(Direction.UP)

    async def dial(self) -> None:
        """Connect to the target once the emulated handshake is over; reset the client if that fails."""
        await asyncio.sleep(max(0.0, self.path.established - time.monotonic()))
        for host in self.relay.hosts:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                self.relay.shape_socket(sock)
                await self.relay.loop.sock_connect(sock, (host, self.relay.port))
                await self.relay.loop.create_connection(lambda: self.ends[Direction.DOWN], sock=sock)
                return
            except OSError:
                sock.close()
        self.ends[Direction.UP].reset()

    def arrived(self, end: _End, item: bytes | Ending) -> None:
        """Put bytes or an ending from the peer of `end` on the path."""
        if self.taps and isinstance(item, bytes):
            self.taps[end.direction].feed(item)
        if not self.path.enter(end.direction, item, time.monotonic()):
            self.tidy()
            return
        if self.path.lines[end.direction].full and end.reading and not end.finished:
            assert end.transport is not None
            end.reading = False
            end.transport.pause_reading()
        if self.timers[end.direction] is None:
            self.drain(end.direction)

    def drain(self, direction: Direction) -> None:
        """Hand over what has arrived at the far end of `direction`, and come back for the rest."""
        handle, self.timers[direction] = self.timers[direction], None
        if handle is not None:
            handle.cancel()
        line, source, sink = self.path.lines[direction], self.ends[direction], self.ends[direction.opposite]
        if sink.lost:
            line.clear()
        elif sink.transport is not None and sink.writable:
            now = time.monotonic()
            chunks, ending = self.path.leave(direction, now)
            if chunks:
                sink.transport.writelines(chunks)
            if ending is Ending.END:
                sink.transport.write_eof()
            elif ending is Ending.RESET:
                sink.reset()
            due = line.next_due
            if due is not None and sink.writable:
                # From one tick of the millisecond grid to another: uvloop's timers know no others.
                ticks = math.ceil(due * 1e3) - math.floor(now * 1e3)
                self.timers[direction] = self.relay.loop.call_later(ticks / 1e3, self.drain, direction)
        if not source.reading and line.has_room and not source.lost:
            assert source.transport is not None
            source.reading = True
            source.transport.resume_reading()
        self.tidy()

    def end_is_lost(self, end: _End, *, reset: bool) -> None:
        if reset and self.path.enter(end.direction, Ending.RESET, time.monotonic()):
            self.drain(end.direction)
        self.drain(end.direction.opposite)  # nobody is left to take it
        if self.taps:
            self.taps[end.direction].end()
        self.tidy()

    def tidy(self) -> None:
        """Close both sockets once nothing can come through any more."""
        delivered = self.path.black_holed or all(line.next_due is None for line in self.path.lines)
        if delivered and all(end.finished for end in self.ends):
            for end in self.ends:
                if end.transport is not None and not end.lost:
                    end.transport.close()


class Tap(Protocol):
    """What is told of the bytes that pass in one direction of a connection."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """Note that the peer which sent them is gone."""


class Relay:
    """The state that all connections of the link share."""

    def __init__(self, config: LinkConfig, hosts: tuple[str, ...], port: int):
        self.config, self.hosts, self.port = config, hosts, port
        self.loop = asyncio.get_running_loop()
        self.connections = 0
        self.open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        """The connections that somebody still holds."""
        self.frame_counters: list[tuple[FrameCounter, FrameCounter]] = []

    def taps(self) -> tuple[Tap, Tap] | None:
        """Return what is told of the bytes of a new connection, up and down: counters of its frames.

        Only where silence matters: where megabytes pass, counting frames would cost what is being measured.
        """
        self.connections += 1
        if self.config.idle_timeout_s is None:
            return None
        self.frame_counters.append((FrameCounter(), FrameCounter()))
        return self.frame_counters[-1]

    async def close(self) -> None:
        """Close every connection, at both ends."""
        transports = [end.transport for connection in self.open for end in connection.ends if not end.lost]
        for transport in transports:
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)  # they are told so

    def traffic(self) -> LinkTraffic:
        """Return what has passed so far, over all connections."""
        goaways: Counter[str] = Counter()
        for up, down in self.frame_counters:
            goaways += up.goaways + down.goaways
        return LinkTraffic(
            connections=self.connections,
            client_pings=sum(up.pings for up, _ in self.frame_counters),
            server_pings=sum(down.pings for _, down in self.frame_counters),
            goaways=dict(goaways),
        )

    def shape_socket(self, sock: socket.socket) -> None:
        """Keep the kernel from hiding a slow link behind megabytes of receive buffer of its own."""
        if self.config.bandwidth_mbps is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(buffer_bytes(self.config), 2**22))

    async def listen(self, port: int = 0) -> tuple[asyncio.Server, int]:
        """Listen on loopback, on any free port or this one; returns the port. Raises OSError where it is taken."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.shape_socket(sock)
        try:
            if port:  # a port of the user's own is one that he may have used just now
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        server = await self.loop.create_server(lambda: _Connection(self).ends[0], sock=sock, backlog=4096)
        return server, int(sock.getsockname()[1])


async def _serve(config: LinkConfig, hosts: tuple[str, ...], port: int) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)
    ulimits.raise_open_files()
    relay = Relay(config, hosts, port)
    server, own_port = await relay.listen()
    gc.collect()
    gc.freeze()
    say(RelayListening(port=own_port))
    # A thread, since a loop cannot watch every kind of file that standard input may be.
    report = functools.partial(loop.call_soon_threadsafe, lambda: say(relay.traffic()))
    threading.Thread(target=_watch_stdin, args=(report,), daemon=True).start()
    await server.serve_forever()


def _watch_stdin(report: Callable[[], object]) -> None:
    """Report the traffic for each further line; the end of standard input ends this process."""
    while data := os.read(0, 4096):
        for _ in range(data.count(b"\n")):
            report()
    os._exit(0)


def _read_order(line: bytes) -> tuple[LinkConfig, tuple[str, ...], int]:
    """The path, the hosts and the port of an order. Raises UsageError."""
    try:
        order = decode(RelayOrder, line)
    except ValueError as error:
        raise UsageError(f"the link expects one line of JSON on standard input: {error}") from None
    hosts, port = loopback_target(order.target)
    return TrialConfig(link=order.link).link, hosts, port


def _first_line() -> bytes:
    """Read standard input up to its first line end, and not a byte more: the rest is for the watching thread."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def main() -> int:
    """Run the relay process until standard input ends. Returns only for a bad order: its exit code."""
    try:
        order = _read_order(_first_line())
    except UsageError as error:
        print(f"grpclab.link.emulation: {error}", file=sys.stderr)
        return error.exit_code
    event_loop.run(_serve(*order))
    return 0
