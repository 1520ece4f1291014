"""The local ports that connections for single calls use up: a closed one keeps its own for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grpclab.system.addresses import UNIX
from grpclab.system.environment import read_text

PORTS_KEPT_S = 60.0
"""The time for which the port of a closed TCP connection is kept (TIME_WAIT, Linux)."""
PORTS_SHARE = 0.9
"""The share of the local ports that connections of single calls may use up."""


class PortWatch:
    """The local ports that connections for single calls use up at one target, since closed ones keep theirs."""

    def __init__(self, ports: int | None) -> None:
        """`ports`: the local ports that there are; None where they may be used again at once, or none are used."""
        self._ports = ports
        self._closed: list[tuple[float, int]] = []

    def note(self, at: float, connections: int) -> None:
        """Note connections that were closed by a moment."""
        if self._ports is not None:
            self._closed = [*self._recent(at), (at, connections)]

    def refusal(self, now: float, coming: int) -> str:
        """Return why no further `coming` connections can be opened; nothing where they can."""
        if self._ports is None:
            return ""
        used = sum(connections for _, connections in self._recent(now))
        if used + coming <= PORTS_SHARE * self._ports:
            return ""
        return (
            f"connections for single calls hold {used:,} of {self._ports:,} local ports for {PORTS_KEPT_S:.0f} s "
            "(TIME_WAIT): shorten the measurement, or set net.ipv4.tcp_tw_reuse"
        )

    def _recent(self, now: float) -> Iterator[tuple[float, int]]:
        return (entry for entry in self._closed if entry[0] > now - PORTS_KEPT_S)


def local_ports(target: str, *, remote: bool) -> int | None:
    """Return the local ports for connections to a target; None where one that was closed can be used again at once.

    `remote`: it is on another machine. Linux reuses ports of closed connections to its own by default
    (``net.ipv4.tcp_tw_reuse``, ip-sysctl.rst).
    """
    if target.startswith(UNIX):
        return None
    reuse = (read_text(Path("/proc/sys/net/ipv4/tcp_tw_reuse")) or "").strip()
    bounds = (read_text(Path("/proc/sys/net/ipv4/ip_local_port_range")) or "").split()
    if len(bounds) != 2 or reuse == "1" or (reuse == "2" and not remote):
        return None
    return int(bounds[1]) - int(bounds[0]) + 1
