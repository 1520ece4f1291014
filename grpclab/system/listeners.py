"""The processes behind a target on this machine, and the connections to it, seen from outside."""

from __future__ import annotations

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
