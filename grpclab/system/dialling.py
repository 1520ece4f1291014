"""The addresses of a target on this machine: whoever dials takes them from here, each of which was judged.

No name but ``localhost`` is looked up, and a line in ``/etc/hosts`` may point that one elsewhere. So the name is never
dialled, but its addresses; a connection that is dialled again goes to the same ones.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from grpclab.errors import TargetError
from grpclab.system.addresses import UNIX, is_loopback, parse, refused
from grpclab.system.transport import Security

HANDSHAKE_S = 1.0
"""The time in which a server has to complete a handshake."""


def loopback_target(text: object) -> tuple[tuple[str, ...], int]:
    """The addresses to dial and the port that `text` means. Raises UsageError unless all are on this machine.

    A Unix socket is the one address ``unix:PATH``, with the port 0.
    """
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
            return _connected(address, port, timeout_s)
        except OSError as error:
            failures.append(error)
    raise failures[0]


def _connected(address: str, port: int, timeout_s: float) -> socket.socket:
    if not address.startswith(UNIX):
        return socket.create_connection((address, port), timeout=timeout_s)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        made.connect(address.removeprefix(UNIX))
    except BaseException:
        made.close()
        raise
    return made


def presented(target: str, security: Security) -> tuple[bytes, str]:
    """The certificate that the server at a target presents, in PEM, and a name that it holds; nothing is verified.

    Raises TargetError where it presents none, or one that nobody can trust, because it has expired or has no name.
    """
    hosts, port = loopback_target(target)
    try:
        with (
            open_connection(hosts, port, timeout_s=HANDSHAKE_S) as plain,
            security.context().wrap_socket(plain) as connection,
        ):
            certificate = connection.getpeercert(binary_form=True)
    except OSError as error:
        raise TargetError(f"no TLS connection to the server at {target}: {error}") from None
    pem = ssl.DER_cert_to_PEM_cert(certificate or b"").encode()
    trusting = replace(security, verify=True, roots=pem).context()
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        with open_connection(hosts, port, timeout_s=HANDSHAKE_S) as plain, trusting.wrap_socket(plain) as connection:
            details = connection.getpeercert()
    except ssl.SSLCertVerificationError as error:
        why = f"{error.verify_message}: grpcio trusts no such certificate, use engine wire"
        raise TargetError(f"the certificate of the server at {target} cannot be used unchecked, {why}") from None
    except OSError as error:
        raise TargetError(f"no TLS connection to the server at {target}: {error}") from None
    held = cast("tuple[tuple[str, str], ...]", (details or {}).get("subjectAltName", ()))
    names = [name for kind, name in held if kind in ("DNS", "IP Address")]
    if not names:
        why = "it holds no name: grpcio trusts no such certificate, use engine wire"
        raise TargetError(f"the certificate of the server at {target} cannot be used unchecked, {why}")
    return pem, names[0].replace("*", "any", 1)
