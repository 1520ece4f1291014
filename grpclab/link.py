"""The emulated link: a relay on loopback that delays, shapes and forgets, in a process of its own.

    with running_link(LinkConfig(rtt_ms=20), "127.0.0.1:50051") as link:
        ...  # clients connect to link.target

Each byte takes half the round trip each way; a new connection costs the round trips that TCP's handshake costs.
The bandwidth (10^6 bits/s) holds per connection and direction. What is due when is decided in
:mod:`grpclab.link_model`; this module moves the bytes. Timers fire on a grid of one millisecond, so a byte is up
to 1 ms late each way and never early; :func:`check_link` says what the link really does.

As a process, ``python -m grpclab.link`` reads one line of JSON from standard input (``target`` and the factors of
LinkConfig), answers with one line ``{"port": N}`` and serves until its standard input ends or SIGTERM comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import ipaddress
import json
import math
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from grpclab.config import FACTORS, LinkConfig
from grpclab.errors import UsageError, WorkerError
from grpclab.link_model import Direction, EmulatedPath, Mark, buffer_bytes

START_TIMEOUT_S = 15.0
_WRITE_BUFFER_BYTES = 4 * 2**20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def loopback_target(text: str) -> tuple[tuple[str, ...], int]:
    """The addresses to try and the port that ``HOST:PORT`` means. Raises UsageError unless it is loopback."""
    host, colon, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    port = int(port_text) if port_text.isascii() and port_text.isdigit() else 0
    if not colon or not host or not 0 < port < 65536:
        raise UsageError(f"target {text!r} is not HOST:PORT, as 127.0.0.1:50051")
    if host.lower() == "localhost":
        return ("127.0.0.1", "::1"), port
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"target {text!r} is not on this machine: the emulated link carries loopback only"
            " (127.0.0.0/8, ::1, localhost)"
        )
    return (host,), port


class _End(asyncio.Protocol):
    """One end of a connection: the client's socket, or the target's. Bytes read here travel in `direction`."""

    transport: asyncio.Transport | None = None
    finished = False
    """The peer has sent its last byte, or is gone."""
    lost = False
    reading = True
    writable = True

    def __init__(self, relay: _Connection, direction: Direction):
        self.relay, self.direction = relay, direction

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.relay.end_is_up(self)

    def data_received(self, data: bytes) -> None:
        self.relay.arrived(self, data)

    def eof_received(self) -> bool:
        self.finished = True
        self.relay.arrived(self, Mark.END)
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

    def __init__(self, relay: _Relay):
        self.relay = relay
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

    def arrived(self, end: _End, item: bytes | Mark) -> None:
        """Bytes or a mark came in from the peer of `end`: put them on the path."""
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
            chunks, mark = self.path.leave(direction, now)
            if chunks:
                sink.transport.writelines(chunks)
            if mark is Mark.END:
                sink.transport.write_eof()
            elif mark is Mark.RESET:
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
        if reset and self.path.enter(end.direction, Mark.RESET, time.monotonic()):
            self.drain(end.direction)
        self.drain(end.direction.opposite)  # nobody is left to take it
        self.tidy()

    def tidy(self) -> None:
        """Close both sockets once nothing can come through any more."""
        delivered = self.path.black_holed or all(line.next_due is None for line in self.path.lines)
        if delivered and all(end.finished for end in self.ends):
            for end in self.ends:
                if end.transport is not None and not end.lost:
                    end.transport.close()


class _Relay:
    """What all connections of the link share."""

    def __init__(self, config: LinkConfig, hosts: tuple[str, ...], port: int):
        self.config, self.hosts, self.port = config, hosts, port
        self.loop = asyncio.get_running_loop()

    def shape_socket(self, sock: socket.socket) -> None:
        """Keep the kernel from hiding a slow link behind megabytes of receive buffer of its own."""
        if self.config.bandwidth_mbps is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(buffer_bytes(self.config), 2**22))

    async def listen(self) -> tuple[asyncio.Server, int]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.shape_socket(sock)
        sock.bind(("127.0.0.1", 0))
        server = await self.loop.create_server(lambda: _Connection(self).ends[0], sock=sock, backlog=4096)
        return server, int(sock.getsockname()[1])


async def _serve(config: LinkConfig, hosts: tuple[str, ...], port: int) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)
    server, own_port = await _Relay(config, hosts, port).listen()
    gc.collect()
    gc.freeze()
    print(json.dumps({"port": own_port}), flush=True)
    # A thread, since a loop cannot watch every kind of file that standard input may be.
    threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()
    await server.serve_forever()


def _exit_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _read_order(line: bytes) -> tuple[LinkConfig, tuple[str, ...], int]:
    """What the line of JSON asks for. Raises UsageError."""
    try:
        order = json.loads(line)
    except ValueError:
        raise UsageError("the link reads one line of JSON from standard input and got none") from None
    if not isinstance(order, dict) or not isinstance(order.get("target"), str):
        raise UsageError('the link\'s line of JSON names no target, as {"target": "127.0.0.1:50051"}')
    hosts, port = loopback_target(order.pop("target"))
    names = [f.name for f in dataclasses.fields(LinkConfig)]
    if unknown := sorted(set(order) - set(names)):
        raise UsageError(f"the link knows no {', '.join(unknown)}: it takes target, {', '.join(names)}")
    for name, level in order.items():
        FACTORS[f"link.{name}"].check(level)
    return LinkConfig(**order), hosts, port


def _more_open_files() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """The relay process; see the module's text."""
    try:
        order = _read_order(sys.stdin.buffer.raw.readline())  # type: ignore[attr-defined]
    except UsageError as error:
        print(f"grpclab.link: {error}", file=sys.stderr)
        return error.exit_code
    _more_open_files()  # each connection takes two
    run: Any = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    run(_serve(*order))
    return 0


@dataclass(frozen=True, kw_only=True)
class RunningLink:
    """A relay that is up: connect to `target` instead of the server."""

    target: str
    pid: int
    process: subprocess.Popen[bytes] = field(repr=False, compare=False)

    def alive(self) -> bool:
        """Whether the relay process still runs; if not, what was measured through it is invalid."""
        return self.process.poll() is None


@contextlib.contextmanager
def running_link(
    config: LinkConfig,
    target: str,
    *,
    cpus: Collection[int] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[RunningLink]:
    """A relay in front of `target` (``HOST:PORT`` on loopback) for the length of a with block.

    `cpus` pins it, where the system can; `env` is added to its environment. Raises UsageError for a target
    that is not on loopback, WorkerError where the relay does not come up. Nothing is left behind.
    """
    loopback_target(target)
    order = json.dumps({"target": target, **dataclasses.asdict(config)})
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "grpclab.link"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is for the parent, which then stops this one
        )
        try:
            if cpus and hasattr(os, "sched_setaffinity"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(process.pid, cpus)
            port = _start(process, order)
            if port is None:
                process.kill()
                process.wait()
                complaints.seek(0)
                reason = complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise WorkerError(f"the emulated link did not start: {reason or f'exit {process.returncode}'}")
            yield RunningLink(target=f"127.0.0.1:{port}", pid=process.pid, process=process)
        finally:
            _stop(process)


def _start(process: subprocess.Popen[bytes], order: str) -> int | None:
    """Send the order; the port that the relay answers with, or None if it does not."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answer = process.stdout.readline() if selector.select(START_TIMEOUT_S) else b""
        return int(json.loads(answer)["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_link(config: LinkConfig) -> dict[str, float]:
    """What the link really does on this machine, as round trips of a TCP echo of 8 bytes.

    ``direct_ms_p50``: without a relay. ``overhead_ms_p50``: what a relay that delays nothing adds to it.
    ``rtt_ms_p50``, ``rtt_ms_p99``: through the relay with this `config` (its idle timeout left out), beside
    ``rtt_ms_asked``; ``probes`` is how many round trips those two rest on. Takes about 1.2 s at 20 ms.
    """
    shaped = dataclasses.replace(config, idle_timeout_s=None)
    bits_per_s = math.inf if config.bandwidth_mbps is None else config.bandwidth_mbps * 1e6
    gap_s = max(_PROBE_GAP_S, 4 * 8 * _PROBE.size / bits_per_s)  # keep three quarters of a slow link free
    with _echo() as echo, running_link(LinkConfig(), echo) as plain, running_link(shaped, echo) as link:
        direct = _round_trips(echo, count=300, gap_s=0)
        through = _round_trips(plain.target, count=300, gap_s=0)
        trips = _round_trips(link.target, count=max(10, int(_PROBE_SECONDS / gap_s)), gap_s=gap_s)
    direct_p50 = _percentile(direct, 50)
    return {
        "rtt_ms_asked": config.rtt_ms,
        "rtt_ms_p50": _percentile(trips, 50),
        "rtt_ms_p99": _percentile(trips, 99),
        "overhead_ms_p50": max(0.0, _percentile(through, 50) - direct_p50),
        "direct_ms_p50": direct_p50,
        "probes": len(trips),
    }


_PROBE = struct.Struct("<d")
_PROBE_GAP_S, _PROBE_SECONDS = 0.0004, 0.44
"""Probes overlap, so that a p99 rests on ten observations beyond it (1000 probes) within half a second."""


@contextlib.contextmanager
def _echo() -> Iterator[str]:
    """A TCP echo in threads of this process; yields its HOST:PORT."""

    def answer(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := sock.recv(65536):
                sock.sendall(data)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            if closing:
                sock.close()
                return
            threads.append(threading.Thread(target=answer, args=(sock,), daemon=True))
            threads[-1].start()

    closing: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        try:
            yield f"127.0.0.1:{address[1]}"
        finally:
            closing.append(True)
            socket.create_connection(address).close()
            for thread in threads:
                thread.join(timeout=2)


def _round_trips(target: str, *, count: int, gap_s: float) -> list[float]:
    """Round trips in ms: one probe after the other with no gap, else one sent every `gap_s` seconds."""
    trips: list[float] = []

    def receive(sock: socket.socket, last: int) -> None:
        data = b""
        while len(trips) < last:
            received = sock.recv(65536)
            if not received:
                raise WorkerError(f"the emulated link closed a connection after {len(trips)} of {last} probes")
            now, data = time.perf_counter(), data + received
            whole = len(data) // _PROBE.size * _PROBE.size
            trips.extend((now - sent) * 1e3 for (sent,) in _PROBE.iter_unpack(data[:whole]))
            data = data[whole:]

    host, port = loopback_target(target)
    with socket.create_connection((host[0], port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(_PROBE.pack(time.perf_counter()))
        receive(sock, 1)  # carries the handshake too: not counted
        trips.clear()
        reader = threading.Thread(target=receive, args=(sock, count), daemon=True)
        if gap_s:
            reader.start()
        for number in range(1, count + 1):
            sock.sendall(_PROBE.pack(time.perf_counter()))
            if gap_s:
                time.sleep(gap_s)
            else:
                receive(sock, number)
        if gap_s:
            reader.join()
    return trips


def _percentile(values: list[float], percent: float) -> float:
    """By nearest rank."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


if __name__ == "__main__":
    sys.exit(main())
