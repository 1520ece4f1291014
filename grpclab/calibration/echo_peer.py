"""A process of the echo: sockets that are looked at without a pause, as fast as one core can.

``python -m grpclab.calibration.echo_peer`` reads an :class:`EchoOrder`, a message of :mod:`grpclab.system.json_lines`,
and answers with :class:`EchoListening` or :class:`EchoTrips`.
"""

from __future__ import annotations

import queue
import socket
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say

QUESTION = b"12345678"
WARMUP_S = 0.1


class EchoOrder:
    """What a process of the echo is to do."""


@dataclass(frozen=True, kw_only=True)
class EchoServe(EchoOrder):
    """Listen on loopback, and echo to one peer."""


@dataclass(frozen=True, kw_only=True)
class EchoMeasure(EchoOrder):
    """Ask for so long, one question at a time, and write each round trip in seconds (float64) to the file."""

    port: int
    seconds: float
    record: Path


@dataclass(frozen=True, kw_only=True)
class EchoListening:
    """The answer to EchoServe."""

    port: int


@dataclass(frozen=True, kw_only=True)
class EchoTrips:
    """The answer to EchoMeasure: how many round trips there were."""

    trips: int


def main() -> None:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    order = decode(EchoOrder, lines.get())
    if isinstance(order, EchoMeasure):
        _ask(order.port, order.seconds, order.record)
    else:
        _answer()


def _answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(EchoListening(port=listener.getsockname()[1]))
        peer, _ = listener.accept()
    _at_once(peer)
    while data := _received(peer):
        peer.send(data)


def _ask(port: int, seconds: float, record: Path) -> None:
    peer = socket.create_connection(("127.0.0.1", port))
    _at_once(peer)
    trips, clock = array("d"), time.perf_counter
    opens = clock() + WARMUP_S
    ends = opens + seconds
    while (began := clock()) < ends:
        peer.send(QUESTION)
        left = len(QUESTION)
        while left:
            left -= len(_received(peer))
        if began >= opens:
            trips.append(clock() - began)
    record.write_bytes(trips.tobytes())
    say(EchoTrips(trips=len(trips)))


def _at_once(peer: socket.socket) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setblocking(False)


def _received(peer: socket.socket) -> bytes:
    """What has come; b"" once the peer is gone."""
    while True:
        try:
            return peer.recv(64)
        except BlockingIOError:
            continue
        except ConnectionError:
            return b""


if __name__ == "__main__":
    main()
