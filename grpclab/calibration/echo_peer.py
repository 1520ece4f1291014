"""A process of the echo: sockets that are looked at without a pause, as fast as one core can.

``python -m grpclab.calibration.echo_peer`` reads one JSON line: ``{}``: listen on loopback, say ``{"port": N}`` and
echo to one peer; or ``{"port": N, "seconds": S, "record": FILE}``: ask for so long, one question at a time, write each
round trip in seconds (float64) to the file, say ``{"trips": N}``.
"""

from __future__ import annotations

import json
import queue
import socket
import time
from array import array
from pathlib import Path
from typing import Any

from grpclab.system.subprocesses import die_with_parent, say

QUESTION = b"12345678"
WARMUP_S = 0.1


def main() -> None:
    """See the module's docstring."""
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    die_with_parent(lambda line: orders.put(json.loads(line)))
    order = orders.get()
    if "port" in order:
        _ask(order["port"], order["seconds"], Path(order["record"]))
    else:
        _answer()


def _answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(port=listener.getsockname()[1])
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
    say(trips=len(trips))


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
