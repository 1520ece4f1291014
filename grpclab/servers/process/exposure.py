"""The address on which a server is to listen, and who can then reach it.

A server of the lab has no authentication. On loopback only this machine reaches it; anywhere else that is said in one
line, before the server's own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from grpclab.errors import UsageError, invalid
from grpclab.system.addresses import is_loopback


@dataclass(frozen=True, kw_only=True)
class ListenAddress:
    """An address to listen on."""

    host: str
    """As servers take it: a name as it was given, an address without brackets and in its usual form."""
    addresses: tuple[str, ...]
    """What the host stands for."""

    @property
    def local(self) -> bool:
        """True if only this machine can connect."""
        return all(map(is_loopback, self.addresses))

    def exposure(self, services: Sequence[str], *, tls: bool = False, diagnostics: str = "") -> str:
        """Say in one sentence who can now reach what; empty where only this machine can.

        `diagnostics` is a clause about the diagnostics server.
        """
        if self.local:
            return ""
        unspecified = any(ip_address(one.partition("%")[0]).is_unspecified for one in self.addresses)
        where = "any address of this machine" if unspecified else ", ".join(self.addresses)
        *some, last = services
        named = f"{', '.join(some)} and {last}" if some else last
        secured = "over TLS, without authentication" if tls else "without TLS or authentication"
        rest = f"; {diagnostics}" if diagnostics else ""
        return f"listening on {self.host}: every machine that can reach {where} can call {named}, {secured}{rest}"


def listen_address(text: str, *, option: str = "--host") -> ListenAddress:
    """The address that `text` stands for. Raises UsageError unless it is an address, or a name that is known here."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    for flags in (socket.AI_NUMERICHOST, 0):
        try:
            answers = socket.getaddrinfo(bare or None, 0, type=socket.SOCK_STREAM, flags=flags | socket.AI_PASSIVE)
        except (OSError, UnicodeError):
            continue
        addresses = tuple(dict.fromkeys(str(socket_address[0]) for _, _, _, _, socket_address in answers))
        return ListenAddress(host=addresses[0] if flags or not bare else bare, addresses=addresses)
    raise UsageError(invalid(option, text, "an address of this machine, e.g. 127.0.0.1, or its name"))
