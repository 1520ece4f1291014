"""The addresses of a target on this machine: whoever dials takes them from here, each of which was judged.

No name but ``localhost`` is looked up, and a line in ``/etc/hosts`` may point that one elsewhere. So the name is never
dialled, but its addresses; a connection that is dialled again goes to the same ones.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from grpclab.system.addresses import is_loopback, parse, refused


def loopback_target(text: object) -> tuple[tuple[str, ...], int]:
    """The addresses to dial and the port that `text` means. Raises UsageError unless all are on this machine."""
    host, port = parse(text)
    if host != "localhost":
        return (host,), port
    addresses = _resolved(host)
    if outside := [address for address in addresses if not is_loopback(address)]:
        expected = f"an address on this machine, as 127.0.0.1:{port}: localhost is {', '.join(outside)} here"
        raise refused(text, f"{expected} (see /etc/hosts)")
    return addresses or ("127.0.0.1", "::1"), port  # RFC 6761, 6.3: localhost is loopback where no resolver knows it


def _resolved(name: str) -> tuple[str, ...]:
    """The addresses of a name on this machine, IPv4 first; none where it is not known."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    addresses = dict.fromkeys(str(socket_address[0]) for _, _, _, _, socket_address in answers)
    return tuple(sorted(addresses, key=lambda address: ":" in address))


def open_connection(addresses: Sequence[str], port: int, *, timeout_s: float) -> socket.socket:
    """A connection to the first of these addresses where somebody listens. Raises OSError, that of the first."""
    failures: list[OSError] = []
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=timeout_s)
        except OSError as error:
            failures.append(error)
    raise failures[0]
