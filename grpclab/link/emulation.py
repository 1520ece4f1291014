"""The emulated link: a relay on loopback that delays, shapes and forgets, in a process of its own.

::

    with running_link(LinkConfig(rtt_ms=20), "127.0.0.1:50051") as link:
        ...  # clients connect to link.target

Each byte takes half the round trip each way; a new connection costs the round trips that TCP's handshake
costs. The bandwidth (10^6 bits/s) holds per connection and direction. A connection that is silent for longer
than the idle timeout is black-holed: its sockets stay open and nothing comes through. Timers fire on a grid
of one millisecond, so a byte is up to 1 ms late each way and never early; :func:`check_link` measures
the link itself.

As a process, ``python -m grpclab.link.emulation`` reads one line from standard input, a
:class:`~grpclab.link.relay_messages.RelayOrder`, answers with a RelayListening and serves until its standard input ends
or SIGTERM comes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from grpclab.errors import UsageError, WorkerError, invalid
from grpclab.factors.config import LinkConfig
from grpclab.link.relay_messages import LinkTraffic, RelayListening, RelayOrder, TrafficRequest
from grpclab.system.addresses import first_of
from grpclab.system.dialling import loopback_target
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, pin

ANSWER_TIMEOUT_S = 10.0
"""The time within which a relay answers."""


@dataclass(frozen=True, kw_only=True)
class RunningLink:
    """A relay that is up: connect to `target` instead of the server."""

    target: str
    child: Child = field(repr=False, compare=False)

    @property
    def pid(self) -> int:
        """The relay's process id."""
        return self.child.pid

    def traffic(self) -> LinkTraffic:
        """Return what has passed so far. Raises WorkerError if the relay is gone."""
        self.child.send(TrafficRequest())
        return self.child.receive(ANSWER_TIMEOUT_S, LinkTraffic)

    def require_alive(self) -> None:
        """Raise WorkerError, with how it ended, if the relay is gone: no figure measured through it is valid."""
        self.child.require_alive()


@contextlib.contextmanager
def running_link(
    config: LinkConfig,
    target: str,
    *,
    cpus: Collection[int] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[RunningLink]:
    """Run a relay in front of `target` (``HOST:PORT`` on loopback) for the length of a with block.

    `cpus` pins it, where the system can; `env` is added to its environment. Nothing is left behind. Raises
    UsageError for a target that is not on loopback and for cores it may not use, WorkerError where the relay
    does not come up.
    """
    if first_of(target) != target or not loopback_target(target)[1]:
        expected = "one HOST:PORT, since an emulated link leads to a single server over TCP; remove the link.* settings"
        raise UsageError(invalid("target", target, expected))
    with (
        tempfile.TemporaryFile() as log,
        Child("grpclab.link.emulation", name="the emulated link", env=env, log=log) as child,
    ):
        if cpus:
            try:
                pin(child.pid, cpus)
            except OSError as error:
                raise UsageError(f"cannot pin the link to cores {sorted(cpus)}: {error.strerror}") from None
        child.send(RelayOrder(target=target, link=config))
        listening = child.receive(START_TIMEOUT_S, RelayListening)
        yield RunningLink(target=f"127.0.0.1:{listening.port}", child=child)


def check_link(config: LinkConfig) -> dict[str, float]:
    """Measure the link on this machine by the round trips of a TCP echo of 8 bytes.

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
            complete_bytes = len(data) // _PROBE.size * _PROBE.size
            trips.extend((now - sent) * 1e3 for (sent,) in _PROBE.iter_unpack(data[:complete_bytes]))
            data = data[complete_bytes:]

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
    """Return a percentile by nearest rank."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def main() -> int:
    """The relay process; returns only an exit code for a bad order."""
    from grpclab.link.relay import main as relay

    return relay()


if __name__ == "__main__":
    sys.exit(main())
