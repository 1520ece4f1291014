"""The addresses of a target: whoever dials takes them from here, each of which was judged.

No name but ``localhost`` is looked up unless --allow-remote was given, and no resolver is asked for that one: a line in
``/etc/hosts`` may point it elsewhere, a name server may not. So a name is never dialled, but its addresses; a
connection that is dialled again goes to the same ones.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from grpclab.errors import TargetError
from grpclab.system.addresses import UNIX, is_loopback, parse, refused
from grpclab.system.transport import Security, handshake_fault

_OTHER_ENGINE = "grpcio cannot trust such a certificate; use --engine wire, and --proto FILE for the schema"
HOSTS = Path("/etc/hosts")
HANDSHAKE_S = 1.0
"""The time in which a server has to complete a handshake."""


def loopback_target(text: object, remote: Sequence[str] = ()) -> tuple[tuple[str, ...], int]:
    """The addresses to dial and the port that `text` means. Raises UsageError unless all are on this machine.

    Those of `remote` may be dialled, too: where `text` names another machine, they are its addresses. A Unix socket is
    the one address ``unix:PATH``, with the port 0.
    """
    host, port = parse(text, remote=bool(remote))
    if host == "localhost":
        addresses = in_hosts_file(host)
        if outside := [one for one in addresses if not is_loopback(one) and one not in remote]:
            expected = (
                f"an address on this machine, e.g. 127.0.0.1:{port}, since localhost is {', '.join(outside)} here"
            )
            raise refused(text, f"{expected} (see {HOSTS})")
        return addresses or ("127.0.0.1", "::1"), port  # RFC 6761, 6.3: localhost is loopback where no file knows it
    if host.startswith(UNIX) or is_loopback(host):
        return (host,), port
    if "," in host:
        return tuple(host.split(",")), port
    return tuple(remote), port


def addresses_elsewhere(text: object) -> tuple[str, ...]:
    """The addresses off this machine that `text` stands for, to be asked for leave; none where it is on this machine.

    Raises UsageError for a name that no resolver knows.
    """
    host, _ = parse(text, remote=True)
    if host.startswith(UNIX) or "," in host:
        return ()
    found = in_hosts_file(host) if host == "localhost" else _resolved(host)
    if not found and host != "localhost":
        raise refused(text, f"a name that can be resolved; {host} cannot")
    return tuple(address for address in found if not is_loopback(address))


def in_hosts_file(name: str) -> tuple[str, ...]:
    """The addresses of a name in the file of hosts, IPv4 first; none where it has none."""
    try:
        lines = HOSTS.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    words = [line.partition("#")[0].split() for line in lines]
    addresses = dict.fromkeys(address for address, *names in filter(None, words) if name in map(str.lower, names))
    return tuple(sorted(addresses, key=lambda address: ":" in address))


def _resolved(name: str) -> tuple[str, ...]:
    """The addresses of a name or an address, IPv4 first; none where it is not known."""
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


def _connection(target: str, hosts: Sequence[str], port: int) -> socket.socket:
    """A connection to a target. Raises TargetError."""
    try:
        return open_connection(hosts, port, timeout_s=HANDSHAKE_S)
    except OSError as error:
        why = (os.strerror(error.errno) if error.errno else str(error)).lower()
        raise TargetError(
            f"no server responded at {target} ({why}): start a server there, or use another target"
        ) from None


def presented(target: str, security: Security) -> tuple[bytes, str]:
    """The certificate that the server at a target presents, in PEM, and a name that it holds; nothing is verified.

    Raises TargetError where it presents none, or one that nobody can trust, because it has expired or has no name.
    """
    hosts, port = loopback_target(target, security.remote)
    with _connection(target, hosts, port) as plain:
        try:
            with security.context().wrap_socket(plain) as connection:
                certificate = connection.getpeercert(binary_form=True)
        except OSError as error:
            raise TargetError(f"the server at {target} {handshake_fault(error, security)}") from None
    pem = ssl.DER_cert_to_PEM_cert(certificate or b"").encode()
    trusting = replace(security, verify=True, roots=pem).context()
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with _connection(target, hosts, port) as plain:
        try:
            with trusting.wrap_socket(plain) as connection:
                details = connection.getpeercert()
        except ssl.SSLCertVerificationError as error:
            why = f"{error.verify_message}; {_OTHER_ENGINE}"
            raise TargetError(
                f"the certificate of the server at {target} cannot be used without checking it: {why}"
            ) from None
        except OSError as error:
            raise TargetError(f"the server at {target} {handshake_fault(error, security)}") from None
    held = cast("tuple[tuple[str, str], ...]", (details or {}).get("subjectAltName", ()))
    names = [name for kind, name in held if kind in ("DNS", "IP Address")]
    if not names:
        why = f"it contains no name; {_OTHER_ENGINE}"
        raise TargetError(f"the certificate of the server at {target} cannot be used without checking it: {why}")
    return pem, names[0].replace("*", "any", 1)
