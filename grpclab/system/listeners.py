"""The processes behind a target on this machine, and the connections to it, seen from outside."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Sequence

from grpclab.system import procfs
from grpclab.system.addresses import UNIX
from grpclab.system.dialling import loopback_target
from grpclab.system.procfs import UnixSocket


def listening_at(target: str) -> list[int]:
    """The processes that listen at a target, as far as the system tells."""
    hosts, port = loopback_target(target)
    return sorted(procfs.listening_pids(port) if port else UnixSocket.at(hosts[0].removeprefix(UNIX)).listening)


def connections_of(pids: Collection[int], target: str, remote: Sequence[str] = ()) -> int:
    """The connections that these processes have to a target; of a Unix socket, those that it has at all."""
    hosts, port = loopback_target(target, remote)
    if not port:
        return sum(UnixSocket.at(hosts[0].removeprefix(UNIX)).connections.values())
    return procfs.outgoing_connections(pids, port)


def connections_by_process(target: str) -> tuple[int, ...]:
    """The connections that each process behind a target has; nothing where the system does not tell."""
    hosts, port = loopback_target(target)
    if not port:
        held = UnixSocket.at(hosts[0].removeprefix(UNIX)).connections
        return tuple(count for _, count in sorted(held.items()))
    servers = listening_at(target)
    return tuple(procfs.connections(servers, port)) if servers else ()


_OWN_FILES = "/proc/self/fd"
_TCP_INFO = struct.Struct("=128xQ64xQ")
"""Of the kernel's ``struct tcp_info``: tcpi_bytes_received and, since Linux 4.19, tcpi_bytes_sent."""


def bytes_carried(target: str, remote: Sequence[str] = ()) -> tuple[int, int, int]:
    """The connections that this process has to a target, and the bytes that TCP has sent and received on them.

    There are none to a Unix socket, or where the system does not tell.
    """
    _, port = loopback_target(target, remote)
    connections = sent = received = 0
    for name in os.listdir(_OWN_FILES) if port else ():
        with contextlib.suppress(OSError):  # one that has been closed since, or is not connected
            if not os.readlink(f"{_OWN_FILES}/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family not in (socket.AF_INET, socket.AF_INET6) or one.getpeername()[1] != port:
                    continue
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            if len(info) >= _TCP_INFO.size:
                was_received, was_sent = _TCP_INFO.unpack_from(info)
                connections, sent, received = connections + 1, sent + was_sent, received + was_received
    return connections, sent, received
